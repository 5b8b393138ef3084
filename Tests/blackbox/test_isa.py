"""One binary on every CPU: what it chooses, what it refuses, and that it runs where there is no AVX. The disassembly is
checked by tools/check-isa.sh, which make test runs first."""
import json
import os
import shutil
import subprocess

import pytest

from support import BINARY, fedclamp, refused

SETS = ["baseline", "avx2", "avx512"]
EMULATOR = shutil.which("qemu-x86_64") or shutil.which("qemu-x86_64-static")


@pytest.fixture(scope="module")
def available():
    return json.loads(fedclamp("selftest", "--quick", "--json").stdout)["instruction_sets"]


def test_selftest_of_every_set():
    shown = json.loads(fedclamp("selftest", "--json").stdout)
    assert shown["passed"] and shown["instruction_sets"] == SETS[:len(shown["instruction_sets"])]
    assert shown["chosen"] == shown["instruction_sets"][-1]
    assert [r["instruction_set"] for r in shown["results"]] == shown["instruction_sets"]
    assert all(len(r["checks"]) == 57 and all(c["holds"] for c in r["checks"]) for r in shown["results"])


def test_forced(available):
    for name in available:
        assert json.loads(fedclamp("selftest", "--quick", "--json", "--isa", name).stdout)["chosen"] == name
    shown = fedclamp("selftest", "--quick", "--json", env={"FEDCLAMP_ISA": "baseline"}).stdout
    assert json.loads(shown)["chosen"] == "baseline"


def test_unknown():
    refused("selftest", "--isa", "pentium", code=64, says=["pentium", *SETS])


def test_lacking(available):
    lacking = [name for name in SETS if name not in available]
    if not lacking:
        pytest.skip("this CPU has every set; the test under qemu asks for one that it lacks")
    refused("selftest", "--isa", lacking[0], says=[lacking[0], "it has: baseline"])


@pytest.mark.skipif(EMULATOR is None or "FEDCLAMP_EMULATE" not in os.environ,
                    reason="takes minutes: FEDCLAMP_EMULATE=1 and qemu-x86_64 (Debian: qemu-user)")
def test_old_cpu():
    """A Nehalem has SSE4.2 and no AVX: any AVX instruction would end the program with SIGILL."""
    def emulated(*arguments):
        return subprocess.run([EMULATOR, "-cpu", "Nehalem", BINARY, *arguments], capture_output=True, text=True, timeout=1200)

    done = emulated("selftest", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["passed"] and shown["chosen"] == "baseline" and shown["instruction_sets"] == ["baseline"]
    refusal = emulated("selftest", "--isa", "avx2")
    assert refusal.returncode == 2 and "it has: baseline" in refusal.stderr and "avx2" in refusal.stderr, refusal.stderr

