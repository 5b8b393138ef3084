"""Data sets of other forms as FedClamp's HDF5 (data/FORMAT.md): npz, folders of images, CIFAR's pickles, Parquet, TFF, LEAF.

    python -m fedclamp.importers npz pathmnist.npz --out path.h5
    python -m fedclamp.importers tff femnist-train.h5 femnist-test.h5 --out femnist.h5

Each function reads files and writes one; it raises BadData with file and place for what is not as it should be. Images of other
sizes than 28x28 and 32x32 are brought to 32x32. Nothing that is read is executed: pickles may hold arrays and nothing else.
"""
from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import pathlib
import pickle
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from .program import PathLike

SIDES = (28, 32)


class BadData(ValueError):
    """A file is not what it should be; the message says which, where, and what was expected."""


@dataclass
class Split:
    """images: uint8 (n, channels, side, side); labels: (n,) from 0; clients: (n,) whose image each is, or None."""

    images: np.ndarray
    labels: np.ndarray
    clients: np.ndarray | None = None


def write_dataset(out: PathLike, train: Split, test: Split, *, name: str, class_names: Sequence[str] | None = None, source: str = "") -> None:
    """Writes a data set with both splits, under a temporary name first."""
    if train.images.shape[1:] != test.images.shape[1:]:
        raise BadData(f"{name}: training images of {train.images.shape[1:]}, test images of {test.images.shape[1:]}: expected the same")
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    names = list(class_names) if class_names is not None else [str(k) for k in range(classes)]
    if not 2 <= len(names) <= 1000 or classes > len(names):
        raise BadData(f"{name}: {classes} classes and {len(names)} names of classes: expected 2 to 1000, as many as labels say")
    partial = f"{os.fspath(out)}.partial-{os.getpid()}"
    try:
        with h5py.File(partial, "w") as file:
            file.attrs.update({"format": "fedclamp-dataset", "version": 1, "name": name, "source": source, "digest": _digest([train, test])})
            file.attrs["class_names"] = names
            for group, split in (("train", train), ("test", test)):
                file[f"{group}/images"] = split.images
                file[f"{group}/labels"] = split.labels.astype(np.uint8 if len(names) <= 256 else np.uint16)
                if split.clients is not None:
                    file[f"{group}/clients"] = split.clients.astype(np.uint32)
        os.replace(partial, out)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


def _digest(splits: Iterable[Split]) -> str:
    """As FedClamp computes it, so that a file is known by its content."""
    sha = hashlib.sha256()
    for split in splits:
        n, c, h, w = split.images.shape
        sha.update(f"{n} {c} {h} {w}\n".encode())
        sha.update(split.images.tobytes())
        sha.update(split.labels.astype("<u2").tobytes())
        if split.clients is not None:
            sha.update(split.clients.astype("<u4").tobytes())
    return sha.hexdigest()


def split(images: Any, labels: Any, place: str, clients: np.ndarray | None = None, invert: bool = False) -> Split:
    """A split of images (n, h, w), (n, h, w, c) or (n, c, h, w), uint8 or real numbers from 0 to 1, and labels (n,) or (n, 1)."""
    pixels = _pixels(np.asarray(images), place)
    if invert:
        pixels = 255 - pixels
    numbers = np.asarray(labels)
    numbers = numbers[:, 0] if numbers.ndim == 2 and numbers.shape[1] == 1 else numbers
    if numbers.shape != (len(pixels),) or not (np.issubdtype(numbers.dtype, np.integer) or numbers.dtype == bool):
        raise BadData(f"{place}: labels: expected {len(pixels)} whole numbers, got {numbers.dtype} {numbers.shape}")
    if len(pixels) == 0 or numbers.min() < 0 or numbers.max() > 999:
        raise BadData(f"{place}: expected images with labels from 0 to 999, got {len(pixels)} images")
    return Split(pixels, numbers.astype(np.uint16), clients)


def _pixels(images: np.ndarray, place: str) -> np.ndarray:
    if images.dtype.kind == "f" and images.size and 0 <= images.min() and images.max() <= 1:
        images = np.rint(images * 255).astype(np.uint8)
    if images.dtype != np.uint8:
        raise BadData(f"{place}: images: expected uint8, or real numbers from 0 to 1, got {images.dtype}")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise BadData(f"{place}: images: expected (n, h, w), (n, h, w, c) or (n, c, h, w) with 1 or 3 channels, got {images.shape}")
    n, c, h, w = images.shape
    if h == w and h in SIDES:
        return np.ascontiguousarray(images)
    return np.stack([_resized(image.transpose(1, 2, 0), c) for image in images]) if n else np.empty((0, c, 32, 32), np.uint8)


def _resized(image: np.ndarray, channels: int) -> np.ndarray:
    """(h, w, c) to (c, 32, 32)."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if channels == 1 else image).resize((32, 32), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(32, 32, channels).transpose(2, 0, 1)


# --- forms ------------------------------------------------------------------------------------------------------------

def from_npz(path: PathLike, out: PathLike, *, validation: bool = False, name: str | None = None, class_names: Sequence[str] | None = None) -> None:
    """NumPy archives: train_images, train_labels, test_images, test_labels as MedMNIST has them, or x_train, y_train, x_test, y_test.

    `validation`: val_images belong to the training images, too; else they are left out.
    """
    with np.load(path, allow_pickle=False) as file:
        def part(which: str) -> tuple[np.ndarray, np.ndarray]:
            for images, labels in ((f"{which}_images", f"{which}_labels"), (f"x_{which}", f"y_{which}")):
                if images in file and labels in file:
                    return file[images], file[labels]
            raise BadData(f"{path}: expected {which}_images and {which}_labels, or x_{which} and y_{which}, got {', '.join(file.files)}")

        train, test = split(*part("train"), f"{path}: train"), split(*part("test"), f"{path}: test")
        if validation:
            more = split(*part("val"), f"{path}: val")
            train = Split(np.concatenate([train.images, more.images]), np.concatenate([train.labels, more.labels]))
    write_dataset(out, train, test, name=name or pathlib.Path(path).stem, class_names=class_names, source=f"npz file {pathlib.Path(path).name}")


def from_folder(path: PathLike, out: PathLike, *, channels: int = 3, size: int = 32, name: str | None = None) -> None:
    """Folders of pictures that Pillow reads: PATH/train/CLASS/*, PATH/test/CLASS/*; classes in the order of their names."""
    from PIL import Image

    root, folders = pathlib.Path(path), {}
    for part in ("train", "test"):
        folders[part] = sorted(p.name for p in (root / part).iterdir() if p.is_dir()) if (root / part).is_dir() else []
    classes = sorted(set(folders["train"]) | set(folders["test"]))
    if not folders["train"] or not folders["test"]:
        raise BadData(f"{path}: expected folders train/CLASS and test/CLASS with pictures")

    def read(part: str) -> Split:
        images, labels = [], []
        for label, one in enumerate(classes):
            for picture in sorted(p for p in (root / part / one).glob("*") if p.is_file()):
                try:
                    with Image.open(picture) as opened:
                        image = opened.convert("L" if channels == 1 else "RGB").resize((size, size), Image.Resampling.LANCZOS)
                except OSError as error:
                    raise BadData(f"{picture}: {error}") from None
                images.append(np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1))
                labels.append(label)
        if not images:
            raise BadData(f"{root / part}: expected pictures, got none")
        return split(np.stack(images), np.array(labels), f"{root / part}")

    write_dataset(out, read("train"), read("test"), name=name or root.name, class_names=classes, source=f"folders of pictures {root.name}")


class _ArraysOnly(pickle.Unpickler):
    """A pickle can name any function and have it called: here those that make arrays and nothing else."""

    allowed = {("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype"),
               ("_codecs", "encode")}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise BadData(f"the pickle asks for {module}.{name}: expected arrays only")
        return super().find_class(module.replace("numpy.core", "numpy._core") if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else module, name)


def from_cifar_pickles(path: PathLike, out: PathLike, *, name: str | None = None) -> None:
    """CIFAR-10's or CIFAR-100's Python version: data_batch_1 to 5 and test_batch, or train and test (fine labels), unpacked."""
    root = pathlib.Path(path)
    is_ten = (root / "data_batch_1").is_file()

    def read(files: list[str]) -> Split:
        images, labels = [], []
        for file in files:
            with open(root / file, "rb") as stream:
                try:
                    content = _ArraysOnly(stream, encoding="bytes").load()
                except (BadData, pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, ImportError, IndexError) as error:
                    raise BadData(f"{root / file}: {error}") from None
            key = b"labels" if is_ten else b"fine_labels"
            if not isinstance(content, dict) or b"data" not in content or key not in content:
                raise BadData(f"{root / file}: expected a batch with data and {key.decode()}")
            data = np.asarray(content[b"data"])
            if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
                raise BadData(f"{root / file}: data: expected uint8 (n, 3072), got {data.dtype} {data.shape}")
            images.append(data.reshape(-1, 3, 32, 32))
            labels += list(content[key])
        return split(np.concatenate(images), np.array(labels), f"{root}")

    train = read([f"data_batch_{k}" for k in range(1, 6)] if is_ten else ["train"])
    test = read(["test_batch" if is_ten else "test"])
    kind = "cifar-10" if is_ten else "cifar-100"
    write_dataset(out, train, test, name=name or f"{kind}-pickles", class_names=[str(k) for k in range(10 if is_ten else 100)],
                  source=f"the Python version of {kind}, source not checked")


def from_parquet(train: Iterable[PathLike], test: Iterable[PathLike], out: PathLike, *, image: str | None = None, label: str | None = None,
                 channels: int | None = None, name: str = "parquet") -> None:
    """Parquet files as Hugging Face's hub has them: encoded pictures in a column image or img, class numbers in label or fine_label."""
    import pyarrow.parquet
    from PIL import Image

    def read(paths: Iterable[PathLike]) -> Split:
        images, labels = [], []
        for path in paths:
            table = pyarrow.parquet.read_table(path)
            def column(wanted: str | None, usual: tuple[str, ...], path: PathLike = path, table: Any = table) -> list[Any]:
                found = next((c for c in ((wanted,) if wanted else usual) if c in table.column_names), None)
                if found is None:
                    raise BadData(f"{path}: expected a column {wanted or ' or '.join(usual)}, got {', '.join(table.column_names)}")
                values: list[Any] = table[found].to_pylist()
                return values

            for cell in column(image, ("image", "img", "pixels")):
                encoded = cell.get("bytes") if isinstance(cell, dict) else cell
                if not isinstance(encoded, bytes):
                    raise BadData(f"{path}: image {len(images)}: expected an encoded picture, got {type(encoded).__name__}")
                try:
                    with Image.open(io.BytesIO(encoded)) as opened:
                        grey = channels == 1 or channels is None and opened.mode in ("L", "1", "I;16")
                        images.append(np.atleast_3d(np.asarray(opened.convert("L" if grey else "RGB"))))
                except OSError as error:
                    raise BadData(f"{path}: image {len(images)}: {error}") from None
            labels += column(label, ("label", "fine_label", "labels"))
        if len({picture.shape for picture in images}) > 1:
            deep = max(picture.shape[2] for picture in images)
            images = [_resized(np.repeat(p, deep // p.shape[2], 2), deep).transpose(1, 2, 0) for p in images]
        if not images:
            raise BadData("expected pictures in the Parquet files, got none")
        return split(np.stack(images), np.array(labels), "parquet")

    write_dataset(out, read(train), read(test), name=name, source="Parquet files")


def from_tff(train: PathLike, test: PathLike, out: PathLike, *, images: str | None = None, label: str | None = None, invert: bool = False,
             name: str | None = None) -> None:
    """TensorFlow Federated's HDF5: examples/CLIENT/pixels or image, and label. Training images keep their clients.

    `invert`: white becomes black, which makes of TFF's EMNIST (1 is paper) what MNIST looks like.
    """
    def read(path: PathLike, natural: bool) -> Split:
        pixels, labels, clients = [], [], []
        with h5py.File(path) as file:
            if not isinstance(file.get("examples"), h5py.Group):
                raise BadData(f"{path}: expected a group examples with a group for each client")
            for number, client in enumerate(sorted(file["examples"])):
                group = file["examples"][client]
                place = f"{path}: examples/{client}"
                pixels.append(_first(group, (images,) if images else ("pixels", "image"), place))
                labels.append(_first(group, (label,) if label else ("label", "fine_label"), place))
                clients.append(np.full(len(labels[-1]), number))
        if not pixels:
            raise BadData(f"{path}: expected clients in examples, got none")
        return split(np.concatenate(pixels), np.concatenate(labels).astype(np.int64), os.fspath(path),
                     np.concatenate(clients) if natural else None, invert)

    write_dataset(out, read(train, True), read(test, False), name=name or pathlib.Path(train).stem, source=f"TFF file {pathlib.Path(train).name}")


def _first(group: h5py.Group, names: tuple[str, ...], place: str) -> np.ndarray:
    found = next((name for name in names if name in group), None)
    if found is None:
        raise BadData(f"{place}: expected {' or '.join(names)}, got {', '.join(group)}")
    array: np.ndarray = group[found][()]
    return array


def from_leaf(train: Iterable[PathLike], test: Iterable[PathLike], out: PathLike, *, shape: tuple[int, ...] = (28, 28), invert: bool = False,
              name: str = "leaf") -> None:
    """LEAF's JSON: user_data/USER with x, flat images of `shape`, 0 to 1, and y. Training images keep their users as clients."""
    def read(paths: Iterable[PathLike], natural: bool) -> Split:
        data: dict[str, tuple[list[Any], list[int]]] = {}
        for path in paths:
            with open(path, encoding="utf-8") as stream:
                content = json.load(stream)
            if not isinstance(content, dict) or not isinstance(content.get("user_data"), dict):
                raise BadData(f"{path}: expected LEAF's keys users and user_data")
            for user, examples in content["user_data"].items():
                x, y = data.setdefault(user, ([], []))
                x += examples["x"]
                y += examples["y"]
        users = sorted(data)
        flat = np.array([image for user in users for image in data[user][0]], dtype=np.float64)
        if flat.ndim != 2 or flat.shape[1] != int(np.prod(shape)):
            raise BadData(f"LEAF: expected flat images of {shape}, got an array {flat.shape}")
        clients = np.repeat(np.arange(len(users)), [len(data[user][1]) for user in users])
        return split(flat.reshape(-1, *shape), np.array([k for user in users for k in data[user][1]]), "LEAF", clients if natural else None, invert)

    write_dataset(out, read(train, True), read(test, False), name=name, source="LEAF's JSON files")


def main(words: Sequence[str] | None = None) -> int:
    """The command line. Exit codes: 0 done, 2 bad input, 64 usage."""
    parser = argparse.ArgumentParser(prog="fedclamp-import", description="Write FedClamp's HDF5 data set of files of another form.")
    parser.exit_on_error = False
    parser.add_argument("form", choices=["npz", "folder", "cifar-pickles", "parquet", "tff", "leaf"])
    parser.add_argument("files", nargs="+", help="npz: FILE; folder, cifar-pickles: DIR; parquet, tff, leaf: TRAIN ... TEST, the last is the test split")
    parser.add_argument("--out", required=True)
    parser.add_argument("--name")
    parser.add_argument("--invert", action="store_true", help="of tff, leaf: white becomes black")
    parser.add_argument("--channels", type=int, choices=[1, 3], help="of folder, parquet")
    try:
        a = parser.parse_args(words)
    except (argparse.ArgumentError, SystemExit) as error:
        if isinstance(error, SystemExit) and error.code == 0:
            return 0
        print(f"fedclamp-import: {error}", file=sys.stderr)
        return 64
    named = {"name": a.name} if a.name else {}
    coloured = {"channels": a.channels} if a.channels else {}
    one = a.form in ("npz", "folder", "cifar-pickles")
    if len(a.files) != 1 if one else len(a.files) < 2:
        print(f"fedclamp-import: {a.form}: expected {'one file or folder' if one else 'training files and then a test file'}, got {len(a.files)}", file=sys.stderr)
        return 64
    calls: dict[str, Callable[[], None]] = {
        "npz": lambda: from_npz(a.files[0], a.out, **named), "folder": lambda: from_folder(a.files[0], a.out, **named, **coloured),
        "cifar-pickles": lambda: from_cifar_pickles(a.files[0], a.out, **named),
        "parquet": lambda: from_parquet(a.files[:-1], a.files[-1:], a.out, **named, **coloured),
        "tff": lambda: from_tff(a.files[0], a.files[-1], a.out, invert=a.invert, **named),
        "leaf": lambda: from_leaf(a.files[:-1], a.files[-1:], a.out, invert=a.invert, **named)}
    try:
        calls[a.form]()
    except (BadData, OSError) as error:
        print(f"fedclamp-import: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
