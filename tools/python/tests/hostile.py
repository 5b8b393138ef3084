"""Refusals of the importers' command: one clear line, the right exit code, nothing left behind."""

import pathlib

import numpy as np

from fedclamp.importers import main


def listing(folder):
    """Every name below `folder` with its kind, and what is in a regular file."""
    return {
        p: (p.lstat().st_mode, p.read_bytes() if p.is_file() and not p.is_symlink() else None)
        for p in pathlib.Path(folder).rglob("*")
    }


def refuses(capsys, folder, *words, code=2, says=()):
    """The command ends with `code` and one line with all of `says` in it; all files in `folder` are as they were."""
    before = listing(folder)
    capsys.readouterr()
    assert main([str(word) for word in words]) == code
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("fedclamp-import: ") and told.out == "", told
    assert len(lines[0]) < 700 and "Traceback" not in told.err
    for word in [says] if isinstance(says, str) else says:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"
    assert listing(folder) == before, "a refusal changed or left files"
    return lines[0]


def arrays(train=None, test=None, count=8):
    """What an npz file holds, with the labels given."""
    train, test = np.arange(count) % 4 if train is None else np.asarray(train), np.arange(count) % 4 if test is None else np.asarray(test)
    return {
        "train_images": np.zeros((len(train), 28, 28), np.uint8),
        "train_labels": train,
        "test_images": np.zeros((len(test), 28, 28), np.uint8),
        "test_labels": test,
    }
