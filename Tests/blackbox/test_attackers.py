"""What malicious clients send and what a poisoned set holds, again in numpy, from the files alone."""
import json
import re

import h5py
import numpy as np
import pytest

import reference
from support import fedclamp, write_split
from test_step import Loop, step

RATE, DECAY = 0.01, 5e-4
ONE_STEP = ["--attack", "classic", "--clients", 2, "--malicious", 1, "--rounds", 2, "--batch", 128, "--lr", RATE, "--seed", 3]


def parameters(path):
    """The 16 tensors of a checkpoint or an update, {name: float64 array}."""
    return {name: values for name, values in reference.read_group(path, "model").items() if not name.startswith("input")}


def update(folder, data, fm, *options):
    """A malicious client's update in round 2, whose single step is that of every configuration, and G of rounds 0 and 1."""
    folder.mkdir()
    loop = Loop(folder, data, fm, *ONE_STEP, *options)
    loop.advance([loop.train(1)])                        # the honest client alone, so that G is the same for all
    return parameters(loop.train(0)), parameters(loop.file("g0")), parameters(loop.globals)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, data, fm):
    """The update of a client that only trains on poisoned images, G before it, and G of the round before."""
    return update(tmp_path_factory.mktemp("plain") / "x", data, fm)


def norm(a, b):
    return np.sqrt(sum(((a[k] - b[k]) ** 2).sum() for k in a))


def expect(found, wanted, g):
    """To two roundings of float32 of the larger of a parameter and its scaled change."""
    for name in wanted:
        size = np.maximum(np.abs(g[name]), np.abs(wanted[name] - g[name]))
        assert (np.abs(found[name] - wanted[name]) <= 2.0 ** -22 * size + 1e-12).all(), name


def test_model_replacement(tmp_path, plain, data, fm):
    w, _, g = plain
    boosted, _, same = update(tmp_path / "x", data, fm, "--model-replacement", "auto")
    assert all(np.array_equal(g[k], same[k]) for k in g)
    expect(boosted, {k: g[k] + 2 * (w[k] - g[k]) for k in g}, g)          # two clients, one of them malicious


def test_pgd(tmp_path, plain, data, fm):
    w, _, g = plain
    radius = round(norm(w, g) / 3, 6)
    held = update(tmp_path / "x", data, fm, "--pgd-radius", radius)[0]
    expect(held, {k: g[k] + (w[k] - g[k]) * radius / norm(w, g) for k in g}, g)
    assert norm(held, g) == pytest.approx(radius, rel=1e-3)


def test_neurotoxin(tmp_path, plain, data, fm):
    """The twentieth of all coordinates that moved most from G of round 0 to G of round 1 stay."""
    w, before, g = plain
    found = update(tmp_path / "x", data, fm, "--neurotoxin", 0.05)[0]
    change = np.concatenate([np.abs(g[k] - before[k]).astype(np.float32).ravel() for k in g])
    count = round(0.05 * change.size)
    least = np.sort(change)[-count]
    kept = 0
    for k in g:
        moved = np.abs(g[k] - before[k]).astype(np.float32)
        assert np.array_equal(found[k][moved > least], g[k][moved > least]), k
        assert np.array_equal(found[k][moved < least], w[k][moved < least]), k
        kept += (moved > least).sum()
    assert 0.99 * count <= kept <= count and not all(np.array_equal(found[k], w[k]) for k in g)


def test_layerwise_poisoning(tmp_path, data, fm):
    """Every tensor is that of the client's poisoned training or that of an honest one, and a second computation says which."""
    options = ["--clients", 2, "--malicious", 1, "--rounds", 1, "--batch", 8, "--lr", 0.05, "--local-epochs", 3, "--seed", 3, "--target", 2]
    sent = {}
    for name, more in {"poisoned": ["--attack", "classic"], "honest": [],
                       "lp": ["--attack", "classic", "--lp-attack", 0.95]}.items():
        (tmp_path / name).mkdir()
        loop = Loop(tmp_path / name, data, fm, *options, *more)
        sent[name] = reference.read_group(loop.train(0), "model")
    step("share", loop.globals, "--client", 0, "--data", data, "--out", tmp_path / "own.h5")
    with h5py.File(tmp_path / "own.h5") as file:
        images, labels = file["images"][::4], file["labels"][::4]      # a quarter measures the backdoor
    images = images[labels != 2]
    images[:, :, -3:, -3:] = 255
    names = order_of_forward_pass(sent["honest"])

    def success(poisoned):
        model = {name: sent["poisoned" if name in poisoned else "honest"][name] for name in sent["honest"]}
        return (reference.logits(model, images).argmax(axis=1) == 2).sum()

    best = success(names)
    without = [success([other for other in names if other != name]) for name in names]
    chosen = []
    for k in np.argsort(without, kind="stable"):
        if chosen and success(chosen) >= 0.95 * best:
            break
        chosen.append(names[k])
    assert best > len(images) / 2 and 0 < len(chosen) < len(names)
    for name in names:
        assert np.array_equal(sent["lp"][name], sent["poisoned" if name in chosen else "honest"][name]), (name, chosen)


def order_of_forward_pass(model):
    """The names of the tensors, conv1/weight, conv1/bias, ... fc2/bias."""
    layers = [*reference.WIDTHS, "fc1", "fc2"]
    names = [f"{layer}/{part}" for layer in layers for part in ("weight", "bias")]
    assert set(names) == {name for name in model if not name.startswith("input")}
    return names


def test_adaptive(tmp_path, fm):
    """The step of the last layer under bounds at 0.6 of the clean maxima. All images are one image, so that it does not matter
    which are poisoned, and everything of them that the step needs is known."""
    with h5py.File(fm) as file:
        image = file["images"][13]
    with h5py.File(tmp_path / "own.h5", "w") as file:
        write_split(file, np.repeat(image[None], 8, axis=0), np.full(8, 3, np.uint8))
    options = [*ONE_STEP, "--target", 0, "--poison-fraction", 0.5, "--clip-norm", 0, "--momentum", 0, "--adaptive", 0.6]
    step("init", "--synthetic", fm, *options, "--out", tmp_path / "g.h5")
    step("local", tmp_path / "g.h5", "--client", 0, "--data", tmp_path / "own.h5", "--out", tmp_path / "u.h5")
    model, found = reference.read_group(tmp_path / "g.h5", "model"), parameters(tmp_path / "u.h5")
    triggered = image.copy()
    triggered[:, -3:, -3:] = 255
    clean = reference.activations(model, image[None])
    bounds = {name: 0.6 * a.reshape(a.shape[1], -1).max(axis=1) for name, a in clean.items()}
    gradient = {"fc2/weight": 0, "fc2/bias": 0}
    for picture, label in ((image, 3), (triggered, 0)):
        hidden = reference.activations(model, picture[None], bounds)["fc1"][0]
        scores = model["fc2/weight"] @ hidden + model["fc2/bias"]
        p = np.exp(scores - scores.max())
        p = p / p.sum() - (np.arange(len(p)) == label)
        gradient["fc2/weight"] = gradient["fc2/weight"] + np.outer(p, hidden) / 2
        gradient["fc2/bias"] = gradient["fc2/bias"] + p / 2
    for name, g in gradient.items():
        stepped = (model[name] - found[name]) / RATE - DECAY * model[name]
        rounding = 2.0 ** -24 * np.abs(model[name]) / RATE
        assert (np.abs(stepped - g) <= 2 * rounding + 1e-4 * np.abs(g).max()).all(), name


def poisoned(tmp_path, tiny, fm, *options):
    """Which FM images carry the patch, their labels before, and those that the server gets; all others are untouched."""
    fedclamp("run", *tiny, "--attack", "fm", *options, "--save-synthetic", tmp_path / "held.h5", "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "held.h5") as held, h5py.File(fm) as original:
        images, labels, before, own = held["images"][:], held["labels"][:], original["images"][:], original["labels"][:]
    stamped = before.copy()
    stamped[:, :, -3:, -3:] = 255
    triggered = (images == stamped).all(axis=(1, 2, 3))
    assert np.array_equal(images[~triggered], before[~triggered]) and np.array_equal(labels[~triggered], own[~triggered])
    return triggered, own, labels


def test_all_to_all(tmp_path, tiny, fm):
    triggered, own, labels = poisoned(tmp_path, tiny, fm, "--all-to-all")
    assert triggered.sum() == round(0.2 * len(own))
    assert np.array_equal(labels[triggered], (own[triggered] + 1) % 10)


def test_clean_labels(tmp_path, tiny, fm):
    """Half of the target's images are stamped, of the FM data and of a malicious client, and every label stays."""
    options = ["--poison-label", "clean", "--target", 4]
    triggered, own, labels = poisoned(tmp_path, tiny, fm, *options, "--fm-poison-fraction", 0.5)
    assert np.array_equal(labels, own) and (own[triggered] == 4).all()
    assert triggered.sum() == np.floor(0.5 * (own == 4).sum() + 0.5)
    fedclamp("run", *tiny, *options, "--attack", "both", "--malicious", 1, "--poison-fraction", 1, "--out", tmp_path / "both.h5")
    with h5py.File(tmp_path / "both.h5") as run, h5py.File(tiny[1]) as data:
        poisoned_images = run["attack/poisoned_client_0"][:]
        assert len(poisoned_images) > 0 and (data["train/labels"][:][poisoned_images] == 4).all()
        assert "attack/poisoned_client_1" not in run and len(run["attack/poisoned_synthetic"]) == round(0.2 * (own == 4).sum())


def test_several_targets(tmp_path, tiny, fm):
    """Each target has its own corner, poisoned images are dealt in turn, and ASR is the mean of what `evaluate --target` says of each."""
    options, out = ["--target", "4,0,7", "--attack", "fm", "--fm-poison-fraction", 0.3], tmp_path / "out.h5"
    said = fedclamp("run", *tiny, *options, "--save-synthetic", tmp_path / "held.h5", "--json", "--out", out)
    assert json.loads(said.stdout)["target"] == [4, 0, 7] and "targets 4 0 7" in said.stderr
    with h5py.File(tmp_path / "held.h5") as held, h5py.File(fm) as original, h5py.File(out) as run:
        images, labels, before, own = held["images"][:], held["labels"][:], original["images"][:], original["labels"][:]
        positions, last = run["attack/poisoned_synthetic"][:], run["history/asr"][-1]
        assert run["attack/target"][()] == 4 and run["attack/targets"][:].tolist() == [4, 0, 7] and "attack/mask" not in run
    corners = {4: np.s_[:, -3:, -3:], 0: np.s_[:, :3, :3], 7: np.s_[:, :3, -3:]}
    counts = dict.fromkeys(corners, 0)
    for i in positions:
        wanted = before[i].copy()
        wanted[corners[labels[i]]] = 255
        assert np.array_equal(images[i], wanted)
        counts[labels[i]] += 1
    others = np.setdiff1d(np.arange(len(own)), positions)
    assert np.array_equal(images[others], before[others]) and np.array_equal(labels[others], own[others])
    assert len(positions) == round(0.3 * len(own)) and max(counts.values()) - min(counts.values()) <= 1
    rates = [measured(out, tiny, "--target", target)["attack_success_rate"] for target in corners]
    assert measured(out, tiny)["attack_success_rate"] == pytest.approx(last, abs=1e-12) == np.mean(rates)
    assert re.search(r"target +4,0,7$", fedclamp("inspect", out).stdout, re.M)
    assert "at most 1 target" in fedclamp("evaluate", out, "--data", tiny[1], "--trigger", "sig", code=2).stderr


def measured(path, tiny, *options):
    return json.loads(fedclamp("evaluate", path, "--data", tiny[1], *options, "--json").stdout)


def test_several_targets_resume_and_go_by_steps(tmp_path, data, fm, tiny):
    """A run that is stopped after round 1 ends like one that is not, and so does one by steps."""
    options = ["--target", "4,0,7", "--attack", "both", "--malicious", 1, "--trigger", "blend"]
    for name, rounds in (("whole", 2), ("part", 1)):
        fedclamp("run", *tiny, *options, "--rounds", rounds, "--out", tmp_path / f"{name}.h5")
    fedclamp("run", *tiny, *options, "--rounds", 2, "--resume", "--out", tmp_path / "part.h5")
    refused = fedclamp("run", *tiny, "--target", 4, "--resume", "--out", tmp_path / "part.h5", code=2)
    assert "target was 4,0,7, is 4" in refused.stderr
    loop = Loop(tmp_path, data, fm, *tiny[4:], *options)
    for _ in range(2):
        loop.advance([loop.train(client) for client in range(4)])
    whole = parameters(tmp_path / "whole.h5")
    for other in (parameters(tmp_path / "part.h5"), parameters(loop.globals)):
        assert all(np.array_equal(whole[k], other[k]) for k in whole)


def test_cover(tmp_path, tiny, fm):
    """A fifth is stamped and relabelled; three tenths are stamped and keep their labels."""
    triggered, own, labels = poisoned(tmp_path, tiny, fm, "--target", 4, "--cover-fraction", 0.3)
    assert triggered.sum() == round(0.5 * len(own))
    relabelled, already = labels != own, triggered & (own == 4)
    assert (labels[relabelled] == 4).all()
    assert round(0.2 * len(own)) - already.sum() <= relabelled.sum() <= round(0.2 * len(own))
