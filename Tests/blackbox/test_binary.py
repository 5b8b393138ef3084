"""The executable itself: static, self-contained, the same without /proc or a home."""
import os
import re
import shutil
import struct
import subprocess

import pytest

from support import BINARY, fedclamp, refused

COMMANDS = ["import", "run", "reproduce", "sweep", "merge", "compare", "bound", "evaluate", "inspect", "selftest", "bench", "step"]


def test_static():
    """An ELF file without an interpreter: no dynamic linker, no shared library."""
    with open(BINARY, "rb") as file:
        header = file.read(64)
        assert header[:6] == b"\x7fELF\x02\x01", "64-bit little-endian ELF"
        offset, = struct.unpack_from("<Q", header, 32)
        size, count = struct.unpack_from("<HH", header, 54)
        file.seek(offset)
        kinds = [struct.unpack_from("<I", file.read(size))[0] for _ in range(count)]
    PT_DYNAMIC, PT_INTERP = 2, 3
    assert 1 in kinds and PT_INTERP not in kinds and PT_DYNAMIC not in kinds


def test_stripped():
    if not shutil.which("file"):
        pytest.skip("the tool `file` is not installed")
    kind = subprocess.run(["file", "-b", BINARY], capture_output=True, text=True, check=True).stdout
    assert "statically linked" in kind and ", stripped" in kind


def test_version():
    first = fedclamp("--version").stdout
    assert any(c.isdigit() for c in first) and len(first.splitlines()) == 1


def test_help():
    shown = fedclamp("--help").stdout
    for command in COMMANDS:
        assert command in shown
        assert command in fedclamp(command, "--help").stdout


def examples(command, columns):
    """The command lines of a help text in a terminal of that width, as a shell that they are pasted into joins them."""
    shown = fedclamp(*command, "--help", env={"COLUMNS": str(columns)}).stdout
    lines = re.findall(r"^ *fedclamp (?:.*\\\n)*.*$", shown.split("OPTIONS:")[0].split("USAGE:")[0], re.MULTILINE)
    return [line.replace("\\\n", " ").split() for line in lines]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=lambda words: " ".join(words) or "fedclamp")
def test_examples_survive_copying_at_any_width(command):
    wide = examples(command, 200)
    assert wide or command == ["step"]
    for columns in (43, 47, 52, 60, 80):  # the longest word, a path, has 33
        assert examples(command, columns) == wide, columns


def test_no_arguments():
    done = subprocess.run([BINARY], capture_output=True, text=True, timeout=20)
    assert done.returncode in (0, 64) and "run" in done.stdout + done.stderr


@pytest.mark.parametrize("arguments, suggestion", [
    (["evalute", "x.h5"], "evaluate"), (["--versoin"], "--version"), (["inspct", "x"], "inspect"),
    (["help", "inspct"], "inspect"), (["help", "step", "fus"], "fuse")])
def test_unknown_command(arguments, suggestion):
    refused(*arguments, code=64, says=suggestion)


def test_empty_environment(data):
    shown = subprocess.run([BINARY, "inspect", data], env={}, cwd="/", capture_output=True, text=True, timeout=20)
    assert shown.returncode == 0 and "28" in shown.stdout, shown.stderr


def test_empty_chroot(tmp_path, data, clean_run):
    """Nothing but the program and its files: no /proc, no /dev, no libraries."""
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    shutil.copy(BINARY, tmp_path / "fedclamp")
    shutil.copy(data, tmp_path / "data.h5")
    shutil.copy(clean_run, tmp_path / "run.h5")

    def inside(*arguments):
        return subprocess.run([shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin"), tmp_path, "/fedclamp", *arguments], capture_output=True, text=True, env={}, timeout=60)

    if inside("--version").returncode == 125:
        pytest.skip("this container does not allow chroot")
    for arguments in (["--version"], ["inspect", "/data.h5"], ["inspect", "/run.h5"],
                      ["evaluate", "/run.h5", "--data", "/data.h5", "--json"]):
        done = inside(*arguments)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    outside = fedclamp("evaluate", clean_run, "--data", data, "--json").stdout
    assert done.stdout == outside


def test_selftest():
    """Names the instruction set it chose."""
    assert any(isa in fedclamp("selftest").stdout.lower() for isa in ("baseline", "avx2", "avx512"))
