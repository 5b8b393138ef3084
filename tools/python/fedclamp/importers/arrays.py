"""Importers of arrays: NumPy archives, TensorFlow Federated, LEAF."""
from __future__ import annotations

import json
import os
import pathlib
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

import h5py
import numpy as np

from ..border import reading, regular_file
from ..program import PathLike
from .dataset import BadData, Split, as_bytes, listed_paths, plain, split, write_dataset
from .labels import whole_numbers
from .output import checked


def from_npz(
    path: PathLike,
    out: PathLike,
    *,
    validation: bool = False,
    name: str | None = None,
    class_names: Sequence[str] | None = None,
    classes: int | None = None,
    overwrite: bool = False,
) -> None:
    """NumPy archives: train_images, train_labels, test_images, test_labels as MedMNIST has them, or x_train and so on.

    `validation`: val_images belong to the training images, too; else they are left out.
    """
    checked(out, [path], overwrite)
    regular_file(path, BadData)
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as stream:
            single = stream.read(6) == b"\x93NUMPY"
        raise BadData(
            f"{path}: expected a NumPy archive, as numpy.savez writes it, got "
            + ("a single array (.npy); save images and labels of both splits together" if single else "another or a truncated file")
        )
    with reading(path, "a NumPy archive", BadData), np.load(path, allow_pickle=False) as file:

        def array(key: str) -> np.ndarray:
            with reading(f"{path}: {key}", "an array of numbers", BadData):
                found: np.ndarray = file[key]
                return found

        def part(which: str) -> tuple[np.ndarray, np.ndarray]:
            for images, labels in ((f"{which}_images", f"{which}_labels"), (f"x_{which}", f"y_{which}")):
                if images in file and labels in file:
                    return array(images), array(labels)
            raise BadData(
                f"{path}: expected {which}_images and {which}_labels, or x_{which} and y_{which}, "
                f"got {', '.join(file.files[:20]) or 'an empty archive'}"
            )

        parts = {which: part(which) for which in ("train", "test", *(["val"] if validation else []))}
    splits = {which: split(*part, f"{path}: {which}") for which, part in parts.items()}
    train = splits["train"]
    if validation:
        more = splits["val"]
        if more.images.shape[1:] != train.images.shape[1:]:
            raise BadData(f"{path}: val: expected images of {train.images.shape[1:]} as in training, got {more.images.shape[1:]}")
        train = Split(np.concatenate([train.images, more.images]), np.concatenate([train.labels, more.labels]))
    write_dataset(
        out,
        train,
        splits["test"],
        name=name or pathlib.Path(path).stem,
        class_names=class_names,
        classes=classes,
        source=f"npz file {pathlib.Path(path).name}",
        overwrite=overwrite,
    )


def _joined(parts: list[tuple[str, str, np.ndarray, np.ndarray]], place: str, natural: bool, invert: bool) -> Split:
    """A split of (place, client, images, labels): images as uint8, or real numbers from 0 to 1, of one shape. Clients by their names' order."""
    parts = [part for part in sorted(parts, key=lambda part: part[1]) if len(part[2])]
    if not parts:
        raise BadData(f"{place}: expected images, got none")
    shape, pixels, labels, owners = parts[0][2].shape[1:], [], [], []
    numbers = {client: number for number, client in enumerate(dict.fromkeys(part[1] for part in parts))}
    for where, client, images, of_images in parts:
        if images.shape[1:] != shape:
            raise BadData(f"{where}: expected images of {shape} as in {parts[0][0]}, got {images.shape[1:]}")
        pixels.append(as_bytes(images, f"{where}: images"))
        labels.append(whole_numbers(of_images, len(images), where))
        owners.append(np.full(len(images), numbers[client]))
    return split(np.concatenate(pixels), np.concatenate(labels), place, np.concatenate(owners) if natural else None, invert)


def from_tff(
    train: PathLike | Iterable[PathLike],
    test: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    images: str | None = None,
    label: str | None = None,
    invert: bool = False,
    name: str | None = None,
    classes: int | None = None,
    overwrite: bool = False,
) -> None:
    """TensorFlow Federated's HDF5: examples/CLIENT/pixels or image, and label. Training images keep their clients.

    A split may lie in several files; a client of one name is the same in all. `invert`: white becomes black, which makes of
    TFF's EMNIST (1 is paper) what MNIST looks like.
    """
    train, test = listed_paths(train), listed_paths(test)
    checked(out, [*train, *test], overwrite)

    def read(paths: Sequence[PathLike], natural: bool) -> Split:
        parts = []
        for path in paths:
            regular_file(path, BadData)
            with reading(path, "HDF5, as TensorFlow Federated writes it", BadData), h5py.File(path) as file:
                if not isinstance(file.get("examples"), h5py.Group):
                    raise BadData(f"{path}: expected a group examples with a group for each client")
                for client in file["examples"]:
                    place = f"{path}: examples/{client}"
                    group = file["examples"].get(client)
                    if not isinstance(group, h5py.Group):
                        raise BadData(f"{place}: expected a group with images and labels, got {_kind(group)}")
                    pixels = _first(group, (images,) if images else ("pixels", "image"), place)
                    parts.append((place, client, pixels, _first(group, (label,) if label else ("label", "fine_label"), place)))
        return _joined(parts, ", ".join(os.fspath(path) for path in paths), natural, invert)

    write_dataset(
        out,
        read(train, True),
        read(test, False),
        name=name or pathlib.Path(train[0]).stem,
        classes=classes,
        source=f"TFF file {', '.join(pathlib.Path(path).name for path in train)}",
        overwrite=overwrite,
    )


def _kind(node: Any) -> str:
    return {h5py.Dataset: "a dataset", h5py.Group: "a group", type(None): "a link to nothing"}.get(type(node), "another object")


def _first(group: h5py.Group, names: tuple[str, ...], place: str) -> np.ndarray:
    """The numbers of the first of `names` that is there, at least one dimension."""
    found = next((name for name in names if name in group.keys()), None)
    if found is None:
        raise BadData(f"{place}: expected {' or '.join(names)}, got {', '.join(list(group)[:20]) or 'nothing'}")
    node = group.get(found)
    if not isinstance(node, h5py.Dataset):
        raise BadData(f"{place}/{found}: expected a dataset, got {_kind(node)}")
    if node.shape is None or not node.shape or node.dtype.kind not in "iufb":
        raise BadData(f"{place}/{found}: expected numbers, one for each image or pixel, got {node.dtype} of shape {node.shape}")
    with reading(f"{place}/{found}", "numbers", BadData):
        array: np.ndarray = node[()]
    return array


def from_leaf(
    train: PathLike | Iterable[PathLike],
    test: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    shape: tuple[int, ...] = (28, 28),
    invert: bool = False,
    name: str = "leaf",
    classes: int | None = None,
    overwrite: bool = False,
) -> None:
    """LEAF's JSON: user_data/USER with x, flat images of `shape`, 0 to 1, and y. Training images keep their users."""
    train, test = listed_paths(train), listed_paths(test)
    checked(out, [*train, *test], overwrite)

    def read(paths: Sequence[PathLike], natural: bool) -> Split:
        parts = []
        for path in paths:
            regular_file(path, BadData)
            with reading(path, "LEAF's JSON", BadData), open(path, "rb") as stream:
                content = json.load(stream)  # of bytes: UTF-8 and UTF-16, with a byte order mark or without
            if not isinstance(content, dict) or not isinstance(content.get("user_data"), dict):
                raise BadData(f"{path}: expected LEAF's keys users and user_data")
            for user, examples in content["user_data"].items():
                place = f"{path}: user {user}"
                if not isinstance(examples, dict) or not all(isinstance(examples.get(key), list) for key in "xy"):
                    raise BadData(f"{place}: expected lists x and y, got {_shown(examples)}")
                parts.append((place, user, _flat_images(examples["x"], shape, place), examples["y"]))
                if len(examples["y"]) != len(examples["x"]):
                    raise BadData(f"{place}: expected a label for each image, got {len(examples['x'])} images and {len(examples['y'])} labels")
        return _joined(parts, ", ".join(os.fspath(path) for path in paths), natural, invert)

    write_dataset(
        out, read(train, True), read(test, False), name=plain(name), classes=classes, source="LEAF's JSON files", overwrite=overwrite
    )


def _shown(examples: Any) -> str:
    if not isinstance(examples, dict):
        return type(examples).__name__
    return ", ".join(f"{key}: {type(value).__name__}" for key, value in list(examples.items())[:5]) or "nothing"


def _flat_images(rows: list[Any], shape: tuple[int, ...], place: str) -> np.ndarray:
    """(n, *shape) float64 of lists of numbers."""
    length = int(np.prod(shape))
    if not rows:
        return np.empty((0, *shape))
    try:
        flat = np.array(rows)
    except (ValueError, TypeError, OverflowError):  # rows of several lengths
        odd = next((k for k, row in enumerate(rows) if not isinstance(row, list) or len(row) != length), 0)
        got = f"{len(rows[odd])} values" if isinstance(rows[odd], list) else type(rows[odd]).__name__
        raise BadData(f"{place}: expected flat images of {shape}, {length} numbers each, got {got} in image {odd}") from None
    if flat.ndim != 2 or flat.shape[1] != length or flat.dtype.kind not in "iuf":
        raise BadData(f"{place}: expected flat images of {shape}, {length} numbers each, got an array {flat.shape} of {flat.dtype}")
    return flat.reshape(-1, *shape).astype(np.float64)
