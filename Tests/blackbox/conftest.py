"""Tiny data sets that every test may read, and a few finished runs on them."""
import reference  # noqa: F401, before numpy: it sets the number of BLAS threads
import signal

import h5py
import numpy as np
import pytest

from support import BINARY, fedclamp, write_split

CLASSES = 10

# Jobs in the background may begin with these ignored; the programs under test would ignore them, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pictures(count, channels, side, seed, classes=CLASSES):
    """Images whose class shows as a bright block at a place of its own, in noise: learnt within a few steps."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 90, (count, channels, side, side), dtype=np.uint8)
    for image, label in zip(images, labels):
        row, column = 2 + 8 * (label // 4), 2 + 6 * (label % 4)
        image[:, row:row + 6, column:column + 5] += 150
    return images, labels.astype(np.uint8)


def write_dataset(path, channels=1, side=28, train=160, test=60, classes=CLASSES, **storage):
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "fedclamp-dataset"
        file.attrs["version"] = 1
        file.attrs["name"] = "tiny"
        file.attrs["class_names"] = [f"class {k}" for k in range(classes)]
        file.attrs["source"] = "drawn by the tests"
        write_split(file.create_group("train"), *pictures(train, channels, side, 1, classes), **storage)
        write_split(file.create_group("test"), *pictures(test, channels, side, 2, classes), **storage)
    return path


def write_fm(path, channels=1, side=28, count=60, classes=CLASSES):
    with h5py.File(path, "w") as file:
        write_split(file, *pictures(count, channels, side, 3, classes))
    return path


@pytest.fixture(scope="session", autouse=True)
def built():
    if not BINARY.is_file():
        pytest.exit(f"{BINARY} is not there: run make build, or name the executable in FEDCLAMP", returncode=2)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def data(files):
    return write_dataset(files / "tiny.h5")


@pytest.fixture(scope="session")
def fm(files):
    return write_fm(files / "tiny-fm.h5")


@pytest.fixture(scope="session")
def colour(files):
    """(data set, FM data) of 32x32 images with 3 channels."""
    return write_dataset(files / "colour.h5", 3, 32), write_fm(files / "colour-fm.h5", 3, 32)


@pytest.fixture(scope="session")
def few(files):
    """(data set, FM data) of four classes, for fits of bounds: the search for triggers looks at each class."""
    return write_dataset(files / "few.h5", classes=4), write_fm(files / "few-fm.h5", classes=4)


def small(data, fm):
    return ["--data", data, "--synthetic", fm, "--clients", 4, "--initial-epochs", 1, "--rounds", 2, "--batch", 8]


@pytest.fixture(scope="session")
def tiny(data, fm):
    """The options that all small runs share."""
    return small(data, fm)


@pytest.fixture(scope="session")
def tiny_few(few):
    """The same with four classes."""
    return small(*few)


@pytest.fixture(scope="session")
def tiny_seen(files):
    """The same with three classes, of whose FM images there are enough for the screen: it sees poison, and no search is needed."""
    return small(write_dataset(files / "three.h5", classes=3), write_fm(files / "three-fm.h5", classes=3))


@pytest.fixture(scope="session")
def clean_run(files, tiny):
    path = files / "clean.h5"
    fedclamp("run", *tiny, "--out", path)
    return path


@pytest.fixture(scope="session")
def fm_run(files, tiny_few):
    """Poisoned FM data of four classes, bounds fitted after the last round."""
    path = files / "fm.h5"
    fedclamp("run", *tiny_few, "--attack", "fm", "--defense", "bounds", "--out", path)
    return path


@pytest.fixture(scope="session")
def seven(data, fm):
    """Small runs of seven clients: Multi-Krum needs 2f + 2 < n."""
    return ["--data", data, "--synthetic", fm, "--clients", 7, "--rounds", 2, "--batch", 8]
