"""Clients with networks of several shapes: averages within a shape, teaching across all, the same bits by steps and after a stop."""
import json
import shutil

import h5py
import numpy as np
import pytest

import reference
from conftest import pictures
from support import contents, differing, fedclamp, refused
from test_step import Loop, step

HEADS = ["none", "1x128", "2x192"]
RUN = ["--clients", 5, "--initial-epochs", 1, "--rounds", 2, "--batch", 8, "--seed", 3, "--heads", ",".join(HEADS)]      # heads of clients 0 to 4: 0 1 2 0 1
PLACES = {"none": "model", "1x128": "prototypes/1x128/model", "2x192": "prototypes/2x192/model"}
COMPARED = ["model", "initial/conv1", "state", "prototypes"]


def run_and_loop(folder, data, fm, *options):
    fedclamp("run", "--data", data, "--synthetic", fm, *RUN, *options, "--out", folder / "run.h5")
    return Loop(folder, data, fm, *RUN, *options)


@pytest.mark.parametrize("options", [
    ["--attack", "both", "--defense", "norm-clip", "--defense", "bounds-paper", "--neurotoxin", 0.05],
    ["--malicious", 0, "--defense", "krum", "--participation", 0.8],
    ["--attack", "fm", "--defense", "fltrust"],
], ids=["norm-clip, bounds-paper, attackers with a memory", "krum by the trunk, participation", "fltrust"])
def test_loop_equals_run(tmp_path, data, fm, options):
    last = run_and_loop(tmp_path, data, fm, *options).finish()
    run = contents(tmp_path / "run.h5", COMPARED)
    assert sum("/fc2/" in name for name in run) >= 6 and not differing(run, contents(last, COMPARED))
    for head in HEADS[1:]:
        options = ["--data", data, "--head", head, "--json"]
        whole, steps = (json.loads(fedclamp("evaluate", path, *options).stdout) for path in (tmp_path / "run.h5", last))
        assert whole == steps


@pytest.fixture(scope="module")
def round1(tmp_path_factory, data, fm):
    """The first round by steps: its loop, the updates by client, and the aggregate."""
    loop = Loop(tmp_path_factory.mktemp("round"), data, fm, *RUN)
    updates = {client: loop.train(client) for client in range(5)}
    return loop, updates, loop.aggregate(updates.values())[0]


def test_averages_within_a_shape(round1):
    """By numpy, from the clients' files: all have the same number of images."""
    _, updates, aggregate = round1
    for k, head in enumerate(HEADS):
        models = [reference.read_group(updates[client], "model") for client in range(5) if client % 3 == k]
        found = reference.read_group(aggregate, PLACES[head])
        assert ("head2/weight" in found) == (head == "2x192")
        for name in set(found) - {"input/mean", "input/std"}:
            assert np.allclose(found[name], sum(model[name] for model in models) / len(models), rtol=0, atol=1e-6), (head, name)


def test_all_teach(round1):
    """The teachers' logits are the mean over clients of all shapes, by the reference network."""
    loop, updates, aggregate = round1
    mean = reference.read_group(loop.file("g0"), "model")
    images, each = pictures(60, 1, 28, 3)[0], []
    for path in updates.values():
        model = reference.read_group(path, "model")
        each.append(reference.logits(model | {name: mean[name] for name in ("input/mean", "input/std")}, images))
    with h5py.File(aggregate) as file:
        assert np.allclose(file["aggregate/teacher_logits"][:], np.mean(each, axis=0), rtol=0, atol=2e-4)


def test_rules_choose_by_the_trunk(tmp_path, data, fm, round1):
    """Krum's choice among clients of three shapes, by numpy: scores over the updates of the layers that all have."""
    loop = Loop(tmp_path, data, fm, *RUN, "--malicious", 1, "--defense", "krum")
    updates = {client: loop.train(client) for client in range(5)}
    _, said = loop.aggregate(updates.values())
    trunk = []
    for client, path in updates.items():
        place = PLACES[HEADS[client % 3]]
        start, model = reference.read_group(loop.file("g0"), place), reference.read_group(path, "model")
        trunk.append(np.concatenate([(model[name] - start[name]).ravel() for name in sorted(model) if name.startswith(("conv", "fc1"))]))
    distances = np.array([[((a - b) ** 2).sum() for b in trunk] for a in trunk])
    scores = [np.sort(np.delete(row, i))[:5 - 1 - 2].sum() for i, row in enumerate(distances)]
    chosen = int(np.argmin(scores))
    assert said["rejected"] == [client for client in range(5) if client != chosen]
    with h5py.File(loop.file("a1")) as after, h5py.File(loop.file("g0")) as before, h5py.File(updates[chosen]) as winner:
        for head in HEADS:
            mine = head == HEADS[chosen % 3]
            expected = winner["model/fc2/weight"][:] if mine else before[PLACES[head] + "/fc2/weight"][:]
            assert (after[PLACES[head] + "/fc2/weight"][:] == expected).all(), head


def test_a_stopped_run_goes_on(tmp_path, data, fm):
    """From the file after one round to the bits of a run that never stopped; the defence carries bounds for each shape."""
    options = ["--data", data, "--synthetic", fm, *RUN, "--attack", "fm", "--defense", "bounds-paper", "--evaluate-clients"]
    fedclamp("run", *options, "--out", tmp_path / "whole.h5")
    loop = Loop(tmp_path, data, fm, *RUN, "--attack", "fm", "--defense", "bounds-paper", "--evaluate-clients")
    loop.advance([loop.train(client) for client in range(5)])
    fedclamp("run", *options, "--resume", "--out", loop.globals)
    whole, resumed = (contents(path, [*COMPARED, "bounds", "defended"]) for path in (tmp_path / "whole.h5", loop.globals))
    assert not differing(whole, resumed)
    assert all(any(name.startswith(f"prototypes/{head}/state/carried/bounds-paper/") for name in whole) for head in HEADS[1:])
    assert "defended/bounds-paper/prototypes/2x192/bounds/head2" in whole


def test_one_shape_with_a_head_is_one_prototype(tmp_path, tiny):
    fedclamp("run", *tiny, "--heads", "3x256", "--out", tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["model/head3/weight"].shape == (256, 256) and "prototypes" not in file


def test_drawn_heads_are_the_seeds(tmp_path, data, fm):
    """Each of the nine shapes may be drawn, never a network without a head; the same seed draws the same."""
    found = []
    for name in ("a", "b"):
        step("init", "--data", data, "--synthetic", fm, "--clients", 40, "--initial-epochs", 0, "--heads", "drawn", "--out", tmp_path / name)
        with h5py.File(tmp_path / name) as file:
            found.append(list(file["prototypes"]))
            assert "model/head1" in file
    assert found[0] == found[1] and 7 <= len(found[0]) <= 8 and "none" not in found[0]


@pytest.mark.parametrize("rule", ["bulyan", "foolsgold", "flame", "deepsight"])
def test_rules_that_need_one_shape(tmp_path, data, fm, rule):
    done = refused("run", "--data", data, "--synthetic", fm, *RUN, "--defense", rule, "--out", tmp_path / "run.h5", code=64,
                   says=[f"--defense {rule}", "3 shapes", "none, 1x128, 2x192", "norm-clip", "krum"], folder=tmp_path)
    assert "round" not in done.stderr


@pytest.mark.parametrize("heads", ["4x128", "1x100", "0x128", "1x128,", "", "draw", "2x192,none,x"])
def test_heads_that_do_not_exist(tmp_path, tiny, heads):
    refused("run", *tiny, "--heads", heads, "--out", tmp_path / "run.h5", code=64, says=["--heads", "1x128,2x192,3x256"], folder=tmp_path)


def test_an_update_of_another_shape(tmp_path, round1):
    """Client 1's own update says that it is client 0's: the head gives it away."""
    loop, updates, _ = round1
    shutil.copy(updates[1], tmp_path / "u.h5")
    with h5py.File(tmp_path / "u.h5", "a") as file:
        file["update"].attrs["client"] = 0
    others = [updates[client] for client in range(2, 5)]
    refused("step", "aggregate", loop.file("g0"), tmp_path / "u.h5", *others, *loop.server, "--out", tmp_path / "a.h5",
            says=["client 0", "head 1x128", "as the client has had from the first"], folder=tmp_path)


def test_a_prototype_that_is_missing(tmp_path, round1):
    loop, _, _ = round1
    shutil.copy(loop.file("g0"), tmp_path / "g.h5")
    with h5py.File(tmp_path / "g.h5", "a") as file:
        del file["prototypes/2x192"]
    refused("step", "clients", tmp_path / "g.h5", says=["/prototypes/2x192/model", "head 2x192"])


def test_a_head_that_the_file_has_not(round1, data):
    loop, _, _ = round1
    refused("evaluate", loop.file("g0"), "--data", data, "--head", "3x256", says=["no model with head 3x256", "none, 1x128, 2x192"])
    refused("evaluate", loop.file("g0"), "--data", data, "--head", "9x9", code=64, says=["--head 9x9", "does not exist"])


def test_a_rule_remembers_clients_of_all_shapes(tmp_path, data, fm):
    """Clip-cluster keeps every norm of every client, though rounds have other clients and it may turn away all of one shape."""
    fedclamp("run", "--data", data, "--synthetic", fm, *RUN, "--rounds", 3, "--participation", 0.6, "--malicious", 0, "--defense", "clip-cluster",
             "--out", tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert sum(len(norms) for norms in file["state/memory"].values()) == 3 * 3
        assert all("memory" not in file[f"prototypes/{head}"].get("state", {}) for head in HEADS[1:])
