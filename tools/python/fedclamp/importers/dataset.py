"""What all importers share: splits as arrays, and the file that they write (data/FORMAT.md)."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np

from ..border import library
from ..program import PathLike
from .labels import as_classes, named, note, whole_numbers
from .output import BadData, write_in_place

SIDES = (28, 32)
LAYOUTS = "(n, h, w), (n, h, w, c) or (n, c, h, w), 1 or 3 channels"


def listed_paths(files: PathLike | Iterable[PathLike]) -> list[PathLike]:
    """One file, or several, as a list."""
    return [files] if isinstance(files, (str, os.PathLike)) else list(files)


@dataclass
class Split:
    """images: uint8 (n, channels, side, side); labels: (n,) from 0; clients: (n,) whose image each is, or None."""

    images: np.ndarray
    labels: np.ndarray
    clients: np.ndarray | None = None


def write_dataset(
    out: PathLike,
    train: Split,
    test: Split,
    *,
    name: str,
    class_names: Sequence[str] | None = None,
    classes: int | None = None,
    source: str = "",
    overwrite: bool = False,
) -> None:
    """Writes a data set with both splits, under a temporary name first. A file that is there stays without `overwrite`.

    Without `class_names` and `classes` the labels that occur are the classes: a note says what is renumbered.
    """
    where = f"{plain(name)} ({plain(source)})" if source else plain(name)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise BadData(
            f"{where}: expected test images of {train.images.shape[1:]} as in training, got {test.images.shape[1:]}"
        )
    (first, second), names = as_classes((train.labels, test.labels), where, class_names, classes)
    train, test = replace(train, labels=first), replace(test, labels=second)
    if untrained := [names[k] for k in range(len(names)) if not (train.labels == k).any()]:
        note(f"{where}: no training image is of class {named(untrained)}")

    def fill(file: h5py.File) -> None:
        file.attrs.update(
            {
                "format": "fedclamp-dataset",
                "version": 1,
                "name": plain(name),
                "source": plain(source),
                "digest": _digest([train, test]),
            }
        )
        file.attrs["class_names"] = [plain(k) for k in names]
        for group, split in (("train", train), ("test", test)):
            file[f"{group}/images"] = split.images
            file[f"{group}/labels"] = split.labels.astype(np.uint8 if len(names) <= 256 else np.uint16)
            if split.clients is not None:
                file[f"{group}/clients"] = split.clients.astype(np.uint32)

    write_in_place(out, overwrite, fill)


def plain(name: str) -> str:
    r"""A name that a file can hold: bytes that are no UTF-8 as "\xe9", as FedClamp shows them."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


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
    """A split of images and labels.

    Images are (n, h, w), (n, h, w, c) or (n, c, h, w), uint8 or real numbers from 0 to 1; labels are (n,) or (n, 1).
    """
    pixels = _pixels(np.asarray(images), place)
    if len(pixels) == 0:
        raise BadData(f"{place}: expected images, got none")
    if invert:
        pixels = 255 - pixels
    return Split(pixels, whole_numbers(labels, len(pixels), place), clients)


def _pixels(images: np.ndarray, place: str) -> np.ndarray:
    if images.ndim not in (3, 4) or 0 in images.shape[1:]:
        raise BadData(f"{place}: images: expected {LAYOUTS}, got {images.shape}")
    images = as_bytes(images, f"{place}: images")
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1] not in (1, 3):
        raise BadData(f"{place}: images: expected {LAYOUTS}, got {images.shape}")
    n, c, h, w = images.shape
    if h == w and h in SIDES or n == 0:
        return np.ascontiguousarray(images)
    return np.stack([resized(image.transpose(1, 2, 0)) for image in images])


def as_bytes(images: np.ndarray, place: str) -> np.ndarray:
    """Pixels as uint8, which they are, or real numbers from 0 to 1. Raises BadData for others."""
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise BadData(f"{place}: expected uint8, or real numbers from 0 to 1, got {images.dtype}")
    if images.size and not (images.min() >= 0 and images.max() <= 1):  # so that NaN is refused
        raise BadData(f"{place}: expected uint8, or real numbers from 0 to 1, got {images.min():g} to {images.max():g}")
    result: np.ndarray = np.rint(images * 255).astype(np.uint8)
    return result


def resized(image: np.ndarray, side: int = 32) -> np.ndarray:
    """(h, w, c) to (c, side, side)."""
    pillow = library("PIL.Image", "pillow", "importers", "bringing images to another size")
    channels = image.shape[2]
    picture = pillow.fromarray(image[..., 0] if channels == 1 else image).resize((side, side), pillow.Resampling.LANCZOS)
    result: np.ndarray = np.asarray(picture).reshape(side, side, channels).transpose(2, 0, 1)
    return result
