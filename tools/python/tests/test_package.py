"""The executable from Python: runs, own methods, run files and results."""

import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np
import pytest

import fedclamp

SMALL = {"clients": 4, "rounds": 2, "batch": 8, "quiet": True}


def test_version_is_the_executables():
    from fedclamp.program import call

    assert call("--version").strip() == fedclamp.__version__


def test_arguments():
    from fedclamp.program import arguments

    assert arguments({"defense": ["a", "b"], "label_weight": 0.5, "json": True, "resume": False, "seed": None}) == [
        "--defense",
        "a",
        "--defense",
        "b",
        "--label-weight",
        "0.5",
        "--json",
    ]


def test_run_and_load(data, fm, tmp_path):
    out = tmp_path / "run.h5"
    told = fedclamp.run(data, fm, out, attack="fm", defense=["fine-tuning", "bounds"], **SMALL)
    run = fedclamp.load(out)
    assert run.state["conv1.weight"].shape == (32, 1, 3, 3) and run.state["input.mean"].shape == (1,)
    assert set(run.defended) == {"fine-tuning", "bounds"} and run.bounds["fc1"].shape == (128,)
    assert np.array_equal(run.defended["bounds"]["bounds.fc1"], run.bounds["fc1"]) and run.history["acc"].shape == (2,)
    assert (
        run.rates["none"]["acc"] == run.history["acc"][-1]
        and run.config["rounds"] == 2
        and run.provenance["dataset"] == "tiny"
    )
    assert told["rounds"] == 2
    with pytest.raises(fedclamp.FedClampError) as error:
        fedclamp.run(data, fm, out, **SMALL)
    assert error.value.code == 2 and "exists already" in str(error.value)


def test_a_torch_model_of_a_run(data, fm, tmp_path):
    torch = pytest.importorskip("torch")
    out = tmp_path / "run.h5"
    fedclamp.run(data, fm, out, **SMALL)
    run = fedclamp.load(out)
    net = fedclamp.network_of(run.state)
    with h5py.File(data) as file:
        images, labels = file["test/images"][()], file["test/labels"][()]
    logits = net(net.input(torch.from_numpy(images)))
    assert (logits.argmax(1).numpy() == labels).mean() == pytest.approx(run.rates["none"]["acc"])


def test_fedavg_of_the_package_is_runs(data, fm, tmp_path, method):
    own = method(
        "average.py",
        """
@fedclamp.rule
def average(updates, context):
    return fedclamp.Aggregate(context.global_ + np.average(updates.astype(np.float64), axis=0, weights=context.images))
""",
    )
    fedclamp.run(data, fm, tmp_path / "a.h5", **SMALL)
    fedclamp.run(data, fm, tmp_path / "b.h5", defense=f"exec:{own}", **SMALL)
    a, b = fedclamp.load(tmp_path / "a.h5").state, fedclamp.load(tmp_path / "b.h5").state
    for name in a:
        scale = np.abs(a[name]).max()
        assert np.abs(a[name] - b[name]).max() <= 1e-4 * scale, (
            name
        )  # float32 of an update, through two rounds of training


def test_flatten_is_the_reverse_of_unflatten():
    context = fedclamp.Context(tensors=[("conv1/weight", (2, 1, 3, 3)), ("conv1/bias", (2,))])
    flat = np.arange(20, dtype=np.float32)
    state = context.unflatten(flat)
    assert list(state) == ["conv1.weight", "conv1.bias"] and np.array_equal(context.flatten(state), flat)
    with pytest.raises(ValueError, match="expected shape"):
        context.flatten(state | {"conv1.bias": np.zeros(3)})


def test_two_functions_of_a_kind_are_refused(monkeypatch):
    monkeypatch.setattr("fedclamp.methods._methods", {})
    fedclamp.rule(lambda updates, context: None)
    with pytest.raises(ValueError, match="two functions are a rule"):
        fedclamp.rule(lambda updates, context: None)


def test_results_as_a_data_frame(data, fm, tmp_path, method):
    pytest.importorskip("pandas")
    from fedclamp.program import call

    own = method("all.py", "@fedclamp.rule\ndef all_of_them(updates, context):\n    return np.ones(len(updates))\n")
    fedclamp.reproduce(
        "main",
        out=tmp_path / "part",
        scale="smoke",
        data=data,
        synthetic=fm,
        defense=f"exec:{own}",
        shard="1/15",
        quiet=True,
    )
    with pytest.raises(fedclamp.FedClampError) as error:
        call("merge", tmp_path / "part", "--out", tmp_path / "whole", quiet=True)
    assert error.value.code == 1  # trainings are missing: their places are empty
    frame = fedclamp.results(tmp_path / "whole")
    assert list(frame.columns) == ["table", "row", "column", "seed", "measure", "value"]
    assert set(frame.table) == {"main"} and set(frame.seed) == {1} and frame.value.between(0, 1).all()
    assert {"acc"} <= set(frame.measure)
    with pytest.raises(FileNotFoundError, match="reproduce"):
        fedclamp.results(tmp_path)


def test_a_sweep_as_a_data_frame(data, fm, tmp_path):
    pytest.importorskip("pandas")
    from fedclamp.program import call

    grid = tmp_path / "grid.conf"
    grid.write_text("clients = 4\nrounds = 1\nbatch = 8\ninitial-epochs = 1\nlr = 0.02 | 0.05\nattack = none | fm\n")
    call("sweep", grid, "--data", data, "--synthetic", fm, "--out", tmp_path / "out", quiet=True)
    frame = fedclamp.results(tmp_path / "out")
    assert list(frame.columns) == ["table", "row", "column", "seed", "lr", "attack", "measure", "value"]
    means = frame.query("measure == 'acc'").groupby(["lr", "attack"])["value"].mean()
    assert list(means.index) == [(0.02, "fm"), (0.02, "none"), (0.05, "fm"), (0.05, "none")]
    with h5py.File(tmp_path / "out" / "results.h5") as file:
        assert means[0.05, "none"] == file["sweep/acc"][1, 0, 0]


def test_sweep_of_a_dict(data, fm, tmp_path):
    pytest.importorskip("pandas")
    small = {name: value for name, value in SMALL.items() if name != "quiet"}
    grid = small | {"lr": [0.02, 0.05], "attack": "fm", "all_to_all": True, "seeds": 2}
    fedclamp.sweep(grid, out=tmp_path / "grid", data=data, synthetic=fm, quiet=True)
    table = fedclamp.results(tmp_path / "grid")
    assert set(table["lr"]) == {0.02, 0.05} and set(table["seed"]) == {1, 2}
    with pytest.raises(fedclamp.FedClampError) as error:
        fedclamp.sweep({"lrr": [1, 2]}, out=tmp_path / "none", data=data, synthetic=fm, quiet=True)
    assert error.value.code != 0 and "lrr" in str(error.value)


def test_the_tour(data, fm, tmp_path):
    """The example that reads like a notebook runs from its first cell to its last, and prints what its cells promise."""
    pytest.importorskip("pandas")
    tour = pathlib.Path(__file__).parents[1] / "tour.py"
    done = subprocess.run(
        [sys.executable, tour, data, fm, tmp_path / "tour"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(pathlib.Path(fedclamp.__file__).parents[1])},
    )
    assert done.returncode == 0, done.stderr
    for printed in ("multi-krum", "ours", "conv1.weight (32, 1, 3, 3)", "mean"):
        assert printed in done.stdout
    assert len(list((tmp_path / "tour/grid/cells").glob("*.h5"))) == 16
