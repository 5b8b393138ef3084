"""Ten thousand clients on one machine: partitions are indices, updates stream into the aggregate where the rule permits."""
import os
import resource
import subprocess

import h5py
import pytest

from conftest import write_dataset
from support import BINARY, contents, differing, fedclamp, refused

GIGABYTE = 1 << 30
SHORT = ["--synthetic-limit", 10, "--initial-epochs", 0, "--evaluation-limit", 10]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("large") / "large.h5", train=10_000)


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (2 * GIGABYTE, 2 * GIGABYTE))


def measured(out, *arguments):
    """(peak bytes, seconds of processor time) of one round of 100 clients with an image each."""
    command = ["run", *arguments, "--rounds", 1, *SHORT, "--out", out]
    with subprocess.Popen([BINARY, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as program:
        _, status, usage = os.wait4(program.pid, 0)
        program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode == 0
    with h5py.File(out) as file:
        assert file["history/round"][:].tolist() == [1]
    return usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def test_ten_thousand(tmp_path, large, fm):
    """100 of 10,000 clients a round, one image each: under a gigabyte, and no slower than all of 100 clients."""
    files = ["--data", large, "--synthetic", fm]
    bytes_, many = measured(tmp_path / "many.h5", *files, "--clients", 10_000, "--participation", 0.01)
    _, few = measured(tmp_path / "few.h5", *files, "--clients", 100, "--images-per-client", 1)
    assert bytes_ < GIGABYTE
    assert many < 1.3 * few, f"{many:.1f} s against {few:.1f} s"


def test_streamed_all_at_once(tmp_path, large, fm):
    """All of 1,000 clients (2.2 GB of updates) within 2 GB: FedAvg streams, the median is refused with what it needs."""
    run = ["run", "--data", large, "--synthetic", fm, "--clients", 1000, "--images-per-client", 1, "--rounds", 1, *SHORT, "--fusion-epochs", 0]
    fedclamp(*run, "--out", tmp_path / "none.h5", preexec_fn=limited)
    refused(*run, "--defense", "median", "--out", tmp_path / "median.h5", says=["median", "4.4 GB", "1000 of 1000"], folder=tmp_path, preexec_fn=limited)


def test_streaming_depends_on_no_order_of_threads(tmp_path, data, fm):
    """More clients than are trained side by side."""
    run = ["run", "--data", data, "--synthetic", fm, "--clients", 40, "--rounds", 1, *SHORT, "--defense", "norm-clip"]
    for threads in (1, 3):
        fedclamp(*run, "--threads", threads, "--out", tmp_path / f"{threads}.h5")
    assert not differing(contents(tmp_path / "1.h5"), contents(tmp_path / "3.h5"))
