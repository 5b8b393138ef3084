#!/usr/bin/env python3
"""Fetches and checks the published archives of CIFAR (binary version), and takes out the files that `import` reads.

    fetch_cifar.py {cifar-10|cifar-100} FOLDER [--archive FILE.tar.gz]

The archive comes from the authors' site, or is FILE where it was fetched before. Nothing is taken out unless its MD5 is the
one that the authors publish. Afterwards: fedclamp import cifar-10 --from FOLDER/cifar-10-batches-bin --out data/cifar-10.h5.
Exit code 2 where the archive cannot be had or is not the published one.
"""
import argparse
import hashlib
import os
import pathlib
import sys
import tarfile
import tempfile
import urllib.error
import urllib.request

SITE = "https://www.cs.toronto.edu/~kriz"
# Archive, its MD5 (www.cs.toronto.edu/~kriz/cifar.html), its folder, and the files with their sizes in bytes.
RECORDS = 10_000 * (1 + 3 * 32 * 32)
DATASETS = {
    "cifar-10": ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin",
                 {**{f"data_batch_{k}.bin": RECORDS for k in range(1, 6)}, "test_batch.bin": RECORDS, "batches.meta.txt": None}),
    "cifar-100": ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", "cifar-100-binary",
                  {"train.bin": 50_000 * 3074, "test.bin": 10_000 * 3074, "fine_label_names.txt": None, "coarse_label_names.txt": None}),
}
BLOCK = 1 << 20


def fail(text):
    print(f"fetch_cifar: {text}", file=sys.stderr)
    sys.exit(2)


def fetch(url, file):
    """Copies `url` into the open file, with its progress on stderr."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            total, done = int(response.headers.get("Content-Length") or 0), 0
            while block := response.read(BLOCK):
                file.write(block)
                done += len(block)
                if sys.stderr.isatty():
                    print(f"\r{done / 1e6:.0f} of {total / 1e6:.0f} MB", end="", file=sys.stderr)
    except (urllib.error.URLError, OSError, ValueError) as error:
        fail(f"{url}: {error}; fetch it elsewhere and name it with --archive")
    file.flush()


def check(path, expected):
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with open(path, "rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    if digest.hexdigest() != expected:
        fail(f"{path}: its MD5 is {digest.hexdigest()}, that of the published archive {expected}")


def take_out(archive, folder, inside, wanted):
    """The wanted regular files of `inside`, by name and never by a path of the archive's choice."""
    target = folder / inside
    target.mkdir(parents=True, exist_ok=True)
    found = set()
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = pathlib.PurePosixPath(member.name).name
                if not member.isfile() or name not in wanted or pathlib.PurePosixPath(member.name).parent.name != inside:
                    continue
                if wanted[name] is not None and member.size != wanted[name]:
                    fail(f"{archive}: {member.name} has {member.size} bytes, expected {wanted[name]}")
                temporary = target / f"{name}.partial-{os.getpid()}"
                with open(temporary, "wb") as file, tar.extractfile(member) as source:
                    while block := source.read(BLOCK):
                        file.write(block)
                os.replace(temporary, target / name)
                found.add(name)
    except (tarfile.TarError, EOFError, OSError) as error:
        fail(f"{archive}: {error}")
    if missing := sorted(set(wanted) - found):
        fail(f"{archive}: there is no {missing[0]} in it")
    return target


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--archive", type=pathlib.Path, help="an archive that was fetched before")
    options = parser.parse_args()
    name, md5, inside, wanted = DATASETS[options.dataset]
    if options.archive:
        check(options.archive, md5)
        target = take_out(options.archive, options.folder, inside, wanted)
    else:
        options.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=options.folder, prefix=f"{name}.partial-") as file:
            fetch(f"{SITE}/{name}", file)
            check(file.name, md5)
            target = take_out(file.name, options.folder, inside, wanted)
    print(f"{target}: {len(wanted)} files; now: fedclamp import {options.dataset} --from {target} --out data/{options.dataset}.h5")


if __name__ == "__main__":
    main()
