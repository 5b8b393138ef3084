"""The file that an importer writes: checked before the work, put in place as one step."""
from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from typing import Any

import h5py

from ..program import PathLike


class BadData(ValueError):
    """A file is not what it should be; the message says which, where, and what was expected."""


def checked(out: PathLike, inputs: Iterable[PathLike], overwrite: bool) -> str:
    """The path that is written for `out`: symbolic links are followed, so that a link stays a link.

    Raises BadData, and OSError of the system, where `out` is one of `inputs` (by whatever name), exists without
    `overwrite`, is a folder, a device or a pipe, or cannot be written.
    """
    name = os.fspath(out)
    if not name or name.endswith(os.sep):
        raise BadData(f"--out: expected the name of a file to write, such as mine.h5, got {name or 'an empty one'}")
    target = os.path.realpath(name)
    try:
        there = os.stat(name)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(target)):
            raise BadData(f"{name}: expected a folder that is there, {os.path.dirname(target)} is none") from None
    else:
        _may_be_replaced(name, there, inputs, overwrite)
    partial = _partial(target)  # made and removed: hours of work must not end at a folder that cannot be written
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    os.remove(partial)
    return target


def _may_be_replaced(name: str, there: os.stat_result, inputs: Iterable[PathLike], overwrite: bool) -> None:
    for one in inputs:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(one), there):
                raise BadData(f"{name}: is the input {os.fspath(one)}; expected another name for the output")
    if not stat.S_ISREG(there.st_mode):
        kind = "a folder" if stat.S_ISDIR(there.st_mode) else "a device or pipe"
        raise BadData(f"{name}: expected the name of a file to write, such as mine.h5, got {kind}")
    if not overwrite:
        raise BadData(f"{name} exists already; use --overwrite (in Python overwrite=True) to replace it")


def _partial(target: str) -> str:
    """A temporary name beside `target`; names of files have at most 255 bytes."""
    folder, name = os.path.split(target)
    short = os.fsdecode(os.fsencode(name)[:200])
    return os.path.join(folder, f"{short}.partial-{os.getpid()}-{secrets.token_hex(4)}")


class _Patient(io.FileIO):
    """A file that HDF5 writes to: a full disk is kept in `failure`, as HDF5 does not survive being told of it."""

    failure: OSError | None = None

    def write(self, block: Any) -> int:
        left = memoryview(block).cast("B")
        size = len(left)
        try:
            while self.failure is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


def write_in_place(out: PathLike, overwrite: bool, fill: Callable[[h5py.File], None]) -> None:
    """`fill` writes the file under a temporary name; then it is synced and gets its own. Nothing is left of a failure."""
    target = checked(out, (), overwrite)
    partial = _partial(target)
    try:
        with _Patient(partial, "x+") as stream:
            with h5py.File(stream, "w") as file:
                fill(file)
            if stream.failure is None:
                try:
                    os.fsync(stream.fileno())
                except OSError as error:
                    stream.failure = error
            if stream.failure is not None:
                raise OSError(f"{os.fspath(out)}: cannot write: {stream.failure.strerror}") from stream.failure
        checked(out, (), overwrite)  # somebody may have put another thing there
        os.replace(partial, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(partial)
