"""What a power failure may find: the calls of every save in their order, and an end or an error at each of them. strace sees
and injects them; without it, or where it may not trace, these tests are skipped."""
import re
import shutil
import subprocess

import h5py
import pytest

from support import BINARY, contents, differing, fedclamp

STRACE = shutil.which("strace")
if not STRACE or subprocess.run([STRACE, "-o", "/dev/null", "true"], capture_output=True).returncode:
    pytest.skip("needs strace and the right to trace", allow_module_level=True)

OPTIONS = ["--attack", "both", "--neurotoxin", 0.1, "--defense", "foolsgold", "--seed", 3]


def traced(log, *arguments, inject=()):
    """The program under strace, with faults in some of its calls; threads each have lines of their own in `log`."""
    command = [STRACE, "-f", "-y", "-qq", "-o", log, "-e", "trace=fsync,rename,unlink,pwrite64", *(f"--inject={i}" for i in inject), BINARY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL)


def calls(log):
    """(call, what it was given) in order, of those that ended well."""
    return [(m[1], m[2]) for m in re.finditer(r"^\d+ +(\w+)\((.*)\) += \d+$", log.read_text(), re.M)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("power") / "out.h5"
    fedclamp("run", *tiny, *OPTIONS, "--out", path)
    return contents(path)


def test_synced_before_and_after_the_rename(tmp_path, tiny):
    """For each of the three saves: the new file's bytes reach the disk before its name does, and then the name."""
    out, log = tmp_path / "out.h5", tmp_path / "log"
    done = traced(log, "run", *tiny, *OPTIONS, "--out", out)
    assert done.returncode == 0, done.stderr
    seen = [(call, given) for call, given in calls(log) if call in ("fsync", "rename")]
    renames = [k for k, (call, given) in enumerate(seen) if call == "rename" and f'"{out}"' in given]
    assert len(renames) >= 3, seen
    for k in renames:
        temporary = re.match(r'"([^"]*\.partial-[^"]*)"', seen[k][1])[1]
        assert seen[k - 1][0] == "fsync" and temporary in seen[k - 1][1], seen[k - 1:k + 2]
        assert seen[k + 1][0] == "fsync" and seen[k + 1][1].endswith(f"<{tmp_path}>"), seen[k - 1:k + 2]


@pytest.mark.parametrize("call, number", [("fsync", 3), ("rename", 2), ("fsync", 4)], ids=["before the file is synced", "before the rename", "before the folder is synced"])
def test_ended_within_the_second_save(tmp_path, tiny, whole, call, number):
    """As by a power failure: the round before, or this one, is there whole, and goes on to the same bits."""
    out = tmp_path / "out.h5"
    done = traced(tmp_path / "log", "run", *tiny, *OPTIONS, "--out", out, inject=[f"{call}:signal=SIGKILL:when={number}"])
    assert done.returncode in (-9, 137), (done.returncode, done.stderr)
    with h5py.File(out) as file:
        assert file["state/finished_rounds"][()] in (0, 1)
    fedclamp("run", *tiny, *OPTIONS, "--out", out, "--resume")
    assert not differing(contents(out), whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "out.h5"]


@pytest.fixture(scope="module")
def first_save(tmp_path_factory, tiny):
    """{call: how many of them the first save takes}."""
    folder = tmp_path_factory.mktemp("calls")
    traced(folder / "log", "run", *tiny, *OPTIONS, "--out", folder / "out.h5")
    names = [name for name, _ in calls(folder / "log")]
    end = names.index("rename")
    return {"pwrite64": names[:end].count("pwrite64"), "rename": 1, "fsync": names[:end + 2].count("fsync")}


@pytest.mark.parametrize("call, code, says", [("pwrite64", "EDQUOT", "Disk quota exceeded"), ("pwrite64", "EIO", "Input/output error"),
                                              ("fsync", "EIO", "Input/output error"), ("fsync", "EDQUOT", "Disk quota exceeded"),
                                              ("rename", "EACCES", "Permission denied")])
def test_failed_second_save(tmp_path, tiny, whole, first_save, call, code, says):
    """A disk that dies, a quota, a folder that may no longer be written: said with the file's name; the last file stays."""
    out, number = tmp_path / "out.h5", first_save[call] + (5 if call == "pwrite64" else 1)
    done = traced(tmp_path / "log", "run", *tiny, *OPTIONS, "--out", out, inject=[f"{call}:error={code}:when={number}"])
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "out.h5" in last and says in last, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log", "out.h5"]
    with h5py.File(out) as file:
        assert file["state/finished_rounds"][()] == 0
    fedclamp("run", *tiny, *OPTIONS, "--out", out, "--resume")
    assert not differing(contents(out), whole)
