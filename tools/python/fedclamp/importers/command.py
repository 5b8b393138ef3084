"""The command fedclamp-import, also python -m fedclamp.importers."""
from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from .arrays import from_leaf, from_npz, from_tff
from .dataset import BadData
from .pictures import from_cifar_pickles, from_folder, from_parquet


def main(words: Sequence[str] | None = None) -> int:
    """The command line. Exit codes: 0 done, 2 bad input, 64 usage."""
    parser = argparse.ArgumentParser(
        prog="fedclamp-import", description="Write FedClamp's HDF5 data set of files of another form."
    )
    parser.exit_on_error = False
    parser.add_argument("form", choices=["npz", "folder", "cifar-pickles", "parquet", "tff", "leaf"])
    parser.add_argument(
        "files",
        nargs="+",
        help="npz: FILE; folder, cifar-pickles: DIR; parquet, tff, leaf: TRAIN ... TEST, the last is the test split",
    )
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
        print(
            f"fedclamp-import: {a.form}: expected {'one file or folder' if one else 'training files and then a test file'}, "
            f"got {len(a.files)}",
            file=sys.stderr,
        )
        return 64
    calls: dict[str, Callable[[], None]] = {
        "npz": lambda: from_npz(a.files[0], a.out, **named),
        "folder": lambda: from_folder(a.files[0], a.out, **named, **coloured),
        "cifar-pickles": lambda: from_cifar_pickles(a.files[0], a.out, **named),
        "parquet": lambda: from_parquet(a.files[:-1], a.files[-1:], a.out, **named, **coloured),
        "tff": lambda: from_tff(a.files[0], a.files[-1], a.out, invert=a.invert, **named),
        "leaf": lambda: from_leaf(a.files[:-1], a.files[-1:], a.out, invert=a.invert, **named),
    }
    try:
        calls[a.form]()
    except (BadData, OSError) as error:
        print(f"fedclamp-import: {error}", file=sys.stderr)
        return 2
    return 0
