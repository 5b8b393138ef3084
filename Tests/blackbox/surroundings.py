"""The matrix of surroundings: what a cell is, and how the program is run in one.

A cell is a function of a Place that runs the program in some surroundings and checks exit code, message and result. Every
run ends within LIMIT seconds. Cells stand in surroundings_*.py, by kind; Tests/README.md has their counts.
"""

import os
import pathlib
import resource
import shutil
import signal
import subprocess

import pytest

from support import BINARY, CRASH, contents, differing

LIMIT = 20
KINDS = {}
STRANGER = 54321  # a user to whom nothing belongs and who has no other process
LAUNCHER = pathlib.Path(__file__).resolve().parents[1] / "surroundings/surround.c"


def cell(kind, name):
    """Registers a cell."""

    def register(function):
        assert name not in KINDS.setdefault(kind, {}), f"{kind}: {name} is there twice"
        KINDS[kind][name] = function
        return function

    return register


def limit(**limits):
    """For `before`: soft and hard limits by the names of module resource, such as NOFILE=8."""

    def apply():
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))

    return apply


def drop(user=STRANGER, **limits):
    """For `before`: another user, then limits (root is above that of processes)."""

    def apply():
        os.setgroups([])
        os.setresgid(user, user, user)
        limit(**limits)()
        os.setresuid(user, user, user)

    return apply


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


def build_launcher(folder):
    """The compiled launcher; None where there is no C compiler."""
    compiler = shutil.which("gcc") or shutil.which("clang") or shutil.which("cc")
    if compiler is None:
        return None
    subprocess.run([compiler, "-O1", "-o", folder / "surround", LAUNCHER], check=True)
    return folder / "surround"


class Done:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


class Place:
    """A folder of a cell's own, small good files, and the program."""

    def __init__(self, folder, good, launcher, reference):
        self.folder, self.good, self.launcher, self.reference = folder, good, launcher, reference
        self.data, self.fm, self.idx = good / "data.h5", good / "fm.h5", good / "idx"
        self.out = folder / "out.h5"

    # The smallest commands: all of a run's steps, or reading and writing alone.

    def training(self, *more, out=None):
        return [
            "run",
            "--data",
            self.data,
            "--synthetic",
            self.fm,
            "--clients",
            2,
            "--malicious",
            0,
            "--rounds",
            1,
            "--batch",
            8,
            "--initial-epochs",
            0,
            "--fusion-epochs",
            0,
            "--out",
            self.out if out is None else out,
            *more,
        ]

    def importing(self, *more, out=None):
        return ["import", "mnist", "--from", self.idx, "--out", self.out if out is None else out, *more]

    def run(self, *arguments, code=0, says=(), silent=(), rules=(), wrap=(), before=None, **options):
        """Runs the program: through the launcher with `rules`, behind the command `wrap`, after `before` in the child.
        Checks code, all of `says` and none of `silent` on stderr (or stdout), and that nothing looks like a crash."""
        command = [*wrap, BINARY, *arguments]
        if rules:
            if self.launcher is None:
                pytest.skip("no C compiler for the launcher")
            command = [self.launcher, *rules, "--", *command]
        options = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": self.folder,
        } | options
        process = subprocess.Popen(
            [a if isinstance(a, bytes) else str(a) for a in command],
            preexec_fn=before,
            start_new_session=True,
            **options,
        )
        try:
            out, err = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            pytest.fail(f"hangs: no end within {LIMIT} s")
        out, err = [(text or b"").decode("utf-8", "backslashreplace") for text in (out, err)]
        shown = f"{arguments}\n{out}\n{err}"
        if process.returncode == 125 and "surround:" in err:
            pytest.skip(f"the kernel does not allow it: {err.strip()}")
        assert process.returncode == code, f"exit code {process.returncode}, expected {code}: {shown}"
        assert not any(word in err for word in CRASH), shown
        for word in [says] if isinstance(says, str) else says:
            assert word in out + err, f"{word!r} is not in: {shown}"
        for word in [silent] if isinstance(silent, str) else silent:
            assert word not in out + err, f"{word!r} is in: {shown}"
        assert code != 2 or err.strip(), "exit code 2 without a message"
        return Done(process.returncode, out, err)

    def trains(self, *more, out=None, **options):
        """The training runs, and its result is that of good surroundings, to the bit."""
        done = self.run(*self.training(*more, out=out), **options)
        assert not differing(contents(out or self.out), self.reference)
        return done

    def setting(self, part, change=lambda text: text):
        """A folder of results without any training: setting.txt, as reproduce writes it and `change` leaves it, bytes."""
        lines = [
            "# What the results in this folder belong to; other data or another scale are refused.",
            "scale = smoke",
            "dataset = tiny",
            f"dataset_digest = {'0' * 64}",
            "synthetic = fm.h5",
            f"synthetic_digest = {'1' * 64}",
            "synthetic_images = 12",
            "evaluate_on = test",
            "tables = main",
            "seeds = 7",
        ]
        (part / "setting.txt").write_bytes(change("".join(f"{line}\n" for line in lines).encode()))

    def nothing_left(self):
        """No temporary and no lock file stands about."""
        left = [p.name for p in self.folder.rglob("*") if ".partial-" in p.name or p.name.endswith(".lock")]
        assert not left, left

    def mounted(self, *commands):
        """A wrap: the program in a mount namespace of its own, after shell `commands`. Skips where that is not allowed."""
        need_root()
        script = " && ".join(["mount --make-rprivate /", *commands, 'exec "$0" "$@"'])
        probe = subprocess.run(
            ["unshare", "--mount", "sh", "-c", " && ".join(["mount --make-rprivate /", *commands])],
            capture_output=True,
            text=True,
        )
        if probe.returncode:
            pytest.skip(f"mounting is not allowed here: {probe.stderr.strip()}")
        return ["unshare", "--mount", "sh", "-c", script]


def table():
    """The matrix as Markdown rows."""
    rows = [f"| {kind} | {len(cells)} |" for kind, cells in KINDS.items()]
    return rows + [f"| all | {sum(map(len, KINDS.values()))} |"]
