"""The Python package's own tests against the executable, where the libraries that they read and write with are there."""

import importlib.util
import os
import subprocess
import sys

import pytest

from support import BINARY, ROOT

PACKAGE = ROOT / "tools/python"
IMPORTERS = ["PIL", "pyarrow"]
NEEDED = {"importers": ["pandas", *IMPORTERS], "importers_output": IMPORTERS, "importers_labels": IMPORTERS, "importers_pictures": IMPORTERS,
          "importers_hostile": IMPORTERS, "importers_command": IMPORTERS, "methods": [], "events": ["tensorboardX"], "package": []}


@pytest.mark.parametrize("part", NEEDED)
def test_python_package(part):
    missing = [name for name in NEEDED[part] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)}: make .venv/ready installs them")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", PACKAGE / "tests" / f"test_{part}.py"],
        capture_output=True,
        text=True,
        timeout=500,
        env=os.environ | {"FEDCLAMP": str(BINARY), "PYTHONPATH": str(PACKAGE)},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


def test_every_part_is_tried():
    assert {path.stem.removeprefix("test_") for path in (PACKAGE / "tests").glob("test_*.py")} == set(NEEDED)
