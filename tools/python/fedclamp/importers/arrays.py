"""Importers of arrays: NumPy archives, TensorFlow Federated, LEAF."""
from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

import h5py
import numpy as np

from ..program import PathLike
from .dataset import BadData, Split, split, write_dataset


def from_npz(
    path: PathLike,
    out: PathLike,
    *,
    validation: bool = False,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """NumPy archives: train_images, train_labels, test_images, test_labels as MedMNIST has them, or x_train and so on.

    `validation`: val_images belong to the training images, too; else they are left out.
    """
    with np.load(path, allow_pickle=False) as file:

        def part(which: str) -> tuple[np.ndarray, np.ndarray]:
            for images, labels in ((f"{which}_images", f"{which}_labels"), (f"x_{which}", f"y_{which}")):
                if images in file and labels in file:
                    return file[images], file[labels]
            raise BadData(
                f"{path}: expected {which}_images and {which}_labels, or x_{which} and y_{which}, "
                f"got {', '.join(file.files)}"
            )

        train, test = split(*part("train"), f"{path}: train"), split(*part("test"), f"{path}: test")
        if validation:
            more = split(*part("val"), f"{path}: val")
            train = Split(np.concatenate([train.images, more.images]), np.concatenate([train.labels, more.labels]))
    write_dataset(
        out,
        train,
        test,
        name=name or pathlib.Path(path).stem,
        class_names=class_names,
        source=f"npz file {pathlib.Path(path).name}",
    )


def from_tff(
    train: PathLike,
    test: PathLike,
    out: PathLike,
    *,
    images: str | None = None,
    label: str | None = None,
    invert: bool = False,
    name: str | None = None,
) -> None:
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
        return split(
            np.concatenate(pixels),
            np.concatenate(labels).astype(np.int64),
            os.fspath(path),
            np.concatenate(clients) if natural else None,
            invert,
        )

    write_dataset(
        out,
        read(train, True),
        read(test, False),
        name=name or pathlib.Path(train).stem,
        source=f"TFF file {pathlib.Path(train).name}",
    )


def _first(group: h5py.Group, names: tuple[str, ...], place: str) -> np.ndarray:
    found = next((name for name in names if name in group), None)
    if found is None:
        raise BadData(f"{place}: expected {' or '.join(names)}, got {', '.join(group)}")
    array: np.ndarray = group[found][()]
    return array


def from_leaf(
    train: Iterable[PathLike],
    test: Iterable[PathLike],
    out: PathLike,
    *,
    shape: tuple[int, ...] = (28, 28),
    invert: bool = False,
    name: str = "leaf",
) -> None:
    """LEAF's JSON: user_data/USER with x, flat images of `shape`, 0 to 1, and y. Training images keep their users."""

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
        return split(
            flat.reshape(-1, *shape),
            np.array([k for user in users for k in data[user][1]]),
            "LEAF",
            clients if natural else None,
            invert,
        )

    write_dataset(out, read(train, True), read(test, False), name=name, source="LEAF's JSON files")
