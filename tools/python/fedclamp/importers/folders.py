"""Which pictures a folder of classes holds, without what systems and editors put there."""
from __future__ import annotations

import os
import pathlib
import unicodedata
from dataclasses import dataclass, field

from .labels import named, note
from .output import BadData

CLUTTER = {"__MACOSX", "Thumbs.db", "desktop.ini", "lost+found"}


@dataclass
class Folder:
    """Pictures of each class in each split, and what was left out."""

    classes: dict[str, dict[str, list[pathlib.Path]]] = field(default_factory=dict)  # class: {"train": pictures, "test": pictures}
    hidden: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)  # of every class

    @property
    def pictures(self) -> list[pathlib.Path]:
        return [picture for parts in self.classes.values() for part in parts.values() for picture in part]


def listed(root: pathlib.Path) -> Folder:
    """ROOT/train/CLASS and ROOT/test/CLASS with the pictures in them, those in folders below included.

    Hidden names and known clutter are left out. Names that Unicode writes in two ways are one class.
    """
    found = Folder()
    for part in ("train", "test"):
        for entry in _entries(root / part, found) if (root / part).is_dir() else []:
            if entry.is_dir():
                name = unicodedata.normalize("NFC", entry.name)
                of_class = found.classes.setdefault(name, {"train": [], "test": []})
                of_class[part] += _below(entry, found, {os.path.realpath(entry)})
            else:
                found.outside.append(f"{part}/{entry.name}")
    for part in ("train", "test"):
        if not any(parts[part] for parts in found.classes.values()):
            raise BadData(f"{root}: expected pictures in folders train/CLASS and test/CLASS, got none in {part}/CLASS")
    found.classes = dict(sorted(found.classes.items()))
    return found


def drop_empty(found: Folder, name: str) -> None:
    """Removes classes without any picture; notes all that was left out."""
    empty = [one for one, parts in found.classes.items() if not parts["train"] and not parts["test"]]
    for one in empty:
        del found.classes[one]
    for what, names in (
        ("class folders without pictures", empty),
        ("hidden files and folders", found.hidden),
        ("what lies in no class's folder or is no file", found.outside),
    ):
        if names:
            note(f"{name}: left out {what}: {named(names)}")


def _entries(folder: pathlib.Path, found: Folder) -> list[pathlib.Path]:
    kept = []
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in CLUTTER:
            found.hidden.append(entry.name)
        else:
            kept.append(entry)
    return kept


def _below(folder: pathlib.Path, found: Folder, above: set[str]) -> list[pathlib.Path]:
    """All files of a class; `above`: the real folders on the way here, so that a link back ends."""
    pictures: list[pathlib.Path] = []
    for entry in _entries(folder, found):
        if entry.is_dir():
            real = os.path.realpath(entry)
            if real not in above:
                pictures += _below(entry, found, above | {real})
        elif entry.is_file():
            pictures.append(entry)
        else:  # pipes, links to nothing
            found.outside.append(entry.name)
    return pictures
