"""Runs as TensorBoard's event files, read back record by record."""

import json
import struct

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
