"""What own methods return: handed on as they meant it, or refused with what was expected."""

import h5py
import numpy as np
import pytest

import fedclamp
from fedclamp.methods import _answered

TENSORS = [["conv1/weight", [2, 1, 3, 3]], ["fc2/bias", [2]]]
STATE = {"conv1.weight": np.ones((2, 1, 3, 3)), "fc2.bias": np.zeros(2)}


@pytest.fixture()
def ask(tmp_path, monkeypatch):
    """The answer to one question of a kind, and the arrays that came with it."""
    monkeypatch.setattr("fedclamp.methods._methods", {})
    monkeypatch.setattr("sys.argv", ["mine.py"])

    def ask(kind, result):
        register = {"rule": fedclamp.rule, "trigger": fedclamp.trigger, "model-defense": fedclamp.model_defense, "malicious-update": fedclamp.malicious_update}

        def mine(first, context):
            return result(first, context) if callable(result) else result

        register[kind](mine)
        with h5py.File(tmp_path / "in.h5", "w") as file:
            if kind == "rule":
                file["models"], file["global"] = np.ones((3, 20), np.float32), np.zeros(20, np.float32)
                file["clients"] = np.arange(3)
            elif kind == "trigger":
                file["images"] = np.full((2, 1, 28, 28), 51, np.uint8)
            else:
                file["parameters"] = np.arange(20, dtype=np.float32)
        files = {"input": str(tmp_path / "in.h5"), "output": str(tmp_path / "out.h5")}
        answer = _answered({"ask": kind, "id": 1, "tensors": TENSORS} | files)
        if "error" in answer:
            return answer["error"], None
        with h5py.File(tmp_path / "out.h5") as file:
            return None, {name: node[()] for name, node in file.items()}

    return ask


WRONG = {
    "a rule without return": ("rule", lambda u, c: None, ["mine returned None", "weights or booleans", "return missing"]),
    "a rule with a dict": ("rule", {"weights": [1, 1, 1]}, ["weights or booleans", "dict"]),
    "a rule with texts": ("rule", ["yes", "no", "yes"], ["weights or booleans", "numbers"]),
    "a rule with parameters": ("rule", lambda u, c: c.global_ + u.mean(axis=0), ["return fedclamp.Aggregate(parameters)"]),
    "an aggregate that lacks a key": ("rule", fedclamp.Aggregate({"fc2.bias": np.zeros(2)}), ["missing are conv1.weight"]),
    "state of texts": ("rule", lambda u, c: [c.state.update(name="x"), np.ones(3)][1], ["context.state['name']", "numbers"]),
    "state of nothing": ("rule", lambda u, c: [c.state.update(last=None), np.ones(3)][1], ["context.state['last']", "NoneType"]),
    "state with a slash": ("rule", lambda u, c: [c.state.update({"a/b": 1}), np.ones(3)][1], ["context.state", "'a/b'"]),
    "an error that is no text": ("rule", lambda u, c: open(b"/nowhere/\xff"), ["FileNotFoundError", "nowhere"]),
    "an aggregate of nothing": ("rule", fedclamp.Aggregate(None), ["Aggregate", "NoneType"]),
    "a defence without return": ("model-defense", lambda p, c: None, ["mine returned None", "parameters (flat, or a state_dict)", "suspects", "return missing"]),
    "a defence with a typo": ("model-defense", {"parameter": np.zeros(20)}, ["parameters, bounds, suspects", "conv1.weight", "a dict with parameter"]),
    "a defence with a typo beside right keys": ("model-defense", {"bounds": np.zeros(2), "suspect": [1]}, ["suspects", "bounds, suspect"]),
    "a state_dict that lacks a key": ("model-defense", {"conv1.weight": STATE["conv1.weight"], "fc2.bais": np.zeros(2)}, ["conv1.weight, fc2.bias", "missing are fc2.bias", "fc2.bais"]),
    "a state_dict of another shape": ("model-defense", STATE | {"fc2.bias": np.zeros(3)}, ["fc2/bias", "(2,)", "(3,)"]),
    "a state_dict of texts": ("model-defense", STATE | {"fc2.bias": ["a", "b"]}, ["fc2/bias", "numbers"]),
    "suspects of texts": ("model-defense", {"suspects": ["1"]}, ["suspects", "numbers"]),
    "an update without return": ("malicious-update", lambda p, c: None, ["mine returned None", "parameters"]),
    "an update with other keys": ("malicious-update", {"parameters": np.zeros(20)}, ["conv1.weight", "parameters"]),
    "a trigger without return": ("trigger", lambda x, c: None, ["mine returned None", "images stamped"]),
    "a trigger with NaN": ("trigger", lambda x, c: x * np.nan, ["images", "finite", "nan at [0, 0, 0, 0]"]),
    "a trigger with one infinity": ("trigger", lambda x, c: np.where(np.arange(28) == 3, np.inf, x), ["finite", "inf at [0, 0, 0, 3]"]),
    "a trigger with whole numbers": ("trigger", lambda x, c: (x * 255).astype(np.int64), ["from 0 to 1, or uint8", "int64"]),
    "a trigger with booleans": ("trigger", lambda x, c: x > 0, ["uint8", "bool"]),
    "a trigger with a dict": ("trigger", {"images": 1}, ["images", "dict"]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_result_is_an_error_that_says_what_is_expected(ask, name):
    kind, result, says = WRONG[name]
    error, _ = ask(kind, result)
    assert error and not error.startswith("KeyError") and "\n" not in error and error.isprintable(), error
    for word in says:
        assert word in error, f"{word!r} is not in: {error}"


RIGHT = {
    "weights": ("rule", [1, 0, 2], {"weights": [1, 0, 2]}),
    "booleans": ("rule", np.array([True, False, True]), {"accepted": [1, 0, 1]}),
    "an aggregate": ("rule", fedclamp.Aggregate(np.arange(20), [1, 1, 0]), {"aggregate": np.arange(20), "weights": [1, 1, 0]}),
    "an aggregate as a state_dict": ("rule", fedclamp.Aggregate(STATE), {"aggregate": [1] * 18 + [0, 0]}),
    "flat parameters": ("model-defense", lambda p, c: p * 2, {"parameters": 2 * np.arange(20)}),
    "a state_dict": ("model-defense", STATE | {"input.mean": np.zeros(1)}, {"parameters": [1] * 18 + [0, 0]}),
    "a state_dict among answers": ("model-defense", {"parameters": STATE, "suspects": [3], "bounds": None}, {"parameters": [1] * 18 + [0, 0], "suspects": [3]}),
    "no change": ("model-defense", {}, {}),
    "an update": ("malicious-update", STATE, {"parameters": [1] * 18 + [0, 0]}),
    "real images": ("trigger", lambda x, c: x + 0.1, {"images": np.full((2, 1, 28, 28), 76)}),
    "images of bytes": ("trigger", lambda x, c: np.full(x.shape, 9, np.uint8), {"images": np.full((2, 1, 28, 28), 9)}),
}  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_right_results(ask, name):
    kind, result, expected = RIGHT[name]
    error, arrays = ask(kind, result)
    assert error is None and set(arrays) == set(expected)
    for key, value in expected.items():
        assert np.array_equal(arrays[key], value), key
