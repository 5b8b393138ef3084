"""Bad input to `fedclamp run` and `fedclamp evaluate`: the right exit code, one clear line, nothing left behind."""
import resource
import signal

import h5py
import numpy as np
import pytest

from reference import random_model, write_checkpoint
from support import fedclamp, refused, write_split


# --- wrong on the command line alone: 64 -------------------------------------------------------------------------

@pytest.mark.parametrize("options, says", [
    (["--attack", "clasic"], "classic"),
    (["--defense", "multikrum"], "multi-krum"),
    (["--defense", "bound"], "bounds"),
    (["--defense", "bounds:per-layr"], "bounds:per-layer"),
    (["--trigger", "wannet"], "wanet"),
    (["--round", 3], "--rounds"),
    (["--poison-fracton", 0.5], "--poison-fraction"),
    (["--isa", "pentium"], "pentium"),
    (["--evaluate-on", "tset"], "test"),
    (["--partition", "idd"], "iid"),
], ids=lambda v: str(v[-2:]) if isinstance(v, list) else "")
def test_unknown_names(tmp_path, tiny, options, says):
    refused("run", *tiny, *options, "--out", tmp_path / "out.h5", code=64, says=says, folder=tmp_path)


@pytest.mark.parametrize("options, says", [
    (["--poison-fraction", 1.1], "poison-fraction"),
    (["--poison-fraction", "-0.1"], "poison-fraction"),
    (["--poison-fraction", "50%"], "poison-fraction"),
    (["--fm-poison-fraction", 20], "fm-poison-fraction"),
    (["--fm-poison-fraction", "nan"], "fm-poison-fraction"),
    (["--participation", 1.5], "participation"),
    (["--malicious", 5], "malicious"),
    (["--malicious", "-1"], "malicious"),
    (["--clients", 0], "clients"),
    (["--rounds", "-1"], "rounds"),
    (["--rounds", "many"], "rounds"),
    (["--batch", 0], "batch"),
    (["--lr", "-0.1"], "lr"),
    (["--lr", "nan"], "lr"),
    (["--lr", "inf"], "lr"),
    (["--seed", "x"], "seed"),
    (["--threads", "-2"], "threads"),
    (["--target", "-1"], "target"),
    (["--partition", "dirichlet:0"], "dirichlet"),
    (["--partition", "dirichlet:x"], "dirichlet"),
    (["--partition", "shards:0"], "shards"),
    (["--synthetic", "holdout:x"], "holdout"),
    (["--synthetic", "holdout"], "holdout:N"),
    (["--synthetic", "holdout:0"], "holdout"),
    (["--defense", "krum", "--defense", "median"], "median"),
    (["--resume", "--overwrite"], "overwrite"),
], ids=lambda v: " ".join(map(str, v)) if isinstance(v, list) else "")
def test_bad_values(tmp_path, tiny, options, says):
    attack = ["--attack", "both"]
    refused("run", *tiny, *attack, *options, "--out", tmp_path / "out.h5", code=64, says=says, folder=tmp_path)


@pytest.mark.parametrize("missing", ["--data", "--synthetic", "--out"])
def test_missing_options(tmp_path, data, fm, missing):
    options = {"--data": data, "--synthetic": fm, "--out": tmp_path / "out.h5"}
    rest = [a for name, value in options.items() if name != missing for a in (name, value)]
    refused("run", *rest, code=64, says=missing, folder=tmp_path)


# --- wrong in the files: 2 ---------------------------------------------------------------------------------------

def no_file(path):
    path.unlink()


def empty_file(path):
    path.write_bytes(b"")


def text_file(path):
    path.write_text("images,labels\n" * 100)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-5000])


def only_the_start(path):
    path.write_bytes(path.read_bytes()[:300])


def a_folder(path):
    path.unlink()
    path.mkdir()


def replaced(name, change):
    """A damage that replaces dataset `name` by change(values), or removes it when that is None."""
    def damage(path):
        with h5py.File(path, "r+") as file:
            values = change(file[name][:])
            del file[name]
            if values is not None:
                file[name] = values
    damage.__name__ = name
    return damage


DATA_DAMAGE = {
    "no file": no_file, "empty": empty_file, "text": text_file, "truncated": truncated, "a stump": only_the_start,
    "a folder": a_folder,
    "no test": replaced("test/images", lambda v: None),
    "no labels": replaced("train/labels", lambda v: None),
    "float pixels": replaced("train/images", lambda v: v / np.float32(255)),
    "16-bit pixels": replaced("train/images", lambda v: v.astype(np.uint16)),
    "rank 3": replaced("train/images", lambda v: v[:, 0]),
    "two channels": replaced("train/images", lambda v: np.repeat(v, 2, axis=1)),
    "30x30": replaced("train/images", lambda v: np.pad(v, ((0, 0), (0, 0), (1, 1), (1, 1)))),
    "28x32": replaced("train/images", lambda v: np.pad(v, ((0, 0), (0, 0), (0, 0), (2, 2)))),
    "channels last, no flag": replaced("train/images", lambda v: v.transpose(0, 2, 3, 1)),
    "no images": replaced("train/images", lambda v: v[:0]),
    "labels too few": replaced("train/labels", lambda v: v[:-1]),
    "labels of rank 3": replaced("train/labels", lambda v: v[:, None, None]),
    "labels that are not one-hot": replaced("train/labels", lambda v: np.full((len(v), 10), 0.1)),
    "float labels": replaced("train/labels", lambda v: v.astype(np.float32)),
    "negative label": replaced("train/labels", lambda v: v.astype(np.int32) - 1),
    "label beyond class_names": replaced("test/labels", lambda v: v + np.uint8(1)),
    "huge label": replaced("train/labels", lambda v: v.astype(np.int64) + 2 ** 40),
    "other size in test": replaced("test/images", lambda v: np.pad(v, ((0, 0), (0, 0), (2, 2), (2, 2)))),
}


@pytest.mark.parametrize("damage", DATA_DAMAGE)
def test_bad_data(tmp_path, data, fm, damage):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(data.read_bytes())
    DATA_DAMAGE[damage](bad)
    refused("run", "--data", bad, "--synthetic", fm, "--clients", 4, "--out", tmp_path / "out.h5", says="bad.h5", folder=tmp_path)


FM_DAMAGE = {
    "no file": no_file, "truncated": truncated, "text": text_file,
    "other channels": replaced("images", lambda v: np.repeat(v, 3, axis=1)),
    "other size": replaced("images", lambda v: np.pad(v, ((0, 0), (0, 0), (2, 2), (2, 2)))),
    "label beyond the classes": replaced("labels", lambda v: v + np.uint8(1)),
    "no labels": replaced("labels", lambda v: None),
}


@pytest.mark.parametrize("damage", FM_DAMAGE)
def test_bad_synthetic(tmp_path, data, fm, damage):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(fm.read_bytes())
    FM_DAMAGE[damage](bad)
    refused("run", "--data", data, "--synthetic", bad, "--clients", 4, "--out", tmp_path / "out.h5", says="bad.h5", folder=tmp_path)


def test_swapped_files(tmp_path, data, fm):
    refused("run", "--data", fm, "--synthetic", data, "--clients", 4, "--out", tmp_path / "out.h5", says="tiny-fm.h5", folder=tmp_path)


def test_more_than_there_is(tmp_path, tiny):
    """Only the data tell that these are too many."""
    out = ["--out", tmp_path / "out.h5"]
    refused("run", *tiny, "--synthetic", "holdout:1000", *out, folder=tmp_path)
    refused("run", *tiny, "--clients", 1000, *out, folder=tmp_path)
    refused("run", *tiny, "--target", 10, "--attack", "fm", *out, says="target", folder=tmp_path)
    refused("run", *tiny, "--evaluate-on", "dev", *out, folder=tmp_path)


def test_config_file(tmp_path, tiny):
    refused("run", *tiny, "--config", tmp_path / "none.json", "--out", tmp_path / "out.h5", says="none.json", folder=tmp_path)


# --- where nothing can be written: 2 ------------------------------------------------------------------------------

@pytest.mark.parametrize("out", ["no/such/folder/out.h5", "file/out.h5", "/proc/out.h5", "."])
def test_out_cannot_be_written(tmp_path, tiny, out):
    """Found out before the training, not after it."""
    (tmp_path / "file").write_text("a file, not a folder")
    done = refused("run", *tiny, "--rounds", 100_000, "--out", tmp_path / out, folder=tmp_path, timeout=20)
    assert str(tmp_path / out) in done.stderr


def test_disk_full(tmp_path, tiny):
    """A file size limit stands for a full disk. Nothing half-written may stay."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    done = fedclamp("run", *tiny, "--rounds", 1, "--out", tmp_path / "out.h5", code=2, preexec_fn=limit, restore_signals=False)
    assert "out.h5" in done.stderr
    assert not list(tmp_path.iterdir())


# --- evaluate and the other readers of checkpoints ---------------------------------------------------------------

CHECKPOINT_DAMAGE = {
    "no file": no_file, "truncated": truncated, "text": text_file,
    "no layer": replaced("model/conv4/weight", lambda v: None),
    "no mean": replaced("model/input/mean", lambda v: None),
    "wrong shape": replaced("model/fc1/weight", lambda v: v[:, :-1]),
    "transposed": replaced("model/fc2/weight", lambda v: v.T.copy()),
    "integers": replaced("model/conv1/bias", lambda v: v.astype(np.int32)),
    "NaN": replaced("model/conv1/bias", lambda v: v * np.float32("nan")),
    "zero std": replaced("model/input/std", lambda v: v * 0),
    "bounds of wrong length": replaced("bounds/conv2", lambda v: v[:-1]),
    "negative bound": replaced("bounds/conv2", lambda v: v - 5),
    "NaN bound": replaced("bounds/fc1", lambda v: v * np.float32("nan")),
    "a bound missing": replaced("bounds/conv3", lambda v: None),
}


@pytest.mark.parametrize("damage", CHECKPOINT_DAMAGE)
def test_bad_checkpoint(tmp_path, data, damage):
    bad = tmp_path / "bad.h5"
    model = random_model(1, 10, seed=1)
    write_checkpoint(bad, model, {name: np.ones(len(model[f"{name}/bias"])) for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "fc1")})
    fedclamp("evaluate", bad, "--data", data)
    CHECKPOINT_DAMAGE[damage](bad)
    refused("evaluate", bad, "--data", data, says="bad.h5", folder=tmp_path)


def test_evaluate_mismatch(tmp_path, data, colour, clean_run):
    refused("evaluate", clean_run, "--data", colour[0])
    refused("evaluate", data, "--data", data, says="tiny.h5")
    refused("evaluate", clean_run, "--data", data, "--trigger", "patch", "--target", 10, says="target")
    write_checkpoint(tmp_path / "few.h5", random_model(1, 3, seed=1))
    refused("evaluate", tmp_path / "few.h5", "--data", data, folder=tmp_path)
    refused("evaluate", clean_run, "--data", data, "--trigger", "pach", "--target", 1, code=64, says="patch")
    refused("evaluate", clean_run, code=64, says="--data")


def test_bound_refusals(tmp_path, clean_run, fm, colour):
    refused("bound", clean_run, "--synthetic", colour[1], "--out", tmp_path / "out.h5", folder=tmp_path)
    refused("bound", fm, "--synthetic", fm, "--out", tmp_path / "out.h5", says="tiny-fm.h5", folder=tmp_path)
    refused("bound", clean_run, "--synthetic", fm, "--out", "/proc/out.h5", says="/proc/out.h5")


def test_bound_refuses_data_that_say_nothing(tmp_path, clean_run, fm):
    """Too few FM images, of one class, or all the same; and a model with NaN."""
    with h5py.File(fm) as file:
        images, labels = file["images"][:], file["labels"][:]
    images, labels = np.resize(images, (100, *images.shape[1:])), np.resize(labels, 100)
    for name, x, y, says in (("few", images[:40], labels[:40], "at least 50"), ("one", images, np.zeros_like(labels), "2 classes"),
                             ("same", np.repeat(images[:1], 100, axis=0), labels, "the same"), ("black", np.zeros_like(images), labels, "the same")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            write_split(file, x, y)
        refused("bound", clean_run, "--synthetic", tmp_path / f"{name}.h5", "--out", tmp_path / "out.h5", says=[f"{name}.h5", says], folder=tmp_path)
    model = random_model(1, 10, seed=1)
    model["fc1/weight"][3, 3] = np.nan
    write_checkpoint(tmp_path / "nan.h5", model)
    refused("bound", tmp_path / "nan.h5", "--synthetic", fm, "--out", tmp_path / "out.h5", says="NaN", folder=tmp_path)


@pytest.mark.parametrize("defense", ["bounds", "unlearning", "vouching", "mm-bm", "fine-tuning"])
def test_data_that_say_nothing_are_refused_before_anything_is_trained(tmp_path, data, fm, defense):
    with h5py.File(fm) as file:
        images, labels = np.resize(file["images"][:], (100, 1, 28, 28)), np.resize(file["labels"][:], 100)
    for name, x, y, says in (("few", images[:1], labels[:1], "got 1"), ("one", images, np.zeros_like(labels), "2 classes"),
                             ("same", np.repeat(images[:1], 100, axis=0), labels, "the same")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            write_split(file, x, y)
        done = fedclamp("run", "--data", data, "--synthetic", tmp_path / f"{name}.h5", "--clients", 4, "--batch", 8, "--defense", defense,
                        "--out", tmp_path / "out.h5", code=2)
        last = done.stderr.splitlines()[-1]
        assert f"{name}.h5" in last and says in last and defense in last, done.stderr
        assert "round" not in done.stderr.splitlines()[-2] and not (tmp_path / "out.h5").exists(), done.stderr


def test_what_needs_the_model_before_round_1_needs_an_initialisation(tmp_path, data, fm):
    refused("run", "--data", data, "--synthetic", fm, "--clients", 4, "--initial-epochs", 0, "--defense", "flain", "--out", tmp_path / "out.h5",
            says=["--initial-epochs 0", "1 or more with --defense flain"], code=64, folder=tmp_path)


def test_inspect_refusals(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    refused("inspect", tmp_path / "text.h5", says="text.h5")
    refused("inspect", tmp_path / "nowhere.h5", says="nowhere.h5")
    refused("inspect", tmp_path, says=tmp_path)


def test_unrelated_hdf5(tmp_path, fm):
    """A file of someone else's: read without harm, but no data set."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        write_split(file.create_group("elsewhere"), np.zeros((3, 1, 28, 28), np.uint8), np.zeros(3, np.uint8))
    refused("run", "--data", tmp_path / "other.h5", "--synthetic", fm, "--out", tmp_path / "out.h5", says="other.h5", folder=tmp_path)
