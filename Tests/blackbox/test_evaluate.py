"""`evaluate`, `bound` and `inspect`, against a forward pass in numpy."""
import json
import re
import shutil

import h5py
import numpy as np
import pytest

import reference
from conftest import pictures
from support import BOUNDED, contents, differing, fedclamp, refused, write_split

ALWAYS = {"accuracy", "attack_success_rate", "robust_accuracy", "images"}
BOUND_RANGE = 2, 8                                     # of random bounds: changes about every third prediction
UNBOUNDED = {"accuracy_unbounded", "attack_success_rate_unbounded"}


def evaluate(*arguments):
    return json.loads(fedclamp("evaluate", *arguments, "--json").stdout)


def within(value, limits):
    low, high = limits
    return low - 1e-6 <= value <= high + 1e-6


def random_case(folder, channels, side, seed, head="none"):
    """A checkpoint with random weights and bounds, and images whose labels its predictions meet about half the time."""
    images, labels = pictures(80, channels, side, seed)
    model = reference.random_model(channels, 10, seed, head)
    model["fc2/bias"] -= reference.logits(model, images).mean(axis=0)          # no class wins everywhere
    model["fc2/bias"] = model["fc2/bias"].astype(np.float32).astype(np.float64)
    rng = np.random.default_rng(seed)
    bounds = {n: rng.uniform(*BOUND_RANGE, len(model[f"{n}/bias"])).astype(np.float32).astype(np.float64) for n in reference.layers(head)}
    labels = np.where(rng.random(80) < 0.5, reference.logits(model, images).argmax(1), labels).astype(np.uint8)
    mask = np.zeros((1, 32, 32))
    mask[0, 20:30, 3:30] = 1
    attack = {"target": np.int64(2), "mask": mask, "pattern": rng.uniform(0, 1, (channels, 32, 32)).astype(np.float32)}
    checkpoint, data = folder / "random.h5", folder / "random-data.h5"
    reference.write_checkpoint(checkpoint, model, bounds, attack)
    with h5py.File(data, "w") as file:
        write_split(file.create_group("train"), images, labels)
        write_split(file.create_group("test"), images, labels)
    return checkpoint, data, model, bounds, images, labels


def check_against_numpy(run, data, got, bounds):
    """accuracy, attack success rate and robust accuracy of `got` from the file's own model and trigger."""
    model, attack = reference.read_group(run, "model"), reference.read_group(run, "attack")
    target = int(attack["target"])
    with h5py.File(data) as file:
        images, labels = file["test/images"][:], file["test/labels"][:].astype(int)
    classes = np.eye(len(model["fc2/bias"]), dtype=bool)
    right, to_target = classes[labels], classes[np.full(len(labels), target)]
    clean = reference.logits(model, images, bounds)
    stamped = reference.logits(model, reference.stamp(images, attack["mask"], attack["pattern"]), bounds)
    others = labels != target
    assert within(got["accuracy"], reference.share(right, clean))
    assert within(got["attack_success_rate"], reference.share(to_target, stamped, others))
    assert within(got["robust_accuracy"], reference.share(right, stamped, others))


@pytest.mark.parametrize("channels, side, seed, head", [(1, 28, 1, "none"), (3, 32, 2, "none"), (1, 32, 3, "none"), (3, 28, 4, "none"),
                                                        (1, 28, 5, "1x192"), (3, 32, 6, "2x128"), (1, 32, 7, "3x256")])
def test_predictions(tmp_path, channels, side, seed, head):
    """Random weights, bounds and a trigger given by mask and pattern: all rates are those of the numpy network."""
    checkpoint, data, model, bounds, images, labels = random_case(tmp_path, channels, side, seed, head)
    got = evaluate(checkpoint, "--data", data)
    assert got["images"] == len(images)
    right = np.eye(10, dtype=bool)[labels]
    plain, bounded = reference.logits(model, images), reference.logits(model, images, bounds)
    assert len(np.unique(plain.argmax(1))) > 2 and (plain.argmax(1) != bounded.argmax(1)).any(), "the case tells something"
    assert within(got["accuracy_unbounded"], reference.share(right, plain))
    check_against_numpy(checkpoint, data, got, bounds)
    check_against_numpy(checkpoint, data, evaluate(checkpoint, "--data", data, "--unbounded"), None)


def test_run_file(few, fm_run):
    data = few[0]
    got = evaluate(fm_run, "--data", data)
    assert ALWAYS | UNBOUNDED <= got.keys()
    assert got["images"] == 60
    check_against_numpy(fm_run, data, got, reference.read_group(fm_run, "bounds"))
    plain = evaluate(fm_run, "--data", data, "--unbounded")
    check_against_numpy(fm_run, data, plain, None)
    assert plain["accuracy"] == got["accuracy_unbounded"]
    assert plain["attack_success_rate"] == got["attack_success_rate_unbounded"]
    with h5py.File(fm_run) as file:
        assert np.isclose(file["history/acc"][-1], plain["accuracy"]) and np.isclose(file["history/asr"][-1], plain["attack_success_rate"])
        assert np.isclose(file["history/acc_bounded"][-1], got["accuracy"])


def test_defended_models(tmp_path):
    """What defences left: parameters and bounds of their own (unlearning), or bounds on /model (mm-bm)."""
    checkpoint, data, model, bounds, images, labels = random_case(tmp_path, 1, 28, 5)
    other = {name: values for name, values in reference.random_model(1, 10, 6).items() if not name.startswith("input")}
    with h5py.File(checkpoint, "a") as file:
        for name, arrays in (("unlearning", {**other, "acc": 0.0, "asr": 0.0}), ("mm-bm", {"acc": 0.0, "asr": 0.0})):
            for key, values in arrays.items():
                file[f"defended/{name}/{key}"] = np.float64(values) if key in ("acc", "asr") else values.astype(np.float32)
        for layer, z in bounds.items():
            file[f"defended/mm-bm/bounds/{layer}"] = (z / 2).astype(np.float32)
    right = np.eye(10, dtype=bool)[labels]
    for name, scores in (("unlearning", reference.logits({**model, **other}, images)),
                         ("mm-bm", reference.logits(model, images, {layer: z / 2 for layer, z in bounds.items()}))):
        got = evaluate(checkpoint, "--data", data, "--defended", name)
        assert within(got["accuracy"], reference.share(right, scores))
        assert UNBOUNDED.issubset(got) == (name == "mm-bm")
        assert (scores.argmax(1) != reference.logits(model, images, bounds).argmax(1)).any(), "the case tells something"
    refused("evaluate", checkpoint, "--data", data, "--defended", "anp", says="unlearning", folder=tmp_path)


def test_given_trigger(data, few, fm_run, clean_run):
    """The default trigger and target of the run, given by hand, measure the same; a clean run can be measured too."""
    own, given = evaluate(fm_run, "--data", few[0]), evaluate(fm_run, "--data", few[0], "--trigger", "patch", "--target", 0)
    assert {k: given[k] for k in ALWAYS} == {k: own[k] for k in ALWAYS}
    clean = evaluate(clean_run, "--data", data, "--trigger", "patch", "--target", 0)
    assert 0 <= clean["attack_success_rate"] <= 1 and not UNBOUNDED & clean.keys()


def test_text(few, fm_run):
    """Without --json: the same numbers for people."""
    data = few[0]
    got, shown = evaluate(fm_run, "--data", data), fedclamp("evaluate", fm_run, "--data", data).stdout
    numbers = [float(n) for n in re.findall(r"\d+\.\d+", shown)]
    for key in ("accuracy", "attack_success_rate"):
        assert any(abs(n - got[key] * scale) <= 0.006 * scale for n in numbers for scale in (1, 100)), shown


@pytest.fixture(scope="module")
def small_run(files, tiny_few):
    path = files / "few-run.h5"
    fedclamp("run", *tiny_few, "--out", path)
    return path


@pytest.fixture(scope="module")
def bounded(files, few, small_run):
    """(file, what was said) of `bound` on a run file."""
    return files / "bounded.h5", fedclamp("bound", small_run, "--synthetic", few[1], "--out", files / "bounded.h5").stdout


def test_bound(tmp_path, few, small_run, bounded):
    out, _ = bounded
    before = small_run.read_bytes()
    fedclamp("bound", small_run, "--synthetic", few[1], "--out", tmp_path / "again.h5", "--threads", 1)
    assert small_run.read_bytes() == before
    assert not differing(contents(out, ["model"]), contents(small_run, ["model"])), "parameters are untouched"
    with h5py.File(out) as file:
        assert sorted(file["bounds"]) == sorted(BOUNDED)
        assert all((file[f"bounds/{name}"][:] >= 0).all() for name in BOUNDED)
    got = evaluate(out, "--data", few[0], "--trigger", "patch", "--target", 0)
    assert UNBOUNDED <= got.keys()
    assert not differing(contents(tmp_path / "again.h5", ["bounds"]), contents(out, ["bounds"]))


def test_bound_beside_the_initial_model(tmp_path, few, small_run, bounded):
    """A run file has the model before round 1, from which the search makes a twin to compare with; a damaged one is refused by name."""
    out, said = bounded
    fm, damaged = few[1], tmp_path / "damaged.h5"
    assert "contrast to the twin" in said and "had bounds already" not in said
    for damage in (lambda file: file["initial/conv2/weight"].write_direct(np.full((32, 32, 3, 3), np.nan, np.float32)),
                   lambda file: file.__delitem__("initial/fc2")):
        shutil.copy(small_run, damaged)
        with h5py.File(damaged, "a") as file:
            damage(file)
        refused("bound", damaged, "--synthetic", fm, "--out", tmp_path / "b.h5", says="/initial", folder=tmp_path)
    with h5py.File(damaged, "a") as file, h5py.File(out) as fitted:
        for layer in [name for name, node in file["initial"].items() if isinstance(node, h5py.Group)]:
            del file["initial"][layer]
        fitted.copy("bounds", file)
    said = fedclamp("bound", damaged, "--synthetic", fm, "--out", tmp_path / "b.h5").stdout
    assert "deviations" in said
    assert "had bounds already" in said, "they are not fitted on top"


def test_foreign_checkpoint(tmp_path, few):
    """A file with no more than /model, as a conversion from PyTorch writes it, can be bounded."""
    reference.write_checkpoint(tmp_path / "model.h5", reference.random_model(1, 4, seed=5))
    fedclamp("bound", tmp_path / "model.h5", "--synthetic", few[1], "--out", tmp_path / "out.h5")
    assert not differing(contents(tmp_path / "out.h5", ["model"]), contents(tmp_path / "model.h5", ["model"]))


def test_inspect(data, fm, fm_run):
    shown = fedclamp("inspect", data).stdout
    for word in ("tiny", "160", "60", "28"):
        assert word in shown
    assert "60" in fedclamp("inspect", fm).stdout
    shown = fedclamp("inspect", fm_run).stdout
    for word in ("conv1", "fc2", "fm", "bounds", "seed"):
        assert word in shown
