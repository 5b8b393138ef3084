"""Tiny data for the package's tests. They need the executable: FEDCLAMP names it."""

import pathlib
import sys

import h5py
import numpy as np
import pytest

import fedclamp

CLASSES = 10


def pictures(count, side=28, channels=1, seed=1):
    """Images whose class shows as a bright block, (n, c, side, side), and labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    images = rng.integers(0, 90, (count, channels, side, side), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 2 + 8 * (label // 4), 2 + 6 * (label % 4)
        image[:, row : row + 6, column : column + 5] += 150
    return images, labels.astype(np.uint8)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "tiny.h5"
    fedclamp.importers.write_dataset(
        path, fedclamp.importers.Split(*pictures(160)), fedclamp.importers.Split(*pictures(60, seed=2)), name="tiny"
    )
    return path


@pytest.fixture(scope="session")
def fm(tmp_path_factory):
    path = tmp_path_factory.mktemp("fm") / "fm.h5"
    images, labels = pictures(60, seed=3)
    with h5py.File(path, "w") as file:
        file["images"], file["labels"] = images, labels
    return path


@pytest.fixture()
def method(tmp_path, monkeypatch):
    """Writes a program with the package, which it finds wherever it lies."""
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(fedclamp.__file__).parents[1]))

    def write(name, body):
        path = tmp_path / name
        path.write_text(f"#!{sys.executable}\nimport numpy as np\nimport fedclamp\n\n{body}\nfedclamp.serve()\n")
        return path

    return write
