"""Flower drives the executable: the bits of `run`, with everything that real nodes bring: keys, failures, kills."""
import stat
import subprocess

import pytest

pytest.importorskip("flwr", reason="make test-cluster installs it")

from flower import APP, BINARY, Deployment, wait_for  # noqa: E402
from support import contents, differing, fedclamp  # noqa: E402

SAME = ["model", "bounds", "state"]


def last(deployment, number=3, name="bounded"):
    return deployment.work / f"{name}-{number}.h5"


def same_as_run(federation, path):
    return not differing(contents(federation.run, SAME), contents(path, SAME))


def test_deployment(tmp_path, federation):
    with Deployment(tmp_path / "d", federation) as d:
        d.node(0), d.node(1)
        d.online(2)
        succeeded, log = d.run()
    assert succeeded, log
    assert same_as_run(federation, last(d))
    assert "round 3 of 3: updates of clients [0, 1]; missing: none" in log


def test_keys(tmp_path, federation):
    """TLS and node keys: a node whose key was not registered is turned away, the run does without it."""
    keys = tmp_path / "keys"
    subprocess.run([APP / "certificates.sh", keys, "127.0.0.1", "node0", "node1", "stranger"], check=True, capture_output=True)
    with Deployment(tmp_path / "d", federation, keys) as d:
        d.register("node0"), d.register("node1")
        d.node(0, key=keys / "node0.key"), d.node(1, key=keys / "node1.key")
        stranger = d.node(1, "stranger", key=keys / "stranger.key")
        d.online(2)
        wait_for("the end of the stranger", lambda: stranger.poll() is not None)
        succeeded, log = d.run()
    assert succeeded and same_as_run(federation, last(d)), log


def killer(path, number):
    """An executable that, in round `number`, kills the process that started it, as a crash of the node would."""
    path.write_text(f"""#!/bin/sh
case "$2" in local) [ "$({BINARY} step clients "$3" --json | grep -c '"finished_rounds": {number - 1},')" = 1 ] && kill -9 $PPID && sleep 60;; esac
exec {BINARY} "$@"
""")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def without(federation, folder, missing):
    """The last global checkpoint of a shell loop in which client 1 is missing from the rounds `missing`."""
    now, server = federation.first, ["--synthetic", federation.fm]
    for number in (1, 2, 3):
        updates = []
        for k in [0] if number in missing else [0, 1]:
            updates.append(folder / f"u{number}-{k}.h5")
            fedclamp("step", "local", now, "--client", k, "--data", federation.node(k), "--out", updates[-1])
        fedclamp("step", "aggregate", now, *updates, *server, "--out", folder / f"a{number}.h5")
        now = folder / f"g{number}.h5"
        fedclamp("step", "fuse", folder / f"a{number}.h5", *server, "--out", now)
    fedclamp("step", "bound", now, *server, "--out", folder / "bounded.h5")
    return folder / "bounded.h5"


def test_killed_client(tmp_path, federation):
    """Client 1 is killed in round 2: the run ends, says so, and is what a loop without that update gives."""
    with Deployment(tmp_path / "d", federation) as d:
        d.node(0), d.node(1, executable=killer(tmp_path / "killer.sh", 2))
        d.online(2)
        succeeded, log = d.run("--run-config", "timeout=100.0")
    assert succeeded, log
    assert "round 2: client 1 is missing" in log and "round 2 of 3: updates of clients [0]; missing: [1]" in log
    assert "round 3 of 3: updates of clients [0, 1]; missing: none" in log
    expected = without(federation, tmp_path, {2})
    assert not differing(contents(expected, SAME), contents(last(d), SAME))


def test_nodes_that_cannot(tmp_path, federation):
    """No executable on one node, no data on the other: both named, nothing trained; a bad update is refused by name."""
    with Deployment(tmp_path / "d", federation) as d:
        d.node(0, executable="/nowhere/fedclamp"), d.node(1, data="/nowhere/node.h5")
        d.online(2)
        succeeded, log = d.run()
    assert not succeeded
    assert "client 0 is missing: the executable /nowhere/fedclamp is not there" in log
    assert "client 1 is missing: the data file /nowhere/node.h5 is not there" in log
    assert not list(d.work.glob("*.h5")), "the first global checkpoint is the last"


def test_refused_update(tmp_path, federation):
    """Node 1 answers with the update of client 0: refused, client 1 named, the run goes on with client 0."""
    liar = tmp_path / "liar.sh"
    liar.write_text(f"""#!/bin/sh
exec {BINARY} step local "$3" --client 0 --data {federation.node(0)} --out "$9"
""")
    liar.chmod(0o755)
    with Deployment(tmp_path / "d", federation) as d:
        d.node(0), d.node(1, executable=liar)
        d.online(2)
        succeeded, log = d.run()
    assert succeeded, log
    assert "refused: client 1" in log and "is an update of client 0" in log
    expected = without(federation, tmp_path, {1, 2, 3})
    assert not differing(contents(expected, SAME), contents(last(d), SAME))


def test_own_methods(tmp_path, own_federation):
    """A rule that remembers, a trigger and a malicious update: the bits of run. A node that grants none is named."""
    federation, own = own_federation
    with Deployment(tmp_path / "d", federation, own=own) as d:
        d.node(0), d.node(1)
        d.online(2)
        succeeded, log = d.run()
    assert succeeded, log
    assert not differing(contents(federation.run, ["model", "state"]), contents(last(d, name="global"), ["model", "state"]))
    with Deployment(tmp_path / "e", federation) as d:
        d.node(0), d.node(1)
        d.online(2)
        succeeded, log = d.run()
    assert not succeeded and "is needed, and nothing that a file names is started" in " ".join(log.split()), log


def test_simulation(tmp_path, federation):
    """Flower's simulation on this machine, with the same app."""
    with Deployment(tmp_path / "d", federation, simulation=True) as d:
        succeeded, log = d.run("--federation-config", "num-supernodes=2 client-resources-num-cpus=1")
    assert succeeded and same_as_run(federation, last(d)), log
