"""Slurm on one node: an array of shards and its merge give the tables of one sequential call."""
import os
import shutil
import subprocess
import time

import pytest

from support import BINARY, ROOT, fedclamp

if os.geteuid() != 0 or not shutil.which("slurmctld") or not shutil.which("munged"):
    pytest.skip("needs root, slurm-wlm and munge", allow_module_level=True)

SLURM = ROOT / "tools/slurm"
TABLES = ["main.md", "main.csv", "main.tex"]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment in which sbatch finds a node."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run([SLURM / "one-node.sh", "up", folder], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "FEDCLAMP": str(BINARY)}
    subprocess.run([SLURM / "one-node.sh", "down", folder], check=True)


@pytest.fixture(scope="module")
def sequential(tmp_path_factory, tiny):
    out = tmp_path_factory.mktemp("sequential") / "out"
    fedclamp("reproduce", *options(tiny), "--out", out, timeout=900)
    return out


def options(tiny):
    return ["main", "--scale", "smoke", "--data", tiny[0], "--synthetic", tiny[1]]


def submit(slurm, *arguments, code=0):
    done = subprocess.run([SLURM / "reproduce.sh", *map(str, arguments)], env=slurm, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done


def jobs(slurm, states="all"):
    """{job: state} of the queue."""
    shown = subprocess.run(["squeue", "--noheader", "--array", "--states", states, "--format", "%i %T %j"], env=slurm, capture_output=True, text=True, check=True)
    return {line.split()[0]: line.split()[1] for line in shown.stdout.splitlines()}


def wait(slurm, seconds=600):
    end = time.monotonic() + seconds
    while left := jobs(slurm, "PENDING,RUNNING,COMPLETING,CONFIGURING,SUSPENDED"):
        assert time.monotonic() < end, left
        time.sleep(0.5)


def same_tables(a, b):
    return all((a / name).read_bytes() == (b / name).read_bytes() for name in TABLES)


def test_four_shards(tmp_path, slurm, sequential, tiny):
    done = submit(slurm, 4, tmp_path / "out", *options(tiny))
    assert "4 shards" in done.stdout
    assert "in the queue" in submit(slurm, 4, tmp_path / "out", *options(tiny), code=2).stderr
    wait(slurm)
    assert set(jobs(slurm).values()) == {"COMPLETED"}, "".join(p.read_text() for p in (tmp_path / "out/log").iterdir())
    assert all((tmp_path / f"out/part-{i}").is_dir() for i in range(1, 5))
    assert same_tables(tmp_path / "out/merged", sequential)


@pytest.mark.parametrize("how", [[], ["--batch", "--signal=USR1"]], ids=["cancelled", "as-before-a-time-limit"])
def test_resubmit(tmp_path, slurm, sequential, tiny, how):
    """Stopped in the middle, submitted again: what was finished stays, the rest is done, the tables are the same."""
    folder = tmp_path / "out"
    submit(slurm, 4, folder, *options(tiny))
    end = time.monotonic() + 300
    while not list(folder.glob("part-*/cells/*.h5")):
        assert time.monotonic() < end
        time.sleep(0.2)
    stopped = jobs(slurm, "RUNNING") if how else {job.split("_")[0] for job in jobs(slurm, "PENDING,RUNNING")}
    subprocess.run(["scancel", *how, *stopped], env=slurm, check=True)
    wait(slurm)
    if how:
        shown = subprocess.run(["scontrol", "show", "job"], env=slurm, capture_output=True, text=True, check=True).stdout
        assert "ExitCode=138:0" in shown, shown
    assert not (folder / "merged/main.md").exists() or not same_tables(folder / "merged", sequential)
    submit(slurm, 4, folder, *options(tiny))
    wait(slurm)
    assert same_tables(folder / "merged", sequential)


def test_usage(tmp_path, slurm):
    assert "SHARDS DIR" in submit(slurm, "many", tmp_path, code=64).stderr
    assert "not there" in submit({**slurm, "FEDCLAMP": "/nowhere/fedclamp"}, 2, tmp_path / "x", code=2).stderr


def test_parallel(tmp_path, sequential, tiny):
    """The one-liner for GNU parallel, and the one for xargs that needs nothing."""
    if not shutil.which("parallel"):
        pytest.skip("GNU parallel is not installed")
    command = f"{BINARY} reproduce {' '.join(map(str, options(tiny)))} --threads 1 --shard {{}}/4 --out part-{{}}"
    done = subprocess.run(["bash", "-c", f"seq 1 4 | parallel --will-cite -j 2 --resume-failed --joblog job.log '{command}' && {BINARY} merge part-{{1..4}} --out all"],
                          cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert same_tables(tmp_path / "all", sequential)
