"""`fedclamp sweep`: every combination of a grid, killed, resumed, shared, merged, read by others; `reproduce --set`."""
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import pytest

from own import ENVIRONMENT, method
from support import BINARY, ROOT, contents, differing, fedclamp, refused

GRID = """# 3 x 2 settings
clients = 4
rounds = 2            # few
batch = 8
initial-epochs = 2
lr = 0.02 | 0.05 | 0.1
attack = none | fm
seeds = 2
"""


def grid(folder, text, name="grid.conf"):
    path = folder / name
    path.write_text(text)
    return path


def rows(path, kind="seed"):
    with open(path, newline="") as file:
        return [row for row in csv.DictReader(file) if row["kind"] == kind]


def begun(out):
    """Cells whose initialisation is done."""
    return len(list(out.glob("cells/????????????????.h5")))


@pytest.fixture(scope="module")
def swept(tmp_path_factory, data, fm):
    """A sweep, killed in the middle and called again: (folder, grid, what the second call said)."""
    folder = tmp_path_factory.mktemp("sweep")
    file, out = grid(folder, GRID), folder / "out"
    command = ["sweep", file, "--data", data, "--synthetic", fm, "--out", out]
    program = subprocess.Popen([BINARY, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while begun(out) < 5:
        assert program.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    program.send_signal(signal.SIGKILL)
    program.wait(30)
    assert not (out / "results.h5").exists()
    shown = json.loads(fedclamp("inspect", out, "--json").stdout)
    assert len(shown["cells"]) == 12 and 3 <= sum(cell["finished"] for cell in shown["cells"]) < 12
    return out, file, fedclamp(*command, timeout=600)


def test_killed_resumed_compared_read(swept):
    """The four commands: the sweep, the sweep again, `compare` of two of its cells, pandas."""
    out, _, done = swept
    before = int(re.search(r"12 trainings, (\d+) of them finished before", done.stderr)[1])
    assert 3 <= before < 12
    cells = json.loads(fedclamp("inspect", out / "results.h5", "--json").stdout)["cells"]
    chosen = [out / "cells" / c["file"] for c in cells if c["options"]["seed"] == 1 and c["options"]["attack"] == "fm"]
    shown = json.loads(fedclamp("compare", *chosen, "--json").stdout)
    assert shown["differences"] == {"lr": [0.02, 0.05, 0.1]} and shown["remarks"] == []
    program = """
import sys, pandas
table = pandas.read_csv(sys.argv[1]).query("kind == 'seed'")
assert len(table) == 12 and table["lr"].dtype == float and table["seed"].tolist() == [1.0, 2.0] * 6
means = table.groupby(["lr", "attack"], dropna=False)["acc"].mean()
print(means.to_json(orient="values"))
"""
    read = subprocess.run([sys.executable, "-c", program, out / "sweep.csv"], capture_output=True, text=True, check=True)
    means = {(row["lr"], row["attack"]): float(row["acc"]) for row in rows(out / "sweep.csv", "mean")}
    assert json.loads(read.stdout) == pytest.approx([means[lr, attack] for lr in ("0.02", "0.05", "0.1") for attack in ("fm", "none")])


def test_the_files(swept):
    """The table in every form, with what it was computed with; the same numbers as the run files have."""
    out, _, done = swept
    assert {"results.h5", "report.html", "sweep.md", "sweep.csv", "sweep.tex", "sweep.svg", "sweep-curves.svg"} <= {p.name for p in out.iterdir()}
    for text in (done.stdout, (out / "sweep.md").read_text(), (out / "report.html").read_text()):
        assert "the defaults of run but clients 4, rounds 2, batch 8, initial-epochs 2" in text
    assert list(rows(out / "sweep.csv")[0])[:7] == ["table", "row", "column", "kind", "seed", "lr", "attack"]
    with h5py.File(out / "results.h5") as file:
        assert list(file["sweep/row_options/lr"].asstr()[()]) == ["0.02", "0.05", "0.1"]
        assert list(file["sweep/column_options/attack"].asstr()[()]) == ["none", "fm"]
        assert "lr = 0.02 | 0.05 | 0.1" in list(file["options"].asstr()[()])
        index = {key: json.loads(options) for key, options in zip(file["cells/key"].asstr()[()], file["cells/options"].asstr()[()])}
        assert file["cells/finished"][()].all()
        accuracy = file["sweep/acc"][()]
    assert len(index) == 12
    for key, options in index.items():
        with h5py.File(out / "cells" / f"{key}.h5") as file:
            stored = json.loads(file["config/json"][()])
            assert all(stored[name] == options[name] for name in ("lr", "attack", "seed", "rounds", "clients"))
            place = [0.02, 0.05, 0.1].index(options["lr"]), ["none", "fm"].index(options["attack"]), options["seed"] - 1
            assert accuracy[place] == file["history/acc"][-1]


def test_a_cell_is_the_run_with_the_same_options(swept, tmp_path, data, fm):
    out, _, _ = swept
    fedclamp("run", "--data", data, "--synthetic", fm, "--clients", 4, "--rounds", 2, "--batch", 8, "--initial-epochs", 2, "--lr", 0.05,
             "--attack", "fm", "--seed", 2, "--out", tmp_path / "run.h5")
    cells = json.loads(fedclamp("inspect", out, "--json").stdout)["cells"]
    cell, = [c["file"] for c in cells if (c["options"]["lr"], c["options"]["attack"], c["options"]["seed"]) == (0.05, "fm", 2)]
    assert not differing(contents(out / "cells" / cell, ["model", "history"]), contents(tmp_path / "run.h5", ["model", "history"]))


def test_shards_and_merge(swept, tmp_path, data, fm):
    """Three parts, in any order, give the table of one call; a part of another grid does not fit."""
    out, file, _ = swept
    parts = [tmp_path / f"part-{i}" for i in (3, 1, 2)]
    for part in parts:
        fedclamp("sweep", file, "--data", data, "--synthetic", fm, "--shard", f"{part.name[-1]}/3", "--out", part)
    assert all(0 < begun(part) < 12 for part in parts)
    fedclamp("merge", *parts, "--out", tmp_path / "whole")
    for name in ("sweep.csv", "sweep.md", "sweep.tex"):
        assert (tmp_path / "whole" / name).read_bytes() == (out / name).read_bytes()
    other = tmp_path / "other"
    fedclamp("sweep", grid(tmp_path, GRID.replace("0.05", "0.04")), "--data", data, "--synthetic", fm, "--shard", "50/50", "--out", other)
    refused("merge", parts[0], other, "--out", tmp_path / "joined", says="lr is 0.02 | 0.04 | 0.1, not 0.02 | 0.05 | 0.1")


@pytest.mark.parametrize("change, says", [
    (("rounds = 2", "rounds = 3"), "rounds is 2, not 3"), (("| 0.1", ""), "lr is 0.02 | 0.05 | 0.1, not 0.02 | 0.05"),
    (("batch = 8", ""), "batch is 8, not the default"), (("clients = 4", "clients = 4\ntarget = 3"), "target is the default, not 3")])
def test_a_folder_takes_one_grid(swept, tmp_path, data, fm, change, says):
    out, _, _ = swept
    refused("sweep", grid(tmp_path, GRID.replace(*change)), "--data", data, "--synthetic", fm, "--out", out, folder=out, says=[says, "another --out"])


def test_more_seeds_may_come(swept, tmp_path, data, fm):
    out, file = shutil.copytree(swept[0], tmp_path / "out"), swept[1]
    done = fedclamp("sweep", file, "--data", data, "--synthetic", fm, "--first-seed", 3, "--seeds", 1, "--row", "0.05", "--out", out)
    assert "2 trainings, 0 of them finished before" in done.stderr
    assert {row["seed"] for row in rows(out / "sweep.csv") if row["row"] == "0.05" and row["acc"]} == {"1", "2", "3"}
    refused("sweep", file, "--data", data, "--synthetic", fm, "--row", "0.06", "--out", out, code=64, says=["--row 0.06", "0.05"], folder=out)


def test_defences_together_and_by_themselves(tmp_path, data, fm):
    """Those on the model share a training; a list of heads keeps its commas; an option of such a defence has a model of its own."""
    file = grid(tmp_path, f"""data = {data}
synthetic = {fm}
clients = 5
malicious = 1
rounds = 1
batch = 8
initial-epochs = 1
attack = classic
heads = none | none,1x128
defense = none | clp | norm-clip + clp
""")
    done = fedclamp("sweep", file, "--list", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert len(re.findall("classic, .*clp", done.stdout)) == 4 and "8 trainings" in done.stdout, "2 heads x 2 rules x (classic, clean for the floors)"
    fedclamp("sweep", file, "--seeds", 1, "--out", tmp_path / "out")
    found = {(row["heads"], row["defense"]): row for row in rows(tmp_path / "out/sweep.csv")}
    assert len(found) == 6 and ("none,1x128", "norm-clip + clp") in found and all(row["acc"] and row["floor"] for row in found.values())

    file = grid(tmp_path, f"data = {data}\nsynthetic = {fm}\nclients = 4\nrounds = 1\nbatch = 8\ninitial-epochs = 1\npruning-share = 0.1 | 0.6\ndefense = none | pruning\n", "two.conf")
    done = fedclamp("sweep", file, "--out", tmp_path / "two")
    assert "3 trainings" in done.stderr, "that without defence stands in both rows"
    cells = json.loads(fedclamp("inspect", tmp_path / "two", "--json").stdout)["cells"]
    pruned = {}
    for cell in cells:
        with h5py.File(tmp_path / "two/cells" / cell["file"]) as opened:
            if "defended" in opened:
                pruned[cell["options"]["pruning-share"]] = int((opened["defended/pruning/conv6/weight"][()].reshape(128, -1) == 0).all(1).sum())
    assert set(pruned) == {0.1, 0.6} and pruned[0.1] < pruned[0.6]


def test_floors_of_a_trigger_that_varies(tmp_path, data, fm):
    """The floor is measured with the trigger of the row, not with the default one."""
    options = "clients = 4\nrounds = 1\nbatch = 8\ninitial-epochs = 1\nattack = fm\n"
    file = grid(tmp_path, options + "target = 0 | 3\ntrigger = patch | square:10\n")
    fedclamp("sweep", file, "--data", data, "--synthetic", fm, "--out", tmp_path / "out")
    found = {(row["target"], row["trigger"]): float(row["floor"]) for row in rows(tmp_path / "out/sweep.csv")}
    fedclamp("run", "--data", data, "--synthetic", fm, "--clients", 4, "--rounds", 1, "--batch", 8, "--initial-epochs", 1, "--out", tmp_path / "clean.h5")
    for (target, trigger), floor in found.items():
        shown = json.loads(fedclamp("evaluate", tmp_path / "clean.h5", "--data", data, "--trigger", trigger, "--target", target, "--json").stdout)
        assert floor == pytest.approx(shown["attack_success_rate"], abs=1e-12), (target, trigger)


@pytest.mark.parametrize("text, says", [
    ("lrr = 0.1 | 0.2", ["grid.conf:1", 'unknown key "lrr"', '"lr"']),
    ("rounds = 2\nlr = 0.1 |", ["grid.conf:2", "both sides"]),
    ("lr =", ["grid.conf:1", "lr: expected a value"]),
    ("lr = 0.1, 0.2", ["grid.conf:1", "lr", '"|" between them']),
    ("lr = 0.1 | 0.10", ["grid.conf:1", "each value once"]),
    ("lr = 0.1 | fast", ["grid.conf:1", "got fast"]),
    ("lr 0.1", ["grid.conf:1", "name = value"]),
    ("lr = 0.1\nlr = 0.2", ["grid.conf:2", "each option once"]),
    ("defense = none\ndefense = clp", ["grid.conf:2", '"A | B"']),
    ("defense = none, clp", ["grid.conf:1", '"A | B"']),
    ("defense = clp + fine-tuning", ["grid.conf:1", "at most one defence on the model"]),
    ("defense = krum + median", ["grid.conf", "at most one rule"]),
    ("defense = none + krum", ["grid.conf:1", "none alone"]),
    ("seed = 1 | 2", ["grid.conf:1", "first-seed"]),
    ("seeds = 0", ["grid.conf:1", "1 to 1000"]),
    ("seeds = 1 | 2\nlr = 0.1", ["grid.conf:1", "one value"]),
    ("data = a.h5 | b.h5\nlr = 0.1", ["grid.conf:1", "one value"]),
    ("# nothing", ["grid.conf", "expected options"]),
    ("clients = 2 | 8\nmalicious = 3", ["grid.conf", "clients 2", "malicious"]),
    ("clients = 4 | 10\nmalicious = 2\ndefense = multi-krum", ["grid.conf", "multi-krum needs 2f + 2 < n"]),
    ("attack = none\npoison-fraction = 0.1 | 0.2", ["grid.conf", "poison-fraction", "depends on"]),
    ("defense = none\nnorm-clip-limit = 1 | 2", ["grid.conf", "norm-clip-limit", "depends on"]),
    ("attack = fm\ntarget = 0 | 12", ["grid.conf", "12"]),
    ("synthetic-limit = 30 | 5000", ["grid.conf", "60"]),
    ("partition = iid | natural", ["grid.conf", "partition natural", "/train/clients"]),
    ("malicious = 0\nclients = 4 | 5000", ["grid.conf", "5000 clients"]),
    ("attack = fm\ntrigger = patch | none.png", ["none.png: cannot open"]),
    ("\n".join(f"{name} = {' | '.join(str(k) for k in range(1, 40))}" for name in ("rounds", "clients", "batch", "initial-epochs")), ["grid.conf", "at most 20000 cells"]),
], ids=lambda v: v[:24] if isinstance(v, str) else "")
def test_grids_that_are_refused(tmp_path, data, fm, text, says):
    refused("sweep", grid(tmp_path, text + "\n"), "--data", data, "--synthetic", fm, "--out", tmp_path / "out", says=says, folder=tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_table_that_the_data_cannot_have(tmp_path, data, fm):
    """Before any of its cells is trained."""
    refused("reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--set", "partition=natural", "--out", tmp_path / "out",
            says=["partition natural", "/train/clients"], folder=tmp_path)
    assert not (tmp_path / "out").exists()


def test_no_grid(tmp_path, data):
    refused("sweep", tmp_path / "none.conf", "--data", data, "--out", tmp_path / "out", says="none.conf", folder=tmp_path)
    refused("sweep", data, "--out", tmp_path / "out", says="tiny.h5", folder=tmp_path)


def test_own_methods(tmp_path, data, fm):
    """A program of one's own is a value like others; after a change its cells alone are computed again; files never start it."""
    rule = method(tmp_path / "mine.py", """
        @fedclamp.rule
        def mine(updates, context):
            return np.ones(len(updates))
        """)
    file = grid(tmp_path, f"clients = 4\nrounds = 1\nbatch = 8\ninitial-epochs = 1\ndefense = none | exec:{rule} | exec:{rule} + clp\n")
    command = ["sweep", file, "--data", data, "--synthetic", fm, "--out", tmp_path / "out"]
    fedclamp(*command, env=ENVIRONMENT)
    assert [row["defense"] for row in rows(tmp_path / "out/sweep.csv") if row["acc"]] == ["none", "exec:mine", "exec:mine + clp"]
    fedclamp("merge", tmp_path / "out", "--out", tmp_path / "merged")
    rule.write_text(rule.read_text() + "# changed\n")
    assert "2 trainings, 1 of them finished before" in fedclamp(*command, env=ENVIRONMENT).stderr
    (tmp_path / "out/setting.txt").write_text(re.sub("exec:mine@rule:[0-9a-f]+", f"exec:{rule}", (tmp_path / "out/setting.txt").read_text()))
    refused("merge", tmp_path / "out", "--out", tmp_path / "again", says=["setting.txt", "name@kind:digest"])


SBATCH = """#!/bin/bash
# Runs the tasks of an array, or the one job, one after the other.
tasks=none
for option; do
    case $option in --array=1-*) tasks=$(seq "${option#--array=1-}") ;; esac
done
for task in $tasks; do SLURM_ARRAY_TASK_ID=$task bash -c "${*: -1}" >> "$0.log" 2>&1; done
echo 7
"""


def test_slurm_script(tmp_path, data, fm):
    """Two shards and their merge, with a stand-in for sbatch; `Tests/cluster` has Slurm itself."""
    for name, text in (("sbatch", SBATCH), ("squeue", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    file = grid(tmp_path, "clients = 4\nrounds = 1\nbatch = 8\ninitial-epochs = 1\nlr = 0.02 | 0.05\n")
    script = ROOT / "tools/slurm/reproduce.sh"
    command = [script, 2, tmp_path / "out", "sweep", file, "--data", data, "--synthetic", fm]
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "FEDCLAMP": str(BINARY)}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr + (tmp_path / "sbatch.log").read_text()
    assert begun(tmp_path / "out/part-1") == begun(tmp_path / "out/part-2") == 1
    assert [bool(row["acc"]) for row in rows(tmp_path / "out/merged/sweep.csv")] == [True, True]


# --- reproduce --set ---------------------------------------------------------------------------------------------

SET = ["--set", "rounds=1", "--set", "clients=5", "--set", "partition=dirichlet:0.3", "--set", "initial-epochs=1", "--set", "local-epochs=1"]


@pytest.fixture(scope="module")
def set_(tmp_path_factory, data, fm):
    out = tmp_path_factory.mktemp("set") / "out"
    part = ["--row", "none", "--row", "norm-clip", "--column", "clean", "--column", "fm"]
    return out, ["reproduce", "main", "--data", data, "--synthetic", fm, *part], fedclamp("reproduce", "main", "--data", data, "--synthetic", fm, *part, *SET, "--out", out)


def test_set_replaces_the_scales_values(set_):
    out, _, done = set_
    said = "all cells with rounds 1, clients 5, partition dirichlet:0.3, initial-epochs 1, local-epochs 1"
    assert said in done.stdout and said in (out / "main.md").read_text() and said in (out / "report.html").read_text()
    for path in out.glob("cells/????????????????.h5"):
        with h5py.File(path) as file:
            values = json.loads(file["config/json"][()])
            assert (values["rounds"], values["clients"], values["partition"], values["batch"]) == (1, 5, "dirichlet:0.3", 32)
    assert begun(out) == 4 and len([row for row in rows(out / "main.csv") if row["acc"]]) == 4


def test_a_folder_takes_one_set(set_):
    out, command, _ = set_
    assert "4 of them finished before" in fedclamp(*command, *SET, "--out", out).stderr
    refused(*command, "--out", out, says="rounds is 1, not what the tables have", folder=out)
    refused(*command, *SET, "--set", "lr=0.1", "--out", out, says="lr is what the tables have, not 0.1", folder=out)
    refused(*command, *SET[2:], "--set", "rounds=2", "--out", out, says="rounds is 1, not 2", folder=out)


@pytest.mark.parametrize("table, text, says", [
    ("main", "rounds", "NAME=VALUE"), ("main", "roundz=3", '"rounds"'), ("main", "rounds=many", "a whole number"), ("main", "rounds=1 | 2", "fedclamp sweep"),
    ("main", "out=x", "--out is an option of reproduce itself"), ("main", "seed=3", "first-seed"), ("main", "data=x.h5", "data"), ("main", "evaluate-on=dev", "evaluate-on"),
    ("main", "attack=fm", "main"), ("main", "defense=clp", "row and column"), ("strength", "malicious=1", "strength"), ("distribution", "partition=iid", "distribution"),
    ("triggers", "trigger=blend", "triggers"), ("cost", "poison-fraction=0.1", "depends on"), ("main", "pgd-radius=0", "above 0"), ("main", "malicious=9", "malicious"),
    ("main", "rounds=", "a value")])
def test_sets_that_are_refused(tmp_path, table, text, says):
    """Before there are data: none are named here."""
    refused("reproduce", table, "--data", tmp_path / "none.h5", "--set", text, "--out", tmp_path / "out", code=64, says=["--set", says], folder=tmp_path)


def test_set_twice(tmp_path):
    refused("reproduce", "main", "--set", "rounds=1", "--set", "rounds=2", "--out", tmp_path / "out", code=64, says="each option once", folder=tmp_path)


def test_set_changes_what_a_table_of_the_paper_fixes(tmp_path, data, fm):
    """Its protocol has values of its own, which are replaced too."""
    shown = fedclamp("reproduce", "paper-3", "--scale", "smoke", "--data", data, "--synthetic", fm, "--set", "rounds=2", "--set", "batch=8", "--list", "--out", tmp_path / "x").stdout
    assert "rounds" not in shown, "what all have in common is not in their titles"
    assert "trainings" in shown


def test_a_cell_goes_on_alone(tmp_path, data, fm):
    """With `run --resume CELL`, from the paths that it has; from a cell of before these, with the options that an error names."""
    file, out = grid(tmp_path, GRID.replace("seeds = 2", "").replace("lr = 0.02 | 0.05 | 0.1\n", "").replace("none | fm", "fm")), tmp_path / "out"
    fedclamp("sweep", file, "--data", data, "--synthetic", fm, "--out", out)
    (cell,) = [path for path in (out / "cells").glob("????????????????.h5")
               if json.loads(fedclamp("inspect", path, "--json").stdout)["configuration"]["attack"] == "fm"]
    alone, older = tmp_path / "alone.h5", tmp_path / "older.h5"
    shutil.copy(cell, alone)
    shutil.copy(cell, older)
    fedclamp("run", "--resume", alone, "--rounds", 3, cwd="/")
    with h5py.File(older, "r+") as stored:
        values = json.loads(stored["config/json"][()])
        values["data"], values["synthetic"] = "", "tiny-fm.h5"
        del stored["config/json"]
        stored["config/json"] = json.dumps(values).encode()
    refused("run", "--resume", older, "--rounds", 3, says=["no path of its data set (tiny) and no file tiny-fm.h5", "--data FILE.h5 and --synthetic FILE.h5"],
            folder=tmp_path, cwd="/")
    fedclamp("run", "--resume", older, "--rounds", 3, "--data", data, "--synthetic", fm, cwd="/")
    assert not differing(contents(alone), contents(older))
    fedclamp("run", "--resume", cell, "--defense", "clp")
    fedclamp("sweep", file, "--data", data, "--synthetic", fm, "--out", out)
