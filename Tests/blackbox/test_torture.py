"""The short form of `make torture`: a few kills, some hundred damaged files."""
import os
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "torture"))
import fuzz
import kills

SEED = random.SystemRandom().randrange(1 << 32)      # printed with every result, so that each can be repeated
WORKERS = len(os.sched_getaffinity(0))


def test_kills():
    variants = ["foolsgold, neurotoxin", "norm-clip with noise, some clients a round"]
    assert not kills.torture(12, SEED, WORKERS, variants=variants, reproduce=False)


def test_damaged_files():
    assert not fuzz.fuzz(fuzz.READERS, 60, SEED, WORKERS)


def test_fuzzer_sees_trouble(tmp_path):
    """What it is there to find is found: a crash, a hang, hunger, a wrong code, an unclear message."""
    good = fuzz.Outcome(2, 0.1, 1 << 20, "fedclamp inspect: x.h5: is no HDF5 file\n", False)
    assert good.problem({0, 2}) is None
    for code, memory, errors, hung in [(-11, 0, "", False), (1, 0, good.errors, False), (2, 2 << 30, good.errors, False),
                                       (2, 0, "", False), (2, 0, "Fatal error: index out of range", False), (0, 0, "", True),
                                       (2, 0, "fedclamp: \x1b[31mred", False), (2, 0, "x\n" * 2000, False)]:
        assert fuzz.Outcome(code, 0.1, memory, errors, hung).problem({0, 2})


def test_damage_is_undone(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 20)
    victim, changed = fuzz.mutate.Victim(path, False), 0
    for number in range(200):
        victim.damage(random.Random(number))
        changed += path.read_bytes() != victim.data
        victim.heal()
        assert path.read_bytes() == victim.data
    assert changed > 150
