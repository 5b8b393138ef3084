"""`--defense vouching`: FM labels count as far as the federation does not speak against them, from the file alone."""
import json
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest

from support import BINARY, contents, differing, fedclamp, refused, write_split

RUN = ["--clients", 4, "--rounds", 3, "--batch", 8, "--fm-poison-draw", "each-other-class", "--attack", "fm", "--defense", "vouching"]
GROUPS = ("model", "history", "state", "vouching")
CLASSES = 5


def stripes(count, seed):
    """Class k is a bright stripe in the rows 2 k + 4 to 2 k + 7, in noise: far more than a trigger, unlike a small block."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(count) % CLASSES).astype(np.uint8)
    images = rng.integers(0, 60, (count, 1, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels):
        image[:, 2 * label + 4:2 * label + 8] += 140
    return images, labels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("vouching") / "stripes.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "fedclamp-dataset", "version": 1, "name": "stripes", "source": "drawn by the tests",
                           "class_names": [f"class {k}" for k in range(CLASSES)]})
        write_split(file.create_group("train"), *stripes(160, 1))
        write_split(file.create_group("test"), *stripes(60, 2))
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """FM data with enough images of each class for a vote."""
    path = tmp_path_factory.mktemp("vouching") / "fm.h5"
    with h5py.File(path, "w") as file:
        write_split(file, *stripes(600, 3))
    return path


@pytest.fixture(scope="module")
def vouched(tmp_path_factory, data, many):
    path = tmp_path_factory.mktemp("vouching") / "run.h5"
    fedclamp("run", "--data", data, "--synthetic", many, *RUN, "--trigger", "frame", "--out", path)
    return path


def test_the_backdoor_is_not_planted(tmp_path, data, many, vouched):
    fedclamp("run", "--data", data, "--synthetic", many, *RUN[:-2], "--trigger", "frame", "--out", tmp_path / "plain.h5")
    with h5py.File(vouched) as file, h5py.File(tmp_path / "plain.h5") as plain:
        assert plain["history/asr"][-1] > 0.8 and file["history/asr"][-1] < 0.1
        assert file["history/acc"][-1] >= plain["history/acc"][-1] - 0.05
        assert "vouching" not in plain and "initial/conv1" in file
        assert len(file["vouching/images"]) > 90
    assert "FM labels that are not trusted" in fedclamp("inspect", vouched).stdout


def test_resume_and_threads(tmp_path, data, many, vouched):
    out = tmp_path / "run.h5"
    command = ["run", "--data", data, "--synthetic", many, *RUN, "--trigger", "frame", "--out", out, "--json"]
    told = json.loads(fedclamp(*command, "--threads", 3).stdout)
    assert not differing(contents(out, GROUPS), contents(vouched, GROUPS))
    assert "FM labels that are not trusted" in told["vouching"]
    refused(*command, "--resume", "--vouching-rounds", 2, says="vouching-rounds was 1, is 2")


def test_a_clean_federation_is_not_touched(tmp_path, data, many):
    """Two rounds before the initialisation leave no bit behind where every label is right."""
    paths = [tmp_path / "plain.h5", tmp_path / "vouched.h5"]
    for path, defense in zip(paths, [[], ["--defense", "vouching", "--vouching-rounds", 2]]):
        fedclamp("run", "--data", data, "--synthetic", many, *RUN[:-4], "--attack", "none", *defense, "--out", path)
    with h5py.File(paths[1]) as file:
        assert not len(file["vouching/images"]) and list(file["history/round"]) == [1, 2, 3]
    assert not differing(*(contents(path, ("model", "initial", "history")) for path in paths))


def test_a_run_that_ends_before_the_initialisation_goes_on(tmp_path, data, many):
    """A defence that works in every round has nothing to carry yet."""
    command = ["run", "--data", data, "--synthetic", many, *RUN, "--rounds", 1, "--vouching-rounds", 2, "--defense", "bounds-paper"]
    fedclamp(*command, "--out", tmp_path / "whole.h5")
    out = tmp_path / "parts.h5"
    process = subprocess.Popen([str(BINARY), *map(str, command), "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not out.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    with h5py.File(out) as file:
        assert file["state/finished_rounds"][()] < 0
    fedclamp("run", "--resume", out)
    assert not differing(*(contents(path, ("model", "bounds", "history", "state")) for path in (tmp_path / "whole.h5", out)))


def test_refusals(tmp_path, data, many, vouched):
    out = tmp_path / "x.h5"
    files = ["--data", data, "--synthetic", many]
    refused("run", *files, *RUN, "--vouching-epochs", 0, "--out", out, code=64, says="--vouching-epochs 0", folder=tmp_path)
    refused("run", *files, *RUN, "--initial-epochs", 0, "--out", out, code=64, says=["--initial-epochs 0", "vouching"], folder=tmp_path)
    refused("run", "--data", data, "--synthetic", "none", "--defense", "vouching", "--out", out, code=64, says="vouching", folder=tmp_path)
    few = tmp_path / "few.h5"
    with h5py.File(few, "w") as file:
        write_split(file, *stripes(40, 3))
    done = fedclamp("run", "--data", data, "--synthetic", few, *RUN, "--out", out, code=2)
    assert "at least 50 FM images" in done.stderr and "vouching" in done.stderr
    one = tmp_path / "one.h5"
    with h5py.File(one, "w") as file:
        images, labels = stripes(100, 3)
        write_split(file, images, 0 * labels)
    assert "2 classes" in fedclamp("run", "--data", data, "--synthetic", one, *RUN, "--out", out, code=2).stderr
    for damaged in ([3, 3], [-1], [600], [2**40]):
        bad = tmp_path / "bad.h5"
        bad.write_bytes(vouched.read_bytes())
        with h5py.File(bad, "r+") as file:
            del file["vouching/images"], file["vouching/shown"]
            file["vouching/images"] = np.array(damaged)
        refused("run", "--resume", bad, "--rounds", 4, says="/vouching/images")
    for damage in (lambda s: s * 0.5, lambda s: s - 1, lambda s: s * np.nan, lambda s: s[:-1], lambda s: s[:, :-1]):
        bad.write_bytes(vouched.read_bytes())
        with h5py.File(bad, "r+") as file:
            shown = damage(file["vouching/shown"][:])
            del file["vouching/shown"]
            file["vouching/shown"] = shown
        refused("run", "--resume", bad, "--rounds", 4, says="/vouching/shown")


def test_doubted_images_are_used_without_their_label(vouched):
    """Each row of /vouching/shown is probabilities of the other classes, or zeros for an image that is not used."""
    with h5py.File(vouched) as file:
        shown, images = file["vouching/shown"][:], file["vouching/images"][:]
    assert shown.shape == (len(images), CLASSES) and (shown >= 0).all()
    sums = shown.sum(axis=1)
    assert ((abs(sums - 1) < 1e-5) | (sums == 0)).all() and (sums > 0).sum() > 90 and (shown == 0).any(axis=1).all()


def test_all_clients_vouch_however_few_have_part_in_a_round(tmp_path, data, many):
    """Round 0 asks all of them; the rounds after it a quarter."""
    out = tmp_path / "run.h5"
    fedclamp("step", "init", "--data", data, "--synthetic", many, *RUN, "--trigger", "frame", "--participation", 0.25, "--out", out)
    assert json.loads(fedclamp("step", "clients", out, "--json").stdout)["clients"] == [0, 1, 2, 3]


def test_recommended_is_one_name(tmp_path, data, many):
    """For its parts, in a run and of the model that they left together; a run without them has none."""
    files = ["--data", data, "--synthetic", many, "--clients", 8, "--rounds", 1, "--batch", 8, "--attack", "fm"]
    run, other = tmp_path / "run.h5", tmp_path / "other.h5"
    said = fedclamp("run", *files, "--defense", "recommended", "--out", run).stderr
    assert "defences: multi-krum vouching bounds-unlearning" in said
    told = [json.loads(fedclamp("evaluate", run, "--data", data, "--defended", name, "--json").stdout) for name in ("recommended", "bounds-unlearning")]
    assert told[0]["accuracy"] == told[1]["accuracy"] and told[0]["attack_success_rate"] == told[1]["attack_success_rate"]
    fedclamp("run", *files, "--defense", "multi-krum", "--out", other)
    refused("evaluate", other, "--data", data, "--defended", "recommended", says=["multi-krum, vouching, bounds-unlearning", "got multi-krum"])


def test_more_threads_than_clients_of_a_round(tmp_path, data, many):
    """All clients vouch, whatever part of them a round has."""
    for threads in (1, 4):
        fedclamp("run", "--data", data, "--synthetic", many, *RUN, "--participation", 0.25, "--rounds", 1, "--threads", threads,
                 "--out", tmp_path / f"{threads}.h5")
    assert not differing(contents(tmp_path / "1.h5", GROUPS), contents(tmp_path / "4.h5", GROUPS))
