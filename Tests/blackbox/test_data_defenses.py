"""Published defences on the FM data: they look at a model that learned from all FM images, and leave some out."""
import json

import h5py
import pytest

from support import contents, differing, fedclamp, refused
from test_distillation import files                                                 # noqa: F401  (a fixture)

FM = ["--clients", 4, "--rounds", 2, "--batch", 8, "--lr", 0.05, "--trigger", "frame", "--attack", "fm", "--fm-poison-fraction", 0.04]
NAMES = ["activation-clustering", "spectral-signatures", "scan"]


@pytest.mark.parametrize("name", NAMES)
def test_says_what_it_left_out(tmp_path, files, name):
    out = tmp_path / "run.h5"
    told = json.loads(fedclamp("run", *files, *FM, "--defense", name, "--out", out, "--json").stdout)[name]
    with h5py.File(out) as file:
        images = list(file[f"{name}/images"])
        assert images == sorted(set(images)) and told["FM images that are left out"] == f"{len(images)} of 300"
    assert f"{name}, of the FM data" in fedclamp("inspect", out).stdout
    assert "vouching" not in contents(out, ["config"])


def test_nothing_left_out_is_the_plain_run_to_the_bit(tmp_path, files):
    """A part so small that it rounds to no image of a class."""
    fedclamp("run", *files, *FM, "--out", tmp_path / "plain.h5")
    fedclamp("run", *files, *FM, "--defense", "spectral-signatures", "--spectral-part", 0.001, "--out", tmp_path / "none.h5")
    with h5py.File(tmp_path / "none.h5") as file:
        assert len(file["spectral-signatures/images"]) == 0
    assert not differing(contents(tmp_path / "none.h5", ["model", "initial"]), contents(tmp_path / "plain.h5", ["model", "initial"]))


def test_resume_and_threads(tmp_path, files):
    options = [*FM, "--defense", "spectral-signatures", "--defense", "median"]
    fedclamp("run", *files, *options, "--out", tmp_path / "whole.h5", "--threads", 3)
    fedclamp("run", *files, *options, "--rounds", 1, "--out", tmp_path / "part.h5", "--threads", 1)
    fedclamp("run", "--resume", tmp_path / "part.h5", "--rounds", 2)
    groups = ("model", "history", "state", "spectral-signatures")
    assert not differing(contents(tmp_path / "part.h5", groups), contents(tmp_path / "whole.h5", groups))
    with h5py.File(tmp_path / "whole.h5") as file:
        assert len(file["spectral-signatures/images"]) > 20
    with h5py.File(tmp_path / "part.h5", "a") as file:
        file["spectral-signatures/images"][0] = 999_999
    refused("run", "--resume", tmp_path / "part.h5", "--rounds", 3, says="spectral-signatures/images: expected ascending positions")


def test_steps_are_the_run(tmp_path, files):
    options = [*FM, "--defense", "spectral-signatures"]
    fedclamp("step", "init", *files, *options, "--out", tmp_path / "g0.h5")
    fedclamp("run", *files, *options, "--out", tmp_path / "run.h5")
    first, run = (contents(tmp_path / name, ["spectral-signatures"]) for name in ("g0.h5", "run.h5"))
    assert first and not differing(first, run)


def test_what_cannot_work_is_refused_before_any_work(tmp_path, files):
    out = tmp_path / "none.h5"
    two = refused("run", *files, *FM, "--defense", "scan", "--defense", "vouching", "--out", out, code=64)
    assert "at most one that says which FM images are used" in two.stderr
    refused("run", *files, *FM, "--defense", "scan", "--initial-epochs", 0, "--out", out, code=64, says="1 or more with --defense scan")
    refused("run", *files[:2], "--synthetic", "none", "--defense", "scan", "--out", out, code=64, says="none that works on FM data, as scan does")
    few = fedclamp("run", *files, *FM, "--defense", "scan", "--synthetic-limit", 20, "--out", out, code=2).stderr
    assert "expected at least 50 FM images, got 20; scan needs them" in few
    refused("run", *files, *FM, "--defense", "spectral-signatures", "--spectral-part", 1.5, "--out", out, code=64, says="up to 1")
    assert not out.exists()
