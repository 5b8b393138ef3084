"""Runs as TensorBoard's event files: curves over the rounds, what each defence left, and the options. Also the command fedclamp-tensorboard."""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py

from .program import PathLike

RATES = ("acc", "asr", "robust_accuracy", "client_acc", "client_asr")
TIMES = ("seconds", "rule_seconds", "peak_bytes")


class NoRun(ValueError):
    """A file that holds no rounds of a run."""


@dataclass
class Curves:
    """What can be drawn of a run, from its run file or from its log."""

    rounds: dict[int, dict[str, float]] = field(default_factory=dict)  # by round: value by name, "seconds" since the start among them
    defended: dict[str, dict[str, float]] = field(default_factory=dict)  # by defence: acc, asr ...
    options: dict[str, str] = field(default_factory=dict)


def tensorboard(run: PathLike, out: PathLike) -> str:
    """Writes a run to the folder `out` for `tensorboard --logdir out`; returns the folder of this run in it.

    `run` is a run file, or what `fedclamp run --log FILE.jsonl` wrote, also of a run that is not finished. The folder has the run's
    name: run.h5 and run.jsonl become out/run. Each column of /history is a curve, and each model that a defence left is a point at the
    last round, in a folder of its own below. Event files of an earlier call are replaced. Needs the library tensorboardX.

    Raises ImportError without that library, NoRun or OSError for a file that is none.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ImportError("fedclamp.tensorboard needs the library tensorboardX: pip install 'fedclamp[tensorboard]'") from error
    path = pathlib.Path(run)
    curves = _of_log(path) if _is_log(path) else _of_file(path)
    last = max(curves.rounds)
    # The files know seconds since the start only: the newest line is as old as the file.
    start = path.stat().st_mtime - curves.rounds[last].get("seconds", 0.0)
    folder = pathlib.Path(out) / path.stem
    with _writer(SummaryWriter, folder) as writer:
        writer.add_text("options", _table(curves.options), 0, walltime=start)
        for number, values in sorted(curves.rounds.items()):
            when = start + values.get("seconds", 0.0)
            for name, value in values.items():
                writer.add_scalar(f"timing/{name}" if name in TIMES else name, value, number, walltime=when)
    for name, rates in curves.defended.items():
        with _writer(SummaryWriter, folder / name.replace("/", "_")) as writer:
            for rate, value in rates.items():
                writer.add_scalar(rate, value, last, walltime=start + curves.rounds[last].get("seconds", 0.0))
    return str(folder)


def _writer(kind: Any, folder: pathlib.Path) -> Any:
    """A writer of a folder without event files."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    return kind(logdir=str(folder))


def _table(options: dict[str, str]) -> str:
    """Markdown, as TensorBoard shows texts."""
    cells = {name: value.replace("|", "\\|") for name, value in options.items()}
    return "\n".join(["| option | value |", "|---|---|"] + [f"| {name} | {value} |" for name, value in cells.items()])


def _is_log(path: pathlib.Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"{"


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Without what was not measured."""
    return {name: float(value) for name, value in values.items() if value is not None and not math.isnan(value)}


def _of_file(path: pathlib.Path) -> Curves:
    try:
        with h5py.File(path) as file:
            if "history/round" not in file or not len(file["history/round"]):
                raise NoRun(f"{path}: expected a run file with finished rounds, /history/round is missing or empty")
            columns = {name: column[()] for name, column in file["history"].items() if name != "round"}
            times = {name: file[f"timing/{name}"][()] for name in TIMES if f"timing/{name}" in file}
            curves = Curves(options={name: str(value) for name, value in file["config"].attrs.items()} if "config" in file else {})
            for row, number in enumerate(file["history/round"][()]):
                values = {name: column[row] for name, column in columns.items()}
                values |= {name: column[number] for name, column in times.items() if number < len(column)}  # from round 0 on
                curves.rounds[int(number)] = _numbers(values)
            for name, group in file.get("defended", {}).items():
                curves.defended[name] = _numbers({rate: group[rate][()] for rate in RATES if rate in group})
    except OSError as error:
        raise NoRun(f"{path}: neither a run file nor a log of one: {error}") from error
    return curves


def _of_log(path: pathlib.Path) -> Curves:
    curves = Curves()
    for event in _events(path):
        if event["event"] == "start":
            kept = event["resumed_after"]
            curves.options = event["options"]
            curves.rounds = {} if kept is None else {number: row for number, row in curves.rounds.items() if number <= kept}
            curves.defended = {} if kept is None else curves.defended
        elif event["event"] == "round":
            curves.rounds[event["round"]] = _numbers({name: value for name, value in event.items() if name not in ("event", "round")})
        elif event["event"] == "defence":
            curves.defended[event["name"]] = _numbers({rate: event.get(rate) for rate in RATES})
    if not curves.rounds:
        raise NoRun(f"{path}: expected a log with finished rounds, there is none yet")
    return curves


def _events(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        try:
            event = json.loads(line)
            event["event"]
        except (json.JSONDecodeError, KeyError, TypeError):
            raise NoRun(f"{path}: line {number}: expected an event, as fedclamp run --log writes it") from None
        yield event


def main(words: Sequence[str] | None = None) -> int:
    """The command line. Exit codes: 0 done, 2 bad input, 64 usage."""
    parser = argparse.ArgumentParser(
        prog="fedclamp-tensorboard", description="Write runs as TensorBoard's event files: one folder each, named after the file."
    )
    parser.exit_on_error = False
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run file (.h5), or what fedclamp run --log wrote (.jsonl)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for tensorboard --logdir")
    try:
        a = parser.parse_args(words)
    except (argparse.ArgumentError, SystemExit) as error:
        if isinstance(error, argparse.ArgumentError):
            print(f"fedclamp-tensorboard: {error}", file=sys.stderr)
        return 0 if isinstance(error, SystemExit) and error.code == 0 else 64
    stems = [pathlib.Path(run).stem for run in a.runs]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        print(f"fedclamp-tensorboard: several runs are called {', '.join(sorted(twice))}: expected one each, or call it with another "
              "--out for each", file=sys.stderr)
        return 64
    try:
        for run in a.runs:
            print(f"wrote {tensorboard(run, a.out)}")
    except (NoRun, ImportError, OSError) as error:
        print(f"fedclamp-tensorboard: {error}", file=sys.stderr)
        return 2
    return 0
