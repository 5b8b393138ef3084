"""tools/slurm/reproduce.sh with an sbatch that keeps what it is given, and this test in Slurm's place: Tests/cluster has Slurm itself."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from support import BINARY, ROOT, fedclamp

SBATCH = """#!{python}
import json, pathlib, sys
jobs = pathlib.Path("{jobs}")
jobs.write_text(json.dumps((json.loads(jobs.read_text()) if jobs.exists() else []) + [sys.argv[1:]]))
print(4710 + len(json.loads(jobs.read_text())))
"""


@pytest.fixture()
def submitted(tmp_path):
    """Calls reproduce.sh; the words of each call of sbatch: the array, then the merge."""
    tools, jobs = tmp_path / "bin", tmp_path / "jobs.json"
    tools.mkdir()
    (tools / "sbatch").write_text(SBATCH.format(python=sys.executable, jobs=jobs))
    (tools / "squeue").write_text("#!/bin/sh\n")
    for tool in tools.iterdir():
        tool.chmod(0o755)

    def call(*words, **environment):
        jobs.unlink(missing_ok=True)
        subprocess.run(["bash", ROOT / "tools/slurm/reproduce.sh", *map(str, words)], check=True, stdout=subprocess.DEVNULL, timeout=20,
                       env=os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "FEDCLAMP": str(BINARY)} | environment)
        return json.loads(jobs.read_text())

    return call


def start(job, task):
    """What Slurm does with a batch script."""
    script = "#!/bin/sh\n" + job[job.index("--wrap") + 1] + "\n"
    return subprocess.Popen(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=os.environ | {"SLURM_ARRAY_TASK_ID": str(task), "SLURM_CPUS_PER_TASK": "1"})


def before_the_limit(job):
    """(signal, seconds) that Slurm would send the batch shell; the last word counts."""
    asked = [re.fullmatch(r"--signal=B:(\w+)@(\d+)", word) for word in job]
    name, seconds = [match for match in asked if match][-1].groups()
    return signal.Signals[f"SIG{name}"], int(seconds)


def test_a_time_limit_loses_nothing(tmp_path, data, fm, submitted):
    """The signal comes within a training; the same call again ends with the tables of a call that was never stopped."""
    options = ["main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--row", "norm-clip", "--column", "clean"]
    folder = tmp_path / "out"
    array, merge = submitted(1, folder, *options)
    number, seconds = before_the_limit(array)
    assert seconds >= 10, "the program may take 5 s, a slow disk more"
    job = start(array, 1)
    while not list(folder.glob("part-1/cells/*.h5")) and job.poll() is None:
        time.sleep(0.01)
    job.send_signal(number)
    begin = time.monotonic()
    errors = job.communicate(timeout=30)[1]
    assert job.returncode == 128 + number and time.monotonic() - begin < 5.5, errors
    assert not (folder / "part-1/main.md").exists()

    array, merge = submitted(1, folder, *options)
    again = start(array, 1)
    errors = again.communicate(timeout=120)[1]
    assert again.returncode == 0, errors
    start(merge, 0).communicate(timeout=60)
    fedclamp("reproduce", *options, "--threads", 1, "--out", tmp_path / "whole")
    merged = (folder / "merged/main.csv").read_text()
    assert merged == (tmp_path / "whole/main.csv").read_text() and re.search("norm-clip,clean,mean,,[0-9]", merged), merged


def test_own_options_win(tmp_path, submitted):
    array, _ = submitted(2, tmp_path / "out", "main", SBATCH_OPTIONS="--time=4:00:00 --signal=B:TERM@120")
    assert before_the_limit(array) == (signal.SIGTERM, 120) and "--time=4:00:00" in array
