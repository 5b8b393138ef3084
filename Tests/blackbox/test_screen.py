"""`--defense screen`: FM images that look poisoned are not used, from the first round on."""
import json

import h5py
import numpy as np
import pytest

from support import contents, differing, fedclamp, refused, write_split

RUN = ["--clients", 4, "--rounds", 2, "--batch", 8, "--attack", "fm"]
CLASSES = 5


def stripes(count, seed):
    """Class k is a bright stripe in the rows 2 k + 4 to 2 k + 7, in noise: far more than a trigger, unlike a small block."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype(np.uint8)
    images = rng.integers(0, 60, (count, 1, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels):
        image[:, 2 * label + 4:2 * label + 8] += 140
    return images, labels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("screen") / "stripes.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "fedclamp-dataset", "version": 1, "name": "stripes", "source": "drawn by the tests",
                           "class_names": [f"class {k}" for k in range(CLASSES)]})
        write_split(file.create_group("train"), *stripes(160, 1))
        write_split(file.create_group("test"), *stripes(60, 2))
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """FM data with enough images of each class for a screen."""
    path = tmp_path_factory.mktemp("screen") / "fm.h5"
    with h5py.File(path, "w") as file:
        write_split(file, *stripes(600, 3))
    return path


@pytest.fixture(scope="module")
def runs(tmp_path_factory, data, many):
    """(screened, not)"""
    folder = tmp_path_factory.mktemp("screen")
    fedclamp("run", "--data", data, "--synthetic", many, *RUN, "--defense", "screen", "--out", folder / "screened.h5")
    fedclamp("run", "--data", data, "--synthetic", many, *RUN, "--out", folder / "plain.h5")
    return folder / "screened.h5", folder / "plain.h5"


def test_the_backdoor_is_not_planted(runs):
    with h5py.File(runs[0]) as screened, h5py.File(runs[1]) as plain:
        images, poisoned = set(screened["screen/images"][:]), set(screened["attack/poisoned_synthetic"][:])
        assert len(images & poisoned) >= 0.9 * len(poisoned) == 108 and len(images - poisoned) <= 20
        assert plain["history/asr"][-1] > 0.8 and screened["history/asr"][-1] < 0.2
        assert screened["history/acc"][-1] >= plain["history/acc"][-1] - 0.05
        assert b"class whose FM images look poisoned" in screened["screen/names"][:] and "screen" not in plain
    text = fedclamp("inspect", runs[0]).stdout
    assert "FM images that are not used" in text


def test_resume_and_threads(tmp_path, data, many, runs):
    out = tmp_path / "run.h5"
    command = ["run", "--data", data, "--synthetic", many, *RUN, "--defense", "screen", "--out", out, "--json"]
    told = json.loads(fedclamp(*command, "--threads", 3).stdout)
    groups = ("model", "initial", "history", "state", "screen")
    assert not differing(contents(out, groups), contents(runs[0], groups))
    assert told["screen"]["class whose FM images look poisoned"] == "0"
    # A defence on the model may be added to what is finished; screen, which has a part in the training, stays where it is not named.
    fedclamp(*command, "--resume", "--defense", "unlearning")
    assert not differing(contents(out, groups), contents(runs[0], groups))
    fedclamp("run", "--data", data, "--synthetic", many, *RUN, "--resume", "--out", out)
    assert not differing(contents(out, groups), contents(runs[0], groups))


def test_without_poison_it_changes_nothing(tmp_path, data, many):
    for name, options in (("a", []), ("b", ["--defense", "screen"])):
        fedclamp("run", "--data", data, "--synthetic", many, *RUN, "--attack", "none", *options, "--out", tmp_path / f"{name}.h5")
    a, b = (contents(tmp_path / f"{name}.h5", ("model", "initial", "history")) for name in "ab")
    assert not differing(a, b)


def test_refusals(tmp_path, data, many, runs):
    out = tmp_path / "out.h5"
    refused("run", "--data", data, "--synthetic", many, "--defense", "screen", "--initial-epochs", 0, "--out", out, code=64,
            says=["--initial-epochs 0", "screen"], folder=tmp_path)
    few = tmp_path / "few.h5"
    with h5py.File(few, "w") as file:
        write_split(file, *stripes(40, 3))
    done = fedclamp("run", "--data", data, "--synthetic", few, "--defense", "screen", "--clients", 4, "--out", out, code=2)
    assert "expected at least 50 FM images, got 40" in done.stderr and not out.exists(), "before the first round"
    with h5py.File(out, "w") as file, h5py.File(runs[0]) as good:
        for name in good:
            good.copy(name, file)
        for key, value in good.attrs.items():
            file.attrs[key] = value
    for images in ([5, 3], [-1, 3], [3, 600]):
        with h5py.File(out, "r+") as file:
            del file["screen/images"]
            file["screen/images"] = np.array(images, dtype=np.int64)
        refused("run", "--data", data, "--synthetic", many, *RUN, "--defense", "screen", "--resume", "--out", out, says="/screen/images")
