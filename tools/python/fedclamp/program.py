"""The executable: where it is, and running it."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any

PathLike = str | os.PathLike[str]


class FedClampError(RuntimeError):
    """The executable did not end with 0 but with 1 a check did not hold, 2 bad input, 64 usage, 130 or 143 signals."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def executable() -> str:
    """The path of fedclamp: FEDCLAMP, else the one installed with this package, else that of the PATH."""
    named = os.environ.get("FEDCLAMP")
    installed = pathlib.Path(sysconfig.get_path("scripts")) / "fedclamp"
    found = named or (str(installed) if installed.is_file() else shutil.which("fedclamp"))
    if not found:
        raise FileNotFoundError(
            "there is no fedclamp: install a wheel that carries it, put it on the PATH, or name it in FEDCLAMP"
        )
    return found


def arguments(options: dict[str, Any]) -> list[str]:
    """Options as a command line has them: names with "_" for "-", lists for what may be repeated, True for flags."""
    words: list[str] = []
    for name, value in options.items():
        option = "--" + name.rstrip("_").replace("_", "-")
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is True:
                words.append(option)
            elif one is not None and one is not False:
                words += [option, os.fspath(one) if isinstance(one, os.PathLike) else str(one)]
    return words


def call(*words: Any, quiet: bool = False) -> str:
    """Runs fedclamp; its standard output. Progress goes to the standard error, unless `quiet`.

    Raises FedClampError with the last line that it said.
    """
    command = [executable(), *map(str, words)]
    # The interpreter that runs own methods is the one that runs this.
    environment = os.environ | {
        "PATH": os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ.get("PATH", "")])
    }
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if not quiet:
                sys.stderr.write(line)
        out = process.stdout.read()
        code = process.wait()
    if code != 0:
        raise FedClampError(code, said[-1].strip() if said else f"fedclamp ended with exit code {code}")
    return out


def run(data: PathLike, synthetic: PathLike, out: PathLike, *, quiet: bool = False, **options: Any) -> dict[str, Any]:
    """`fedclamp run`: trains a federation and writes the run file `out`; its results as `--json` prints them.

    fedclamp.run("cifar-10.h5", "fm.h5", "run.h5", attack="fm", defense=["multi-krum", "exec:./mine.py"], rounds=5)
    """
    words = arguments({"data": data, "synthetic": synthetic, "out": out, "json": True} | options)
    result: dict[str, Any] = json.loads(call("run", *words, quiet=quiet))
    return result


def reproduce(*tables: str, out: PathLike, quiet: bool = False, **options: Any) -> str:
    """`fedclamp reproduce`: computes tables into the folder `out`; what it prints. `results(out)` has the numbers.

    fedclamp.reproduce("main", out="results", scale="smoke", defense="exec:./mine.py")
    """
    return call("reproduce", *tables, *arguments({"out": out} | options), quiet=quiet)


def sweep(grid: PathLike | dict[str, Any], *, out: PathLike, quiet: bool = False, **options: Any) -> str:
    """`fedclamp sweep`: trains every combination of a grid into the folder `out`; what it prints. `results(out)` has the numbers.

    The grid is a file, or a dict with the names of options ("_" for "-"), in which a list is several values.

    fedclamp.sweep({"attack": ["none", "fm"], "lr": [0.02, 0.05], "seeds": 2}, out="grid", data="d.h5", synthetic="fm.h5")
    """
    words = arguments({"out": out} | options)
    if not isinstance(grid, dict):
        return call("sweep", grid, *words, quiet=quiet)
    with tempfile.TemporaryDirectory(prefix="fedclamp-") as folder:
        file = pathlib.Path(folder) / "grid.conf"
        file.write_text("".join(f"{name.replace('_', '-')} = {_values(value)}\n" for name, value in grid.items()))
        return call("sweep", file, *words, quiet=quiet)


def _values(value: Any) -> str:
    """One value, or several with bars between them, as a grid has them."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return " | ".join(str(one).lower() if isinstance(one, bool) else str(one) for one in values)
