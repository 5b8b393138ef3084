"""Tests of the engines around the executable. They need what `make test-cluster` installs, and minutes."""
import importlib.util
import os
import pathlib
import sys

import pytest

BLACKBOX = pathlib.Path(__file__).resolve().parents[1] / "blackbox"
sys.path.insert(0, str(BLACKBOX))
spec = importlib.util.spec_from_file_location("blackbox_conftest", BLACKBOX / "conftest.py")
blackbox = importlib.util.module_from_spec(spec)
spec.loader.exec_module(blackbox)

import own  # noqa: E402
from support import fedclamp  # noqa: E402

#: A run with a rule that remembers, both attacks and bounds.
RUN = ["--clients", 2, "--rounds", 3, "--batch", 8, "--attack", "both", "--malicious", 1, "--defense", "foolsgold", "--defense", "bounds"]


class Federation:
    """Files of a run for two nodes: data, FM data, the first global checkpoint, each node's share. `environment`: for own methods."""

    def __init__(self, folder, options=RUN, environment=None):
        self.folder = folder
        self.data, self.fm = blackbox.write_dataset(folder / "tiny.h5"), blackbox.write_fm(folder / "tiny-fm.h5")
        self.first, self.run = folder / "g0.h5", folder / "run.h5"
        files = ["--data", self.data, "--synthetic", self.fm]
        fedclamp("step", "init", *files, *options, "--out", self.first, env=environment)
        for k in (0, 1):
            fedclamp("step", "share", self.first, "--client", k, "--data", self.data, "--out", self.node(k))
        fedclamp("run", *files, *options, "--out", self.run, env=environment)

    def node(self, client):
        return self.folder / f"node-{client}.h5"


@pytest.fixture(scope="session")
def federation(tmp_path_factory):
    return Federation(tmp_path_factory.mktemp("federation"))


@pytest.fixture()
def own_federation(tmp_path_factory, monkeypatch):
    """A federation with own methods of all kinds that a round has, and those as the nodes name them."""
    for name in ("PYTHONPATH", "PATH"):
        monkeypatch.setenv(name, own.ENVIRONMENT[name])
    folder = tmp_path_factory.mktemp("own")
    bodies = {"defense": own.REMEMBERS, "trigger": "@fedclamp.trigger\ndef f(images, context):\n    images[:, :, :4, :4] = 1\n    return images\n",
              "malicious-update": "@fedclamp.malicious_update\ndef f(parameters, context):\n    return context.global_ + 2 * (parameters - context.global_)\n"}
    programs = {option: f"exec:{own.method(folder / f'{option}.py', body)}" for option, body in bodies.items()}
    options = ["--clients", 2, "--rounds", 3, "--batch", 8, "--attack", "both", "--malicious", 1, *(w for o, p in programs.items() for w in (f"--{o}", p))]
    return Federation(folder, options, os.environ), " ".join(programs.values())


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """(data set, FM data) to make tables of."""
    folder = tmp_path_factory.mktemp("tiny")
    return blackbox.write_dataset(folder / "tiny.h5"), blackbox.write_fm(folder / "tiny-fm.h5")
