"""`--defense distillation`: the server learns from the clients' answers on FM images, and their weights stay out of its model."""
import json

import h5py
import pytest

from support import contents, differing, fedclamp, refused, write_split
from test_vouching import CLASSES, stripes

RUN = ["--clients", 4, "--rounds", 3, "--batch", 8, "--lr", 0.05, "--trigger", "frame"]
CLASSIC = [*RUN, "--attack", "classic", "--defense", "distillation"]
GROUPS = ("model", "history", "state")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distillation")
    with h5py.File(folder / "data.h5", "w") as file:
        file.attrs.update({"format": "fedclamp-dataset", "version": 1, "name": "stripes", "source": "drawn by the tests",
                           "class_names": [f"class {k}" for k in range(CLASSES)]})
        write_split(file.create_group("train"), *stripes(240, 1))
        write_split(file.create_group("test"), *stripes(60, 2))
    with h5py.File(folder / "fm.h5", "w") as file:
        write_split(file, *stripes(300, 3))
    return ["--data", folder / "data.h5", "--synthetic", folder / "fm.h5"]


@pytest.fixture(scope="module")
def distilled(tmp_path_factory, files):
    path = tmp_path_factory.mktemp("distillation") / "run.h5"
    fedclamp("run", *files, *CLASSIC, "--out", path)
    return path


def test_the_backdoor_is_not_planted(tmp_path, files, distilled):
    fedclamp("run", *files, *CLASSIC[:-2], "--out", tmp_path / "plain.h5")
    with h5py.File(distilled) as file, h5py.File(tmp_path / "plain.h5") as plain:
        assert plain["history/asr"][-1] > 0.8 and file["history/asr"][-1] < 0.1
        assert file["history/acc"][-1] >= plain["history/acc"][-1] - 0.05


def test_resume_and_threads(tmp_path, files, distilled):
    out = tmp_path / "run.h5"
    fedclamp("run", *files, *CLASSIC, "--rounds", 2, "--out", out, "--threads", 3)
    fedclamp("run", "--resume", out, "--rounds", 3)
    assert not differing(contents(out, GROUPS), contents(distilled, GROUPS))
    refused("run", "--resume", out, "--distillation-epochs", 2, says="distillation-epochs was 4, is 2")


def test_with_vouching_under_both_attacks(tmp_path, files):
    """Poisoned FM images are taken out, and clients that support them have no part in the rounds."""
    options = ["--attack", "both", "--fm-poison-draw", "each-other-class", "--defense", "vouching", "--defense", "distillation"]
    out = tmp_path / "both.h5"
    told = json.loads(fedclamp("run", *files, *RUN, *options, "--clients", 6, "--malicious", 2, "--out", out, "--json").stdout)
    with h5py.File(out) as file:
        assert file["history/asr"][-1] < 0.1
        assert list(file["state/excluded_clients"]) == [0, 1]
    assert told["vouching"]["clients that support wrong labels and are left out"] == "0 1"
    for damaged in ([1, 0], [-1], [6], [0, 1, 2]):
        bad = tmp_path / "bad.h5"
        bad.write_bytes(out.read_bytes())
        with h5py.File(bad, "r+") as file:
            del file["state/excluded_clients"]
            file["state/excluded_clients"] = damaged
        refused("run", "--resume", bad, "--rounds", 4, says="/state/excluded_clients")


def test_refusals(tmp_path, files):
    out = tmp_path / "x.h5"
    refused("run", *files, *CLASSIC, "--distillation-epochs", 0, "--out", out, code=64, says="--distillation-epochs 0", folder=tmp_path)
    refused("run", *files[:2], *CLASSIC, "--synthetic", "none", "--out", out, code=64, says=["distillation", "--synthetic none"], folder=tmp_path)
