"""Running the executable as its users do: arguments in, exit code, output and files out.

Exit codes these tests hold the program to: 0 done; 2 what depends on files or their contents; 64 what the command line
alone shows to be wrong. A refusal prints one clear line (64: the usage may follow) and leaves no file behind.
"""
import os
import pathlib
import subprocess

import h5py
import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("FEDCLAMP", ROOT / "build/fedclamp")).resolve()
LAYERS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc1", "fc2"]
BOUNDED = LAYERS[:-1]
COMPARED = ("model", "initial", "bounds", "history", "state")     # what a run must repeat to the bit
CRASH = ("Fatal error", "Illegal instruction", "backtrace", "Sources/", ".swift:")


def fedclamp(*arguments, code=0, timeout=120, **options):
    """Runs the program, checks its exit code and that nothing looks like a crash."""
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, **options)
    shown = f"fedclamp {' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
    assert done.returncode == code, f"exit code {done.returncode}, expected {code}: {shown}"
    assert not any(word in done.stderr for word in CRASH), shown
    return done


def refused(*arguments, code=2, says=(), folder=None, **options):
    """The program refuses: `code`, one clear line on stderr with all of `says` in it, nothing on stdout, and no file in
    `folder` that was not there before."""
    before = listing(folder)
    done = fedclamp(*arguments, code=code, **options)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.stdout == "", done.stdout
    assert lines, "nothing on stderr"
    assert len(lines) == 1 or code == 64, done.stderr
    assert len(lines[0]) < 500, done.stderr
    for word in [says] if isinstance(says, (str, pathlib.Path)) else says:
        assert str(word) in done.stderr, f"{word!r} is not in: {done.stderr}"
    assert listing(folder) == before, "a refusal left files behind"
    return done


def listing(folder):
    """All files below `folder` with their sizes."""
    return {} if folder is None else {p: p.stat().st_size for p in pathlib.Path(folder).rglob("*") if p.is_file()}


def contents(path, groups=COMPARED):
    """Every dataset and attribute under `groups` as bytes, by path: equal for equal results."""
    found = {}

    def note(name, node):
        for key, value in node.attrs.items():
            found[f"{name}@{key}"] = np.asarray(value).tobytes() if not isinstance(value, str) else value
        if isinstance(node, h5py.Dataset):
            value = node[()]
            found[name] = (str(node.dtype), node.shape, value if isinstance(value, bytes) else repr(value.tolist())
                           if node.dtype.hasobject else np.asarray(value).tobytes())

    with h5py.File(path) as file:
        for group in groups:
            if group in file:
                note(group, file[group])
                file[group].visititems(lambda name, node, group=group: note(f"{group}/{name}", node))
    assert found, f"{path}: nothing to compare in {groups}"
    return found


def differing(a, b):
    """Names whose contents differ between two results of `contents`."""
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def write_split(group, images, labels, **storage):
    group.create_dataset("images", data=images, **storage)
    group.create_dataset("labels", data=labels, **storage)
