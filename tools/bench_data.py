"""The data that bench.py measures with: CIFAR-10, Fashion-MNIST or random images, and FM images of the wanted number."""
import os
import pathlib

import h5py
import numpy as np

from checkpoint import load

ROOT = pathlib.Path(__file__).resolve().parent.parent
FASHION, FASHION_FM = ROOT / "data/fashion-mnist.h5", ROOT / "data/fashion-mnist-fm.h5"


class Data:
    """`path` and `fm`: files for FedClamp. `state`: random weights and the input's mean and deviation, from FedClamp."""

    def __init__(self, program, folder, fm_count):
        self.fm_count = fm_count
        self.path, self.fm = folder / "data.h5", folder / "fm.h5"
        cifar, fm = os.environ.get("FEDCLAMP_CIFAR"), os.environ.get("FEDCLAMP_FM")
        if cifar:
            self.name = "CIFAR-10"
            program("import", "cifar-10", "--from", cifar, "--out", self.path)
        elif FASHION.exists():
            self.name, self.path = "Fashion-MNIST", FASHION
        else:
            self.name = "random images"
            write_random(self.path)
        with h5py.File(self.path) as file:
            self.train_count, self.channels = file["train/images"].shape[:2]
        source = pathlib.Path(fm) if fm else FASHION_FM if self.channels == 1 else None
        self.fm_name = f"{source.name}, {fm_count} images" if source else f"{fm_count} random images"
        write_fm(self.fm, source, fm_count, self.channels)
        start = folder / "start.h5"
        program("step", "init", "--synthetic", self.fm, "--clients", 10, "--initial-epochs", 0, "--out", start)
        self.state = {key: value.numpy() for key, value in load(start).state_dict().items()}

    def arrays(self, key):
        with h5py.File(self.path if key == "train" else self.fm) as file:
            group = file["train"] if key == "train" else file
            return group["images"][()], group["labels"][()]


def write_split(group, images, labels):
    group["images"], group["labels"] = images, labels


def write_random(path):
    rng = np.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file.attrs["name"] = "random"
        file.attrs["class_names"] = [str(k) for k in range(10)]
        for split, count in (("train", 50_000), ("test", 10_000)):
            write_split(file.create_group(split), rng.integers(0, 256, (count, 3, 32, 32), np.uint8), (np.arange(count) % 10).astype(np.uint8))


def write_fm(path, source, count, channels):
    """The first `count` images of `source`, again from its start where it has fewer; random ones without a source."""
    with h5py.File(path, "w") as out:
        out.attrs["class_names"] = [str(k) for k in range(10)]
        if source is None:
            rng = np.random.default_rng(2)
            write_split(out, rng.integers(0, 256, (count, channels, 32, 32), np.uint8), (np.arange(count) % 10).astype(np.uint8))
            return
        with h5py.File(source) as file:
            take = np.arange(count) % len(file["labels"])
            most = min(count, len(file["labels"]))
            write_split(out, file["images"][:most][take], file["labels"][:most][take].astype(np.uint8))
