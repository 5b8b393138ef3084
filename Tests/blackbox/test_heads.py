"""Checkpoints whose network has a head: what reads them, and heads that do not exist."""
import json
import shutil
import sys

import h5py
import numpy as np
import pytest

import reference
from conftest import pictures
from support import ROOT, contents, differing, fedclamp, refused, write_split
from test_data_tools import script
from test_step import Loop


def bounds_of(model, low=2, high=8):
    rng = np.random.default_rng(9)
    return {name[:-5]: rng.uniform(low, high, len(values)) for name, values in model.items() if name.endswith("/bias") and name != "fc2/bias"}


def checkpoint(path, head, seed=1, classes=10):
    """Random weights, and bounds that cut."""
    model = reference.random_model(1, classes, seed, head)
    reference.write_checkpoint(path, model, bounds_of(model))
    return path


def change(path, edits):
    """Replaces datasets; with None deletes them, or groups."""
    with h5py.File(path, "a") as file:
        for name, value in edits.items():
            if name in file:
                del file[name]
            if value is not None:
                file[name] = np.asarray(value, dtype=np.float32)


# --- readers ------------------------------------------------------------------------------------------------------------

def test_inspect(tmp_path):
    """The head, its bounds and all tensors are shown; a network without a head is shown as before."""
    shown = fedclamp("inspect", checkpoint(tmp_path / "head.h5", "3x192"), "--json").stdout
    model = json.loads(shown)["model"]
    assert model["head"] == "3x192" and "bounds of head3" in model and model["classes"] == 10
    count = sum(v.size for name, v in reference.random_model(1, 10, 1, "3x192").items() if not name.startswith("input"))
    assert model["parameters"] == count
    plain = json.loads(fedclamp("inspect", checkpoint(tmp_path / "plain.h5", "none"), "--json").stdout)["model"]
    assert "head" not in plain and "bounds of head1" not in plain


def test_bound(tmp_path, few):
    """Bounds are fitted to the head's layers too, and the parameters stay."""
    path, out = checkpoint(tmp_path / "head.h5", "2x256", classes=4), tmp_path / "bounded.h5"
    fedclamp("bound", path, "--synthetic", few[1], "--out", out, timeout=600)
    assert not differing(contents(out, ["model"]), contents(path, ["model"]))
    with h5py.File(out) as file:
        assert {name: len(file[f"bounds/{name}"]) for name in file["bounds"]} == reference.layers("2x256")
        assert all(np.isfinite(file[f"bounds/head{k}"][:]).any() for k in (1, 2))


def test_a_round_by_steps(tmp_path, few):
    """A round of clients with a head is trained, combined, fused and bounded with it; an update of another head is refused."""
    loop = Loop(tmp_path, *few, "--clients", 3, "--rounds", 1, "--batch", 8, "--heads", "2x128", "--defense", "bounds")
    start = reference.read_group(loop.globals, "model")["head2/weight"]
    updates = [loop.train(client) for client in range(3)]
    with h5py.File(updates[0]) as file:
        assert file["model/head2/weight"].shape == (128, 128) and (file["model/head2/weight"][:] != start.astype(np.float32)).any()
    bad = tmp_path / "bad.h5"
    shutil.copy(updates[1], bad)
    change(bad, {"model/head2": None})
    refused("step", "aggregate", loop.globals, updates[0], bad, *loop.server, "--out", tmp_path / "a.h5",
            says=["client 1", "head 1x128", "head 2x128"], folder=tmp_path)
    loop.advance(updates)
    with h5py.File(loop.globals) as file:
        assert all([n for n in file[group] if n.startswith("head")] == ["head1", "head2"] for group in ("model", "initial", "bounds"))
        assert (file["bounds/head2"][:] >= 0).all() and np.isfinite(file["bounds/head2"][:]).any()
    fedclamp("evaluate", loop.globals, "--data", few[0])


# --- heads that do not exist ----------------------------------------------------------------------------------------------

def matrix(rows, columns):
    return np.full((rows, columns), 0.01)


BAD_HEADS = {
    "four pairs": ("3x128", {"model/head4/weight": matrix(128, 128), "model/head4/bias": np.zeros(128)}, ["/model", "head4", "up to 3"]),
    "ten pairs": ("1x128", {f"model/head{k}/weight": matrix(128, 128) for k in range(2, 11)}, ["/model", "up to 3", "head10"]),
    "width 100": ("none", {"model/head1/weight": matrix(100, 128), "model/head1/bias": np.zeros(100), "model/fc2/weight": matrix(10, 100)},
                  ["/model/head1/weight", "100", "128, 192, 256"]),
    "widths that differ": ("2x128", {"model/head2/weight": matrix(192, 128), "model/head2/bias": np.zeros(192), "model/fc2/weight": matrix(10, 192)},
                           ["/model/head2/weight", "128 x 128", "192 x 128"]),
    "a gap": ("3x128", {"model/head2": None}, ["/model", "without a gap", "head1, head3"]),
    "no first": ("1x128", {"model/head1": None, "model/head2/weight": matrix(128, 128), "model/head2/bias": np.zeros(128)}, ["/model", "without a gap", "head2"]),
    "wrong input width": ("1x192", {"model/head1/weight": matrix(192, 192)}, ["/model/head1/weight", "192 x 128", "192 x 192"]),
    "fc2 of another width": ("1x192", {"model/fc2/weight": matrix(10, 128)}, ["/model/fc2/weight", "10 x 192", "10 x 128"]),
    "no weight": ("2x128", {"model/head2/weight": None}, ["/model/head2/weight"]),
    "no weight at first": ("1x128", {"model/head1/weight": None}, ["/model/head1/weight"]),
    "a vector": ("1x128", {"model/head1/weight": np.zeros(128)}, ["/model/head1/weight", "128"]),
    "a scalar": ("1x128", {"model/head1/weight": 1.0}, ["/model/head1/weight", "scalar"]),
    "a layer that is data": ("1x128", {"model/head1": np.zeros(128)}, ["/model/head1"]),
    "another name": ("1x128", {"model/headroom/weight": matrix(128, 128)}, ["/model", "headroom"]),
    "bias of another width": ("1x192", {"model/head1/bias": np.zeros(128)}, ["/model/head1/bias", "192"]),
    "a bound missing": ("2x128", {"bounds/head2": None}, ["/bounds", "2x128", "head1"]),
    "a bound too many": ("none", {"bounds/head1": np.ones(128)}, ["/bounds", "none", "head1"]),
    "bounds of another width": ("1x192", {"bounds/head1": np.ones(128)}, ["/bounds/head1", "192", "128"]),
    "NaN": ("1x128", {"model/head1/weight": matrix(128, 128) * np.nan}, ["/model", "NaN"]),
    "NaN bound": ("1x128", {"bounds/head1": np.full(128, np.nan)}, ["/bounds/head1"]),
    "an initial model without": ("1x128", {f"initial/{name}": value for name, value in reference.random_model(1, 10, 2).items() if not name.startswith("input")},
                                 ["/initial", "1x128"]),
}


@pytest.mark.parametrize("bad", BAD_HEADS)
def test_bad_heads(tmp_path, data, fm, bad):
    """One clear line with the place, what was expected and what is there."""
    head, edits, says = BAD_HEADS[bad]
    path = checkpoint(tmp_path / "bad.h5", head)
    fedclamp("evaluate", path, "--data", data)
    change(path, edits)
    refused("evaluate", path, "--data", data, says=["bad.h5", *says], folder=tmp_path)
    refused("bound", path, "--synthetic", fm, "--out", tmp_path / "out.h5", says=["bad.h5", *says], folder=tmp_path)


def test_defended_models_have_the_same_head(tmp_path, data):
    """A model that a defence left is read with its head, and refused with another one."""
    path = checkpoint(tmp_path / "head.h5", "1x128")
    other = reference.random_model(1, 10, 2, "1x128")
    change(path, {f"defended/unlearning/{name}": value for name, value in other.items() if not name.startswith("input")})
    with h5py.File(path, "a") as file:
        file["defended/unlearning/acc"], file["defended/unlearning/asr"] = 0.0, 0.0
    fedclamp("evaluate", path, "--data", data, "--defended", "unlearning")
    change(path, {"defended/unlearning/head1": None})
    refused("evaluate", path, "--data", data, "--defended", "unlearning", says=["/defended/unlearning", "1x128", "none"], folder=tmp_path)


# --- tools/checkpoint.py ----------------------------------------------------------------------------------------------------

def random_state(head, path, bounded=True, seed=1):
    """A random PyTorch model with that head, saved as a state_dict."""
    torch = pytest.importorskip("torch", reason="tools/checkpoint.py needs PyTorch")
    sys.path.insert(0, str(ROOT / "tools"))
    from clampnet import ClampNet
    torch.manual_seed(seed)
    net = ClampNet(1, 10, bounded, head)
    net.input.mean.fill_(0.3)
    net.input.std.fill_(0.35)
    with torch.no_grad():
        for name, tensor in net.named_parameters():
            if tensor.dim() > 1:
                torch.nn.init.kaiming_normal_(tensor)
            elif name.startswith("bounds."):
                tensor.uniform_(2, 8)
        net.fc2.bias -= torch.from_numpy(torch_logits(torch, net, pictures(80, 1, 28, 4)[0], False)).mean(0)      # no class wins everywhere
    torch.save(net.state_dict(), path)
    return torch, net


@pytest.mark.parametrize("head", ["none", "1x256", "2x192", "3x128"])
def test_from_torch_and_back(tmp_path, head):
    """PyTorch's state_dict to a checkpoint and back is the same to the bit, and fedclamp predicts what PyTorch predicts, bounded and not."""
    torch, net = random_state(head, tmp_path / "model.pt")
    script("checkpoint.py", "from-torch", tmp_path / "model.pt", tmp_path / "model.h5")
    script("checkpoint.py", "to-torch", tmp_path / "model.h5", tmp_path / "again.pt")
    state, again = (torch.load(tmp_path / name, weights_only=True) for name in ("model.pt", "again.pt"))
    assert list(state) == list(again) and all(torch.equal(state[key], again[key]) for key in state)

    images, _ = pictures(80, 1, 28, 4)
    for bounded in (False, True):
        scores = torch_logits(torch, net, images, bounded)
        model, z = reference.read_group(tmp_path / "model.h5", "model"), reference.read_group(tmp_path / "model.h5", "bounds")
        assert np.abs(reference.logits(model, images, z if bounded else None) - scores).max() < 1e-5 * np.abs(scores).max()
        labels = scores.argmax(1).astype(np.uint8)
        assert len(np.unique(labels)) > 1, "the case tells something"
        with h5py.File(tmp_path / "data.h5", "w") as file:
            write_split(file.create_group("train"), images, np.arange(len(images), dtype=np.uint8) % 10)      # they say that there are ten classes
            write_split(file.create_group("test"), images, labels)
        got = json.loads(fedclamp("evaluate", tmp_path / "model.h5", "--data", tmp_path / "data.h5", "--json", *([] if bounded else ["--unbounded"])).stdout)
        low, high = reference.share(np.eye(10, dtype=bool)[labels], scores)
        assert low - 1e-6 <= got["accuracy"] <= high + 1e-6 and low > 0.9
    script("checkpoint.py", "logits", tmp_path / "model.h5", tmp_path / "data.h5", "--out", tmp_path / "logits.npy", "--bounded")
    assert np.abs(np.load(tmp_path / "logits.npy") - scores).max() < 1e-5 * np.abs(scores).max()


def torch_logits(torch, net, images, bounded):
    with torch.no_grad():
        bounds = {name: z.clone() for name, z in net.bounds.items()}
        if not bounded:
            net.bounds.clear()
        scores = net(net.input(torch.from_numpy(images))).numpy()
        net.bounds.update({name: torch.nn.Parameter(z) for name, z in bounds.items()})
    return scores


BAD_STATES = {
    "four pairs": ("3x128", lambda s: s.update({"head4.weight": s["head3.weight"], "head4.bias": s["head3.bias"]}), "up to 3"),
    "a gap": ("3x128", lambda s: [s.pop(key) for key in ("head2.weight", "head2.bias", "bounds.head2")], "without a gap"),
    "width 100": ("1x128", lambda s: s.update({"head1.weight": s["head1.weight"][:100]}), "128, 192, 256"),
    "widths that differ": ("2x192", lambda s: s.update({"head2.weight": s["head2.weight"][:128]}), "head2.weight has shape (128, 192), expected (192, 192)"),
    "wrong input width": ("2x192", lambda s: s.update({"head1.weight": s["head1.weight"][:, :100]}), "head1.weight has shape (192, 100), expected (192, 128)"),
    "no weight": ("1x128", lambda s: s.pop("head1.weight"), "head1.weight"),
    "a scalar": ("1x128", lambda s: s.update({"head1.weight": s["head1.bias"][0]}), "head1.weight has shape ()"),
    "a bound missing": ("2x128", lambda s: s.pop("bounds.head2"), "missing tensor bounds.head2"),
    "a bound too many": ("none", lambda s: s.update({"bounds.head1": s["bounds.fc1"]}), "unknown tensor bounds.head1"),
}


@pytest.mark.parametrize("bad", BAD_STATES)
def test_bad_states(tmp_path, bad):
    head, spoil, says = BAD_STATES[bad]
    torch, net = random_state(head, tmp_path / "model.pt")
    state = net.state_dict()
    spoil(state)
    torch.save(state, tmp_path / "model.pt")
    done = script("checkpoint.py", "from-torch", tmp_path / "model.pt", tmp_path / "model.h5", code=2)
    assert says in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "model.h5").exists()


@pytest.mark.parametrize("bad", ["four pairs", "width 100", "widths that differ", "a gap", "no weight at first", "a vector", "a layer that is data"])
def test_to_torch_refuses(tmp_path, bad):
    pytest.importorskip("torch", reason="tools/checkpoint.py needs PyTorch")
    head, edits, _ = BAD_HEADS[bad]
    path = checkpoint(tmp_path / "bad.h5", head)
    change(path, edits)
    done = script("checkpoint.py", "to-torch", path, tmp_path / "model.pt", code=2)
    assert "bad.h5" in done.stderr and "head" in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "model.pt").exists()
