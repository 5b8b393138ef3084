"""System calls that containers and file systems refuse, limits, threads, CPU quotas."""

import contextlib
import errno
import json
import os
import pathlib
import re
import resource
import subprocess

import pytest

from surroundings import cell, drop, limit, need_root

# --- system calls that a container's filter refuses -------------------------------------------------------------------

# Some have another way (clone3, statx, getrandom, faccessat2), some serve comfort alone (prctl, fchmod, uname).
CALLS = [
    "clone3",
    "clone",
    "statx",
    "getrandom",
    "io_uring_setup",
    "sched_getaffinity",
    "prlimit64",
    "madvise",
    "membarrier",
    "pipe2",
    "prctl",
    "uname",
    "rseq",
    "set_robust_list",
    "clock_nanosleep",
    "faccessat2",
    "fchmod",
    "readlink",
    "getcwd",
    "statfs",
    "sigaltstack",
]


def refuses(call, code):
    @cell("system calls refused by a container", f"{call}: {errno.errorcode[code]}")
    def run(place):
        note = "the system grants 1 of 3 threads" if (call, code) == ("clone3", errno.EPERM) else ""
        place.trains("--threads", 3, rules=[f"{call}={code}"], says=note)
        place.nothing_left()


for name in CALLS:
    for number in (errno.EPERM, errno.ENOSYS):
        refuses(name, number)


def threadless(command):
    @cell("threads that cannot be made", f"clone3 refused: {command[0]}")
    def run(place):
        arguments = [
            place.good / "reference.h5" if a == "CHECKPOINT" else place.data if a == "DATA" else a for a in command
        ]
        place.run(*arguments, "--threads", 2, rules=[f"clone3={errno.EPERM}"], says="the system grants 1 of 2 threads")

    @cell("threads that cannot be made", f"ulimit -u 1: {command[0]}")
    def limited(place):
        need_root()
        arguments = [
            place.good / "reference.h5" if a == "CHECKPOINT" else place.data if a == "DATA" else a for a in command
        ]
        place.run(*arguments, "--threads", 2, before=drop(NPROC=1), cwd="/", says="the system grants 1 of 2 threads")


for words in (["selftest", "--quick"], ["bench", "--seconds", "0.01"], ["evaluate", "CHECKPOINT", "--data", "DATA"]):
    threadless(words)


def granted(most):
    @cell("threads that cannot be made", f"ulimit -u {most}: run on {most} of 4")
    def run(place):
        need_root()
        os.chown(place.folder, 54321, 54321)
        for folder in list(place.folder.parents)[:2]:
            folder.chmod(0o755)
        place.trains(
            "--threads", 4, before=drop(NPROC=most), says=[f"the system grants {most} of 4 threads", f", {most} thread{'s' if most > 1 else ''}, "]
        )


for number in (1, 2, 3):
    granted(number)


@cell("threads that cannot be made", "a progress bar on a terminal")
def terminal(place):
    """The bar wants a thread of its own, and does without."""
    main, side = os.openpty()
    try:
        place.trains(rules=[f"clone3={errno.EPERM}"], stderr=side)
    finally:
        os.close(side)
    shown = os.read(main, 100_000).decode()
    os.close(main)
    assert "100 %" in shown or "%" in shown, shown


@cell("threads that cannot be made", "a bar that has its thread")
def terminal_with_threads(place):
    main, side = os.openpty()
    try:
        place.trains("--threads", 2, stderr=side)
    finally:
        os.close(side)
    shown = os.read(main, 100_000).decode()
    os.close(main)
    assert "%" in shown, shown


# --- shares and FUSE --------------------------------------------------------------------------------------------------


def sync(what, code, fails):
    @cell("shares and FUSE", f"fsync of a {what}: {errno.errorcode[code]}")
    def run(place):
        place.run(
            *place.importing(),
            rules=[f"fsync@{what}={code}"],
            code=2 if fails else 0,
            says=["out.h5: cannot sync to the disk", os.strerror(code)] if fails else [],
        )
        assert place.out.exists() == (not fails or what == "folder"), "the folder is synced after the rename"
        place.nothing_left()


for number in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EROFS, errno.EBADF):
    sync("folder", number, False)
for number in (errno.EIO, errno.ENOSPC, errno.EDQUOT):
    sync("folder", number, True)
    sync("file", number, True)
for number in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
    sync("file", number, False)


def rename(code):
    @cell("shares and FUSE", f"rename: {errno.errorcode[code]}")
    def run(place):
        """What was there stays."""
        place.out.write_bytes(b"what was there")
        place.run(
            *place.importing("--overwrite"),
            rules=[f"rename={code}"],
            code=2,
            says=["out.h5: cannot rename into place", os.strerror(code)],
        )
        assert place.out.read_bytes() == b"what was there"
        place.nothing_left()


for number in (
    errno.EACCES,
    errno.EPERM,
    errno.EXDEV,
    errno.EBUSY,
    errno.EIO,
    errno.ENOSPC,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOSYS,
):
    rename(number)


def lock(code, held):
    @cell("shares and FUSE", f"flock: {errno.errorcode[code]}")
    def run(place):
        place.run(
            *place.importing(),
            rules=[f"flock={code}"],
            code=2 if held else 0,
            says=(
                "out.h5: in use by"
                if held
                else ["out.h5: no lock here", os.strerror(code), "do not start a second process"]
            ),
        )
        assert place.out.exists() != held


for number in (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EBADF, errno.EIO):
    lock(number, False)
for number in (errno.EWOULDBLOCK, errno.EACCES):
    lock(number, True)


@cell("shares and FUSE", "a folder of results whose fsync is refused")
def folder(place):
    (place.folder / "part").mkdir()
    place.setting(place.folder / "part")
    place.run("merge", "part", "--out", "deep/er/all", rules=[f"fsync@folder={errno.ENOTSUP}"], code=1, says="missing")
    assert (place.folder / "deep/er/all/results.h5").exists()


def slow(call, milliseconds):
    @cell("slow and full disks", f"every {call} takes {milliseconds} ms")
    def run(place):
        place.trains(rules=[f"{call}~{milliseconds}"])


for name, number in (("fsync", 400), ("pwrite64", 5), ("pread64", 5), ("openat", 10), ("rename", 300), ("flock", 300)):
    slow(name, number)

# --- limits -----------------------------------------------------------------------------------------------------------


def limited(name, code, says, **limits):
    @cell("limits of a process", name)
    def run(place):
        if code == 0:
            place.trains("--threads", 2, before=limit(**limits))
        else:
            place.run(*place.training("--threads", 2), before=limit(**limits), code=code, says=says)
            assert not place.out.exists()
        place.nothing_left()


limited("3 files", 2, ["Too many open files"], NOFILE=3)
limited("4 files", 2, [], NOFILE=4)
limited("8 files", 0, [], NOFILE=8)
limited("a million files", 0, [], NOFILE=resource.getrlimit(resource.RLIMIT_NOFILE)[1])
limited("60 MB of address space", 2, ["memory"], AS=60 << 20)
limited("400 MB of address space", 0, [], AS=400 << 20)
limited("stack of 64 KB", 0, [], STACK=64 << 10)
limited("stack of 256 KB", 0, [], STACK=256 << 10)
limited("stack without limit", 0, [], STACK=resource.RLIM_INFINITY)
limited("files of 1 MB", 2, ["out.h5", "File too large"], FSIZE=1 << 20)
limited("files of 0 bytes", 2, ["out.h5"], FSIZE=0)
limited("no locked memory, no core file", 0, [], MEMLOCK=0, CORE=0)
limited("nothing to read within a second of processor time", 0, [], CPU=30)

# --- how many threads -------------------------------------------------------------------------------------------------


def threads_said(text):
    """Of a run's first lines: "seed 1, avx2, 2 threads, 33 image passes"."""
    return int(re.search(r", (\d+) threads?, ", text)[1])


def threads(place, **options):
    """How many threads a run says that it uses."""
    done = place.trains(**options)
    return threads_said(done.err)


@contextlib.contextmanager
def group(quotas, version=1):
    """Nested control groups with these quotas (parts of one core; None: none), outermost first."""
    need_root()
    root = pathlib.Path("/sys/fs/cgroup/cpu")
    if not (root / "cpu.cfs_quota_us").exists() and not (root / "cgroup.procs").exists():
        pytest.skip("no control groups of version 1 here")
    made, folder = [], root
    try:
        for number, quota in enumerate(quotas):
            folder = folder / f"fedclamp-{os.getpid()}-{number}"
            folder.mkdir()
            made.append(folder)
            (folder / "cpu.cfs_quota_us").write_text("-1" if quota is None else str(int(quota * 100_000)))
        yield folder
    except OSError as error:
        pytest.skip(f"no control group may be made here: {error}")
    finally:
        for folder in reversed(made):
            folder.rmdir()


def quota(name, quotas, expected):
    @cell("CPU quota and affinity", f"version 1, {name}")
    def run(place):
        with group(quotas) as folder:
            before = lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
            assert threads(place, before=before) == min(expected, len(os.sched_getaffinity(0)))


quota("half a core", [0.5], 1)
quota("one core", [1], 1)
quota("one and a half", [1.5], 2)
quota("none", [None], 1 << 20)
quota("one core in the group above", [1, None], 1)
quota("a group within a quota of one", [1, 0.7], 1)


def unified(name, files, path, expected):
    @cell("CPU quota and affinity", f"version 2, {name}")
    def run(place):
        """Files as the kernel has them, over the place where version 2 is mounted."""
        mounts = [line.split() for line in open("/proc/self/mountinfo") if " - cgroup2 " in line]
        if not mounts:
            pytest.skip("control groups of version 2 are not mounted")
        point = mounts[0][4]
        commands = [f"mount -t tmpfs none {point}", f"mkdir -p {point}{path}"]
        commands += [f"echo '{text}' > {point}{where}/cpu.max" for where, text in files.items()]
        (place.folder / "cgroup").write_text(f"0::{path}\n")
        commands += [f"mount --bind {place.folder}/cgroup /proc/$$/cgroup"]
        assert threads(place, wrap=place.mounted(*commands)) == min(expected, len(os.sched_getaffinity(0)))


unified("half a core", {"/pod": "50000 100000"}, "/pod", 1)
unified("one core in the group above", {"/pod": "100000 100000", "/pod/box": "max 100000"}, "/pod/box", 1)
unified("max", {"/pod": "max 100000"}, "/pod", 1 << 20)
unified("a period of its own", {"/pod": "15000 10000"}, "/pod", 2)
unified("damaged files", {"/pod": "many of them"}, "/pod", 1 << 20)
unified("a group that is seen as the root", {"": "20000 100000"}, "/", 1)


@cell("CPU quota and affinity", "one core by affinity")
def affinity(place):
    core = min(os.sched_getaffinity(0))
    assert threads(place, before=lambda: os.sched_setaffinity(0, {core})) == 1


@cell("CPU quota and affinity", "--threads is above the quota")
def asked(place):
    with group([0.5]) as folder:
        before = lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
        assert threads_said(place.trains("--threads", 3, before=before).err) == 3


@cell("CPU quota and affinity", "selftest says what it found")
def told(place):
    with group([0.5]) as folder:
        before = lambda: (folder / "cgroup.procs").write_text(str(os.getpid()))
        shown = json.loads(place.run("selftest", "--quick", "--json", before=before, wrap=[]).out)
        assert shown["cores"] == 1 and shown["threads"] == 1
