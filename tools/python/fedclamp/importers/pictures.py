"""Importers of pictures: folders, Parquet files, and CIFAR's pickles, of which nothing is executed."""
from __future__ import annotations

import io
import pathlib
import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..program import PathLike
from .dataset import BadData, Split, resized, split, write_dataset


def from_folder(path: PathLike, out: PathLike, *, channels: int = 3, size: int = 32, name: str | None = None) -> None:
    """Folders of pictures that Pillow reads: PATH/train/CLASS/*, PATH/test/CLASS/*; classes by their names' order."""
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
                        image = opened.convert("L" if channels == 1 else "RGB").resize(
                            (size, size), Image.Resampling.LANCZOS
                        )
                except OSError as error:
                    raise BadData(f"{picture}: {error}") from None
                images.append(np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1))
                labels.append(label)
        if not images:
            raise BadData(f"{root / part}: expected pictures, got none")
        return split(np.stack(images), np.array(labels), f"{root / part}")

    write_dataset(
        out,
        read("train"),
        read("test"),
        name=name or root.name,
        class_names=classes,
        source=f"folders of pictures {root.name}",
    )


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


def from_cifar_pickles(path: PathLike, out: PathLike, *, name: str | None = None) -> None:
    """CIFAR-10's or CIFAR-100's Python version, unpacked: data_batch_1 to 5, test_batch, or train, test (fine labels)."""
    root = pathlib.Path(path)
    is_ten = (root / "data_batch_1").is_file()

    def read(files: list[str]) -> Split:
        images, labels = [], []
        for file in files:
            with open(root / file, "rb") as stream:
                try:
                    content = _ArraysOnly(stream, encoding="bytes").load()
                except (
                    BadData,
                    pickle.UnpicklingError,
                    EOFError,
                    ValueError,
                    TypeError,
                    AttributeError,
                    ImportError,
                    IndexError,
                ) as error:
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
    write_dataset(
        out,
        train,
        test,
        name=name or f"{kind}-pickles",
        class_names=[str(k) for k in range(10 if is_ten else 100)],
        source=f"the Python version of {kind}, source not checked",
    )


def from_parquet(
    train: Iterable[PathLike],
    test: Iterable[PathLike],
    out: PathLike,
    *,
    image: str | None = None,
    label: str | None = None,
    channels: int | None = None,
    name: str = "parquet",
) -> None:
    """Parquet files as Hugging Face's hub has them: pictures in image or img, classes in label or fine_label."""
    import pyarrow.parquet
    from PIL import Image

    def read(paths: Iterable[PathLike]) -> Split:
        images: list[np.ndarray] = []
        labels: list[int] = []
        for path in paths:
            table = pyarrow.parquet.read_table(path)

            def column(
                wanted: str | None, usual: tuple[str, ...], path: PathLike = path, table: Any = table
            ) -> list[Any]:
                found = next((c for c in ((wanted,) if wanted else usual) if c in table.column_names), None)
                if found is None:
                    raise BadData(
                        f"{path}: expected a column {wanted or ' or '.join(usual)}, got {', '.join(table.column_names)}"
                    )
                values: list[Any] = table[found].to_pylist()
                return values

            for cell in column(image, ("image", "img", "pixels")):
                encoded = cell.get("bytes") if isinstance(cell, dict) else cell
                if not isinstance(encoded, bytes):
                    raise BadData(
                        f"{path}: image {len(images)}: expected an encoded picture, got {type(encoded).__name__}"
                    )
                try:
                    with Image.open(io.BytesIO(encoded)) as opened:
                        grey = channels == 1 or channels is None and opened.mode in ("L", "1", "I;16")
                        images.append(np.atleast_3d(np.asarray(opened.convert("L" if grey else "RGB"))))
                except OSError as error:
                    raise BadData(f"{path}: image {len(images)}: {error}") from None
            labels += column(label, ("label", "fine_label", "labels"))
        if len({picture.shape for picture in images}) > 1:
            deep = max(picture.shape[2] for picture in images)
            images = [resized(np.repeat(p, deep // p.shape[2], 2), deep).transpose(1, 2, 0) for p in images]
        if not images:
            raise BadData("expected pictures in the Parquet files, got none")
        return split(np.stack(images), np.array(labels), "parquet")

    write_dataset(out, read(train), read(test), name=name, source="Parquet files")
