"""What comes from outside, command lines and files: refused in one line that says what, where, expected and got."""
from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from .program import PathLike

LONGEST = 300  # characters of what another library says


class _Usage(Exception):
    """The command line alone shows to be wrong."""


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that neither prints nor exits for a wrong command line: `parsed` says it in one line."""

    def error(self, message: str) -> NoReturn:
        raise _Usage(message)


def parsed(parser: Parser, words: Sequence[str] | None) -> argparse.Namespace | int:
    """The arguments; or the exit code where there is nothing to do: 0 after --help, 64 for a wrong command line."""
    try:
        return parser.parse_args(words)
    except _Usage as error:
        return refused(parser.prog, error, 64, f"{parser.prog} --help tells the options")
    except SystemExit:  # --help has been printed
        return 0


def refused(program: str, error: Exception | str, code: int, hint: str = "") -> int:
    """Prints the line for people; returns the exit code."""
    text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename and error.strerror else str(error)
    print(" ".join(f"{program}: {text}{'; ' + hint if hint else ''}".split()), file=sys.stderr)
    return code


def regular_file(path: PathLike, kind: type[Exception]) -> None:
    """Raises OSError for what is not there, `kind` for what is no file: opening a pipe can wait forever."""
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise kind(f"{os.fspath(path)}: expected a file, got {'a folder' if stat.S_ISDIR(mode) else 'a device or pipe'}")


@contextlib.contextmanager
def reading(place: PathLike, expected: str, kind: type[Exception]) -> Iterator[None]:
    """Around calls of a library that reads a stranger's bytes. Libraries raise what they like there; here that becomes `kind`."""
    try:
        yield
    except kind:
        raise
    except Exception as error:
        raise kind(f"{os.fspath(place)}: expected {expected}, got what cannot be read as that ({said(error)})") from error


def said(error: Exception) -> str:
    """An error of another library on one line, not too long."""
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text if len(text) <= LONGEST else text[:LONGEST] + ' ...'}"


def library(module: str, package: str, extra: str, why: str) -> Any:
    """Imports a library that not everybody has. Raises ImportError that names the package to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{why} needs the library {package}: pip install {package}, or 'fedclamp[{extra}]' ({said(error)})") from error
