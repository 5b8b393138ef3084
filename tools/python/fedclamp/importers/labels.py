"""Labels of a file as classes from 0, each with a name, and notes on what was done to them."""
from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

import numpy as np

from .output import BadData

MOST_CLASSES = 1000
MOST_NAMED = 12  # labels in a message


class Note(UserWarning):
    """What a user should know of a file that was written."""


def note(text: str) -> None:
    """Tells it; the command prints it once the file is there."""
    warnings.warn(text, Note, stacklevel=2)


def whole_numbers(labels: object, count: int, place: str) -> np.ndarray:
    """(count,) whole numbers from 0 of labels (count,) or (count, 1). Raises BadData for others."""
    try:
        numbers = np.asarray(labels)
    except (ValueError, TypeError, OverflowError):
        raise BadData(f"{place}: labels: expected {count} whole numbers, got rows of several lengths") from None
    numbers = numbers[:, 0] if numbers.ndim == 2 and numbers.shape[1] == 1 else numbers
    if numbers.size == 0 and numbers.ndim == 1:  # NumPy takes an empty list for real numbers
        numbers = numbers.astype(np.int64)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iub":
        kind = {"f": "real numbers", "U": "texts", "S": "texts", "O": "mixed or missing values"}.get(numbers.dtype.kind, str(numbers.dtype))
        kind = "whole numbers" if numbers.dtype.kind in "iub" else kind
        raise BadData(f"{place}: labels: expected {count} whole numbers, one for each image, got {kind} of shape {numbers.shape}")
    if count and (numbers.min() < 0 or numbers.max() > 65535):
        raise BadData(f"{place}: labels: expected whole numbers from 0 to 65535, got {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.uint16)


def as_classes(
    splits: Sequence[np.ndarray], where: str, class_names: Iterable[str] | None, classes: int | None
) -> tuple[list[np.ndarray], list[str]]:
    """The labels of all splits as classes from 0, and the classes' names.

    `class_names` or `classes` say what labels there are, from 0, and then no label changes. Without them the labels that
    occur are the classes, in their order: labels from 1, and labels with gaps, are renumbered with a note, and each class
    bears the file's label as its name.
    """
    found = np.unique(np.concatenate(splits))
    if class_names is None and classes is None:
        names = [str(k) for k in found]
        if len(found) and found[-1] + 1 != len(found):
            note(f"{where}: {_renumbered(found)}")
        numbered = [np.searchsorted(found, labels).astype(np.uint16) for labels in splits]
    else:
        names = [str(k) for k in class_names] if class_names is not None else [str(k) for k in range(classes or 0)]
        numbered = list(splits)
        if len(names) and len(found) and found[-1] >= len(names):
            raise BadData(
                f"{where}: labels: expected 0 to {len(names) - 1}, as there are {len(names)} classes, got {_listed(found)}"
                + ("" if found[0] == 0 else "; if they count from 1, take 1 off each")
            )
    if not 2 <= len(names) <= MOST_CLASSES:
        raise BadData(f"{where}: labels: expected 2 to {MOST_CLASSES} classes, got {len(names)}" + (f" ({_listed(found)})" if len(found) else ""))
    return numbered, names


def _renumbered(found: np.ndarray) -> str:
    if found[0] == 1 and found[-1] == len(found):
        return "labels are numbered from 1: class 0 is the file's 1"
    last = int(found[-1])
    return (
        f"labels are {_listed(found)}: they became classes 0 to {len(found) - 1} in this order, named by the file's labels; "
        f"to keep the numbers, with classes that have no image, use --classes {last + 1}"
    )


def _listed(found: np.ndarray) -> str:
    """As ranges: 0 to 8, 12."""
    parts: list[str] = []
    for run in np.split(found, np.flatnonzero(np.diff(found.astype(np.int64)) != 1) + 1):
        parts.append(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(str(k) for k in run))
    return ", ".join(parts[:MOST_NAMED]) + (" ..." if len(parts) > MOST_NAMED else "")


def named(names: Sequence[str]) -> str:
    """The first few, and how many there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
