#!/usr/bin/env python3
"""FedClamp against PyTorch on this machine's CPU: same network, same work, in turns, in one run.

    bench.py [--quick] [--repeats N] [--seconds S] [--no-compile] [--fedclamp build/fedclamp] [--out FILE.json]

First both train and fuse the same small round and must agree (`verify`); then every item is measured `--repeats` times,
FedClamp and each of PyTorch's settings one after the other: layouts NCHW and channels_last, torch.compile where a C++
compiler is there, one process or one a core. PyTorch's fastest setting counts. `--quick` takes a tenth of the images.

FEDCLAMP_CIFAR=DIR (CIFAR-10's binary files) and FEDCLAMP_FM=FILE.h5 name data; else data/fashion-mnist.h5 and
data/fashion-mnist-fm.h5 are used, else random images of CIFAR's shape. Times do not depend on what the images show.

Raw rows and a description of the machine go to --out. Exit code 1 when the two sides do not agree. Needs torch, h5py, numpy.
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import h5py
import numpy as np

import bench_torch
from bench_data import Data
from bench_program import Program
from bench_report import machine, report
from bench_verify import Disagreement, verify

ROOT = pathlib.Path(__file__).resolve().parent.parent
BATCH = 64


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.program = Program(options.fedclamp)
        self.rows = []
        self.scale = 10 if options.quick else 1
        self.data = Data(self.program, folder, 10_000 // self.scale)
        self.settings = bench_torch.settings(options.compile)
        self.single = [bench_torch.Worker(1), bench_torch.Worker(1)]
        self.double = bench_torch.Worker(2)
        self.best = {}                                       # threads: PyTorch's setting that trains fastest

    def row(self, item, side, repeat, **values):
        self.rows.append({"item": item, "side": side, "repeat": repeat, **values})
        shown = ", ".join(f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in values.items())
        print(f"  {item}, {side}: {shown}", file=sys.stderr, flush=True)

    # --- speeds of steps and forward passes ----------------------------------------------------------------------

    def speeds(self, repeat):
        seconds = self.options.seconds
        out, _, peak = self.program("bench", "--threads", 2, "--seconds", seconds, "--json")
        found = json.loads(out)
        for speed in found["results"]:
            threads = speed["threads"]
            common = {"threads": threads, "peak_gflops": speed["peak_gflops"], "setting": found["instruction_set"]}
            self.row("training", "fedclamp", repeat, images_per_second=speed["train_images_per_second"], peak_bytes=peak, models=threads, **common)
            if threads > 1:
                self.row("training", "fedclamp", repeat, images_per_second=speed["train_one_model_images_per_second"], peak_bytes=peak, models=1, **common)
            self.row("forward", "fedclamp", repeat, images_per_second=speed["forward_images_per_second"], peak_bytes=peak, models=1, **common)
        for setting in list(self.settings):
            try:
                self.torch_speeds(repeat, setting, seconds)
            except RuntimeError as error:
                if not setting[1]:
                    raise
                print(f"bench: torch.compile does not work here: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
                self.settings = [s for s in self.settings if not s[1]]
                self.rows = [r for r in self.rows if "compiled" not in r.get("setting", "")]
                return

    def torch_speeds(self, repeat, setting, seconds):
        arguments = (setting, 3, BATCH, seconds)
        for threads, workers in ((1, self.single[:1]), (2, [self.double]), (2, self.single)):
            rates = bench_torch.together(workers, "rates", [arguments] * len(workers))
            common = {"threads": threads, "models": len(workers), "setting": bench_torch.name(setting),
                      "peak_bytes": sum(w.ask("peak_bytes") for w in workers)}
            self.row("training", "pytorch", repeat, images_per_second=sum(r[0] for r in rates), **common)
            self.row("forward", "pytorch", repeat, images_per_second=sum(r[1] for r in rates), **common)

    def choose(self):
        """For the rounds: the setting of each number of threads that trained fastest."""
        for threads in (1, 2):
            rows = [r for r in self.rows if r["item"] == "training" and r["side"] == "pytorch" and r["threads"] == threads and r["models"] == 1]
            fastest = max(rows, key=lambda r: r["images_per_second"])["setting"]
            self.best[threads] = next(s for s in self.settings if bench_torch.name(s) == fastest)

    # --- rounds --------------------------------------------------------------------------------------------------

    def run(self, threads, images, fusion, *more):
        """FedClamp's run of one round from random weights: (seconds of the round, the run's file, peak bytes)."""
        out = self.folder / "run.h5"
        _, _, peak = self.program("run", "--data", self.data.path, "--synthetic", self.data.fm, "--clients", 10, "--rounds", 1,
                                  "--initial-epochs", 0, "--fusion-epochs", fusion, "--images-per-client", images, "--lr", 0.005,
                                  "--clip-norm", 0, "--evaluation-limit", 1, "--threads", threads, "--overwrite", "--out", out, *more)
        with h5py.File(out) as file:
            before, after = file["timing/seconds"][()]
            fit = (float(file["timing/defended_bounds"][()]), float(file["defended/bounds/passes"][()])) if "bounds" in more else None
        return after - before, fit, peak

    def fedclamp_round(self, repeat, item, threads, images, fusion):
        seconds, _, peak = self.run(threads, images, fusion)
        self.row(item, "fedclamp", repeat, seconds=seconds, threads=threads, images=10 * images, peak_bytes=peak)

    def rounds(self, repeat):
        images = 2000 // self.scale
        for item, fusion in (("round", 0), ("round with fusion", 1)):
            self.fedclamp_round(repeat, item, 2, images, fusion)
            for processes in (1, 2):
                self.torch_round(repeat, item, processes, images, fusion)
        self.fedclamp_round(repeat, "round", 1, images, 0)

    def torch_round(self, repeat, item, processes, images, fusion):
        """Clients one after the other on two threads, or half of them in each of two processes of one thread."""
        workers, setting = ([self.double], self.best[2]) if processes == 1 else (self.single, self.best[1])
        state = self.data.state
        rng = np.random.default_rng(1)
        order = rng.permutation(self.data.train_count)[:10 * images].reshape(10, images)
        parts = np.array_split(order, processes)
        self.warm_up(workers, setting, images)
        start = time.perf_counter()
        results = bench_torch.together(workers, "locals", [(setting, state, "train", list(part), BATCH, 0.005) for part in parts])
        models = [model for part in results for model in part]
        mean = {key: np.mean([m[key] for m in models], axis=0, dtype=np.float64).astype(np.float32) for key in state}
        if fusion:
            logits = bench_torch.together(workers, "logits", [(setting, part, "fm", 4 * BATCH) for part in results])
            self.double.ask("fuse", self.best[2], mean, "fm", sum(logits) / 10, BATCH, 0.01)
        seconds = time.perf_counter() - start
        self.row(item, "pytorch", repeat, seconds=seconds, threads=2, processes=processes, images=10 * images,
                 setting=bench_torch.name(setting), peak_bytes=sum(w.ask("peak_bytes") for w in {*workers, *([self.double] if fusion else [])}))

    def warm_up(self, workers, setting, images):
        """Every size of batch once: torch.compile compiles for each."""
        for worker in {*workers, self.double}:
            used, state = (self.best[2] if worker is self.double else setting), self.data.state
            worker.ask("locals", used, state, "train", [list(range(BATCH + images % BATCH))], BATCH, 0.005)
            worker.ask("warm_up_fusion", used, state, "fm", BATCH)

    def fit(self, repeat):
        """A plain round of the whole data set (50,000 images) and the default fit of bounds on the model it leaves."""
        images = 5000 // self.scale
        seconds, (fit, passes), peak = self.run(2, images, 0, "--defense", "bounds")
        count = self.data.fm_count
        in_fit = (passes - count / 3) * 3 / 2                # an image in the fit counts two thirds of a pass
        self.row("round of the whole data set", "fedclamp", repeat, seconds=seconds, threads=2, images=10 * images, peak_bytes=peak)
        self.row("fit of bounds", "fedclamp", repeat, seconds=fit, threads=2, images=in_fit, forward_images=count, passes=passes)

    # --- starting ------------------------------------------------------------------------------------------------

    def starts(self, repeat):
        times = [self.program("--help")[1] for _ in range(20)]
        self.row("--help", "fedclamp", repeat, seconds=statistics.median(times), slowest=max(times))
        out = self.folder / "first.h5"
        _, seconds, _ = self.program("run", "--data", self.data.path, "--synthetic", self.data.fm, "--participation", 0.1, "--rounds", 1,
                                     "--initial-epochs", 0, "--fusion-epochs", 0, "--images-per-client", BATCH, "--evaluation-limit", 1,
                                     "--overwrite", "--out", out)
        self.row("run of one training step, start to end", "fedclamp", repeat, seconds=seconds)

    def everything(self):
        print("verifying", file=sys.stderr)
        agreement = verify(self.program, self.folder, self.data, self.double, self.settings)
        for key in ("train", "fm"):
            for worker in (*self.single, self.double):
                worker.ask("load", key, *self.data.arrays(key))
        for repeat in range(self.options.repeats):
            print(f"repeat {repeat + 1} of {self.options.repeats}", file=sys.stderr)
            self.speeds(repeat)
            if repeat == 0:
                self.choose()
            self.rounds(repeat)
            self.fit(repeat)
            self.starts(repeat)
        return agreement


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one repeat, short measurements: a smoke test")
    parser.add_argument("--repeats", type=int, help="default 3, quick 1")
    parser.add_argument("--seconds", type=float, help="of each measurement of speed; default 3, quick 0.5")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without torch.compile, which takes minutes")
    parser.add_argument("--fedclamp", type=pathlib.Path, default=ROOT / "build/fedclamp")
    parser.add_argument("--out", type=pathlib.Path, help="raw rows as JSON; default data/results/bench.json, quick results/bench-quick.json")
    options = parser.parse_args()
    options.repeats = options.repeats or (1 if options.quick else 3)
    options.out = options.out or ROOT / ("results/bench-quick.json" if options.quick else "data/results/bench.json")
    options.seconds = options.seconds or (0.5 if options.quick else 3.0)
    return options


def main():
    options = parse()
    with tempfile.TemporaryDirectory(prefix="fedclamp-bench-") as folder:
        bench = Bench(options, pathlib.Path(folder))
        try:
            agreement = bench.everything()
        except Disagreement as error:
            print(f"bench: {error}; nothing was measured", file=sys.stderr)
            sys.exit(1)
        about = machine(bench.program, bench.data, options)
        text = report(bench.rows, about, agreement)
        print(text)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        parts = {"machine": about, "agreement": agreement, "report": text.splitlines()}
        members = [f"{json.dumps(key)}: {json.dumps(value, indent=1)}" for key, value in parts.items()]
        rows = ",\n".join(" " + json.dumps(row) for row in bench.rows)
        options.out.write_text("{%s,\n\"rows\": [\n%s\n]}\n" % (",\n".join(members), rows))
        print(f"wrote {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
