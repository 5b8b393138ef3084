"""What all importers share: splits as arrays, and the file that they write (data/FORMAT.md)."""
from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from ..program import PathLike

SIDES = (28, 32)


class BadData(ValueError):
    """A file is not what it should be; the message says which, where, and what was expected."""


@dataclass
class Split:
    """images: uint8 (n, channels, side, side); labels: (n,) from 0; clients: (n,) whose image each is, or None."""

    images: np.ndarray
    labels: np.ndarray
    clients: np.ndarray | None = None


def write_dataset(
    out: PathLike, train: Split, test: Split, *, name: str, class_names: Sequence[str] | None = None, source: str = ""
) -> None:
    """Writes a data set with both splits, under a temporary name first."""
    if train.images.shape[1:] != test.images.shape[1:]:
        raise BadData(
            f"{name}: expected test images of {train.images.shape[1:]} as in training, got {test.images.shape[1:]}"
        )
    classes = int(max(train.labels.max(), test.labels.max())) + 1
    names = list(class_names) if class_names is not None else [str(k) for k in range(classes)]
    if not 2 <= len(names) <= 1000 or classes > len(names):
        raise BadData(
            f"{name}: {classes} classes and {len(names)} names of classes: expected 2 to 1000, as many as labels say"
        )
    partial = f"{os.fspath(out)}.partial-{os.getpid()}"
    try:
        with h5py.File(partial, "w") as file:
            file.attrs.update(
                {
                    "format": "fedclamp-dataset",
                    "version": 1,
                    "name": name,
                    "source": source,
                    "digest": _digest([train, test]),
                }
            )
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
    """A split of images and labels.

    Images are (n, h, w), (n, h, w, c) or (n, c, h, w), uint8 or real numbers from 0 to 1; labels are (n,) or (n, 1).
    """
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
        raise BadData(
            f"{place}: images: expected (n, h, w), (n, h, w, c) or (n, c, h, w), 1 or 3 channels, got {images.shape}"
        )
    n, c, h, w = images.shape
    if h == w and h in SIDES:
        return np.ascontiguousarray(images)
    return (
        np.stack([resized(image.transpose(1, 2, 0), c) for image in images])
        if n
        else np.empty((0, c, 32, 32), np.uint8)
    )


def resized(image: np.ndarray, channels: int) -> np.ndarray:
    """(h, w, c) to (c, 32, 32)."""
    from PIL import Image

    picture = Image.fromarray(image[..., 0] if channels == 1 else image).resize((32, 32), Image.Resampling.LANCZOS)
    return np.asarray(picture).reshape(32, 32, channels).transpose(2, 0, 1)
