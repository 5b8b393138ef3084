"""Faults of the machine: the last good file stays and opens, the message says what happened, the run can go on."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import h5py
import numpy as np
import pytest

from support import BINARY, contents, differing, fedclamp, refused, write_split

GROWS = ["--attack", "both", "--defense", "foolsgold", "--seed", 3]      # its memory of the clients makes the file grow
ENDLESS = ["--rounds", 100_000]


def started(*arguments, wait_for=None, **options):
    """The program in the background, once `wait_for` is there."""
    program = subprocess.Popen([BINARY, *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, **options)
    deadline = time.monotonic() + 60
    while wait_for is not None and not wait_for() and program.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    return program


def ended(program, code):
    _, errors = program.communicate(timeout=60)
    assert program.returncode == code, errors
    return errors


def rounds(path):
    with h5py.File(path) as file:
        return int(file["state/finished_rounds"][()])


@pytest.fixture
def disk(tmp_path):
    """mount(options): a file system of its own at tmp_path/disk."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(*options):
        done = subprocess.run(["mount", *options, "-t", "tmpfs", "none", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"mounting needs rights: {done.stderr.strip()}")
        return folder

    yield mount
    subprocess.run(["umount", "-l", folder], capture_output=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny):
    path = tmp_path_factory.mktemp("whole") / "out.h5"
    fedclamp("run", *tiny, *GROWS, "--out", path)
    return contents(path)


# --- the disk ------------------------------------------------------------------------------------------------------

def test_file_limit_in_a_round(tmp_path, tiny, whole):
    """A quota that the first save fits in and the next does not: the first stays, and goes on where there is room."""
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 20, 5 << 20))
    out = tmp_path / "out.h5"
    done = fedclamp("run", *tiny, *GROWS, "--out", out, code=2, preexec_fn=limit, restore_signals=False)
    assert "out.h5" in done.stderr.splitlines()[-1] and "File too large" in done.stderr
    assert rounds(out) == 0 and [p.name for p in tmp_path.iterdir()] == ["out.h5"]
    fedclamp("run", *tiny, *GROWS, "--out", out, "--resume")
    assert not differing(contents(out), whole)


def test_full_disk(tiny, whole, disk):
    folder = disk("-o", "size=10m")
    done = fedclamp("run", *tiny, *GROWS, "--out", folder / "out.h5", code=2)
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert rounds(folder / "out.h5") == 0 and [p.name for p in folder.iterdir()] == ["out.h5"]
    subprocess.run(["mount", "-o", "remount,size=100m", folder], check=True)
    fedclamp("run", *tiny, *GROWS, "--out", folder / "out.h5", "--resume")
    assert not differing(contents(folder / "out.h5"), whole)


def test_read_only_disk(tiny, whole, disk):
    """Told before the work; what is there stays, and goes on once it may be written."""
    folder = disk()
    out = folder / "out.h5"
    program = started("run", *tiny, *ENDLESS, "--out", out, wait_for=out.exists)
    program.send_signal(signal.SIGINT)
    ended(program, 130)
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
    before = out.read_bytes()
    refused("run", *tiny, *ENDLESS, "--out", out, "--resume", says=["out.h5", "Read-only file system"], timeout=20)
    refused("run", *tiny, "--out", folder / "other.h5", says=["other.h5", "Read-only file system"])
    assert out.read_bytes() == before and rounds(out) >= 0
    subprocess.run(["mount", "-o", "remount,rw", folder], check=True)
    program = started("run", *tiny, *ENDLESS, "--out", out, "--resume")
    time.sleep(1)
    program.send_signal(signal.SIGTERM)
    ended(program, 143)


def test_folder_without_rights(data, fm):
    """As somebody to whom nothing belongs, since root may write anywhere; in a folder that such a one may enter."""
    def drop():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
    with tempfile.TemporaryDirectory(prefix="fedclamp-shared-") as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        for path in (BINARY, data, fm):
            shutil.copy(path, folder)
        (folder / "results").mkdir(mode=0o555)
        command = ["run", "--data", folder / data.name, "--synthetic", folder / fm.name, "--clients", "4", "--out", folder / "results/out.h5"]
        done = subprocess.run([folder / BINARY.name, *command], capture_output=True, text=True, timeout=20, preexec_fn=drop)
        assert done.returncode == 2 and "out.h5" in done.stderr and "Permission denied" in done.stderr, done.stderr
        assert not list((folder / "results").iterdir())


def test_vanished_folder(tmp_path, tiny):
    folder = tmp_path / "results"
    folder.mkdir()
    program = started("run", *tiny, *ENDLESS, "--out", folder / "out.h5", wait_for=(folder / "out.h5").exists)
    folder.rename(tmp_path / "moved")
    assert "out.h5" in ended(program, 2).splitlines()[-1]
    assert rounds(tmp_path / "moved/out.h5") >= 0


def test_vanished_input(tmp_path, tiny, data, fm):
    """Data are read once: a run outlives them. To go on it needs them again, and says which."""
    mine, out = tmp_path / "mine.h5", tmp_path / "out.h5"
    mine.write_bytes(data.read_bytes())
    options = [*tiny, "--data", mine, "--out", out]
    program = started("run", *options, *ENDLESS, wait_for=out.exists)
    mine.unlink()
    seen = rounds(out)
    while rounds(out) < seen + 2 and program.poll() is None:
        time.sleep(0.01)
    program.send_signal(signal.SIGTERM)
    ended(program, 143)
    before = out.read_bytes()
    done = fedclamp("run", *options, *ENDLESS, "--resume", code=2)
    assert "mine.h5" in done.stderr and "No such file" in done.stderr
    assert out.read_bytes() == before


# --- pipes ---------------------------------------------------------------------------------------------------------

def test_closed_pipes(tmp_path, tiny):
    """Nobody reads: the run is finished and saved all the same."""
    for name, stream, code in (("out", "stdout", 2), ("err", "stderr", 0)):
        reader, writer = os.pipe()
        os.close(reader)
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | {stream: writer}
        done = subprocess.run([BINARY, "run", *map(str, tiny), "--out", tmp_path / f"{name}.h5"], stdin=subprocess.DEVNULL, timeout=60, **streams)
        os.close(writer)
        assert done.returncode == code
        assert rounds(tmp_path / f"{name}.h5") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["err.h5", "out.h5"]


def test_full_device_as_stdout(clean_run):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "inspect", clean_run], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2 and "stdout: cannot write: No space left on device" in done.stderr


# --- two processes on one output -----------------------------------------------------------------------------------

def test_second_process(tmp_path, tiny, clean_run):
    out = tmp_path / "out.h5"
    first = started("run", *tiny, *ENDLESS, "--out", out, wait_for=out.exists)
    for more in (["--resume"], ["--overwrite"], []):
        done = fedclamp("run", *tiny, *ENDLESS, "--out", out, *more, code=2)
        assert f"in use by process {first.pid} on host {os.uname().nodename} since 20" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    (tmp_path / "link.h5").symlink_to("out.h5")
    refused("run", *tiny, "--out", tmp_path / "link.h5", "--overwrite", says="in use by process")
    fedclamp("run", *tiny, "--rounds", 1, "--out", tmp_path / "other.h5")
    first.kill()
    first.communicate()
    assert (tmp_path / "out.h5.lock").exists(), "a killed process leaves it behind"
    (tmp_path / "out.h5.partial-1-abc").write_bytes(b"half a file of a killed process")
    fedclamp("run", *tiny, "--out", out, "--overwrite")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.h5", "other.h5", "out.h5"]
    assert not differing(contents(out), contents(clean_run))


def stop_without(lock, copy):
    """Stops a copy as soon as it has let go of the lock, the first thing that it does. Raises OSError when it has ended."""
    while str(lock) in [os.readlink(entry) for entry in pathlib.Path(f"/proc/{copy}/fd").iterdir()]:
        pass
    os.kill(copy, signal.SIGSTOP)
    while (state := pathlib.Path(f"/proc/{copy}/stat").read_text().rsplit(")", 1)[1].split()[0]) not in "TZX":
        pass
    if state != "T":
        raise ProcessLookupError


def test_killed_while_a_copy_reads(tmp_path, tiny):
    """The lock goes with the process, not with the copy of it that reads a file first: stopped here, and then orphaned."""
    out = tmp_path / "out.h5"
    fedclamp("run", *tiny, *GROWS, "--rounds", 3, "--out", out)
    for _ in range(40):
        program, copy = started("run", *tiny, *GROWS, "--rounds", 3, "--out", out, "--resume"), None
        while program.poll() is None and copy is None:
            try:
                children = pathlib.Path(f"/proc/{program.pid}/task/{program.pid}/children").read_text().split()
                lock = tmp_path / "out.h5.lock"         # one that names another process is left from the last time
                if children and lock.read_text().startswith(f"process {program.pid} "):
                    stop_without(lock, int(children[0]))
                    copy = int(children[0])
            except OSError:
                continue
        program.kill()
        program.wait()                  # its pipes may live on in the copy
        if copy is None:
            continue                    # it was faster
        try:
            fedclamp("run", *tiny, *GROWS, "--rounds", 3, "--out", out, "--resume")
        finally:
            try:
                os.kill(copy, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return
    pytest.fail("no copy was seen")


def test_second_process_on_a_folder(tmp_path, data, fm):
    out, files = tmp_path / "out", ["--data", data, "--synthetic", fm]
    first = started("reproduce", "main", *files, "--out", out, wait_for=lambda: any(out.glob("cells/*.h5")))
    refused("reproduce", "main", *files, "--out", out, says=[f"in use by process {first.pid}"])
    refused("merge", out, "--out", out, says=[f"in use by process {first.pid}"])
    first.send_signal(signal.SIGINT)
    ended(first, 130)
    assert not list(out.rglob("*.lock")) and not list(out.rglob("*partial*"))


# --- memory --------------------------------------------------------------------------------------------------------

def address_space(bytes_):
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (bytes_, bytes_))


def test_plan_larger_than_memory(tmp_path, data, fm):
    """Said before the start, with the figures."""
    options = ["--data", data, "--synthetic", fm, "--clients", 160, "--malicious", 0, "--threads", 100]
    done = refused("run", *options, "--out", tmp_path / "out.h5", says=["not enough memory", "MiB", "ulimit -v", "--threads"], folder=tmp_path,
                   preexec_fn=address_space(1500 << 20), timeout=20)
    needed, free = [int(word.split(" MiB")[0].split()[-1]) for word in (done.stderr.split("takes")[1], done.stderr.split("), ")[1])]
    assert needed > free and needed > 2000


def test_plan_is_what_a_run_takes(tmp_path, data, fm):
    """The figure is neither far below what the run then takes, nor far above."""
    options = ["--data", data, "--synthetic", fm, "--clients", 16, "--malicious", 0, "--rounds", 1, "--threads", 8]
    done = refused("run", *options, "--out", tmp_path / "out.h5", says="not enough memory", preexec_fn=address_space(220 << 20))
    needed = int(done.stderr.split("takes")[1].split(" MiB")[0])
    program = subprocess.Popen([BINARY, "run", *map(str, options), "--out", tmp_path / "out.h5"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(program.pid, 0)
    assert status == 0
    assert 0.6 * needed < (usage.ru_maxrss >> 10) - 40 < 1.25 * needed


def test_plan_within_memory(tmp_path, tiny):
    """The plan is no alarmist's: a small run fits into little."""
    fedclamp("run", *tiny, "--rounds", 1, "--threads", 2, "--out", tmp_path / "out.h5", preexec_fn=address_space(700 << 20))


def test_data_larger_than_memory(tmp_path, fm):
    """600 MB of pixels, honestly stored (a sparse file), and 400 MB to hold them."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        for split, count in (("train", 800_000), ("test", 10)):
            group = file.create_group(split)
            group.create_dataset("labels", data=np.zeros(count, np.uint8))
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            plist.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            h5py.h5d.create(group.id, b"images", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((count, 1, 28, 28)), plist)
    refused("run", "--data", tmp_path / "data.h5", "--synthetic", fm, "--out", tmp_path / "out.h5",
            says=["data.h5", "bytes of memory", "ulimit -v"], folder=tmp_path, preexec_fn=address_space(400 << 20))


# --- time and signals ----------------------------------------------------------------------------------------------

def test_time_adds_up(tmp_path, tiny):
    """Seconds go on from where an interrupted run stood, on a clock of their own in each boot of a machine."""
    out = tmp_path / "out.h5"
    program = started("run", *tiny, "--rounds", 12, "--out", out, wait_for=out.exists)
    program.send_signal(signal.SIGTERM)
    ended(program, 143)
    command = [BINARY, *map(str, ["run", *tiny, "--rounds", 12, "--out", out, "--resume"])]
    shifted = ["unshare", "--time", "--monotonic", "10000000", "--fork", *command]      # another boot, 115 days up
    if subprocess.run(["unshare", "--time", "--monotonic", "10000000", "--fork", "true"], capture_output=True).returncode == 0:
        command = shifted
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    with h5py.File(out) as file:
        seconds = file["timing/seconds"][:]
    assert len(seconds) == 13 and (np.diff(seconds) > 0).all() and 0 < seconds[-1] < 600


def test_second_signal(tmp_path, tiny):
    """The first lets the round end, the second does not."""
    program = started("run", *tiny, "--local-epochs", 100_000, "--out", tmp_path / "out.h5", wait_for=(tmp_path / "out.h5").exists)
    time.sleep(1.5)                     # the file is that of the initialisation: the first round begins behind it
    program.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        program.wait(1)
    program.send_signal(signal.SIGTERM)
    errors = ended(program, 143)
    assert "stopping at the end of this step, or in 4 s; once more ends at once" in errors
    assert rounds(tmp_path / "out.h5") == 0


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_to_other_commands(number, code):
    """What cannot go on later has nothing to finish."""
    program = started("bench")
    time.sleep(0.5)
    program.send_signal(number)
    begin = time.monotonic()
    assert "stopping at the end" not in ended(program, code)
    assert time.monotonic() - begin < 5


# --- exit codes ----------------------------------------------------------------------------------------------------

def test_exit_codes(tmp_path, tiny, clean_run, data):
    """The matrix in README."""
    (tmp_path / "bad.conf").write_text("rounds = 0\n")
    (tmp_path / "good.conf").write_text("rounds = 2\n")
    part = tmp_path / "part"
    fedclamp("reproduce", "main", *tiny[:4], "--shard", "9/9", "--out", part, timeout=300)
    matrix = [
        (0, ["inspect", clean_run]), (0, ["--version"]), (0, ["run", "--help"]),
        (1, ["merge", part, "--out", tmp_path / "all"]),
        (2, ["inspect", tmp_path / "none.h5"]), (2, ["evaluate", data, "--data", data]), (2, ["run", *tiny, "--out", clean_run]),
        (2, ["run", *tiny[:4], "--config", tmp_path / "bad.conf", "--out", tmp_path / "out.h5"]),
        (64, ["run", *tiny, "--rounds", 0, "--out", tmp_path / "out.h5"]), (64, ["inspekt", clean_run]), (64, ["run", *tiny]),
        (64, ["run", *tiny, "--config", tmp_path / "good.conf", "--rounds", 0, "--out", tmp_path / "out.h5"]),
    ]
    for code, arguments in matrix:
        fedclamp(*arguments, code=code)
