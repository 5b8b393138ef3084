"""Own methods as rows of tables: shards, merges, changed programs, programs that fail."""
import csv

import h5py
import numpy as np
import pytest

from own import ENVIRONMENT, EXAMPLES, KRUM, method
from support import fedclamp, refused


def rows(folder, table):
    lines = (folder / f"{table}.csv").read_text().splitlines()
    return {line.split(",")[1].strip('"') for line in lines[1:]}


HALVES = "@fedclamp.model_defense\ndef halves(parameters, context):\n    return {'parameters': parameters * FACTOR}\n"


def test_rows_in_a_table_shards_and_a_changed_defence(few, tmp_path):
    """A rule and a defence of one's own are rows beside the others; parts join; a changed defence is done again, alone."""
    data, fm = few
    krum = method(tmp_path / "krum.py", KRUM)
    halves = method(tmp_path / "halves.py", HALVES.replace("FACTOR", "0.5"))
    files = ["--scale", "smoke", "--data", data, "--synthetic", fm]
    own = ["--defense", f"exec:{krum}", "--defense", f"exec:{halves}"]
    parts = [tmp_path / "part-1", tmp_path / "part-2"]
    for number, part in enumerate(parts, 1):
        fedclamp("reproduce", "main", *files, *own, "--shard", f"{number}/2", "--out", part, env=ENVIRONMENT, timeout=400)
    whole = tmp_path / "whole"
    fedclamp("merge", *parts, "--out", whole)           # without the programs
    assert {"none", "multi-krum", "bounds", "exec:krum", "exec:halves"} <= rows(whole, "main")
    lines = [line.split(",") for line in (whole / "main.csv").read_text().splitlines()]
    own_places = [line for line in lines if line[1] in ("exec:krum", "exec:halves") and line[3] == "seed"]
    assert len(own_places) == 6 and all(line[5] for line in own_places) and "exec:halves@" not in (whole / "main.csv").read_text()

    before = {p.name: p.stat().st_mtime_ns for p in (whole / "cells").glob("*.h5")}
    done = fedclamp("reproduce", "main", *files, *own, "--out", whole, env=ENVIRONMENT)
    assert "15 of them finished before" in done.stderr and before == {p.name: p.stat().st_mtime_ns for p in (whole / "cells").glob("*.h5")}
    method(tmp_path / "halves.py", HALVES.replace("FACTOR", "0"))
    done = fedclamp("reproduce", "main", *files, *own, "--out", whole, env=ENVIRONMENT)
    assert "12 of them finished before" in done.stderr, done.stderr
    changed = [p.name for p in (whole / "cells").glob("*.h5") if before[p.name] != p.stat().st_mtime_ns]
    assert len(changed) == 3, "only the trainings without rule, whose model the defence changes"
    for name in changed:
        with h5py.File(whole / "cells" / name) as file:
            assert set(file["defended"]) == {"bounds", "exec:halves"} and not file["defended/exec:halves/fc2/weight"][()].any()
    done = fedclamp("reproduce", "main", *files, "--out", whole)
    assert "exec:halves" in done.stdout and "exec:krum" in done.stdout, "rows stay without their programs"
    refused("merge", whole, parts[0], "--out", tmp_path / "joined", says="another version of exec:halves")


def test_a_failing_program_leaves_its_places_empty(data, fm, tmp_path):
    """The others are computed; afterwards it goes on from the last good file."""
    fails = method(tmp_path / "fails.py", """
        @fedclamp.rule
        def fails(updates, context):
            if context.round == 2 and os.path.exists('stop'):
                raise ValueError('no idea')
            return np.ones(len(updates))
        """)
    (tmp_path / "stop").touch()
    call = ["reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--defense", f"exec:{fails}", "--row", "none", "--row", "exec:fails",
            "--column", "clean", "--out", tmp_path / "out"]
    done = fedclamp(*call, env=ENVIRONMENT, code=1, cwd=tmp_path)
    assert "failed: exec:fails, clean" in done.stderr and "it says: ValueError: no idea" in done.stderr
    assert len(list((tmp_path / "out/cells").glob("*.h5"))) == 2, "the other one, and what the failed one had done"
    (tmp_path / "stop").unlink()
    done = fedclamp(*call, env=ENVIRONMENT, cwd=tmp_path, timeout=300)
    assert "1 of them finished before" in done.stderr


STAMP = "@fedclamp.trigger\ndef stamp(images, context):\n    images[:, :, :4, :4] = 1\n    return images\n"


def test_an_own_trigger_and_an_own_update_are_columns_of_main(few, tmp_path):
    """Beside the built-in attacks, with their own floors; the defences' rows go through them."""
    data, fm = few
    krum, stamp = method(tmp_path / "krum.py", KRUM), method(tmp_path / "stamp.py", STAMP)
    boost = EXAMPLES / "boost.py"
    own = ["--defense", f"exec:{krum}", "--trigger", f"exec:{stamp}", "--malicious-update", f"exec:{boost}"]
    call = ["reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--out", tmp_path / "out"]
    done = fedclamp(*call, *own, "--row", "exec:krum", "--column", "classic, exec:stamp", "--column", "classic, exec:boost",
                    env=ENVIRONMENT, timeout=400)
    assert "exec:krum, classic, trigger exec:stamp" in done.stderr
    lines = [line for line in csv.reader((tmp_path / "out/main.csv").open()) if line[1] == "exec:krum"]
    columns = {line[2] for line in lines}
    assert {"clean", "classic", "fm", "classic, exec:stamp", "fm, exec:stamp", "classic, exec:boost"} <= columns, columns
    measured = {line[2] for line in lines if line[3] == "seed" and line[5] and line[7]}
    assert measured == {"clean", "classic, exec:stamp", "classic, exec:boost"}, "what was asked for, and what its floors take"
    listed = fedclamp(*call, *own, "--list", env=ENVIRONMENT).stdout
    assert "none, fm, trigger exec:stamp" in listed and "bounds" in listed and "none, classic, malicious-update exec:boost" in listed
    refused(*call, "--trigger", f"exec:{stamp}", "--set", f"trigger=exec:{stamp}", code=64, says=["--set trigger", "main does"], env=ENVIRONMENT)


@pytest.mark.parametrize(("tables", "option", "says"), [
    (["settings"], "--trigger", ["--trigger exec:mine", "main", "triggers; settings has none"]),
    (["settings", "cost"], "--malicious-update", ["--malicious-update exec:mine", "main attacks strength adaptive; settings cost have none"])])
def test_an_own_method_without_a_place_is_refused(data, fm, tmp_path, tables, option, says):
    """Not left out without a word."""
    both = method(tmp_path / "mine.py", STAMP + "@fedclamp.malicious_update\ndef stays(parameters, context):\n    return parameters\n")
    refused("reproduce", *tables, "--scale", "smoke", "--data", data, "--synthetic", fm, option, f"exec:{both}", "--out", tmp_path / "x", code=64, says=says,
            env=ENVIRONMENT, folder=tmp_path)


def test_own_methods_in_the_plans_of_all_tables(data, fm, tmp_path):
    warp = EXAMPLES / "warp.py"
    boost, krum = EXAMPLES / "boost.py", method(tmp_path / "krum.py", KRUM)
    picture = tmp_path / "badge.h5"
    with h5py.File(picture, "w") as file:
        file["mask"], file["pattern"] = np.ones((2, 2)), np.ones((2, 2))
    own = [("exec:warp", ["--trigger", f"exec:{warp}"]), ("badge.h5", ["--trigger", picture]), ("exec:krum", ["--defense", f"exec:{krum}"]),
           ("exec:boost:5", ["--malicious-update", f"exec:{boost}:5"])]

    def titles(table, names):
        own_of_it = [word for name, options in own if name in names for word in options]
        return fedclamp("reproduce", table, "--scale", "smoke", "--data", data, "--synthetic", fm, *own_of_it, "--list", "--out", tmp_path / "x",
                        env=ENVIRONMENT).stdout

    for table, words in {"main": ["exec:warp", "badge.h5", "exec:boost:5", "exec:krum"], "attacks": ["exec:warp", "badge.h5", "exec:boost:5"],
                         "triggers": ["exec:warp", "badge.h5", "exec:krum"],
                         "bounds": ["exec:warp", "exec:krum"], "strength": ["exec:boost:5", "exec:krum"], "adaptive": ["exec:boost:5", "exec:krum"],
                         "settings": ["exec:krum"], "distribution": ["exec:krum"], "ablation": ["exec:krum"], "cost": ["exec:krum"], "paper-1": ["exec:krum"]}.items():
        text = titles(table, words)
        for word in words:
            assert word in text, (table, word)
        assert "@" not in text
    assert not (tmp_path / "x").exists()
    refused("reproduce", "main", "--defense", "multi-krum", "--data", data, "--synthetic", fm, "--out", tmp_path / "x", code=64, says="your own")
