"""Bit-identical results: any number of threads, any interruption."""
import signal
import subprocess
import time

import h5py
import pytest

from support import BINARY, COMPARED, contents, differing, fedclamp, refused

LONG = ["--rounds", 6, "--attack", "both", "--defense", "foolsgold", "--defense", "bounds", "--seed", 5]
NORMS = ["--rounds", 6, "--attack", "classic", "--malicious", 1, "--defense", "clip-cluster", "--defense", "pruning", "--seed", 5,
         "--lp-attack", 0.95, "--trigger", "blend", "--trigger-adaptation", 2]


def test_threads(tmp_path, tiny_few):
    options = ["--attack", "both", "--defense", "multi-krum", "--malicious", 0, "--defense", "bounds", "--seed", 7]
    for threads in (1, 2, 3):
        fedclamp("run", *tiny_few, *options, "--threads", threads, "--out", tmp_path / f"{threads}.h5")
    one = contents(tmp_path / "1.h5")
    assert any(name.startswith("bounds/") for name in one) and any(name.startswith("state/") for name in one)
    for threads in (2, 3):
        assert not differing(one, contents(tmp_path / f"{threads}.h5"))


def test_seed(tmp_path, tiny, clean_run):
    fedclamp("run", *tiny, "--seed", 1, "--out", tmp_path / "1.h5")
    fedclamp("run", *tiny, "--seed", 2, "--out", tmp_path / "2.h5")
    assert not differing(contents(tmp_path / "1.h5"), contents(clean_run)), "1 is the default seed"
    assert differing(contents(tmp_path / "2.h5", ["model"]), contents(clean_run, ["model"]))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_few):
    path = tmp_path_factory.mktemp("long") / "out.h5"
    fedclamp("run", *tiny_few, *LONG, "--out", path)
    return contents(path, (*COMPARED, "defended"))


def rounds_done(path):
    try:
        with h5py.File(path) as file:
            return len(file["history/round"])
    except (OSError, KeyError):
        return 0


def interrupted(tmp_path, options, stop, code):
    """The contents of a run that was stopped within its six rounds and went on."""
    out = tmp_path / "out.h5"
    command = ["run", *options, "--out", out, "--resume"]         # without a file, --resume starts afresh
    program = subprocess.Popen([BINARY, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while rounds_done(out) < 2 and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    program.send_signal(stop)
    _, errors = program.communicate(timeout=60)
    assert program.returncode == code, errors.decode()
    assert stop == signal.SIGKILL or "run --resume" in errors.decode(), "how to go on"
    assert 1 <= rounds_done(out) < 6, "stopped in the middle"
    fedclamp(*command, "--threads", 1)
    assert [p.name for p in tmp_path.iterdir()] == ["out.h5"], "no partial files stay"
    return contents(out, (*COMPARED, "defended"))


@pytest.mark.parametrize("stop, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
                         ids=["INT", "TERM", "KILL"])
def test_resume(tmp_path, tiny_few, uninterrupted, stop, code):
    assert not differing(interrupted(tmp_path, [*tiny_few, *LONG], stop, code), uninterrupted)


def test_resume_remembers_norms(tmp_path, tiny):
    """All norms that ever came decide what clip-cluster clips to; the votes are those of the same clients."""
    (tmp_path / "whole").mkdir()
    fedclamp("run", *tiny, *NORMS, "--out", tmp_path / "whole/out.h5")
    (tmp_path / "killed").mkdir()
    whole, killed = contents(tmp_path / "whole/out.h5", (*COMPARED, "defended")), interrupted(tmp_path / "killed", [*tiny, *NORMS], signal.SIGKILL, -9)
    with h5py.File(tmp_path / "killed/out.h5") as file:
        assert [file[f"state/memory/clip_cluster_client_{k}"].shape for k in range(4)] == [(6,)] * 4
    assert any(name.startswith("defended/pruning/conv6") for name in whole) and not differing(whole, killed)


def test_resume_finished(tmp_path, tiny, clean_run):
    out = tmp_path / "out.h5"
    out.write_bytes(clean_run.read_bytes())
    fedclamp("run", *tiny, "--out", out, "--resume")
    assert not differing(contents(out), contents(clean_run))


@pytest.mark.parametrize("change, named", [(["--seed", 9], "seed was 1, is 9"), (["--attack", "classic"], "attack was none, is classic"),
                                           (["--lr", 0.01], "lr was 0.02, is 0.01"), (["--defense", "median"], "defense")],
                         ids=["seed", "attack", "lr", "defense"])
def test_resume_with_other_options(tmp_path, tiny, clean_run, change, named):
    """Refused, and the difference named."""
    out = tmp_path / "out.h5"
    out.write_bytes(clean_run.read_bytes())
    refused("run", *tiny, *change, "--out", out, "--resume", says=["out.h5", named], folder=tmp_path)
    assert out.read_bytes() == clean_run.read_bytes()


def test_resume_with_other_data(tmp_path, tiny, clean_run, fm):
    """The files' digests are part of a run."""
    out, other = tmp_path / "out.h5", tmp_path / "other-fm.h5"
    out.write_bytes(clean_run.read_bytes())
    other.write_bytes(fm.read_bytes())
    with h5py.File(other, "r+") as file:
        file["images"][0, 0, 0, 0] = 255 - file["images"][0, 0, 0, 0]
    refused("run", *tiny, "--synthetic", other, "--out", out, "--resume", says=["out.h5", "synthetic"], folder=tmp_path)


def test_resume_keeps_the_instruction_set(tmp_path, tiny):
    out = tmp_path / "out.h5"
    fedclamp("run", *tiny, "--rounds", 1, "--isa", "baseline", "--out", out)
    refused("run", *tiny, "--rounds", 1, "--isa", "avx2", "--out", out, "--resume", says=["out.h5", "baseline", "avx2"], folder=tmp_path)


def test_resume_what_is_no_run(tmp_path, tiny, data):
    out = tmp_path / "out.h5"
    out.write_bytes(data.read_bytes())
    refused("run", *tiny, "--out", out, "--resume", says="out.h5", folder=tmp_path)
    out.write_bytes(b"no HDF5 at all")
    refused("run", *tiny, "--out", out, "--resume", says="out.h5", folder=tmp_path)


def test_resume_from_the_file_alone(tmp_path, data, fm, tiny):
    """No option again: more rounds and another defence are added, to the bits of a run that had them from the first."""
    options = [*tiny, "--attack", "both", "--malicious", 1, "--defense", "norm-clip", "--defense", "bounds-paper", "--evaluate-clients"]
    fedclamp("run", *options, "--out", tmp_path / "out.h5")
    done = fedclamp("run", "--resume", tmp_path / "out.h5", "--rounds", 3, "--defense", "fine-tuning", "--threads", 1)
    assert "resumed after round 2" in done.stderr and str(tmp_path / "out.h5") in done.stdout
    fedclamp("run", *options, "--rounds", 3, "--defense", "fine-tuning", "--out", tmp_path / "whole.h5")
    parts = (*COMPARED, "defended", "config")
    assert not [name for name in differing(contents(tmp_path / "out.h5", parts), contents(tmp_path / "whole.h5", parts))]


@pytest.mark.parametrize("change, says", [
    (["--rounds", 1], "rounds was 2, is 1"), (["--lr", 0.5], "lr was 0.02, is 0.5"), (["--defense", "krum", "--defense", "median"], "at most one rule"),
    (["--data", "absent.h5"], "absent.h5"),
], ids=["fewer rounds", "lr", "two rules", "data that are not there"])
def test_resume_from_the_file_with_what_cannot_change(tmp_path, clean_run, change, says):
    out = tmp_path / "out.h5"
    out.write_bytes(clean_run.read_bytes())
    code = 64 if says.startswith("at most") else 2
    refused("run", "--resume", out, *change, says=says, folder=tmp_path, code=code)
    assert out.read_bytes() == clean_run.read_bytes()


def test_resume_with_options_of_a_new_defence(tmp_path, tiny, clean_run):
    """As if the run had had both from the first; options of a defence that it has stay as they are."""
    out, options = tmp_path / "out.h5", ["--defense", "pruning", "--pruning-share", 0.3]
    out.write_bytes(clean_run.read_bytes())
    fedclamp("run", "--resume", out, *options)
    fedclamp("run", *tiny, *options, "--out", tmp_path / "whole.h5")
    assert not differing(contents(out, (*COMPARED, "defended", "config")), contents(tmp_path / "whole.h5", (*COMPARED, "defended", "config")))
    before = out.read_bytes()
    refused("run", "--resume", out, "--pruning-share", 0.4, says="pruning-share was 0.3, is 0.4", folder=tmp_path)
    fedclamp("run", *tiny, "--defense", "bounds-paper:once", "--rounds", 1, "--out", tmp_path / "paper.h5")
    refused("run", "--resume", tmp_path / "paper.h5", "--bounds-paper-factor", 3, says="bounds-paper-factor was", folder=tmp_path)
    assert out.read_bytes() == before


def test_resume_where_the_data_are_elsewhere(tmp_path, data, fm, tiny, clean_run):
    """One line says what is missing and how to name it; other data in its place are refused by their digest."""
    out = tmp_path / "out.h5"
    fedclamp("run", "--data", "tiny.h5", "--synthetic", "tiny-fm.h5", *tiny[4:], "--rounds", 1, "--out", out, cwd=data.parent)
    before = out.read_bytes()
    refused("run", "--resume", out, "--rounds", 2, says=["no file tiny.h5 and no file tiny-fm.h5", "--data FILE.h5 and --synthetic FILE.h5"],
            folder=tmp_path, cwd=tmp_path)
    done = refused("run", "--resume", out, "--rounds", 2, "--data", data, says=["no file tiny-fm.h5", "--synthetic FILE.h5"], folder=tmp_path, cwd=tmp_path)
    assert "--data" not in done.stderr
    with h5py.File(fm) as source, h5py.File(tmp_path / "other.h5", "w") as copy:
        copy["images"], copy["labels"] = source["images"][:50], source["labels"][:50]
    refused("run", "--resume", out, "--rounds", 2, "--data", data, "--synthetic", "other.h5", says=["synthetic_digest was", "--synthetic"], cwd=tmp_path)
    assert out.read_bytes() == before
    fedclamp("run", "--resume", out, "--rounds", 2, "--data", data, "--synthetic", fm, cwd=tmp_path)
    assert not differing(contents(out), contents(clean_run))


def test_resume_from_a_file_that_is_none(tmp_path, tiny, data, clean_run):
    refused("run", "--resume", tmp_path / "absent.h5", says=["absent.h5", "no such file"], folder=tmp_path)
    refused("run", "--resume", data, says="/model", folder=tmp_path)
    refused("run", clean_run, code=64, says="--resume", folder=tmp_path)
    refused("run", "--resume", clean_run, "--out", tmp_path / "b.h5", code=64, says="expected one file", folder=tmp_path)
    refused("run", "--resume", "--out", tmp_path / "new.h5", code=64, says="--data", folder=tmp_path)


def test_no_more_rounds_for_what_was_done_after_the_last(tmp_path, tiny):
    """bounds-paper:once updates its bounds after the last round alone: a longer run would not have done so here."""
    out = tmp_path / "out.h5"
    fedclamp("run", *tiny, "--defense", "bounds-paper:once", "--out", out)
    before = out.read_bytes()
    refused("run", "--resume", out, "--rounds", 3, says=["bounds-paper:once", "after round 2", "more rounds"], folder=tmp_path)
    assert out.read_bytes() == before
