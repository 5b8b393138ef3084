"""The cross-built executable under qemu: its kernels, a run from start to end, and files that go from one architecture to
the other. `make arm64` builds it and runs this; speed under an emulator says nothing."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Tests/torture"))
import corpus  # noqa: E402, it makes the black-box tests' modules known
from support import contents, differing, fedclamp  # noqa: E402

BINARY = ROOT / "build/fedclamp-arm64"
EMULATOR = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
if not EMULATOR or not BINARY.is_file():
    pytest.exit("needs qemu-aarch64 (Debian: qemu-user) and build/fedclamp-arm64: make arm64", returncode=2)
RUN = ["--clients", 2, "--rounds", 1, "--batch", 8, "--initial-epochs", 1, "--fusion-epochs", 1, "--attack", "both", "--malicious", 1,
       "--defense", "foolsgold", "--seed", 3, "--threads", 2]


def arm64(*arguments, code=0):
    done = subprocess.run([EMULATOR, BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=1800, stdin=subprocess.DEVNULL)
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(data set, FM data): a few images."""
    folder = tmp_path_factory.mktemp("data")
    return corpus.write_dataset(folder / "tiny.h5", train=24, test=10), corpus.write_fm(folder / "tiny-fm.h5", count=12)


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run.h5"
    arm64("run", "--data", files[0], "--synthetic", files[1], *RUN, "--out", out)
    return out


def test_it_is_static_and_for_arm64():
    head = BINARY.read_bytes()[:64]
    assert head[:5] == b"\x7fELF\x02" and int.from_bytes(head[18:20], "little") == 183
    shown = subprocess.run(["readelf", "--program-headers", BINARY], capture_output=True, text=True, check=True).stdout
    assert "INTERP" not in shown and "DYNAMIC" not in shown


def test_selftest():
    """Logits and all gradients against plain loops in double, by the NEON kernels."""
    shown = json.loads(arm64("selftest", "--quick", "--json").stdout)
    assert shown["passed"] and shown["instruction_sets"] == ["baseline"]
    checks, = [r["checks"] for r in shown["results"]]
    ours = json.loads(fedclamp("selftest", "--quick", "--json").stdout)["results"][0]["checks"]
    assert [c["name"] for c in checks] == [c["name"] for c in ours] and len(checks) >= 24 and all(c["holds"] for c in checks)


def test_run_is_that_of_x86(files, run, tmp_path):
    """The same start, images and attack, and sums in an order of their own at most: 1e-4 of the weights is what fused
    multiplications and additions make of this run on x86, 0 what there was between NEON and AVX2 when this was written."""
    def flat(path):
        found = contents(path, ["model"])
        return np.concatenate([np.frombuffer(value[2], value[0]).astype(float) for name, value in sorted(found.items()) if "@" not in name])
    here = tmp_path / "x86.h5"
    fedclamp("run", "--data", files[0], "--synthetic", files[1], *RUN, "--out", here)
    theirs, ours = flat(run), flat(here)
    assert theirs.shape == ours.shape and len(ours) > 500_000
    assert np.linalg.norm(theirs - ours) <= 1e-3 * np.linalg.norm(ours)


def test_steps_are_the_run(files, run, tmp_path):
    data, server = files[0], ["--synthetic", files[1]]
    options = RUN[:-2]                  # threads are no part of a run
    arm64("step", "init", "--data", data, *server, *options, "--out", tmp_path / "g0.h5")
    for client in (0, 1):
        arm64("step", "local", tmp_path / "g0.h5", "--client", client, "--share", "--data", data, "--out", tmp_path / f"u{client}.h5")
    arm64("step", "aggregate", tmp_path / "g0.h5", tmp_path / "u0.h5", tmp_path / "u1.h5", *server, "--out", tmp_path / "a1.h5")
    arm64("step", "fuse", tmp_path / "a1.h5", *server, "--out", tmp_path / "g1.h5")
    assert not differing(contents(run, ["model", "state"]), contents(tmp_path / "g1.h5", ["model", "state"]))


def test_checkpoints_travel(files, run):
    """A model trained on one architecture decides on the other as at home."""
    there, here = (json.loads(program("evaluate", run, "--data", files[0], "--json").stdout) for program in (arm64, fedclamp))
    assert there.pop("instruction_set") == "baseline" and here.pop("instruction_set")
    assert there == here and {"accuracy", "attack_success_rate"} <= here.keys()


def test_refusals(files, run, tmp_path):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(run.read_bytes()[:5000])
    assert "bad.h5" in arm64("inspect", bad, code=2).stderr
    assert "baseline" in arm64("selftest", "--isa", "avx2", code=2).stderr
    arm64("run", "--data", files[0], code=64)
