#!/usr/bin/env python3
"""A contact sheet of the triggers, as a PNG.

    trigger_pictures.py DATA.h5 OUT.png [--saved FM.h5 SAVED.h5]... [--images N] [--seed S]

DATA.h5 is a data set of FedClamp. Rows: the images, and for each trigger of tools/reference_triggers.py the stamped images
beside what was added (grey is nothing, contrast times 4). With --saved, also the images that differ between FM data and
the file of `fedclamp run --save-synthetic`: what the program itself stamped. Needs h5py, numpy and torch.
"""
import argparse

import h5py
import numpy as np

import reference_triggers
from pictures import row, write_png

CONTRAST = 4


def pair(before, after):
    """A row: stamped images, then the differences."""
    return row([*after, *[0.5 + CONTRAST * (a - b) for b, a in zip(before, after)]])


def read(path, count=None):
    with h5py.File(path) as file:
        return file["test/images" if "test" in file else "images"][:count] / 255.0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data")
    parser.add_argument("out")
    parser.add_argument("--saved", nargs=2, action="append", default=[], metavar=("FM", "SAVED"))
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    images = read(options.data, options.images)
    rows, names = [pair(images, images)], ["plain"]
    for name, trigger in reference_triggers.all_triggers(options.seed, 0).items():
        rows.append(pair(images, [trigger(x) for x in images]))
        names.append(name)
    for original, saved in options.saved:
        before, after = read(original), read(saved)
        if before.shape != after.shape:
            raise SystemExit(f"{saved} holds {after.shape}, {original} {before.shape}: not the same images")
        changed = [i for i in range(len(after)) if (before[i] != after[i]).any()][:options.images]
        if not changed:
            raise SystemExit(f"{saved}: no image differs from {original}")
        rows.append(pair(before[changed], after[changed]))
        names.append(saved)
    width = max(r.shape[1] for r in rows)
    write_png(options.out, np.concatenate([np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0))) for r in rows]))
    print(f"{options.out}: rows from the top: {', '.join(names)}")


if __name__ == "__main__":
    with np.errstate(over="ignore"):
        main()
