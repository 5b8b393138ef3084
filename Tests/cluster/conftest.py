"""Tests of the engines around the executable. They need what `make test-cluster` installs, and minutes."""
import importlib.util
import pathlib
import sys

import pytest

BLACKBOX = pathlib.Path(__file__).resolve().parents[1] / "blackbox"
sys.path.insert(0, str(BLACKBOX))
spec = importlib.util.spec_from_file_location("blackbox_conftest", BLACKBOX / "conftest.py")
blackbox = importlib.util.module_from_spec(spec)
spec.loader.exec_module(blackbox)

from support import fedclamp  # noqa: E402

#: A run with a rule that remembers, both attacks and bounds.
RUN = ["--clients", 2, "--rounds", 3, "--batch", 8, "--attack", "both", "--malicious", 1, "--defense", "foolsgold", "--defense", "bounds"]


class Federation:
    """Files of a run for two nodes: data, FM data, the first global checkpoint, each node's share."""

    def __init__(self, folder):
        self.folder = folder
        self.data, self.fm = blackbox.write_dataset(folder / "tiny.h5"), blackbox.write_fm(folder / "tiny-fm.h5")
        self.first, self.run = folder / "g0.h5", folder / "run.h5"
        files = ["--data", self.data, "--synthetic", self.fm]
        fedclamp("step", "init", *files, *RUN, "--out", self.first)
        for k in (0, 1):
            fedclamp("step", "share", self.first, "--client", k, "--data", self.data, "--out", self.node(k))
        fedclamp("run", *files, *RUN, "--out", self.run)

    def node(self, client):
        return self.folder / f"node-{client}.h5"


@pytest.fixture(scope="session")
def federation(tmp_path_factory):
    return Federation(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """(data set, FM data) to make tables of."""
    folder = tmp_path_factory.mktemp("tiny")
    return blackbox.write_dataset(folder / "tiny.h5"), blackbox.write_fm(folder / "tiny-fm.h5")
