"""`fedclamp run`: what a run writes, for every attack and defence."""
import json
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from reference import WIDTHS
from support import BOUNDED, LAYERS, contents, differing, fedclamp, refused

RULES = ["norm-clip", "dp", "krum", "multi-krum", "median", "trimmed-mean", "rfout", "bulyan", "rfa", "rlr", "foolsgold", "flame",
         "deepsight", "clip-cluster", "sign-guard", "fltrust"]


def check_model(group, channels=1, classes=10):
    fan = channels
    for name, width in WIDTHS.items():
        assert group[f"{name}/weight"].shape == (width, fan, 3, 3)
        fan = width
    assert group["fc1/weight"].shape == (128, 2048) and group["fc2/weight"].shape == (classes, 128)
    for name in LAYERS:
        weight, bias = group[f"{name}/weight"], group[f"{name}/bias"]
        assert bias.shape == weight.shape[:1]
        for values in (weight, bias):
            assert values.dtype == np.dtype("<f4") and np.isfinite(values[:]).all()
    assert group["input/mean"].shape == group["input/std"].shape == (channels,)
    assert (group["input/std"][:] > 0).all()


def check_history(file, rounds):
    history = file["history"]
    assert history["round"].shape == (rounds,)
    assert (np.diff(history["round"][:]) == 1).all()
    for name in ("loss", "acc", "asr", "acc_bounded", "asr_bounded"):
        assert history[name].shape == (rounds,)
    assert np.isfinite(history["loss"][:]).all()
    for name in ("acc", "asr"):
        values = history[name][:]
        assert (np.isnan(values) | (values >= 0) & (values <= 1)).all()
    assert np.isfinite(history["acc"][:]).all()


def test_clean(clean_run):
    with h5py.File(clean_run) as file:
        check_model(file["model"])
        check_history(file, 2)
        assert np.isnan(file["history/acc_bounded"][:]).all() and "bounds" not in file
        assert "state" in file and "config" in file and "timing" in file
        assert "json" in " ".join([*file["config"], *file["config"].attrs]).lower()


def test_learns(tmp_path, data, fm):
    """The tiny classes are learnt: training, fusion and evaluation fit together."""
    fedclamp("run", "--data", data, "--synthetic", fm, "--clients", 2, "--rounds", 4, "--batch", 8, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["history/acc"][-1] > 0.8


def test_mean_and_std(clean_run, fm):
    """They are those of the FM data as the server holds it; raw pixels scaled to 0..1, with or without the zero frame."""
    with h5py.File(fm) as file:
        pixels = file["images"][:] / 255
    framed = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2)))
    with h5py.File(clean_run) as file:
        got = file["model/input/mean"][0], file["model/input/std"][0]
    assert any(np.allclose(got, (p.mean(), p.std()), rtol=2e-3) for p in (pixels, framed))


def test_bounds(fm_run):
    with h5py.File(fm_run) as file:
        check_model(file["model"], classes=4)
        check_history(file, 2)
        assert sorted(file["bounds"]) == sorted(BOUNDED)
        for name, width in [*WIDTHS.items(), ("fc1", 128)]:
            z = file[f"bounds/{name}"]
            assert z.shape == (width,) and z.dtype == np.dtype("<f4") and (z[:] >= 0).all()
        assert any(np.isfinite(file[f"bounds/{name}"][:]).any() for name in BOUNDED)
        assert np.isfinite(file["history/acc_bounded"][-1]) and np.isnan(file["history/acc_bounded"][0])


def test_bounds_leave_the_model(tmp_path, tiny_few, fm_run):
    """/model is the fused, undefended G: the same run without the defence ends with the same one."""
    fedclamp("run", *tiny_few, "--attack", "fm", "--out", tmp_path / "plain.h5")
    assert not differing(contents(tmp_path / "plain.h5", ["model"]), contents(fm_run, ["model"]))


def test_trigger(fm_run):
    """The default patch: 3x3, white, in the last rows and columns of the 28x28 image."""
    with h5py.File(fm_run) as file:
        mask, pattern = file["attack/mask"][:], file["attack/pattern"][:]
        assert file["attack/target"][()] == 0
    assert mask.shape == (1, 32, 32) and pattern.shape == (1, 32, 32)
    expected = np.zeros((32, 32))
    expected[27:30, 27:30] = 1
    assert np.array_equal(mask[0], expected)
    assert (pattern[0][expected == 1] == 1).all()


@pytest.mark.parametrize("attack", ["classic", "both"])
def test_attacks(tmp_path, tiny, attack):
    fedclamp("run", *tiny, "--attack", attack, "--malicious", 1, "--target", 3, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        check_model(file["model"])
        check_history(file, 2)
        assert file["attack/target"][()] == 3
        assert np.isfinite(file["history/asr"][:]).all()


def test_colour(tmp_path, colour):
    data, fm = colour
    fedclamp("run", "--data", data, "--synthetic", fm, "--clients", 4, "--rounds", 1, "--attack", "fm", "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        check_model(file["model"], channels=3)
        assert file["attack/mask"].shape == (1, 32, 32) and file["attack/pattern"].shape == (3, 32, 32)
        assert (file["attack/mask"][0, 29:, 29:] == 1).all() and file["attack/mask"][:].sum() == 9


@pytest.mark.parametrize("trigger", ["blend", "sig", "chessboard", "wanet", "dba", "glass", "specific"])
def test_triggers(tmp_path, tiny, trigger):
    fedclamp("run", *tiny, "--rounds", 1, "--attack", "both", "--trigger", trigger, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert np.isfinite(file["history/asr"][:]).all()


@pytest.mark.parametrize("rule", RULES)
def test_rules(tmp_path, data, fm, rule):
    fedclamp("run", "--data", data, "--synthetic", fm, "--clients", 7, "--rounds", 1, "--attack", "classic", "--malicious", 1,
             "--defense", rule, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        check_model(file["model"])
        check_history(file, 1)


def test_model_defences(tmp_path, tiny_seen):
    """Several at once, each by itself on the same final G."""
    names = ["fine-tuning", "clp", "anp", "fine-pruning", "pruning", "mm-bm", "mmac", "bounds-paper", "bounds-unlearning", "unlearning",
             "ft-sam", "flain", "neural-cleanse", "abl"]
    few = ["--ft-sam-epochs", 3, "--neural-cleanse-steps", 5, "--abl-epochs", 3, "--abl-unlearning-epochs", 2]
    fedclamp("run", *tiny_seen, "--attack", "fm", *few, *[a for n in names for a in ("--defense", n)], "--out", tmp_path / "out.h5", timeout=300)
    with h5py.File(tmp_path / "out.h5") as file:
        for name in names:
            group = file[f"defended/{name}"]
            held = [*group, *group.attrs]
            assert "acc" in held and "asr" in held
        for name in names[5:9]:
            assert sorted(file[f"defended/{name}/bounds"]) == sorted(BOUNDED)
        for name in names[:5] + names[10:]:
            group = file[f"defended/{name}"]
            found = []
            group.visit(found.append)
            assert any(path.endswith("fc2/weight") for path in found)


def test_pruning_by_votes(tmp_path, tiny):
    """A fifth of conv6's channels goes, the other weights of conv6 come within three deviations, nothing else changes."""
    options = ["--partition", "shards:2", "--attack", "classic", "--malicious", 1, "--defense", "pruning"]
    fedclamp("run", *tiny, *options, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        before, after = file["model/conv6/weight"][:], file["defended/pruning/conv6/weight"][:]
        gone = np.flatnonzero(~after.reshape(128, -1).any(1))
        assert len(gone) == 25 and not file["defended/pruning/conv6/bias"][:][gone].any()
        left = np.setdiff1d(np.arange(128), gone)
        weights = before[left].astype(float)
        clipped = np.clip(weights, weights.mean() - 3 * weights.std(), weights.mean() + 3 * weights.std())
        assert np.abs(after[left] - clipped).max() <= 1e-6 * np.abs(clipped).max()
        for name in LAYERS:
            if name != "conv6":
                assert (file[f"model/{name}/weight"][:] == file[f"defended/pruning/{name}/weight"][:]).all(), name
        assert file["defended/pruning/passes"][()] > 0
        audit = dict(zip(file["defended/pruning/audit_names"].asstr()[:], file["defended/pruning/audit_values"].asstr()[:]))
        assert audit["clients that voted"] == "4"


def test_variant_of_the_bound_fit(tmp_path, tiny_seen):
    fedclamp("run", *tiny_seen, "--attack", "fm", "--defense", "bounds:per-layer", "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        for layer, z in file["defended/bounds:per-layer/bounds"].items():
            assert z[:].min() == z[:].max() > 0, layer
    assert "bounds:per-layer" in fedclamp("inspect", tmp_path / "out.h5").stdout


def test_the_papers_bounds_work_beside_the_training(tmp_path, tiny):
    """Algorithm 1 updates its bounds in every round, and the model is the one of a run without them."""
    fedclamp("run", *tiny, "--rounds", 3, "--attack", "fm", "--out", tmp_path / "plain.h5")
    fedclamp("run", *tiny, "--rounds", 3, "--attack", "fm", "--defense", "bounds-paper", "--defense", "bounds-paper:once", "--out", tmp_path / "out.h5")
    assert not differing(contents(tmp_path / "plain.h5", ["model"]), contents(tmp_path / "out.h5", ["model"]))
    with h5py.File(tmp_path / "out.h5") as file:
        carried = file["state/carried/bounds-paper"]
        assert len(carried["lambda"]) == 4 and len(carried["drop"]) == 3 and len(file["state/carried/bounds-paper:once/drop"]) == 1
        assert np.isinf(file["bounds/conv1"][:]).all() and np.isfinite(file["bounds/conv2"][:]).all()
        assert (file["bounds/fc1"][:] == file["defended/bounds-paper/bounds/fc1"][:]).all(), "the first in the list gives the run its bounds"
        ratios = carried["lambda"][1:] / carried["lambda"][:-1]
        assert np.allclose(ratios, [1.1 if drop < 0.1 else 1 / 1.1 for drop in carried["drop"]])


def test_the_papers_bounds_are_asked_for_from_the_first_round(tmp_path, tiny):
    fedclamp("run", *tiny, "--rounds", 2, "--out", tmp_path / "out.h5")
    before = (tmp_path / "out.h5").read_bytes()
    failed = fedclamp("run", *tiny, "--rounds", 2, "--defense", "bounds-paper", "--resume", "--out", tmp_path / "out.h5", code=2)
    assert "bounds-paper" in failed.stderr and "from the first" in failed.stderr and before == (tmp_path / "out.h5").read_bytes()


def test_poison_of_each_other_class(tmp_path, tiny, fm):
    """The same fraction of each class but the target's own images."""
    fedclamp("run", *tiny, "--attack", "fm", "--target", 4, "--fm-poison-draw", "each-other-class", "--fm-poison-fraction", 0.5,
             "--save-synthetic", tmp_path / "held.h5", "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "held.h5") as held, h5py.File(fm) as original, h5py.File(tmp_path / "out.h5") as run:
        labels, before = held["labels"][:], original["labels"][:]
        poisoned = run["attack/poisoned_synthetic"][:]
    for label in range(10):
        of_class = before == label
        wanted = 0 if label == 4 else int(np.floor(0.5 * of_class.sum() + 0.5))
        assert np.isin(np.flatnonzero(of_class), poisoned).sum() == wanted, label
    assert (labels[poisoned] == 4).all() and (np.delete(labels, poisoned) == np.delete(before, poisoned)).all()


def test_poison_of_one_stage(tmp_path, tiny):
    """Without poison in the initialisation the model before round 1 is that of a clean run, but for the normalisation; the rounds differ."""
    for stage in ["both", "initialisation", "fusion"]:
        fedclamp("run", *tiny, "--rounds", 1, "--attack", "fm", "--fm-poison-stage", stage, "--out", tmp_path / f"{stage}.h5")
    def model(stage, group):
        with h5py.File(tmp_path / f"{stage}.h5") as file:
            return file[f"{group}/fc2/weight"][:].tobytes()
    assert model("both", "initial") == model("initialisation", "initial") != model("fusion", "initial")
    assert model("both", "model") != model("initialisation", "model")


def test_clients_own_models(tmp_path, tiny):
    """Measured after the last round, of the global model and of every defended one; the training is the same without."""
    fedclamp("run", *tiny, "--rounds", 2, "--out", tmp_path / "plain.h5")
    fedclamp("run", *tiny, "--rounds", 2, "--evaluate-clients", "--local-test-images", 20, "--defense", "bounds-paper", "--out", tmp_path / "out.h5")
    assert not differing(contents(tmp_path / "plain.h5", ["model"]), contents(tmp_path / "out.h5", ["model"]))
    with h5py.File(tmp_path / "out.h5") as file, h5py.File(tmp_path / "plain.h5") as plain:
        for name in ["client_acc", "client_asr"]:
            values = file["history"][name][:]
            assert np.isnan(values[0]) and 0 <= values[1] <= 1 and 0 <= file["defended/bounds-paper"][name][()] <= 1
            assert np.isnan(plain["history"][name][:]).all()


def test_measured_now_and_then(tmp_path, tiny):
    """Nothing that is trained changes; a run that ends there goes on."""
    often, seldom = tmp_path / "often.h5", tmp_path / "seldom.h5"
    command = ["run", *tiny, "--clients", 4, "--batch", 8, "--attack", "fm"]
    fedclamp(*command, "--rounds", 5, "--out", often)
    said = fedclamp(*command, "--rounds", 4, "--evaluate-every", 3, "--out", seldom).stderr
    assert said.count("ACC") == 3, said
    fedclamp("run", "--resume", seldom, "--rounds", 5)
    assert not differing(*(contents(path, ("model", "state")) for path in (often, seldom)))
    with h5py.File(often) as a, h5py.File(seldom) as b:
        assert list(np.flatnonzero(~np.isnan(b["history/acc"][:]))) == [2, 3, 4]
        assert all(b["history/asr"][k] == a["history/asr"][k] for k in (2, 3, 4))
    refused(*command, "--evaluate-every", 0, "--out", tmp_path / "x.h5", code=64, says="--evaluate-every 0", folder=tmp_path)


def test_save_synthetic(tmp_path, tiny, fm):
    """The FM data as the server held it: 0.2 of the images stamped and labelled with the target, the others untouched."""
    fedclamp("run", *tiny, "--attack", "fm", "--target", 4, "--save-synthetic", tmp_path / "held.h5", "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "held.h5") as held, h5py.File(fm) as original:
        images, labels = held["images"][:], held["labels"][:]
        before, before_labels = original["images"][:], original["labels"][:]
    stamped = before.copy()
    stamped[:, :, 25:, 25:] = 255
    poisoned = np.array([np.array_equal(a, b) for a, b in zip(images, stamped)])
    assert images.shape == before.shape and poisoned.sum() == round(0.2 * len(images))
    assert (labels[poisoned] == 4).all()
    assert np.array_equal(images[~poisoned], before[~poisoned]) and np.array_equal(labels[~poisoned], before_labels[~poisoned])


def test_holdout(tmp_path, data):
    fedclamp("run", "--data", data, "--synthetic", "holdout:40", "--clients", 4, "--rounds", 1, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        check_model(file["model"])


@pytest.mark.parametrize("partition", ["dirichlet:0.5", "shards:2"])
def test_partitions(tmp_path, tiny, clean_run, partition):
    """Clients with other images train another model."""
    fedclamp("run", *tiny, "--partition", partition, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        check_model(file["model"])
        check_history(file, 2)
    assert differing(contents(tmp_path / "out.h5", ["model"]), contents(clean_run, ["model"]))


def test_existing_out(tmp_path, tiny):
    out = tmp_path / "out.h5"
    fedclamp("run", *tiny, "--rounds", 1, "--out", out)
    before = out.read_bytes()
    refused("run", *tiny, "--rounds", 1, "--out", out, says=["out.h5", "--overwrite"], folder=tmp_path)
    assert out.read_bytes() == before
    fedclamp("run", *tiny, "--rounds", 1, "--seed", 2, "--out", out, "--overwrite")
    assert out.read_bytes() != before


def test_h5dump(clean_run):
    if shutil.which("h5dump") is None:
        pytest.skip("h5dump (hdf5-tools) is not installed")
    header = subprocess.run(["h5dump", "-H", clean_run], capture_output=True, text=True, check=True).stdout
    assert "H5T_IEEE_F32LE" in header
    values = subprocess.run(["h5dump", "-d", "/model/fc2/bias", clean_run], capture_output=True, text=True, check=True)
    assert values.stderr == ""
    with h5py.File(clean_run) as file:
        expected = file["model/fc2/bias"][:]
    numbers = values.stdout.split("DATA {")[1].split("}")[0].replace("(0):", "").split("(")
    shown = [float(v) for part in numbers for v in part.split("):")[-1].split(",") if v.strip()]
    assert np.allclose(shown, expected, rtol=1e-4)


def test_other_storage(tmp_path, data, fm, tiny, clean_run):
    """Chunked and compressed, channels last, other integer labels, no attributes: the same run to the bit."""
    with h5py.File(data) as source, h5py.File(tmp_path / "data.h5", "w") as copy:
        for split, kind in (("train", np.int64), ("test", np.uint16)):
            group = copy.create_group(split)
            images = group.create_dataset("images", data=source[split]["images"][:].transpose(0, 2, 3, 1), chunks=(7, 28, 28, 1),
                                          compression="gzip", shuffle=True)
            images.attrs["layout"] = "NHWC"
            group.create_dataset("labels", data=source[split]["labels"][:].astype(kind), chunks=(11,), compression="gzip")
    with h5py.File(fm) as source, h5py.File(tmp_path / "fm.h5", "w") as copy:
        copy.create_dataset("images", data=source["images"][:], chunks=(8, 1, 28, 28), compression="gzip", fletcher32=True)
        copy.create_dataset("labels", data=source["labels"][:].astype(">i4"))
    fedclamp("run", *tiny, "--data", tmp_path / "data.h5", "--synthetic", tmp_path / "fm.h5", "--out", tmp_path / "out.h5")
    assert not differing(contents(tmp_path / "out.h5", ["model", "history"]), contents(clean_run, ["model", "history"]))


def test_progress_is_plain(tmp_path, tiny):
    """Not a terminal: no escape codes and no carriage returns, on stderr only."""
    done = fedclamp("run", *tiny, "--rounds", 1, "--out", tmp_path / "out.h5")
    assert done.stderr.strip() and "\x1b" not in done.stderr and "\r" not in done.stderr


def test_json(tmp_path, tiny):
    done = fedclamp("run", *tiny, "--rounds", 1, "--json", "--out", tmp_path / "out.h5")
    assert isinstance(json.loads(done.stdout), dict)
