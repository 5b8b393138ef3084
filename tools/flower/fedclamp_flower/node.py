"""What a node, or the server, is configured with, and the one place that starts the executable.

A node says by `--node-config`, else in its environment, which executable it runs (fedclamp, FEDCLAMP), which file its
images are in (data, FEDCLAMP_DATA; {client} stands for its client number) and which client it is (client, else
partition-id). The server's environment names FEDCLAMP, FEDCLAMP_GLOBAL (the checkpoint to go on from), FEDCLAMP_SYNTHETIC
(FM data) or FEDCLAMP_SERVER_DATA (the data set, where the FM data are holdout:N) and FEDCLAMP_WORK (its folder). Both may
name own methods that the run has (own, FEDCLAMP_OWN): exec:PROGRAM or a trigger's picture, with absolute paths, separated by
blanks. What a checkpoint names is never started without.
"""
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord

FILE = "checkpoint"          # the name of the one array: a checkpoint file, byte for byte


class NodeError(RuntimeError):
    """What is wrong with a node, for the server to report."""


def setting(name, config=None, default=None):
    """`name` from the node's configuration, else FEDCLAMP_NAME (FEDCLAMP alone for the executable) from the environment."""
    variable = "FEDCLAMP" if name == "fedclamp" else "FEDCLAMP_" + name.upper().replace("-", "_")
    value = (config or {}).get(name, os.environ.get(variable, default))
    if value is None:
        raise NodeError(f"this node does not say {name}: expected it in --node-config or in {variable}")
    return str(value)


def own(config=None):
    """The own methods that this node grants, as arguments of every step."""
    return [word for method in setting("own", config, "").split() for word in ("--own", method)]


def existing(path, what):
    if not Path(path).is_file():
        raise NodeError(f"{what} {path} is not there")
    return path


def run(executable, *arguments, folder, timeout=None):
    """Stdout of `executable step arguments`. It dies with this process (setpriv, where there is one), so that a node that
    was killed does not go on computing."""
    if shutil.which(executable) is None:
        raise NodeError(f"the executable {executable} is not there or may not be run")
    leash = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
    done = subprocess.run([*leash, executable, "step", *map(str, arguments)], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, errors="replace", timeout=timeout, check=False)
    if done.returncode:
        raise NodeError(f"fedclamp step {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")
    return done.stdout


def pack(path):
    return ArrayRecord({FILE: Array(np.fromfile(path, np.uint8))})


def unpack(record, path):
    """Writes the one file of a record; its contents are for the executable to judge."""
    if list(record) != [FILE] or record[FILE].dtype != "uint8":
        raise NodeError(f"expected one array {FILE!r} of bytes, got {list(record)[:5]}")
    record[FILE].numpy().tofile(path)
    return path
