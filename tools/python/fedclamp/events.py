"""Runs as TensorBoard's event files: curves over the rounds, what each defence left, and the options. Also the command fedclamp-tensorboard."""

from __future__ import annotations

import json
import math
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py

from .border import Parser, library, parsed, reading, refused, regular_file
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
    SummaryWriter = library("tensorboardX", "tensorboardX", "tensorboard", "fedclamp.tensorboard").SummaryWriter
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
        with _writer(SummaryWriter, folder / _one_folder(name)) as writer:
            for rate, value in rates.items():
                writer.add_scalar(rate, value, last, walltime=start + curves.rounds[last].get("seconds", 0.0))
    return str(folder)


def _writer(kind: Any, folder: pathlib.Path) -> Any:
    """A writer of a folder without event files."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    return kind(logdir=str(folder))


def _one_folder(name: str) -> str:
    """A defence's name as that of a folder right below: a log is a text that anybody may have written."""
    return re.sub(r"[/\0]|^\.+", "_", name)


def _table(options: dict[str, str]) -> str:
    """Markdown, as TensorBoard shows texts."""
    cells = {name: value.replace("|", "\\|") for name, value in options.items()}
    return "\n".join(["| option | value |", "|---|---|"] + [f"| {name} | {value} |" for name, value in cells.items()])


def _is_log(path: pathlib.Path) -> bool:
    """Whether it is a log and no HDF5 file. A log may be empty yet, and damaged in its first line."""
    regular_file(path, NoRun)
    with path.open("rb") as file:
        return file.read(1) == b"{" or path.suffix == ".jsonl" and not h5py.is_hdf5(path)


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    """Without what was not measured."""
    return {name: float(value) for name, value in values.items() if value is not None and not math.isnan(value)}


def _of_file(path: pathlib.Path) -> Curves:
    if not h5py.is_hdf5(path):
        raise NoRun(f"{path}: neither a run file nor a log of one")
    with reading(path, "a run file, as fedclamp run writes it", NoRun), h5py.File(path) as file:
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
            if not isinstance(group, h5py.Group):
                raise NoRun(f"{path}: expected a run file, whose /defended holds groups, got another object called {name}")
            curves.defended[name] = _numbers({rate: group[rate][()] for rate in RATES if rate in group})
    return curves


def _of_log(path: pathlib.Path) -> Curves:
    curves = Curves()
    for event in _events(path):
        if event["event"] == "start":
            kept = event["resumed_after"]
            curves.options = {name: value if isinstance(value, str) else json.dumps(value) for name, value in event["options"].items()}
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
    """Every line as an event whose members are as RunLog.swift writes them. Raises NoRun with the number of a line that is not so."""
    *lines, last = path.read_bytes().split(b"\n")
    for number, line in enumerate([*lines, last] if last else lines, 1):
        try:
            event = json.loads(line)
            json.dumps(event, ensure_ascii=False).encode()  # half a surrogate pair is no text
        except (ValueError, RecursionError):
            if number > len(lines):  # a run that still goes on is writing it
                return
            raise NoRun(f"{path}: line {number}: expected an event, as fedclamp run --log writes it, got {_shown(line)}") from None
        if not isinstance(event, dict) or not isinstance(event.get("event"), str):
            raise NoRun(f"{path}: line {number}: expected an event, as fedclamp run --log writes it, got {_shown(line)}")
        for name, (expected, is_right) in _expected(event).items():
            if name not in event or not is_right(event[name]):
                got = _shown(json.dumps(event[name]).encode()) if name in event else "none"
                raise NoRun(f"{path}: line {number}: {event['event']}: expected {name}: {expected}, got {got}")
        yield event


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "backslashreplace")
    return (text if len(text) <= 60 else text[:60] + " ...") or "an empty line"


Member = tuple[str, Callable[[Any], bool]]
_TEXT: Member = ("a text", lambda value: isinstance(value, str))
_OPTIONS: Member = ("an object of texts and numbers",
                     lambda value: isinstance(value, dict) and all(isinstance(one, (str, int, float)) for one in value.values()))
_ROUND: Member = ("a whole number from 0", lambda value: type(value) is int and 0 <= value < 2**31)
_ROUND_OR_NULL: Member = ("a whole number from 0, or null", lambda value: value is None or _ROUND[1](value))
_NUMBER: Member = ("a number or null", lambda value: value is None or type(value) is float or type(value) is int and abs(value) < 2**63)


def _expected(event: dict[str, Any]) -> dict[str, Member]:
    """What an event's members must be, by name; of an unknown event nothing is used."""
    if event["event"] == "start":
        return {"resumed_after": _ROUND_OR_NULL, "options": _OPTIONS}
    if event["event"] == "round":
        return {name: _NUMBER for name in event if name != "event"} | {"round": _ROUND}
    if event["event"] == "defence":
        return {"name": _TEXT} | {name: _NUMBER for name in RATES if name in event}
    return {}


def main(words: Sequence[str] | None = None) -> int:
    """The command line. Exit codes: 0 done, 2 bad input, 64 usage."""
    program = "fedclamp-tensorboard"
    parser = Parser(prog=program, description="Write runs as TensorBoard's event files: one folder each, named after the file.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run file (.h5), or what fedclamp run --log wrote (.jsonl)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for tensorboard --logdir")
    a = parsed(parser, words)
    if isinstance(a, int):
        return a
    stems = [pathlib.Path(run).stem for run in a.runs]
    if twice := {stem for stem in stems if stems.count(stem) > 1}:
        names = ", ".join(sorted(twice))
        return refused(program, f"several runs are called {names}: expected one each, or call it with another --out for each", 64)
    try:
        for run in a.runs:
            print(f"wrote {tensorboard(run, a.out)}")
    except (NoRun, ImportError, OSError) as error:
        return refused(program, error, 2)
    except KeyboardInterrupt:
        return refused(program, "interrupted", 130)
    return 0
