"""What a user may not have meant: files of theirs in the way of ours, options without effect, another program's files."""
import json
import os
import re
import struct
import subprocess
import zlib

import h5py
import numpy as np
import pytest

from support import BINARY, fedclamp, refused, write_split
from test_distillation import files                                                 # noqa: F401  (a fixture)
from test_vouching import stripes

RUN = ["--clients", 3, "--rounds", 1, "--batch", 8, "--images-per-client", 20, "--initial-epochs", 1, "--synthetic-limit", 60, "--evaluation-limit", 20]


def run(files, out, *options, **more):                                              # noqa: F811
    return fedclamp("run", *files, *RUN, *options, "--out", out, **more)


def test_files_of_others_beside_the_output_stay(tmp_path, files):                   # noqa: F811
    out, theirs = tmp_path / "run.h5", ["run.h5.exec-logs", "run.h5.exec-1-zz"]
    for name in theirs:
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("mine")
    notes = [tmp_path / name for name in ("run.h5.partial-backup.h5", "run.h5.partial-", "run.h5.partial-12-", "a.partial-draft.md")]
    for path in notes:
        path.write_text("mine")
    (tmp_path / "run.h5.partial-12-ab3f").write_text("left by a killed process")
    run(files, out)
    assert all((tmp_path / name / "a").exists() for name in theirs) and all(path.read_text() == "mine" for path in notes)
    assert not (tmp_path / "run.h5.partial-12-ab3f").exists()


def test_a_file_of_the_name_of_the_lock_stays(tmp_path, files):                     # noqa: F811
    lock = tmp_path / "run.h5.lock"
    lock.write_text("my notes\n")
    refused("run", *files, *RUN, "--out", tmp_path / "run.h5", says=["run.h5.lock", "no lock of fedclamp"])
    assert lock.read_text() == "my notes\n"
    lock.write_text("process 1 on host elsewhere since 2026-01-01 00:00:00 UTC\n")
    run(files, tmp_path / "run.h5")


def test_outputs_are_no_inputs_and_not_each_other(tmp_path, files):                 # noqa: F811
    out, config = tmp_path / "run.h5", tmp_path / "a.conf"
    config.write_text("rounds = 1\n")
    before = files[1].read_bytes()
    for log in (files[1], files[3], config, out, tmp_path / "run.h5.lock"):
        refused("run", *files, *RUN, "--out", out, "--config", config, "--log", log, says="which this command reads or writes")
    assert files[1].read_bytes() == before and config.read_text() == "rounds = 1\n"
    refused("run", *files, *RUN, "--out", out, "--save-synthetic", out, says="another output of this command")
    os.symlink(out, tmp_path / "link.h5")
    refused("run", *files, *RUN, "--out", out, "--save-synthetic", tmp_path / "link.h5", says="another output of this command")


def test_a_link_stays_a_link_also_to_nothing_yet(tmp_path, files):                  # noqa: F811
    (tmp_path / "disk").mkdir()
    os.symlink("disk/run.h5", tmp_path / "run.h5")
    run(files, tmp_path / "run.h5")
    assert (tmp_path / "run.h5").is_symlink() and (tmp_path / "disk/run.h5").is_file()


def test_the_mode_of_a_file_stays(tmp_path, files):                                 # noqa: F811
    out = tmp_path / "run.h5"
    run(files, out)
    out.chmod(0o600)
    fedclamp("run", "--resume", out, "--rounds", 2)
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("revisions, newer", [("training 9; trigger frame 1", True), ("training 1; rule krum 9; trigger frame 1", True)])
def test_a_newer_programs_file_is_not_gone_on_with(tmp_path, files, revisions, newer):   # noqa: F811
    out = tmp_path / "run.h5"
    run(files, out)
    with h5py.File(out, "a") as file:
        file["provenance"].attrs["revisions"] = revisions
    refused("run", "--resume", out, "--rounds", 2, says="newer fedclamp")
    with h5py.File(out) as file:
        assert file["provenance"].attrs["revisions"] == revisions


def test_each_option_once_in_a_file(tmp_path, files):                               # noqa: F811
    config, out = tmp_path / "a.conf", tmp_path / "run.h5"
    for lines in ("rounds = 1\nrounds = 2\n", "evaluate-clients = true\nevaluate-clients = false\n"):
        config.write_text(lines)
        refused("run", *files, *RUN, "--config", config, "--out", out, says=["a.conf:2", "each option once"])
    config.write_text("defense = median\ndefense = clp\n")
    run(files, out, "--config", config)


def test_options_without_effect_are_named(tmp_path, files):                         # noqa: F811
    said = run(files, tmp_path / "run.h5", "--attack", "fm", "--model-replacement", 5, "--pruning-share", 0.4, "--norm-clip-limit", 2).stderr
    line, = [line for line in said.splitlines() if line.startswith("without effect")]
    assert set(line.split()[5:]) == {"--model-replacement", "--pruning-share", "--norm-clip-limit"}
    assert "without effect" not in run(files, tmp_path / "b.h5", "--attack", "none", "--trigger", "frame", "--defense", "clp").stderr


def test_too_few_clients_is_a_matter_of_the_command_line(tmp_path, files):          # noqa: F811
    refused("run", *files, *RUN, "--defense", "multi-krum", "--out", tmp_path / "run.h5", code=64, says="needs 2f + 2 < n")


def test_classes_without_images_and_clients_left_out_are_told(tmp_path, files):     # noqa: F811
    images, labels = stripes(240, 1)
    with h5py.File(tmp_path / "gaps.h5", "w") as file:
        file.attrs.update({"format": "fedclamp-dataset", "version": 1, "name": "gaps\x1b[31m", "source": "", "class_names": [str(k) for k in range(9)]})
        write_split(file.create_group("train"), images, labels)
        file["train/clients"] = np.repeat(np.arange(12, dtype="u4"), 20)
        write_split(file.create_group("test"), *stripes(60, 2))
    said = fedclamp("run", "--data", tmp_path / "gaps.h5", "--synthetic", "none", "--clients", 5, "--partition", "natural", "--rounds", 1, "--attack",
                    "classic", "--target", 8, "--malicious", 1, "--out", tmp_path / "run.h5").stderr
    assert "of 9 classes have no training image" in said and "the target, 8, is one of them" in said
    assert "5 of the data set's own 12 clients take part; --clients 12 takes all" in said
    assert "\x1b" not in said


def test_numbers_are_numbers_in_json(tmp_path, files):                              # noqa: F811
    out, log = tmp_path / "run.h5", tmp_path / "log.jsonl"
    run(files, out, "--log", log)
    shown = json.loads(fedclamp("inspect", out, "--json").stdout)
    assert shown["configuration"]["lr"] == 0.02 and shown["configuration"]["evaluate-clients"] is False and shown["model"]["classes"] > 1
    assert json.loads(log.read_text().splitlines()[0])["options"]["rounds"] == 1
    run(files, tmp_path / "b.h5", "--defense", "clp", "--rounds", 2)
    for words in (["inspect", out], ["inspect", tmp_path / "b.h5"], ["inspect", files[1]], ["inspect", files[3]], ["compare", out, tmp_path / "b.h5"]):
        shown = json.loads(fedclamp(*words, "--json").stdout)
        assert not texts_of_numbers(shown), words
    assert 0 <= json.loads(fedclamp("inspect", tmp_path / "b.h5", "--json").stdout)["defended_models"]["clp"]["accuracy"] <= 1


def texts_of_numbers(value, name=""):
    """Names of texts that are numbers, or several of them."""
    if isinstance(value, dict):
        return [found for key in value for found in texts_of_numbers(value[key], key)]
    if isinstance(value, list):
        return [found for part in value for found in texts_of_numbers(part, name)]
    parts = value.replace(",", "").split() if isinstance(value, str) else []
    return [name] if parts and all(re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", part) for part in parts) else []


def test_a_half_line_of_the_log_goes(tmp_path, files):                              # noqa: F811
    out, log = tmp_path / "run.h5", tmp_path / "log.jsonl"
    run(files, out, "--log", log)
    whole = log.read_text()
    log.write_text(whole + '{"event": "rou')
    fedclamp("run", "--resume", out, "--rounds", 2, "--log", log)
    assert log.read_text().startswith(whole + '{"event": "start"') and all(json.loads(line) for line in log.read_text().splitlines())
    os.mkfifo(tmp_path / "pipe")
    refused("run", *files, *RUN, "--out", tmp_path / "b.h5", "--log", tmp_path / "pipe", says="a pipe that nobody reads", timeout=20)


def test_many_rounds_are_counted_at_once(tmp_path, files):                          # noqa: F811
    """A hundred million rounds are planned as fast as two."""
    out = tmp_path / "run.h5"
    with subprocess.Popen([BINARY, "run", *map(str, [*files, *RUN, "--rounds", 100_000_000, "--out", out])], stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if line.startswith("round 2/"):
                break
        process.terminate()
        process.stderr.read()
        assert process.wait(20) == 143


@pytest.mark.parametrize("program, says", [(b"#!/usr/bin/env python3\r\nprint(1)\r\n", "Unix line ends"), (b"#!/opt/none/python\n", "/opt/none/python, is not there")])
def test_a_script_that_cannot_start_says_why(tmp_path, files, program, says):       # noqa: F811
    folder = tmp_path / "my own, dir"
    folder.mkdir()
    script = folder / "rule.py"
    script.write_bytes(program)
    script.chmod(0o755)
    said = fedclamp("run", *files, *RUN, "--defense", f"exec:{script}", "--out", tmp_path / "run.h5", code=2).stderr
    assert "expected one of" not in said and (says in said or "env" in said)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("colour, pixels, clear", [(0, [9, 200], struct.pack(">H", 9)), (2, [1, 2, 3, 200, 0, 0], struct.pack(">HHH", 1, 2, 3))])
def test_a_transparent_colour_of_a_picture(tmp_path, files, colour, pixels, clear):  # noqa: F811
    picture = tmp_path / "BADGE.PNG"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, colour, 0, 0, 0)) + chunk(b"tRNS", clear)
                        + chunk(b"IDAT", zlib.compress(bytes([0] + pixels))) + chunk(b"IEND", b""))
    run(files, tmp_path / "run.h5", "--attack", "fm", "--trigger", picture)
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["attack/mask"][:].sum() == 1


def test_a_mask_of_true_and_false(tmp_path, files):                                 # noqa: F811
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["mask"], file["pattern"] = np.array([[True, False], [True, True]]), np.ones((2, 2), "f4")
    run(files, tmp_path / "run.h5", "--attack", "fm", "--trigger", tmp_path / "t.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["attack/mask"][:].sum() == 3


def test_import_does_not_replace_what_it_reads(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(b"original")
    refused("import", "idx", "--from", tmp_path, "--out", path, "--overwrite", says="is the input file")
    assert path.read_bytes() == b"original"


def test_cells_that_were_exchanged_are_refused(tmp_path, files):                    # noqa: F811
    grid, out = tmp_path / "grid.conf", tmp_path / "out"
    grid.write_text("lr = 0.02 | 0.05\n" + "".join(f"{name[2:]} = {value}\n" for name, value in zip(RUN[::2], RUN[1::2])))
    fedclamp("sweep", grid, *files, "--out", out)
    a, b = sorted(out.glob("cells/*.h5"))[:2]
    a.rename(tmp_path / "x")
    b.rename(a)
    (tmp_path / "x").rename(b)
    assert "holds another training than its name says" in fedclamp("sweep", grid, *files, "--out", out, code=2).stderr


def test_hyphens_that_became_dashes(tmp_path, files):                               # noqa: F811
    """As PDF files and word processors have them."""
    for typed, meant in (("\u2013-rounds", "--rounds"), ("\u2014rounds", "--rounds"), ("\u2212\u2212json", "--json")):
        refused("run", *files, *RUN, typed, 3, "--out", tmp_path / "x.h5", code=64, folder=tmp_path, says=[f"{typed}: expected an option", meant])


def test_an_attack_of_nobody_is_named(tmp_path, files):                             # noqa: F811
    said = run(files, tmp_path / "x.h5", "--attack", "both", "--malicious", 0, "--fm-poison-fraction", 0).stderr
    assert "no client attacks" in said and "no FM image is poisoned" in said


def test_an_import_beside_the_original_files_can_be_repeated(tmp_path):
    from test_import import write_idx
    write_idx(tmp_path)
    call = ["import", "mnist", "--from", tmp_path, "--out"]
    fedclamp(*call, tmp_path / "mnist.h5")
    fedclamp(*call, tmp_path / "mnist.h5", "--overwrite")
    refused(*call, tmp_path / "train-labels-idx1-ubyte.gz", "--overwrite", says="is the input file", folder=tmp_path)
