"""Where the program runs: file systems, users, environments, what is missing there."""

import contextlib
import fcntl
import os
import shutil
import stat
import subprocess

import pytest

from support import BINARY
from surroundings import STRANGER, cell, drop, need_root

# --- what is missing --------------------------------------------------------------------------------------------------


def missing(name, *commands, **options):
    @cell("places without something", name)
    def run(place):
        place.trains("--threads", 2, wrap=place.mounted(*commands), **options)
        place.nothing_left()


missing("no /proc", "mount -t tmpfs none /proc")
missing("no /dev", "mount -t tmpfs none /dev", stdin=None)
missing("no /sys", "mount -t tmpfs none /sys")
missing("no /etc", "mount -t tmpfs none /etc")
missing("an empty /proc/self/mountinfo", "mount --bind /dev/null /proc/$$/mountinfo")
missing("an empty /proc/meminfo", "mount --bind /dev/null /proc/meminfo")
missing("an empty /proc/self/cgroup", "mount --bind /dev/null /proc/$$/cgroup")


def bare(name, **options):
    @cell("places without something", name)
    def run(place):
        place.trains(**options)
        place.nothing_left()


bare("no environment", env={})
bare("a HOME that is not there", env={"HOME": "/nowhere", "TMPDIR": "/nowhere"})
bare("an unusable /tmp", env={"TMPDIR": "/proc"})
bare("closed stdin", stdin=None, before=lambda: os.close(0))
bare("closed stdin and stderr", before=lambda: (os.close(0), os.close(2)))


@cell("places without something", "closed stdout")
def no_stdout(place):
    place.run(*place.training(), before=lambda: os.close(1), code=2)
    place.run("inspect", place.out)


@cell("places without something", "nothing but the program: chroot")
def chroot(place):
    need_root()
    for path in (BINARY, place.data, place.fm):
        shutil.copy(path, place.folder)
    done = subprocess.run(
        [
            "chroot",
            place.folder,
            f"/{BINARY.name}",
            "run",
            "--data",
            "/data.h5",
            "--synthetic",
            "/fm.h5",
            "--out",
            "/out.h5",
            "--clients",
            "2",
            "--malicious",
            "0",
            "--rounds",
            "1",
            "--batch",
            "8",
            "--initial-epochs",
            "0",
            "--fusion-epochs",
            "0",
        ],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=20,
    )
    if done.returncode == 125:
        pytest.skip("this container does not allow chroot")
    assert done.returncode == 0, done.stderr


@cell("places without something", "a working folder that was removed")
def gone(place):
    (place.folder / "gone").mkdir()
    place.run(*place.training(), cwd=place.folder / "gone", before=lambda: os.rmdir(place.folder / "gone"))
    place.run(
        *place.training(out="out.h5"),
        cwd=place.folder,
        before=lambda: (os.mkdir("g"), os.chdir("g"), os.rmdir("../g")),
        code=2,
        says="No such file or directory",
    )


# --- languages, masks -------------------------------------------------------------------------------------------------


def locale(name):
    @cell("locales and umasks", f"LC_ALL={name}")
    def run(place):
        place.trains(env={"LC_ALL": name, "LANG": name, "LANGUAGE": name, "TZ": "Asia/Kathmandu"})
        place.run("evaluate", place.out, "--data", place.data, "--json", says='"accuracy": 0.', env={"LC_ALL": name})


for language in ("tr_TR.UTF-8", "de_DE.UTF-8", "ja_JP.eucJP", "C", "POSIX", "xx_YY", "../../etc"):
    locale(language)


def mask(value):
    @cell("locales and umasks", f"umask {value:03o}")
    def run(place):
        place.run(*place.importing(), before=lambda: os.umask(value))
        place.run(*place.importing("--overwrite"), before=lambda: os.umask(value))
        assert stat.S_IMODE(place.out.stat().st_mode) == 0o666 & ~value
        place.nothing_left()


for number in (0, 0o002, 0o022, 0o027, 0o077, 0o777):
    mask(number)


@cell("locales and umasks", "umask 777 as anyone but root")
def shut(place):
    """Nobody may read it, as told; it is written all the same."""
    need_root()
    os.chown(place.folder, STRANGER, STRANGER)
    reachable(place.folder)
    place.run(*place.importing(), before=lambda: (drop()(), os.umask(0o777)))
    assert stat.S_IMODE(place.out.stat().st_mode) == 0


# --- users ------------------------------------------------------------------------------------------------------------


def reachable(folder):
    """For other users: pytest's folders, one more of them where several workers run."""
    for above in folder.parents:
        above.chmod(0o755)
        if above.name.startswith("pytest-of-"):
            return


@contextlib.contextmanager
def shared(place, mode):
    """A folder for all users with the lock that a dead run of user 1 left in it."""
    need_root()
    reachable(place.folder)
    folder = place.folder / "shared"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "out.h5.lock").write_text("process 4711 on host gone since 2026-01-01\n")
    (folder / "out.h5.lock").chmod(mode)
    os.chown(folder / "out.h5.lock", 1, 1)
    place.folder.chmod(0o755)
    yield folder


def dead_lock(name, mode, sticky, code=0, says=()):
    @cell("locks of other users", name)
    def run(place):
        with shared(place, mode) as folder:
            if sticky:
                folder.chmod(0o1777)
            place.run(*place.importing(out=folder / "out.h5"), before=drop(), code=code, says=says)
            assert (folder / "out.h5").exists() == (code == 0)
            assert (folder / "out.h5.lock").exists() == (sticky or code != 0), "who may remove it does"


dead_lock("a dead one that all may read", 0o644, False)
dead_lock("a dead one that all may write", 0o666, False)
dead_lock("a dead one in a folder like /tmp", 0o644, True)
dead_lock("one that nobody else may open", 0o600, False, 2, ["out.h5.lock", "another user", "remove it"])


@cell("locks of other users", "a living one")
def living(place):
    with shared(place, 0o644) as folder, open(folder / "out.h5.lock") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        place.run(
            *place.importing(out=folder / "out.h5"), before=drop(), code=2, says="in use by process 4711 on host gone"
        )
        assert not (folder / "out.h5").exists()


@cell("locks of other users", "the lock is for all, whatever the umask")
def open_lock(place):
    """Seen while a slow rename keeps it."""
    if place.launcher is None:
        pytest.skip("no C compiler for the launcher")
    process = subprocess.Popen(
        [place.launcher, "rename~3000", "--", BINARY, *map(str, place.importing())], preexec_fn=lambda: os.umask(0o077)
    )
    lock = place.folder / "out.h5.lock"
    while process.poll() is None and not (lock.exists() and lock.stat().st_size):
        pass
    mode = stat.S_IMODE(lock.stat().st_mode)
    assert process.wait(20) == 0
    assert mode == 0o666


@cell("locks of other users", "another user's result is not replaced where that is not allowed")
def theirs(place):
    need_root()
    reachable(place.folder)
    place.out.write_bytes(b"theirs")
    place.folder.chmod(0o755)
    place.run(*place.importing("--overwrite"), before=drop(), code=2, says=["out.h5", "Permission denied"])
    assert place.out.read_bytes() == b"theirs"


@cell("locks of other users", "data that may not be read")
def secret(place):
    need_root()
    reachable(place.folder)
    place.folder.chmod(0o777)
    shutil.copy(place.data, place.folder / "mine.h5")
    (place.folder / "mine.h5").chmod(0)
    place.run("inspect", place.folder / "mine.h5", before=drop(), code=2, says="Permission denied", cwd="/")


@cell("locks of other users", "a folder that may be written but not read")
def blind(place):
    need_root()
    reachable(place.folder)
    os.chown(place.folder, STRANGER, STRANGER)
    place.folder.chmod(0o300)
    place.run(*place.importing(), before=drop(), cwd="/")
    place.folder.chmod(0o755)
    assert place.out.exists()
    place.nothing_left()


# --- disks ------------------------------------------------------------------------------------------------------------


def disk(name, options, code, says=(), after=()):
    @cell("slow and full disks", name)
    def run(place):
        (place.folder / "disk").mkdir()
        commands = [
            f"mount -t tmpfs -o {options} none {place.folder}/disk",
            *[c.format(disk=f"{place.folder}/disk") for c in after],
        ]
        place.run(
            *place.training(out=place.folder / "disk/out.h5"), wrap=place.mounted(*commands), code=code, says=says
        )


disk("room for all", "size=50m", 0)
disk("room for one save alone", "size=3m", 2, ["out.h5", "No space left on device"])
disk("no room", "size=4k", 2, ["out.h5", "No space left on device"])
disk("no more names", "nr_inodes=2", 2, ["out.h5", "No space left on device"])
disk("read-only", "size=50m", 2, ["out.h5", "Read-only file system"], ["mount -o remount,ro {disk}"])
disk("noexec, nodev, nosuid", "size=50m,noexec,nodev,nosuid", 0)


@cell("slow and full disks", "a read-only root")
def read_only_root(place):
    """Results go where something may be written."""
    place.trains(wrap=place.mounted(f"mount --rbind {place.folder} {place.folder}", "mount -o remount,bind,ro /"))


@cell("slow and full disks", "stdout is full")
def full_stdout(place):
    with open("/dev/full", "w") as full:
        place.run("inspect", place.data, stdout=full, code=2, says="stdout: cannot write: No space left on device")


@cell("slow and full disks", "stderr is full")
def full_stderr(place):
    with open("/dev/full", "w") as full:
        place.trains(stderr=full)
