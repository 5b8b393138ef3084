"""`fedclamp step`: a shell loop over files has the bits of `run`; what does not belong to a round is refused by name."""
import json
import shutil

import h5py
import numpy as np
import pytest

from support import contents, differing, fedclamp, refused

RUN = ["--clients", 4, "--initial-epochs", 1, "--rounds", 2, "--batch", 8, "--seed", 3]


def step(verb, *arguments, **options):
    return fedclamp("step", verb, *arguments, **options)


class Loop:
    """A run by steps in a folder: g0.h5, then for every round u<round>-<client>.h5, a<round>.h5, g<round>.h5."""

    def __init__(self, folder, data, fm, *options):
        self.folder, self.data, self.server, self.round = folder, data, ["--synthetic", fm], 0
        step("init", "--data", data, "--synthetic", fm, *options, "--out", self.file("g0"))

    def file(self, name):
        return self.folder / f"{name}.h5"

    @property
    def globals(self):
        return self.file(f"g{self.round}")

    @property
    def standing(self):
        return json.loads(step("clients", self.globals, "--json").stdout)

    def train(self, client, out=None):
        out = out or self.file(f"u{self.round + 1}-{client}")
        step("local", self.globals, "--client", client, "--share", "--data", self.data, "--out", out)
        return out

    def aggregate(self, updates):
        out = self.file(f"a{self.round + 1}")
        done = step("aggregate", self.globals, *updates, *self.server, "--json", "--out", out)
        return out, json.loads(done.stdout)

    def advance(self, updates):
        aggregate, _ = self.aggregate(updates)
        step("fuse", aggregate, *self.server, "--out", self.file(f"g{self.round + 1}"))
        self.round += 1
        if self.standing["bound_is_due"]:
            step("bound", self.globals, *self.server, "--out", self.file("bounded"))
            self.file("bounded").replace(self.globals)

    def finish(self):
        while not self.standing["finished"]:
            self.advance([self.train(client) for client in step("clients", self.globals).stdout.split()])
        return self.globals


@pytest.mark.parametrize("options", [
    ["--attack", "both", "--defense", "foolsgold", "--defense", "bounds", "--neurotoxin", 0.05, "--model-replacement", "auto"],
    ["--attack", "fm", "--defense", "norm-clip", "--norm-clip-limit", 0.5, "--norm-clip-noise", 1e-3, "--defense", "bounds-paper"],
    ["--attack", "classic", "--defense", "fltrust", "--participation", 0.5, "--partition", "dirichlet:2", "--adaptive", 1],
    ["--defense", "multi-krum", "--malicious", 0, "--fusion-epochs", 0],
    ["--attack", "both", "--defense", "fltrust"],
    ["--attack", "classic", "--defense", "distillation"],
    ["--attack", "classic", "--malicious", 1, "--defense", "clip-cluster", "--participation", 0.75],
    ["--attack", "classic", "--lp-attack", 0.95, "--lp-scale", 0.5],
    ["--attack", "classic", "--malicious", 1, "--defense", "dp"],
    ["--attack", "classic", "--malicious", 2, "--trigger", "blend", "--trigger-adaptation", 12],
    [],
], ids=["foolsgold, both", "norm-clip, bounds-paper", "fltrust, participation", "multi-krum, no fusion", "fltrust, both", "distillation", "clip-cluster", "LP", "dp",
        "A3FL", "plain"])
def test_loop_equals_run(tmp_path, few, options):
    data, fm = few
    fedclamp("run", "--data", data, "--synthetic", fm, *RUN, *options, "--out", tmp_path / "run.h5")
    last = Loop(tmp_path, data, fm, *RUN, *options).finish()
    groups = ["model", "initial/conv1", "initial/fc2", "state", *(["bounds"] if "bounds" in str(options) else [])]
    run = contents(tmp_path / "run.h5", groups)
    assert len(run) > 18 and not differing(run, contents(last, groups))
    with h5py.File(tmp_path / "run.h5") as a, h5py.File(last) as b:
        assert ("bounds" in a) == ("bounds" in b)
        for name in ("loss", "precision", "recall", "false_positive_rate"):
            assert a["history"][name][:].tobytes() == b["history"][name][:].tobytes()
    with h5py.File(tmp_path / "g0.h5") as first, h5py.File(last) as b:
        assert (first["model/fc1/weight"][:] == b["initial/fc1/weight"][:]).all(), "the model before the first round stays in the file"
    whole, steps = (json.loads(fedclamp("evaluate", f, "--data", data, "--json").stdout) for f in (tmp_path / "run.h5", last))
    assert whole == steps


@pytest.mark.parametrize("options", [["--defense", "vouching", "--attack", "both"],
                                     ["--defense", "vouching", "--defense", "distillation", "--vouching-rounds", 2, "--fusion-epochs", 0]])
def test_the_federation_vouches_in_steps(tmp_path, data, fm, options):
    """The first model is random, and the FM data come in at the end of a round."""
    fedclamp("run", "--data", data, "--synthetic", fm, *RUN, *options, "--out", tmp_path / "run.h5")
    last = Loop(tmp_path, data, fm, *RUN, *options).finish()
    run = contents(tmp_path / "run.h5", ["model", "state", "vouching"])
    assert len(run) > 18 and "vouching/images" in run
    assert not differing(run, contents(last, ["model", "state", "vouching"]))


def test_holdout_and_config_file(tmp_path, data):
    """FM data that are withheld training images: the server then has the data set."""
    (tmp_path / "run.conf").write_text("clients = 2\nrounds = 1\nbatch = 8\nattack = fm\n")
    files = ["--data", data, "--synthetic", "holdout:30", "--config", tmp_path / "run.conf"]
    fedclamp("run", *files, "--out", tmp_path / "run.h5")
    step("init", *files, "--out", tmp_path / "g0.h5")
    for k in (0, 1):
        step("local", tmp_path / "g0.h5", "--client", k, "--share", "--data", data, "--out", tmp_path / f"u{k}.h5")
    server = ["--data", data]
    step("aggregate", tmp_path / "g0.h5", tmp_path / "u1.h5", tmp_path / "u0.h5", *server, "--out", tmp_path / "a.h5")
    step("fuse", tmp_path / "a.h5", *server, "--out", tmp_path / "g1.h5")
    assert not differing(contents(tmp_path / "run.h5", ["model"]), contents(tmp_path / "g1.h5", ["model"]))
    refused("step", "fuse", tmp_path / "a.h5", "--synthetic", data, "--out", tmp_path / "x.h5", says="--data", folder=tmp_path)


def test_a_defence_that_asks_the_clients_is_refused_before_anything_is_trained(tmp_path, data, fm):
    done = refused("step", "init", "--data", data, "--synthetic", fm, *RUN, "--defense", "pruning", "--out", tmp_path / "g0.h5", code=64,
                   says=["--defense pruning", "asks the clients", "fedclamp run"], folder=tmp_path)
    assert "round" in done.stderr and "g0.h5" not in done.stderr


def test_run_goes_on_with_steps(tmp_path, data, fm):
    """A run file is a global checkpoint, and the other way round."""
    files = ["--data", data, "--synthetic", fm]
    loop = Loop(tmp_path, data, fm, *RUN)
    loop.advance([loop.train(k) for k in range(4)])
    fedclamp("run", *files, *RUN, "--resume", "--out", loop.globals)
    fedclamp("run", *files, *RUN, "--out", tmp_path / "run.h5")
    assert not differing(contents(loop.globals, ["model"]), contents(tmp_path / "run.h5", ["model"]))


def test_own_data(tmp_path, data, fm):
    """Nodes with files of their own: the server never sees the data set. The same bits as from shares."""
    options = [*RUN, "--attack", "classic", "--malicious", 1]
    shared = Loop(tmp_path, data, fm, *options)
    step("init", "--synthetic", fm, *options, "--out", tmp_path / "own.h5")
    for k in (0, 2):
        step("share", shared.globals, "--client", k, "--data", data, "--out", tmp_path / f"node{k}.h5")
        step("local", tmp_path / "own.h5", "--client", k, "--data", tmp_path / f"node{k}.h5", "--out", tmp_path / f"own{k}.h5")
        assert not differing(contents(tmp_path / f"own{k}.h5", ["model"]), contents(shared.train(k), ["model"]))
    refused("step", "local", shared.globals, "--client", 0, "--data", data, "--out", tmp_path / "x.h5", says="--share", folder=tmp_path)
    refused("step", "local", tmp_path / "own.h5", "--client", 0, "--share", "--data", data, "--out", tmp_path / "x.h5", says="digest", folder=tmp_path)


@pytest.fixture(scope="module")
def round1(tmp_path_factory, data, fm):
    """A loop after its first round, with all updates of the second."""
    loop = Loop(tmp_path_factory.mktemp("loop"), data, fm, *RUN)
    loop.advance([loop.train(k) for k in range(4)])
    for k in range(4):
        loop.train(k)
    return loop


def test_missing_client(tmp_path, round1):
    done = step("aggregate", round1.globals, *(round1.file(f"u2-{k}") for k in (0, 2, 3)), *round1.server, "--json", "--out", tmp_path / "a.h5")
    assert json.loads(done.stdout)["missing"] == [1] and json.loads(done.stdout)["clients"] == [0, 2, 3]
    step("fuse", tmp_path / "a.h5", *round1.server, "--out", tmp_path / "g.h5")
    assert differing(contents(tmp_path / "g.h5", ["model"]), contents(round1.globals, ["model"]))


def changed(name, change):
    def damage(path):
        with h5py.File(path, "r+") as file:
            value = change(file[name][:])
            del file[name]
            file[name] = value
    return damage


def attribute(name, value):
    def damage(path):
        with h5py.File(path, "r+") as file:
            file["update"].attrs[name] = value
    return damage


def other_run(path):
    with h5py.File(path, "r+") as file:
        text = file["config/json"][()].decode().replace('"seed":3', '"seed":4')
        del file["config/json"]
        file["config/json"] = np.bytes_(text)


DAMAGE = {
    "NaN": (changed("model/conv2/weight", lambda v: v * np.float32("nan")), "NaN"),
    "infinite": (changed("model/fc2/bias", lambda v: v + np.float32("inf")), "infinity"),
    "topology": (changed("model/fc2/weight", lambda v: v[:5]), "topology"),
    "a shape": (changed("model/conv3/weight", lambda v: v[:, :-1]), "conv3"),
    "a round before": (attribute("round", 1), "round 1"),
    "another global": (attribute("global", "0" * 64), "another global"),
    "no such client": (attribute("client", 4), "client 4"),
    "another client": (attribute("client", 2), "client 2"),
    "no images": (attribute("images", 0), "images"),
    "images of the wrong type": (attribute("images", "many"), "images"),
    "another configuration": (other_run, "hash"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-3000]), "bad.h5"),
    "text": (lambda path: path.write_text("no HDF5"), "bad.h5"),
    "none": (lambda path: path.unlink(), "bad.h5"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_bad_update(tmp_path, round1, damage):
    """Refused with the sender's name; with --skip-refused it is left out, and what is made is as if it had never come."""
    bad = tmp_path / "bad.h5"
    shutil.copy(round1.file("u2-1"), bad)
    change, says = DAMAGE[damage]
    change(bad)
    before, good = round1.globals.read_bytes(), [f"{k}={round1.file(f'u2-{k}')}" for k in (0, 3)]
    refused("step", "aggregate", round1.globals, *good, f"1={bad}", *round1.server, "--out", tmp_path / "a.h5", says=["client 1", says], folder=tmp_path)
    done = step("aggregate", round1.globals, *good, f"1={bad}", *round1.server, "--skip-refused", "--json", "--out", tmp_path / "a.h5")
    said = json.loads(done.stdout)
    assert said["clients"] == [0, 3] and said["missing"] == [1, 2] and "client 1" in said["refused"][0] and "client 1" in done.stderr
    step("aggregate", round1.globals, *good, *round1.server, "--out", tmp_path / "b.h5")
    assert not differing(contents(tmp_path / "a.h5", ["model", "aggregate", "state"]), contents(tmp_path / "b.h5", ["model", "aggregate", "state"]))
    assert round1.globals.read_bytes() == before


def test_update_of_another_run(tmp_path, round1, data, fm):
    other = Loop(tmp_path, data, fm, *RUN, "--lr", 0.01)
    update = other.train(1)
    refused("step", "aggregate", round1.file("g0"), update, *round1.server, "--out", tmp_path / "a.h5", says=["client 1", "another run"], folder=tmp_path)


def test_update_of_the_round_before(tmp_path, round1):
    refused("step", "aggregate", round1.globals, round1.file("u1-2"), *round1.server, "--out", tmp_path / "a.h5", says=["client 2", "round 1"], folder=tmp_path)


def test_sent_twice(tmp_path, round1):
    files = [round1.file(f"u2-{k}") for k in (0, 1, 1)]
    refused("step", "aggregate", round1.globals, *files, *round1.server, "--out", tmp_path / "a.h5", says=["client 1", "2 updates"], folder=tmp_path)
    done = step("aggregate", round1.globals, *files, *round1.server, "--skip-refused", "--json", "--out", tmp_path / "a.h5")
    assert json.loads(done.stdout)["clients"] == [0]
    refused("step", "aggregate", round1.globals, *files[1:], "--skip-refused", *round1.server, "--out", tmp_path / "b.h5", says="client 1", folder=tmp_path)


def test_not_of_the_round(tmp_path, data, fm):
    loop = Loop(tmp_path, data, fm, *RUN, "--participation", 0.5)
    inside = loop.standing["clients"]
    outside = next(k for k in range(4) if k not in inside)
    assert len(inside) == 2
    refused("step", "local", loop.globals, "--client", outside, "--share", "--data", data, "--out", tmp_path / "u.h5", says=f"client {outside}", folder=tmp_path)


def test_wrong_kinds_of_files(tmp_path, round1, data, fm, colour):
    g, u, out = round1.globals, round1.file("u2-0"), ["--out", tmp_path / "x.h5"]
    server = round1.server
    refused("step", "local", u, "--client", 0, "--share", "--data", data, *out, says="global checkpoint", folder=tmp_path)
    refused("step", "local", fm, "--client", 0, "--share", "--data", data, *out, says=fm, folder=tmp_path)
    refused("step", "local", g, "--client", 9, "--share", "--data", data, *out, says="client 9", folder=tmp_path)
    refused("step", "local", g, "--client", 0, "--data", colour[0], *out, says="channels", folder=tmp_path)
    refused("step", "local", g, "--client", 0, "--data", tmp_path / "none.h5", *out, says="none.h5", folder=tmp_path)
    refused("step", "aggregate", g, g, *server, *out, says="update", folder=tmp_path)
    refused("step", "fuse", g, *server, *out, says="aggregate", folder=tmp_path)
    refused("step", "fuse", round1.file("a1"), "--synthetic", colour[1], *out, says="digest", folder=tmp_path)
    refused("step", "bound", g, *server, *out, says="due", folder=tmp_path)
    refused("step", "fuse", round1.file("a1"), *server, "--out", g, says="exists", folder=tmp_path)
    refused("step", "fuse", round1.file("a1"), *server, "--overwrite", "--out", round1.file("a1"), says="input", folder=tmp_path)


def test_usage(tmp_path, round1, data, fm):
    out = ["--out", tmp_path / "x.h5"]
    refused("step", "locl", code=64, says="local")
    refused("step", "local", round1.globals, "--client", -1, "--data", data, *out, code=64, says="client", folder=tmp_path)
    refused("step", "local", round1.globals, "--data", data, *out, code=64, says="--client", folder=tmp_path)
    refused("step", "aggregate", round1.globals, *round1.server, *out, code=64, folder=tmp_path)
    refused("step", "init", "--synthetic", "holdout:5", *out, code=64, says="--data", folder=tmp_path)
    refused("step", "init", "--synthetic", fm, "--round", 3, *out, code=64, says="--rounds", folder=tmp_path)
    refused("step", "init", "--synthetic", fm, "--lr", -1, *out, code=64, says="lr", folder=tmp_path)


def test_run_goes_on_with_what_steps_began(tmp_path, data, fm, tiny, clean_run):
    """Without --data the file does not say what the clients have: an error asks for it, and with it the run is that of run alone."""
    out = tmp_path / "g0.h5"
    fedclamp("step", "init", *tiny[2:], "--out", out)
    refused("run", "--resume", out, says=["no path of its data set", "--data FILE.h5"], folder=tmp_path)
    done = fedclamp("run", "--resume", out, "--data", data)
    assert f"shares of {data}" in done.stderr
    mine, whole = contents(out), contents(clean_run)
    assert [name for name in differing(mine, whole) if name not in ("initial/acc", "initial/asr", "initial/robust_accuracy")] == []
    fedclamp("run", "--resume", out, "--rounds", 3)
