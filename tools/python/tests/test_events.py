"""Runs as TensorBoard's event files, read back record by record."""

import json
import os
import struct

import h5py
import numpy as np
import pytest

import fedclamp
from fedclamp.events import main

pytest.importorskip("tensorboardX", reason="no tensorboardX: pip install 'fedclamp[tensorboard]'")


def scalars(folder):
    """{tag: {step: value}} of a folder's only event file. A record is length, check sum, Event, check sum."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events.out.tfevents.*")
    content, at, found = path.read_bytes(), 0, {}
    while at < len(content):
        (length,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + length])
        at += 12 + length + 4
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found.setdefault(value.tag, {})[event.step] = value.simple_value
            else:
                found[value.tag] = value.tensor.string_val[0].decode()
    return found


@pytest.fixture(scope="module")
def run(data, fm, tmp_path_factory):
    """(run file, log)"""
    folder = tmp_path_factory.mktemp("run")
    out, log = folder / "mine.h5", folder / "told.jsonl"
    fedclamp.run(data, fm, out, log=log, clients=4, rounds=2, batch=8, attack="fm", defense="fine-tuning", quiet=True)
    return out, log


def test_a_run_file_and_its_log_give_the_same_curves(run, tmp_path):
    for path in run:
        assert fedclamp.tensorboard(path, tmp_path) == str(tmp_path / path.stem)
    of_file, of_log = scalars(tmp_path / "mine"), scalars(tmp_path / "told")
    loaded = fedclamp.load(run[0])
    for tag in ("acc", "asr", "robust_accuracy", "loss"):
        expected = dict(enumerate(loaded.history[tag].astype(np.float32).tolist(), 1))
        assert of_file[tag] == expected, tag
        assert {step: value for step, value in of_log[tag].items() if step > 0} == expected, tag
    assert 0 in of_log["acc"], "the model before round 1"
    assert of_file["timing/seconds"][2] > of_file["timing/seconds"][1] > 0
    assert "client_acc" not in of_file, "what was not measured has no curve"
    assert "| attack | fm |" in of_file["options/text_summary"] and "| attack | fm |" in of_log["options/text_summary"]
    for name in ("mine", "told"):
        left = scalars(tmp_path / name / "fine-tuning")
        assert left["acc"] == {2: np.float32(loaded.rates["fine-tuning"]["acc"])} and set(left) == {"acc", "asr", "robust_accuracy"}


def test_written_again_it_is_replaced(run, tmp_path):
    for _ in range(2):
        fedclamp.tensorboard(run[0], tmp_path)
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 2, "the run's and its defence's"


def test_a_log_of_a_run_that_was_resumed(run, tmp_path):
    """What was computed after the last save is told twice; the later lines count."""
    start, *lines = map(json.loads, run[1].read_text().splitlines())
    rounds = [line for line in lines if line["event"] == "round"]
    again = [start | {"resumed_after": 1}, rounds[2] | {"acc": 0.25}]
    log = tmp_path / "resumed.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in [start, *rounds, *again]))
    fedclamp.tensorboard(log, tmp_path)
    assert scalars(tmp_path / "resumed")["acc"] == {0: np.float32(rounds[0]["acc"]), 1: np.float32(rounds[1]["acc"]), 2: 0.25}


def test_bad_input(run, data, tmp_path, capsys):
    (tmp_path / "odd.jsonl").write_text('{"a": 1}\n')
    (tmp_path / "text.h5").write_text("no run")
    for words, code, says in [
        ([data], 2, "expected a run file"),
        ([tmp_path / "odd.jsonl"], 2, "line 1: expected an event"),
        ([tmp_path / "text.h5"], 2, "neither a run file nor a log"),
        ([tmp_path / "none.h5"], 2, "none.h5"),
        ([run[0], tmp_path / "mine.h5"], 64, "several runs are called mine"),
        ([], 64, "RUN"),
    ]:
        assert main([*map(str, words), "--out", str(tmp_path / "logs")]) == code
        assert says in capsys.readouterr().err
    assert not (tmp_path / "logs").exists()


START = {"event": "start", "run": "a.h5", "rounds": 2, "resumed_after": None, "options": {"attack": "fm"}}
ROUND = {"event": "round", "round": 1, "acc": 0.5, "asr": None, "seconds": 2}
DEFENCE = {"event": "defence", "name": "bounds", "acc": 0.5, "asr": None}
EVENT = "expected an event, as fedclamp run --log writes it"
ODD_LINES = {
    "a number": ("5", [EVENT, "got 5"]),
    "a list": ("[1]", [EVENT, "got [1]"]),
    "a text": ('"event"', [EVENT]),
    "null": ("null", [EVENT]),
    "nothing": ("", [EVENT, "an empty line"]),
    "half a line": ('{"event": "rou', [EVENT]),
    "bytes": ("\udcff\udcfe", [EVENT]),
    "brackets": ("[" * 100000, [EVENT]),
    "another object": ('{"a": 1}', [EVENT]),
    "an event that is a list": ('{"event": [1]}', [EVENT]),
    "a start without options": (json.dumps({k: v for k, v in START.items() if k != "options"}), ["start: expected options", "got none"]),
    "options that are a list": (json.dumps(START | {"options": [1]}), ["options: an object of texts and numbers", "[1]"]),
    "an option that is a list": (json.dumps(START | {"options": {"lr": [1]}}), ["options: an object of texts and numbers"]),
    "resumed after a text": (json.dumps(START | {"resumed_after": "1"}), ["resumed_after: a whole number from 0, or null"]),
    "a start without resumed_after": (json.dumps({k: v for k, v in START.items() if k != "resumed_after"}), ["resumed_after", "got none"]),
    "a round without its number": (json.dumps({k: v for k, v in ROUND.items() if k != "round"}), ["round: expected round: a whole number", "got none"]),
    "a round that is a text": (json.dumps(ROUND | {"round": "1"}), ["a whole number from 0", '"1"']),
    "a round before 0": (json.dumps(ROUND | {"round": -1}), ["a whole number from 0", "-1"]),
    "a round that is true": (json.dumps(ROUND | {"round": True}), ["a whole number from 0"]),
    "a round that is huge": (json.dumps(ROUND | {"round": 10**30}), ["a whole number from 0"]),
    "a rate that is a text": (json.dumps(ROUND | {"acc": "0.5"}), ["acc: a number or null", '"0.5"']),
    "a rate that is a list": (json.dumps(ROUND | {"acc": [0.5]}), ["acc: a number or null"]),
    "a rate that is huge": (json.dumps(ROUND | {"acc": 10**400}), ["acc: a number or null"]),
    "half of a character": (json.dumps(ROUND)[:-1] + ', "\\ud800": 1}', [EVENT]),
    "a defence without a name": (json.dumps({k: v for k, v in DEFENCE.items() if k != "name"}), ["defence: expected name: a text", "got none"]),
    "a defence that is a number": (json.dumps(DEFENCE | {"name": 3}), ["name: a text, got 3"]),
    "a defence's rate that is a text": (json.dumps(DEFENCE | {"acc": "x"}), ["acc: a number or null"]),
}


def refuses(path, out, capsys, *says):
    capsys.readouterr()
    assert main([str(path), "--out", str(out)]) == 2
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1 and told.out == "" and not out.exists(), told
    for word in (path.name, *says):
        assert word in told.err, f"{word!r} is not in: {told.err}"


@pytest.mark.parametrize("name", ODD_LINES)
def test_an_odd_line_is_named_by_its_number(tmp_path, capsys, name):
    odd, says = ODD_LINES[name]
    for at in (0, 1, 2):  # also the first line and the last
        lines = [json.dumps(START), json.dumps(ROUND)]
        lines.insert(at, odd)
        (tmp_path / "a.jsonl").write_bytes("".join(line + "\n" for line in lines).encode("utf-8", "surrogateescape"))
        refuses(tmp_path / "a.jsonl", tmp_path / "logs", capsys, f"line {at + 1}: ", *says)


def test_half_a_last_line_is_not_there_yet(tmp_path, capsys):
    """A run that still goes on may be writing it; whole lines before it count, and so does a whole one without a line break."""
    lines = [json.dumps(START), json.dumps(ROUND), json.dumps(ROUND | {"round": 2, "acc": 0.75})]
    for cut in range(1, len(lines[2])):
        (tmp_path / "a.jsonl").write_text("\n".join(lines)[:-cut])
        assert main([str(tmp_path / "a.jsonl"), "--out", str(tmp_path / "logs")]) == 0, capsys.readouterr().err
        assert scalars(tmp_path / "logs/a")["acc"] == {1: 0.5}
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    fedclamp.tensorboard(tmp_path / "a.jsonl", tmp_path / "logs")
    assert scalars(tmp_path / "logs/a")["acc"] == {1: 0.5, 2: 0.75}


def test_logs_without_rounds(tmp_path, capsys):
    for content in ("", json.dumps(START)[:9], json.dumps(START), json.dumps(START) + "\n", json.dumps(DEFENCE) + "\n"):
        (tmp_path / "a.jsonl").write_text(content)
        refuses(tmp_path / "a.jsonl", tmp_path / "logs", capsys, "there is none yet")


def test_a_log_of_a_later_program(tmp_path):
    """Events that are not known are not looked at."""
    lines = [START, {"event": "pause", "why": [1]}, ROUND, DEFENCE | {"name": "../.."}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    fedclamp.tensorboard(tmp_path / "a.jsonl", tmp_path / "logs")
    assert {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("events*")} == {"logs/a", "logs/a/__.."}, "none outside"


ODD_FILES = {
    "the column of rounds is a group": lambda f: f.create_group("history/round/x"),
    "the column of rounds is a number": lambda f: f.create_dataset("history/round", data=1),
    "a short column": lambda f: (f.create_dataset("history/round", data=[1, 2]), f.create_dataset("history/acc", data=[0.5])),
    "a column of texts": lambda f: (f.create_dataset("history/round", data=[1]), f.create_dataset("history/acc", data=["x"])),
    "a column that is a group": lambda f: (f.create_dataset("history/round", data=[1]), f.create_group("history/acc")),
    "a column that leads nowhere": lambda f: (f.create_dataset("history/round", data=[1]), f["history"].__setitem__("acc", h5py.SoftLink("/no"))),
    "defences that are numbers": lambda f: (f.create_dataset("history/round", data=[1]), f.create_dataset("defended", data=[1])),
    "a defence that is a number": lambda f: (f.create_dataset("history/round", data=[1]), f.create_dataset("defended/x", data=[1])),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_odd_run_files(tmp_path, capsys, name):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        ODD_FILES[name](file)
    refuses(tmp_path / "a.h5", tmp_path / "logs", capsys, "expected a run file")


def test_what_is_no_file(tmp_path, capsys):
    os.mkfifo(tmp_path / "a.jsonl")
    refuses(tmp_path / "a.jsonl", tmp_path / "logs", capsys, "expected a file, got a device or pipe")
    refuses(tmp_path, tmp_path / "logs", capsys, "expected a file, got a folder")
    (tmp_path / "b.jsonl").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    refuses(tmp_path / "b.jsonl", tmp_path / "logs", capsys)
