#!/usr/bin/env python3
"""Kills runs at random moments, lets them go on, and compares the end with that of a run that nobody disturbed.

A chain is one run: killed up to four times, resumed after each, then left to finish. Model, bounds, defended models,
history and state must be equal to the last bit, and no kill may lose a round that had been reported as finished.
"""
import argparse
import collections
import multiprocessing
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

import corpus
import h5py
from own import ENVIRONMENT, REMEMBERS, method
from support import BINARY, contents, differing

GROUPS = ("model", "bounds", "defended", "history", "initial", "state", "attack", "config")
BASE = ["--clients", "3", "--malicious", "1", "--batch", "8", "--initial-epochs", "1"]
VARIANTS = {
    "foolsgold, neurotoxin": ["--rounds", "8", "--attack", "both", "--neurotoxin", "0.1", "--defense", "foolsgold"],
    "foolsgold, neurotoxin, fine-tuning, clp": ["--rounds", "4", "--attack", "classic", "--neurotoxin", "0.2", "--defense", "foolsgold",
                                                "--defense", "fine-tuning", "--defense", "clp"],
    "norm-clip with noise, some clients a round": ["--rounds", "8", "--attack", "both", "--participation", "0.67", "--defense", "norm-clip",
                                                   "--norm-clip-noise", "0.01"],
    "model replacement, median": ["--rounds", "6", "--attack", "classic", "--model-replacement", "2", "--defense", "median", "--trigger", "dba"],
    "clip-cluster, pruning": ["--rounds", "8", "--attack", "classic", "--defense", "clip-cluster", "--defense", "pruning"],
    "foolsgold, bounds-paper": ["--rounds", "4", "--attack", "fm", "--defense", "foolsgold", "--defense", "bounds-paper"],
    "vouching, median": ["--rounds", "6", "--attack", "both", "--defense", "vouching", "--defense", "median"],
    "two shapes of clients, distillation, A3FL": ["--rounds", "6", "--attack", "both", "--heads", "1x128,2x192", "--defense", "distillation",
                                                  "--trigger-adaptation", "2"],
    "own rule that remembers": ["--rounds", "6", "--attack", "both", "--defense", "exec:OWN"],
    "foolsgold, neurotoxin, bounds": ["--rounds", "4", "--attack", "both", "--neurotoxin", "0.1", "--defense", "foolsgold", "--defense", "bounds"],
}
SLOW = {name for name, options in VARIANTS.items() if {"bounds-paper", "bounds", "exec:OWN"} & set(options)}
SIGNALS = [signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT]


class Broken(Exception):
    """Something was lost, differed, or ended the wrong way."""


def finished_rounds(path):
    """Rounds that the run file holds; -1 for none."""
    if not path.exists():
        return -1
    with h5py.File(path) as file:
        return int(file["state/finished_rounds"][()])


def kill(command, out, seconds, rng, counts):
    """Starts `command` and ends it after a random part of `seconds`, or in the middle of a save. True when it was killed."""
    number, before = rng.choice(SIGNALS), finished_rounds(out)
    during_save, twice = rng.random() < 0.3, rng.random() < 0.2
    with tempfile.TemporaryFile("w+") as log:
        program = subprocess.Popen([BINARY, *command], stdout=subprocess.DEVNULL, stderr=log, stdin=subprocess.DEVNULL, env=ENVIRONMENT)
        moment = time.monotonic() + rng.uniform(0.03, max(0.1, seconds))
        while time.monotonic() < moment and program.poll() is None:
            time.sleep(0.001)
        while during_save and program.poll() is None and not any(".partial-" in p.name for p in out.parent.rglob("*")):
            pass
        program.send_signal(number)
        if twice and number != signal.SIGKILL:
            program.send_signal(number)
        try:
            code = program.wait(60)
        except subprocess.TimeoutExpired as error:
            program.kill()
            raise Broken(f"signal {number} did not end it") from error
        log.seek(0)
        told = log.read()
    if code == 0:
        return False                # it was faster
    allowed = {signal.SIGKILL: [-9], signal.SIGTERM: [143], signal.SIGINT: [130]}[number]
    if code not in allowed:
        raise Broken(f"exit code {code} after signal {number}: {told[-400:]}")
    counts[number.name + (" during a save" if during_save else "")] += 1
    after = finished_rounds(out)
    reported = max([int(k) for k in re.findall(r"^round (\d+)/", told, re.M)] + [0 if "initialisation" in told else -1, before])
    if after < reported:
        raise Broken(f"round {reported} was finished, the file has {after}")
    return True


def program(command, code=0):
    done = subprocess.run([BINARY, *command], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, env=ENVIRONMENT)
    if done.returncode != code:
        raise Broken(f"exit code {done.returncode}: {done.stderr[-400:]}")
    return done


def run_command(folder, variant, out, threads):
    options = [option.replace("OWN", str(folder / "own.py")) for option in VARIANTS[variant]]
    return ["run", "--data", str(folder / "data/default.h5"), "--synthetic", str(folder / "data/fm.h5"), *BASE, *options,
            "--threads", str(threads), "--out", str(out)]


def chain(job):
    """One run with its kills; (variant, kills by signal, what was wrong or None)."""
    folder, variant, reference, seconds, seed, wanted = job
    rng, counts = random.Random(seed), collections.Counter()
    try:
        with tempfile.TemporaryDirectory(prefix="fedclamp-kill-") as inside:
            out = pathlib.Path(inside) / "out.h5"
            for _ in range(wanted):
                part = seconds * (1 - max(0, finished_rounds(out)) / 9)
                if not kill([*run_command(folder, variant, out, rng.choice([1, 2])), "--resume"], out, part, rng, counts):
                    break
            program([*run_command(folder, variant, out, 2), "--resume"])
            wrong = differing(contents(out, GROUPS), reference)
            if wrong:
                raise Broken(f"differs in {wrong[:5]}")
            left = [p.name for p in out.parent.iterdir() if p.name != "out.h5"]
            if left:
                raise Broken(f"left behind: {left}")
    except (Broken, OSError, KeyError) as error:
        return variant, counts, f"{type(error).__name__}: {error}"
    return variant, counts, None


def cells(folder):
    """The contents of every run file and floor of a folder of results."""
    found = {p.name: contents(p, GROUPS) for p in sorted(folder.glob("cells/*.h5"))}
    found |= {p.name: p.read_text() for p in sorted(folder.glob("cells/*.floors"))}
    return found | {"setting": (folder / "setting.txt").read_text()}


def reproduce_chain(folder, seed, wanted, counts, log):
    """The same for a part of `reproduce`: killed, called again until it is done."""
    rng = random.Random(f"{seed}/reproduce")
    command = ["reproduce", "main", "--scale", "smoke", "--data", str(folder / "data/default.h5"), "--synthetic", str(folder / "data/fm.h5"),
               "--shard", "9/9", "--out"]
    begin = time.monotonic()
    program([*command, str(folder / "whole")])
    seconds, reference, problems, kills = time.monotonic() - begin, cells(folder / "whole"), [], 0
    while kills < wanted:
        with tempfile.TemporaryDirectory(prefix="fedclamp-kill-") as inside:
            out = pathlib.Path(inside) / "results"
            try:
                for _ in range(rng.randint(1, 4)):
                    file = next(iter(out.glob("cells/*.h5")), out / "cells/none.h5")
                    if not kill([*command, str(out)], file, seconds, rng, counts):
                        break
                    kills += 1
                program([*command, str(out)])
                wrong = [name for name, value in cells(out).items() if value != reference.get(name)]
                left = [p.name for p in out.rglob("*") if "partial" in p.name or p.suffix == ".lock"]
                if wrong or left or len(cells(out)) != len(reference):
                    raise Broken(f"differs in {wrong}, left behind {left}")
            except (Broken, OSError, KeyError) as error:
                problems.append(f"reproduce: {error}")
                kills += 1
    log(f"reproduce: {kills} kills, {len(problems)} problems")
    return problems, kills


def references(folder, variants, log):
    """Undisturbed runs, each with one thread, two, three, and twice: {variant: (contents, seconds)}."""
    found, problems = {}, []
    for variant in variants:
        results, seconds = [], 0
        for repetition, threads in enumerate((2, 1, 3, 2)):
            begin = time.monotonic()
            program(run_command(folder, variant, folder / "whole.h5", threads))
            seconds = seconds or time.monotonic() - begin
            results.append(contents(folder / "whole.h5", GROUPS))
            (folder / "whole.h5").unlink()
            if differing(results[0], results[-1]):
                problems.append(f"{variant}: run {repetition} with {threads} threads differs in {differing(results[0], results[-1])[:5]}")
        found[variant] = results[0], seconds
        log(f"{variant}: 4 runs with 2, 1, 3 and 2 threads equal, {seconds:.1f} s")
    return found, problems


def torture(kills, seed, workers, log=print, variants=None, reproduce=True):
    """At least `kills` kills; the list of problems."""
    counts, problems, total, number = collections.Counter(), [], 0, 0
    with tempfile.TemporaryDirectory(prefix="fedclamp-kills-") as inside:
        folder = pathlib.Path(inside)
        (folder / "data").mkdir()
        corpus.datasets(folder / "data")
        method(folder / "own.py", REMEMBERS).chmod(0o755)
        known, problems = references(folder, variants or list(VARIANTS), log)
        rng = random.Random(seed)
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            while total < kills - (kills // 10 if reproduce else 0):
                jobs = []
                for _ in range(4 * workers):
                    variant = rng.choices(list(known), [1 if name in SLOW else 8 for name in known])[0]
                    jobs.append((folder, variant, *known[variant], f"{seed}/{number}", rng.randint(1, 4)))
                    number += 1
                for variant, found, problem in pool.imap_unordered(chain, jobs):
                    counts += found
                    total += sum(found.values())
                    if problem:
                        problems.append(f"{variant}: {problem}")
        chains, again = number, 0
        if reproduce:
            more, again = reproduce_chain(folder, seed, max(1, kills // 10), counts, log)
            problems += more
    shown = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
    log(f"{total + again} kills (seed {seed}): {shown}; {chains} runs resumed to their end, {len(problems)} problems")
    for problem in problems[:20]:
        log(f"  {problem}")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    sys.exit(1 if torture(chosen.kills, chosen.seed, chosen.workers) else 0)


if __name__ == "__main__":
    main()
