"""Good files for every reader of the program, small: what the fuzzer damages."""
import gzip
import os
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/blackbox"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import h5py
import numpy as np

from conftest import pictures, write_dataset, write_fm
from reference import random_model, write_checkpoint
from support import BINARY, BOUNDED

RUN = ["--clients", "2", "--rounds", "1", "--batch", "8", "--initial-epochs", "0", "--fusion-epochs", "1", "--attack", "classic",
       "--malicious", "1", "--neurotoxin", "0.1", "--defense", "foolsgold", "--threads", "1"]


def program(*arguments, code=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{arguments}: {done.stderr}"
    return done


def idx(values):
    return struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def idx_folder(folder, packed, count=12):
    folder.mkdir()
    for prefix, seed in (("train", 1), ("t10k", 2)):
        images, labels = pictures(count, 1, 28, seed)
        for name, values in ((f"{prefix}-images-idx3-ubyte", images[:, 0]), (f"{prefix}-labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values), mtime=0))
            else:
                (folder / name).write_bytes(idx(values))
    return folder


def cifar_folder(folder, names, label_bytes, count=3):
    folder.mkdir()
    for seed, name in enumerate(names):
        images, labels = pictures(count, 3, 32, seed)
        (folder / name).write_bytes(b"".join(bytes([3, label][-label_bytes:]) + image.tobytes() for image, label in zip(images, labels)))
    return folder


def copied(source, path, libver, **storage):
    """The data set `source` with another library version's structures and storage."""
    with h5py.File(source) as old, h5py.File(path, "w", libver=libver) as new:
        new.attrs.update(old.attrs)
        for split in ("train", "test"):
            group = new.create_group(split)
            images = group.create_dataset("images", data=old[split]["images"][:].transpose(0, 2, 3, 1), **storage)
            images.attrs["layout"] = "NHWC"
            group.create_dataset("labels", data=old[split]["labels"][:].astype("i8"), **storage)
    return path


def datasets(folder):
    small = write_dataset(folder / "default.h5", train=20, test=10)
    write_fm(folder / "fm.h5", count=50)           # bounds need as many
    copied(small, folder / "chunked.h5", "earliest", chunks=True, compression="gzip", shuffle=True, fletcher32=True)
    copied(small, folder / "v110.h5", ("v110", "v110"), chunks=True)
    program("import", "mnist", "--from", idx_folder(folder / "idx", True), "--out", folder / "own.h5")
    return [folder / f"{name}.h5" for name in ("default", "chunked", "v110", "own", "fm")]


def checkpoints(folder, data, fm):
    program("run", "--data", data, "--synthetic", fm, *RUN, "--defense", "bounds", "--defense", "clp", "--out", folder / "run.h5")
    model = random_model(1, 10, seed=1)
    write_checkpoint(folder / "minimal.h5", model, {name: np.ones(len(model[f"{name}/bias"])) for name in BOUNDED},
                     {"target": np.int64(0), "mask": np.zeros((1, 32, 32), "f4"), "pattern": np.zeros((1, 32, 32), "f4")})
    return [folder / "run.h5", folder / "minimal.h5"]


CONFIG = b"""# a run
attack = both
defense = multi-krum
defense = bounds
rounds = 2
clients = 6
malicious = 1
lr = 0.02
partition = dirichlet:0.5
poison-fraction = 0.5
threads = 1
seed = 4
all-to-all = false
"""

WORDS = [b"attack", b"defense", b"rounds", b"config", b"help", b"version", b"overwrite", b"resume", b"json", b"seed", b"out", b"data",
         b"0", b"1", b"-1", b"nan", b"inf", b"1e308", b"18446744073709551615", b"99999999999999999999", b"true", b"false", b"", b"#",
         b"both", b"bounds", b"krum", b"holdout:5", b"holdout:-1", b"shards:0", b"dirichlet:nan", b"../../x", b"/dev/zero", b"--", b"-h",
         b"threads", b"batch", b"trigger", b"patch", b"\xc3\xa4", b"main", b"scale", b"smoke", b"quick", b"seeds", b"tables", b"all"]


def shards(folder, data, fm):
    """A part of a reproduce without its models: setting.txt, and for some trainings a small run file and floors."""
    part = folder / "part"
    for shard in ("8/9", "9/9"):            # the lightest: no bounds to fit
        program("reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--shard", shard, "--out", part)
    cells = part / "cells"
    for cell in cells.glob("*.h5"):
        with h5py.File(cell) as old, h5py.File(folder / "small.h5", "w") as new:
            new.attrs.update(old.attrs)
            for group in ("history", "initial", "timing", "provenance", "config"):
                old.copy(group, new)
            for name in ("model/conv1/weight", "model/fc2/weight", "model/fc2/bias"):
                new[name] = old[name][()]
            new["state/finished_rounds"] = old["state/finished_rounds"][()]
            for name in old.get("defended", ()):
                for rate in ("acc", "asr", "robust_accuracy"):
                    new[f"defended/{name}/{rate}"] = old[f"defended/{name}/{rate}"][()]
        os.replace(folder / "small.h5", cell)
        floors = cell.with_suffix(".floors")
        if not floors.exists():
            floors.write_text("bounds patch 0 = 0.0125\nnone patch 0 = nan\n")
    (part / "paper.csv").write_text('table,row,column,acc,asr\nmain,none,fm,0.875,0.625\n"main","bounds",fm,,0.0625\n')
    program("merge", part, "--out", folder / "whole", code=1)       # the other parts are missing
    return part, folder / "whole/results.h5"
