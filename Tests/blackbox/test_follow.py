"""Following a run, going on with it, and results that an older revision computed."""
import csv
import json
import re
import shutil
import signal
import subprocess
import time

import h5py
import pytest

from support import BINARY, contents, fedclamp, refused


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_log_has_every_round_and_defence(tmp_path, tiny):
    """A line as soon as something is finished; a run that goes on adds its own, and none twice."""
    log, out = tmp_path / "run.jsonl", tmp_path / "out.h5"
    fedclamp("run", *tiny, "--attack", "fm", "--defense", "clp", "--log", log, "--out", out)
    fedclamp("run", "--resume", out, "--defense", "fine-tuning", "--log", log)
    found = lines(log)
    assert [line["event"] for line in found] == ["start", "round", "round", "round", "defence", "start", "defence"]
    assert found[0]["resumed_after"] is None and found[5]["resumed_after"] == 2 and found[0]["options"]["attack"] == "fm"
    assert [line["round"] for line in found[1:4]] == [0, 1, 2] and [found[4]["name"], found[6]["name"]] == ["clp", "fine-tuning"]
    with h5py.File(out) as file:
        for name in ("acc", "asr", "loss"):
            assert [line[name] for line in found[2:4]] == list(file["history"][name][:])
        assert found[6]["asr"] == file["defended/fine-tuning/asr"][()] and found[3]["seconds"] == file["timing/seconds"][2]
    assert found[1]["loss"] is None, "what is no number is null"
    text = fedclamp("inspect", log).stdout
    assert "log of a run" in text and re.search(r"attack +fm\n", text), "who has the log alone reads it with inspect"
    shown = json.loads(fedclamp("inspect", log, "--json").stdout)
    assert shown["log"] == {"run": str(out), "rounds": 2, "starts": 2} and set(shown["defended_models"]) == {"clp", "fine-tuning"}
    assert [row["accuracy"] for row in shown["history"]] == [line["acc"] for line in found[1:4]]
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(log.read_bytes()[:-20])
    assert set(json.loads(fedclamp("inspect", cut, "--json").stdout)["defended_models"]) == {"clp"}, "copied while the run wrote a line"
    cut.write_text(log.read_text() + '{"event": "x"}\n' + json.dumps(found[1]))
    refused("inspect", cut, says="line 8", folder=tmp_path)


def test_a_long_log_takes_no_time_of_its_own(tmp_path):
    """Lines of a stranger: as many rounds, or defences, as fit into a file that is read."""
    path = tmp_path / "log.jsonl"
    start = '{"event": "start", "run": "a.h5", "rounds": 2, "options": {}}\n'
    for line in ('{"event": "round", "round": %d}\n', '{"event": "defence", "name": "d%d"}\n'):
        path.write_text(start + "".join(line % k for k in range(60_000)))
        fedclamp("inspect", path, "--json", timeout=20)
    path.write_text(start * 300_000)
    refused("inspect", path, says="log.jsonl", folder=tmp_path)


@pytest.mark.parametrize("text", ["{\n", "{}\n", '{"event": "round"}\n', "{" * 5000, '{"event": "start", "run": "a.h5", "rounds": 2, "options": {}}\n\xff\n'])
def test_what_only_begins_as_a_log_does(tmp_path, text):
    """One clear line, and no other exit code than that of bad input."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(text.encode("latin-1"))
    refused("inspect", path, says="log.jsonl", folder=tmp_path)


def test_a_log_that_cannot_be_written(tmp_path, tiny):
    refused("run", *tiny, "--log", tmp_path / "absent/run.jsonl", "--out", tmp_path / "out.h5", says=["--log", "absent/run.jsonl"], folder=tmp_path)
    refused("run", *tiny, "--log", "/dev/full", "--out", tmp_path / "out.h5", says=["--log /dev/full"], folder=tmp_path)


def test_watch_follows_to_the_end(tmp_path, tiny):
    """Started beside a run it prints each round once, and ends with it."""
    out = tmp_path / "out.h5"
    run = subprocess.Popen([BINARY, *map(str, ["run", *tiny, "--rounds", 4, "--defense", "clp", "--out", out])], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
    done = fedclamp("watch", out, timeout=100)
    assert run.wait(60) == 0
    names = [line.split("  ")[0] for line in done.stdout.splitlines()]
    assert names == ["initialisation", *[f"round {k}/4" for k in range(1, 5)], "defence clp"]
    assert fedclamp("watch", out, "--once").stdout == done.stdout


def test_watch_of_a_run_that_takes_another_s_place(tmp_path, tiny):
    """All rounds of both, also where the new run has fewer of them so far than were printed of the old one."""
    out = tmp_path / "out.h5"
    old = subprocess.Popen([BINARY, *map(str, ["run", *tiny, "--rounds", 1000, "--out", out])], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    watch = subprocess.Popen([BINARY, "watch", out], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = [watch.stdout.readline() for _ in range(6)]
    old.kill()
    old.wait(30)
    assert seen[0].startswith("initialisation") and seen[5].startswith("round 5/1000")
    fedclamp("run", *tiny, "--rounds", 3, "--overwrite", "--defense", "clp", "--out", out)
    rest, errors = watch.communicate(timeout=60)
    names = [line.split("  ")[0] for line in rest.splitlines()]
    start = names.index("initialisation")
    assert names[start:] == ["initialisation", "round 1/3", "round 2/3", "round 3/3", "defence clp"]
    assert all(name.endswith("/1000") for name in names[:start]) and f"{out}: another run took its place" in errors


def test_watch_of_more_rounds_shows_their_defences(tmp_path, tiny):
    """What is done again after the last round is printed again."""
    out = tmp_path / "out.h5"
    fedclamp("run", *tiny, "--rounds", 1, "--defense", "clp", "--out", out)
    with h5py.File(out, "r+") as file:                               # so that watch waits for more
        del file["defended/clp"]
    watch = subprocess.Popen([BINARY, "watch", out], stdout=subprocess.PIPE, text=True)
    assert watch.stdout.readline().startswith("initialisation") and watch.stdout.readline().startswith("round 1/1")
    fedclamp("run", "--resume", out, "--rounds", 2)
    assert [line.split("  ")[0] for line in watch.communicate(timeout=60)[0].splitlines()][-2:] == ["round 2/2", "defence clp"]


def test_watch_of_what_is_no_run(tmp_path, data):
    refused("watch", tmp_path / "absent.h5", "--once", says="absent.h5")
    refused("watch", data, "--once", says="/model")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU])
def test_a_signal_ends_any_step_within_five_seconds(tmp_path, tiny, number):
    """In the middle of a round that takes for ever: the file is that of the step before, and says how to go on."""
    out = tmp_path / "out.h5"
    program = subprocess.Popen([BINARY, *map(str, ["run", *tiny, "--local-epochs", 100_000, "--out", out])], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    while not out.exists() and program.poll() is None:
        time.sleep(0.02)
    time.sleep(0.5)
    program.send_signal(number)
    begin = time.monotonic()
    _, errors = program.communicate(timeout=30)
    assert program.returncode == 128 + number and time.monotonic() - begin < 5.5, errors
    assert "given up" in errors and "--resume" in errors
    with h5py.File(out) as file:
        assert file["state/finished_rounds"][()] == 0


def test_a_hang_up_that_is_ignored_stays_so(tmp_path, tiny):
    out = tmp_path / "out.h5"
    command = ["nohup", BINARY, *map(str, ["run", *tiny, "--rounds", 3, "--out", out])]
    program = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    while not out.exists() and program.poll() is None:
        time.sleep(0.02)
    program.send_signal(signal.SIGHUP)
    assert program.wait(60) == 0


# --- revisions ------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def results(tmp_path_factory, data, fm):
    """A part of table main: no defence and a rule, without attack."""
    folder = tmp_path_factory.mktemp("results") / "r"
    fedclamp("reproduce", "main", *part(data, fm), "--out", folder, timeout=300)
    return folder


def part(data, fm):
    return ["--scale", "smoke", "--data", data, "--synthetic", fm, "--row", "none", "--row", "norm-clip", "--column", "clean"]


def age(folder, old, new):
    """The run files as if an older revision had computed a part of them; the names of those that have it."""
    changed = []
    for path in sorted((folder / "cells").glob("*.h5")):
        with h5py.File(path, "r+") as file:
            for place in ["provenance", *(f"defended/{name}" for name in file.get("defended", {}))]:
                text = file[place].attrs["revisions"]
                if re.search(rf"\b{old}\b", text):
                    file[place].attrs["revisions"] = text.replace(old, new)
                    changed.append(path.name)
    return changed


def test_files_carry_revisions(results):
    texts = []
    for path in (results / "cells").glob("*.h5"):
        with h5py.File(path) as file:
            texts.append(file["provenance"].attrs["revisions"])
    assert sorted(texts) == ["rule norm-clip 1; training 1; trigger patch 1", "training 1; trigger patch 1"]


def test_what_is_stale_is_computed_again(tmp_path, results, data, fm):
    """Only the training of the rule that moved; --list shows it, --keep-stale keeps it and the table says so."""
    folder = tmp_path / "r"
    shutil.copytree(results, folder)
    stale = age(folder, "rule norm-clip 1", "rule norm-clip 0")
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.h5")}
    assert len(stale) == 1
    call = ["reproduce", "main", *part(data, fm), "--out", folder]
    assert "stale: rule norm-clip was revision 0, is 1" in fedclamp(*call, "--list").stdout
    kept = fedclamp(*call, "--keep-stale")
    assert "stale, kept" in kept.stderr and "1 training of older revisions" in kept.stdout
    again = fedclamp(*call, timeout=300)
    assert "stale, computed again" in again.stderr and "rule norm-clip was revision 0, is 1" in again.stderr
    assert "older revisions" not in again.stdout
    after = {path.name: path.stat().st_mtime_ns for path in (folder / "cells").glob("*.h5")}
    assert [name for name in after if after[name] != before[name] and name not in stale] == []
    for name in stale:
        assert contents(folder / "cells" / name, ["model", "history"]) == contents(results / "cells" / name, ["model", "history"])


def test_revisions_that_are_no_text(tmp_path, results, data, fm):
    folder = tmp_path / "r"
    shutil.copytree(results, folder)
    age(folder, "training 1", "training none")
    refused("reproduce", "main", *part(data, fm), "--out", folder, says=["revisions", "training none"])


def test_a_part_of_a_table(results, data, fm):
    """Rows and columns that were not asked for stay empty, and no error; a name that no table has is refused with those there are."""
    text = (results / "main.md").read_text()
    assert re.search(r"^\| norm-clip \| [\d.]+ \|", text, re.M) and re.search(r"^\| multi-krum \| - \|", text, re.M)
    refused("reproduce", "main", "--row", "nobody", "--data", data, "--synthetic", fm, "--out", results, code=64, says=["row", "nobody", "norm-clip"])


def test_tables_are_tidy(results):
    """One row a measurement; means and deviations are told apart by kind, and have no seed."""
    with open(results / "main.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["kind"] for row in rows} == {"seed", "mean", "std"}
    assert all((row["seed"] == "") == (row["kind"] != "seed") for row in rows)
