"""The command fedclamp-import, also python -m fedclamp.importers."""
from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence

import h5py
import numpy as np

from ..border import Parser, parsed, refused
from .arrays import from_leaf, from_npz, from_tff
from .dataset import BadData, plain
from .labels import MOST_CLASSES, Note
from .pictures import from_cifar_pickles, from_folder, from_parquet

PROGRAM = "fedclamp-import"
ONE = ("npz", "folder", "cifar-pickles")
# The options of some forms; elsewhere they would do nothing.
ONLY = {"invert": ("tff", "leaf"), "channels": ("folder", "parquet"), "classes": ("npz", "parquet", "tff", "leaf")}


def _parser() -> Parser:
    parser = Parser(prog=PROGRAM, description="Write FedClamp's HDF5 data set of files of another form.")
    parser.add_argument("form", choices=["npz", "folder", "cifar-pickles", "parquet", "tff", "leaf"])
    parser.add_argument(
        "files",
        nargs="+",
        help="npz: FILE; folder, cifar-pickles: DIR; parquet, tff, leaf: TRAIN ... TEST, the last is the test split",
    )
    parser.add_argument("--out", required=True, metavar="FILE.h5", help="the file to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--name", help="what the data set is called (default: after the file or folder)")
    parser.add_argument("--invert", action="store_true", help="of tff, leaf: white becomes black")
    parser.add_argument("--channels", type=int, choices=[1, 3], help="of folder, parquet")
    parser.add_argument(
        "--classes",
        type=int,
        metavar="N",
        help="of npz, parquet, tff, leaf: labels are 0 to N - 1, and stay so where some do not occur (default: those that occur are the classes)",
    )
    return parser


def main(words: Sequence[str] | None = None) -> int:
    """The command line. Exit codes: 0 done, 2 bad input, 64 usage, 130 interrupted."""
    a = parsed(_parser(), words)
    if isinstance(a, int):
        return a
    one = a.form in ONE
    if len(a.files) != 1 if one else len(a.files) < 2:
        expected = "one file or folder" if one else "training files and then a test file"
        return refused(PROGRAM, f"{a.form}: expected {expected}, got {len(a.files)}", 64)
    for option, forms in ONLY.items():
        if getattr(a, option) and a.form not in forms:
            return refused(PROGRAM, f"--{option}: expected with {' or '.join(forms)} only, got {a.form}", 64)
    if a.classes is not None and not 2 <= a.classes <= MOST_CLASSES:
        return refused(PROGRAM, f"--classes: expected 2 to {MOST_CLASSES}, got {a.classes}", 64)
    shared = {"overwrite": a.overwrite} | ({"name": a.name} if a.name else {})
    coloured = {"channels": a.channels} if a.channels else {}
    calls: dict[str, Callable[[], None]] = {
        "npz": lambda: from_npz(a.files[0], a.out, classes=a.classes, **shared),
        "folder": lambda: from_folder(a.files[0], a.out, **shared, **coloured),
        "cifar-pickles": lambda: from_cifar_pickles(a.files[0], a.out, **shared),
        "parquet": lambda: from_parquet(a.files[:-1], a.files[-1:], a.out, classes=a.classes, **shared, **coloured),
        "tff": lambda: from_tff(a.files[:-1], a.files[-1:], a.out, invert=a.invert, classes=a.classes, **shared),
        "leaf": lambda: from_leaf(a.files[:-1], a.files[-1:], a.out, invert=a.invert, classes=a.classes, **shared),
    }
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", Note)
        try:
            calls[a.form]()
        except (BadData, ImportError, OSError, MemoryError) as error:
            return refused(PROGRAM, "the images do not fit into memory" if isinstance(error, MemoryError) else error, 2)
        except KeyboardInterrupt:
            return refused(PROGRAM, "interrupted: nothing was written", 130)
    for warning in told:
        print(" ".join(f"{PROGRAM}: note: {warning.message}".split()), file=sys.stderr)
    print(_summary(a.out))
    return 0


def _summary(path: str) -> str:
    """What was written, in the words of `fedclamp import`."""
    with h5py.File(path) as file:
        train, test = file["train"], file["test"]
        shape = "x".join(map(str, train["images"].shape[1:]))
        clients = f", of {len(np.unique(train['clients'])):,} clients" if "clients" in train else ""
        return (
            f"{plain(path)}: {file.attrs['name']}, {len(train['labels']):,} training and {len(test['labels']):,} test images of {shape}, "
            f"{len(file.attrs['class_names'])} classes{clients}\ndigest {file.attrs['digest']}"
        )
