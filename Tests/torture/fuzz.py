#!/usr/bin/env python3
"""Damages good files in thousands of ways and has the program read them.

Each case must end with success or with one clear line and exit code 2, within 5 seconds and 1 GB of address space, and
leave nothing behind. A run that goes on may compute a result that its damaged file lost, and has the time of that run besides. Cases are drawn from the seed, the reader's name and the case's number alone, so that any can be
repeated:  fuzz.py --reader checkpoint --seed 1 --only 1234
"""
import argparse
import collections
import gzip
import multiprocessing
import os
import pathlib
import random
import select
import shutil
import sys
import tempfile
import time

import corpus
import hostile
import mutate
from support import BINARY, CRASH

SECONDS, MEMORY = 5, 1 << 30
READERS = ["dataset", "checkpoint", "idx", "idx-gz", "cifar", "config", "results"]


class Outcome:
    def __init__(self, code, seconds, memory, errors, hung):
        self.code, self.seconds, self.memory, self.errors, self.hung = code, seconds, memory, errors, hung

    def problem(self, codes):
        """What is wrong with it, or None."""
        if self.hung:
            return f"hangs: {self.seconds:.1f} s"
        if self.code not in codes:
            return f"exit code {self.code}"
        if self.memory > MEMORY:
            return f"memory: {self.memory >> 20} MB"
        lines = [line for line in self.errors.split("\n") if line.strip()]
        if self.code and not lines:
            return "no message"
        if any(word in self.errors for word in CRASH) or len(self.errors) > 3000:
            return "unclear message"
        if any(ord(c) < 32 and c not in "\n\t" or ord(c) == 127 for c in self.errors):
            return "control characters in the message"
        if self.code == 2 and not lines[-1].startswith("fedclamp"):
            return "no clear last line"
        return None


def execute(arguments, folder, work=0):
    """Runs the program under the limits; `work`: seconds that it may train, besides."""
    log = os.path.join(folder, "stderr.log")
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
               (os.POSIX_SPAWN_OPEN, 2, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)]
    command = ["/bin/sh", "-c", f'ulimit -v {MEMORY >> 10} && exec "$@"', "sh", str(BINARY), *map(str, arguments)]
    begin, limit = time.monotonic(), SECONDS + work
    pid = os.posix_spawn(command[0], command, {"PATH": os.environ.get("PATH", "")}, file_actions=actions)
    descriptor = os.pidfd_open(pid)
    ready = select.select([descriptor], [], [], 3 * limit)[0]
    os.close(descriptor)
    if not ready:
        os.kill(pid, 9)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - begin
    # A busy machine stretches the clock: what counts is the longer of the two where the processor was not given away.
    hung = not ready or seconds > limit and usage.ru_utime + usage.ru_stime > 0.8 * limit
    with open(log, errors="replace") as file:
        errors = file.read(10_000)
    os.unlink(log)
    return Outcome(os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss << 10, errors, hung)


def apart(work):
    """What `work` returns, a text, from a process of its own: HDF5 itself may die of the file that it is made to write."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, work().encode()[:4000])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, errors="replace") as pipe:
        words = pipe.read()
    os.waitpid(child, 0)
    return words or "whatever h5py left when it died"


class Bench:
    """One worker's files, and how a case of each reader is made and run."""

    def __init__(self, seeds, folder, reader):
        self.folder = pathlib.Path(folder)
        shutil.copytree(seeds, self.folder / "in", symlinks=True)
        self.seeds, self.inside, self.reader = seeds, self.folder / "in", reader
        self.victims = {}
        self.bombs = None

    def victim(self, path, is_hdf5=True):
        if path not in self.victims:
            self.victims[path] = mutate.Victim(path, is_hdf5)
        return self.victims[path]

    def case(self, rng):
        """Damages a file; (arguments, codes that are right, words for the damage)."""
        return getattr(self, self.reader.replace("-", "_"))(rng)

    def restore(self):
        """Everything as it was."""
        for path, victim in self.victims.items():
            if victim.touched and path.exists() and not path.is_symlink():
                victim.heal()
        for path in self.changed:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.exists() or path.is_symlink():
                path.unlink()
            source = self.seeds / path.relative_to(self.inside)
            if source.is_dir():
                shutil.copytree(source, path)
            elif source.exists():
                shutil.copy(source, path)
        self.changed = []

    changed = []

    def damaged(self, path, rng, structured=0.3):
        if rng.random() < structured:
            self.changed = [path]
            return apart(lambda: hostile.spoil(path, rng))
        return self.victim(path).damage(rng)

    def dataset(self, rng):
        name = rng.choice(["default", "default", "chunked", "v110", "own", "fm"])
        path, data, fm = self.inside / f"data/{name}.h5", self.inside / "data/default.h5", self.inside / "data/fm.h5"
        words = self.damaged(path, rng)
        how = rng.random()
        if how < 0.8:
            return ["inspect", path] + ["--json"] * (how < 0.2), {0, 1, 2}, words      # 1: not what its digest says
        if name == "fm" or how > 0.95:
            data, fm = (data, path) if name == "fm" else (path, fm)
            return ["run", "--data", data, "--synthetic", fm, *corpus.RUN, "--out", self.folder / "out.h5"], {0, 2}, words
        return ["evaluate", self.inside / "runs/minimal.h5", "--data", path], {0, 2}, words

    def checkpoint(self, rng):
        name = rng.choice(["run", "minimal", "minimal"])
        path, data, fm = self.inside / f"runs/{name}.h5", self.inside / "data/default.h5", self.inside / "data/fm.h5"
        words = self.damaged(path, rng)
        how = rng.random()
        if name == "run" and how < 0.5:
            self.changed = [path]
            return ["run", "--data", data, "--synthetic", fm, *corpus.RUN, "--defense", "bounds", "--defense", "clp", "--out", path,
                    "--resume"], {0, 2}, words
        if how < 0.8:
            return ["inspect", path], {0, 2}, words
        return ["evaluate", path, "--data", data, "--threads", "1"], {0, 2}, words

    def original(self, rng, folder, names, arguments):
        """A file of a published data set: its bytes, its length, or something else in its place."""
        path = folder / rng.choice(names)
        if rng.random() < 0.9:
            return arguments, {0, 2}, self.victim(path, False).damage(rng)
        self.changed = [path]
        path.unlink()
        kind = rng.choice(["folder", "loop", "device", "pipe", "sparse", "absent", "empty", "bomb", "bomb"])
        if kind == "folder":
            path.mkdir()
        elif kind == "loop":
            path.symlink_to(path.name)
        elif kind == "device":
            path.symlink_to("/dev/zero")
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "sparse":
            with open(path, "wb") as file:
                file.truncate(rng.choice([1 << 20, 300 << 20, 1 << 30, 1 << 40]))
        elif kind == "empty":
            path.write_bytes(b"")
        elif kind == "bomb":
            self.bombs = self.bombs or [gzip.compress(header + bytes(100 << 20), 9) for header in (
                b"", bytes([0, 0, 8, 3, 0, 0x10, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28]), bytes([0, 0, 8, 1, 6, 0x40, 0, 0]))]
            path.write_bytes(rng.choice(self.bombs))
        return arguments, {0, 2}, f"{kind} at {path.name}"

    def idx(self, rng, folder="idx", suffix=""):
        names = [f"{p}-{k}{suffix}" for p in ("train", "t10k") for k in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        return self.original(rng, self.inside / folder, names,
                             ["import", "mnist", "--from", self.inside / folder, "--out", self.folder / "out.h5"])

    def idx_gz(self, rng):
        name = rng.choice(["train", "t10k"]) + "-" + rng.choice(["images-idx3-ubyte", "labels-idx1-ubyte"]) + ".gz"
        path = self.inside / "idx-gz" / name
        if rng.random() < 0.5:
            return self.idx(rng, "idx-gz", ".gz")
        self.changed = [path]                   # damaged inside: the wrapper and its check sum are right
        inner = self.folder / "inner"
        inner.write_bytes(gzip.decompress(path.read_bytes()))
        words = mutate.Victim(inner, False).damage(rng)
        path.write_bytes(gzip.compress(inner.read_bytes(), 1))
        inner.unlink()
        return ["import", "mnist", "--from", path.parent, "--out", self.folder / "out.h5"], {0, 2}, f"inside {name}: {words}"

    def cifar(self, rng):
        kind, names = rng.choice([("cifar-10", corpus_names(10)), ("cifar-100", corpus_names(100))])
        return self.original(rng, self.inside / kind, names,
                             ["import", kind, "--from", self.inside / kind, "--out", self.folder / "out.h5"])

    def config(self, rng):
        path = self.inside / "run.conf"
        self.changed = [path]
        text = mutate.text(rng, corpus.CONFIG, corpus.WORDS)
        path.write_bytes(text)
        # The data are missing, so that a good configuration ends with exit code 2 too, instead of training for minutes.
        return ["run", "--config", path, "--data", self.inside / "none.h5", "--synthetic", self.inside / "none.h5",
                "--out", self.folder / "out.h5"], {2}, repr(text[:300])

    def results(self, rng):
        part, how = self.inside / "shards/part", rng.random()
        if how < 0.1:
            path = self.inside / "shards/whole/results.h5"
            return ["inspect", path], {0, 2}, self.damaged(path, rng)
        arguments = ["merge", part, "--out", self.folder / "out"]
        texts = [part / "setting.txt", part / "paper.csv", *sorted(part.glob("cells/*.floors"))]
        if how < 0.4:
            path = rng.choice(texts)
            self.changed = [path]
            path.write_bytes(mutate.text(rng, (self.seeds / path.relative_to(self.inside)).read_bytes(), corpus.WORDS))
            if path.name == "paper.csv":            # read of the folder that is written
                self.changed = [part]
                arguments = ["merge", part, "--out", part]
            return arguments, {0, 1, 2}, f"text {path.name}"
        return arguments, {0, 1, 2}, self.damaged(rng.choice(sorted(part.glob("cells/*.h5"))), rng, 0.4)


def corpus_names(classes):
    return ["train.bin", "test.bin"] if classes == 100 else [f"data_batch_{k}.bin" for k in range(1, 6)] + ["test_batch.bin"]


def make_corpus(folder):
    """All good files, once."""
    for name in ("data", "runs", "shards"):
        (folder / name).mkdir()
    corpus.datasets(folder / "data")
    data, fm = folder / "data/default.h5", folder / "data/fm.h5"
    begin = time.monotonic()
    corpus.checkpoints(folder / "runs", data, fm)
    (folder / "seconds").write_text(f"{time.monotonic() - begin}")
    corpus.idx_folder(folder / "idx", False)
    corpus.idx_folder(folder / "idx-gz", True)
    corpus.cifar_folder(folder / "cifar-10", corpus_names(10), 1)
    corpus.cifar_folder(folder / "cifar-100", corpus_names(100), 2)
    (folder / "run.conf").write_bytes(corpus.CONFIG)
    corpus.shards(folder / "shards", folder / "data/default.h5", fm)
    return folder


def work(job):
    """Cases `numbers` of one reader; a list of (number, outcome or problem)."""
    seeds, reader, seed, numbers = job
    found = []
    with tempfile.TemporaryDirectory(prefix="fedclamp-fuzz-") as folder:
        bench = Bench(seeds, folder, reader)
        for number in numbers:
            rng = random.Random(f"{seed}/{reader}/{number}")
            arguments, codes, words = bench.case(rng)
            outcome = execute(arguments, folder, float((seeds / "seconds").read_text()) if "--resume" in arguments else 0)
            problem = outcome.problem(codes)
            left = [p.name for p in bench.folder.iterdir() if p.name not in ("in", "out.h5", "out") or outcome.code == 2 and p.name == "out.h5"]
            if not problem and left:
                problem = f"left behind: {left}"
            found.append((number, outcome.code, outcome.seconds, outcome.memory, problem, words, arguments, outcome.errors[-600:] if problem else ""))
            for name in ("out.h5", *left):
                (bench.folder / name).unlink(missing_ok=True)
            shutil.rmtree(bench.folder / "out", ignore_errors=True)
            bench.restore()
    return reader, found


def fuzz(readers, cases, seed, workers, log=print, only=None):
    """Runs `cases` of each reader; the list of problems."""
    problems = []
    with tempfile.TemporaryDirectory(prefix="fedclamp-corpus-") as folder:
        seeds = make_corpus(pathlib.Path(folder))
        for reader in readers:
            numbers = [only] if only is not None else list(range(cases))
            size = max(1, min(100, len(numbers) // workers))
            jobs = [(seeds, reader, seed, numbers[k:k + size]) for k in range(0, len(numbers), size)]
            codes, slowest, largest, bad, begin = collections.Counter(), 0, 0, [], time.monotonic()
            with multiprocessing.get_context("fork").Pool(workers, maxtasksperchild=10) as pool:
                for _, found in pool.imap_unordered(work, jobs):
                    for number, code, seconds, memory, problem, words, arguments, errors in found:
                        codes[code] += 1
                        slowest, largest = max(slowest, seconds), max(largest, memory)
                        if problem:
                            bad.append((reader, number, problem, words, arguments, errors))
            shown = ", ".join(f"{n} with code {code}" for code, n in sorted(codes.items()))
            log(f"{reader}: {sum(codes.values())} damaged files (seed {seed}): {shown}; slowest {slowest:.2f} s, "
                f"most memory {largest >> 20} MB, {len(bad)} problems, {time.monotonic() - begin:.0f} s")
            for reader_name, number, problem, words, arguments, errors in sorted(bad, key=lambda b: b[1])[:20]:
                log(f"  case {number}: {problem}; {words[:300]}; {arguments[0]}: {errors.strip()[-300:]!r}")
            problems += bad
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", choices=READERS)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--only", type=int, help="this case alone")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    sys.exit(1 if fuzz(chosen.reader or READERS, chosen.cases, chosen.seed, chosen.workers, only=chosen.only) else 0)


if __name__ == "__main__":
    main()
