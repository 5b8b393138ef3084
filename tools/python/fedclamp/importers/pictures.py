"""Importers of pictures: folders, Parquet files, and CIFAR's pickles, of which nothing is executed."""
from __future__ import annotations

import io
import os
import pathlib
import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..border import library, reading, regular_file
from ..program import PathLike
from .dataset import BadData, Split, listed_paths, plain, resized, split, write_dataset
from .folders import drop_empty, listed
from .labels import note, whole_numbers
from .output import checked
from .picture import decoded, pillow


def from_folder(
    path: PathLike, out: PathLike, *, channels: int = 3, size: int = 32, name: str | None = None, overwrite: bool = False
) -> None:
    """Folders of pictures that Pillow reads: PATH/train/CLASS/*, PATH/test/CLASS/*; classes by their names' order.

    Pictures in folders below a class's belong to it. Hidden files are left out, and classes without a picture.
    """
    pillow()
    root = pathlib.Path(path)
    title = plain(name or root.resolve().name or "folder")
    folder = listed(root)
    checked(out, folder.pictures, overwrite)
    drop_empty(folder, title)
    transparent = 0

    def read(part: str) -> Split:
        nonlocal transparent
        images, labels = [], []
        for label, parts in enumerate(folder.classes.values()):
            for picture in parts[part]:
                pixels, clear = decoded(picture, os.fspath(picture), channels)
                images.append(resized(pixels, size))
                labels.append(label)
                transparent += clear
        return split(np.stack(images), np.array(labels), f"{root / part}")

    train, test = read("train"), read("test")
    _note_transparent(title, transparent)
    write_dataset(
        out,
        train,
        test,
        name=title,
        class_names=list(folder.classes),
        source=f"folders of pictures {root.resolve().name}",
        overwrite=overwrite,
    )


def _note_transparent(name: str, count: int) -> None:
    if count:
        note(f"{name}: {count} picture{'s are' if count > 1 else ' is'} transparent in places: laid on white")


class _ArraysOnly(pickle.Unpickler):
    """A pickle can name any function and have it called: here those that make arrays and nothing else."""

    allowed = {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.allowed:
            raise BadData(f"the pickle asks for {module}.{name}: expected arrays only")
        return super().find_class(
            module.replace("numpy.core", "numpy._core") if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else module,
            name,
        )


TEN = ([f"data_batch_{k}" for k in range(1, 6)], ["test_batch"], "labels")
HUNDRED = (["train"], ["test"], "fine_labels")


def from_cifar_pickles(path: PathLike, out: PathLike, *, name: str | None = None, overwrite: bool = False) -> None:
    """CIFAR-10's or CIFAR-100's Python version, unpacked: data_batch_1 to 5, test_batch, or train, test (fine labels)."""
    root = pathlib.Path(path)
    is_ten = (root / "data_batch_1").is_file()
    if not is_ten and not (root / "train").is_file():
        raise BadData(f"{root}: expected a folder with data_batch_1 to 5 and test_batch, or with train and test, got neither")
    of_train, of_test, key = TEN if is_ten else HUNDRED
    checked(out, [root / file for file in of_train + of_test], overwrite)
    train, test = _batches([root / file for file in of_train], key), _batches([root / file for file in of_test], key)
    kind = "cifar-10" if is_ten else "cifar-100"
    write_dataset(
        out,
        train,
        test,
        name=name or f"{kind}-pickles",
        class_names=[str(k) for k in range(10 if is_ten else 100)],
        source=f"the Python version of {kind}, source not checked",
        overwrite=overwrite,
    )


def _batches(files: list[pathlib.Path], key: str) -> Split:
    images, labels = [], []
    for file in files:
        regular_file(file, BadData)
        with open(file, "rb") as stream:
            try:
                with reading(file, "a pickle of arrays", BadData):
                    content = _ArraysOnly(stream, encoding="bytes").load()
            except BadData as error:
                raise error if str(error).startswith(str(file)) else BadData(f"{file}: {error}") from None
        if not isinstance(content, dict) or b"data" not in content or key.encode() not in content:
            raise BadData(f"{file}: expected a batch with data and {key}")
        with reading(f"{file}: data", "uint8 (n, 3072)", BadData):
            data = np.asarray(content[b"data"])
        if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
            raise BadData(f"{file}: data: expected uint8 (n, 3072), got {data.dtype} {data.shape}")
        images.append(data.reshape(-1, 3, 32, 32))
        labels.append(whole_numbers(content[key.encode()], len(data), f"{file}: {key}"))
    return split(np.concatenate(images), np.concatenate(labels), f"{files[0].parent}")


def from_parquet(
    train: PathLike | Iterable[PathLike],
    test: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    image: str | None = None,
    label: str | None = None,
    channels: int | None = None,
    name: str = "parquet",
    classes: int | None = None,
    overwrite: bool = False,
) -> None:
    """Parquet files as Hugging Face's hub has them: pictures in image or img, classes in label or fine_label."""
    parquet = library("pyarrow.parquet", "pyarrow", "importers", "reading Parquet")
    pillow()
    train, test = listed_paths(train), listed_paths(test)
    checked(out, [*train, *test], overwrite)
    transparent = 0

    def column(table: Any, path: PathLike, wanted: str | None, usual: tuple[str, ...]) -> list[Any]:
        found = next((c for c in ((wanted,) if wanted else usual) if c in table.column_names), None)
        if found is None:
            raise BadData(f"{path}: expected a column {wanted or ' or '.join(usual)}, got {', '.join(table.column_names[:20])}")
        with reading(f"{path}: column {found}", "one column of that name", BadData):
            values: list[Any] = table[found].to_pylist()
        return values

    def read(paths: list[PathLike]) -> Split:
        nonlocal transparent
        images: list[np.ndarray] = []
        labels: list[np.ndarray] = []
        for path in paths:
            regular_file(path, BadData)
            with reading(path, "a Parquet file", BadData):
                table = parquet.read_table(path)
            for row, cell in enumerate(column(table, path, image, ("image", "img", "pixels"))):
                encoded = cell.get("bytes") if isinstance(cell, dict) else cell
                place = f"{path}: image of row {row}"
                if not isinstance(encoded, bytes):
                    got = "nothing" if encoded is None else type(encoded).__name__
                    raise BadData(f"{place}: expected an encoded picture, got {got}")
                pixels, clear = decoded(io.BytesIO(encoded), place, channels)
                images.append(pixels)
                transparent += clear
            labels.append(whole_numbers(column(table, path, label, ("label", "fine_label", "labels")), table.num_rows, os.fspath(path)))
        if len({picture.shape for picture in images}) > 1:
            deep = max(picture.shape[2] for picture in images)
            images = [resized(np.repeat(p, deep // p.shape[2], 2)).transpose(1, 2, 0) for p in images]
        if not images:
            raise BadData(f"{', '.join(os.fspath(path) for path in paths)}: expected pictures, got none")
        return split(np.stack(images), np.concatenate(labels), "parquet")

    of_train, of_test = read(train), read(test)
    _note_transparent(plain(name), transparent)
    write_dataset(out, of_train, of_test, name=name, classes=classes, source="Parquet files", overwrite=overwrite)
