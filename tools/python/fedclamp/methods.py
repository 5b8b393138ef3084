"""Own methods: functions that FedClamp calls as rules, defences, malicious updates and triggers.

A file with one decorated function and `fedclamp.serve()` is a program that `fedclamp run --defense exec:./mine.py`
starts. It must answer by what it is asked alone: what it wants to remember from round to round it puts into
`context.state`, which is saved with the run, so that a run that was stopped and resumed ends at the same bits.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

PROTOCOL = 1
LONGEST_ERROR, LONGEST_FINDING = 2000, 200  # characters; a line has 1 MiB at most
_methods: dict[str, tuple[Callable[..., Any], bool]] = {}


@dataclass
class FMData:
    """FM images as the server holds them.

    images: (n, channels, side, side) uint8; labels: (n,); mean and std of the channels, of pixels / 255.
    """

    images: np.ndarray
    labels: np.ndarray
    mean: np.ndarray
    std: np.ndarray


@dataclass
class Context:
    """What a method knows besides its first argument; what a kind does not have is None.

    Flat parameters are float32, tensor after tensor in the order of `tensors`, (name, shape) pairs as PyTorch has them.
    """

    round: int = 0
    seed: int = 0  # of this method, round and client: np.random.default_rng(context.seed)
    tensors: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    bounded: list[tuple[str, int]] = field(default_factory=list)  # layers with bounds, and their channels or units
    state: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # kept from round to round, of rules and malicious updates
    audit: dict[str, Any] = field(default_factory=dict)  # findings for people, of defences on the model
    global_: np.ndarray | None = None  # the global model, (parameters,)
    initial: np.ndarray | None = None  # before the first round, where the server trained it on FM data
    previous: np.ndarray | None = None  # the global model of the round before
    models: np.ndarray | None = None  # what the clients sent, (clients, parameters): exact, unlike updates
    clients: np.ndarray | None = None  # their numbers, ascending
    images: np.ndarray | int | None = None  # how many images each client trained on
    client: int | None = None
    participants: int | None = None
    colluders: int | None = None
    assumed_malicious: int | None = None
    threads: int = 1
    classes: int | None = None
    fm: FMData | None = None
    distrusted: np.ndarray | None = None  # positions of FM images that the server does not use
    arguments: list[str] = field(default_factory=list)  # of the program: exec:mine.py:0.2 gives ["0.2"]

    def unflatten(self, flat: np.ndarray) -> dict[str, np.ndarray]:
        """Flat parameters as a state_dict: "conv1.weight" and so on, NumPy arrays."""
        state, first = {}, 0
        for name, shape in self.tensors:
            count = int(np.prod(shape))
            state[name.replace("/", ".")] = np.asarray(flat[first : first + count]).reshape(shape)
            first += count
        return state

    def flatten(self, state: dict[str, Any]) -> np.ndarray:
        """The reverse: NumPy arrays or PyTorch tensors."""
        parts, missing = [], [key for key in self._keys() if key not in state]
        if missing:
            raise ValueError(f"a state_dict: expected the keys {', '.join(self._keys())}; missing are {_few(missing)}, got {_few(state)}")
        for name, shape in self.tensors:
            value = _array(state[name.replace("/", ".")], name)
            if value.shape != tuple(shape):
                raise ValueError(f"{name}: expected shape {tuple(shape)}, got {value.shape}")
            parts.append(value.astype(np.float32).ravel())
        return np.concatenate(parts)

    def _keys(self) -> list[str]:
        return [name.replace("/", ".") for name, _ in self.tensors]


@dataclass
class Aggregate:
    """What a rule returns that does more than weigh: the new global model, and who teaches in fusion (default: all)."""

    parameters: np.ndarray | dict[str, Any]  # flat, or a state_dict
    weights: np.ndarray | None = None


def rule(function: Callable[..., Any] | None = None, *, fm: bool = False) -> Callable[..., Any]:
    """A rule before aggregation: `f(updates, context)`, updates (clients, parameters) float32.

    Returns weights (clients,), of which 0 leaves a client out, or booleans (clients,), which average those accepted by
    their images, or an `Aggregate`. `fm=True`: wants the FM data as `context.fm`.
    """
    return _register("rule", function, fm)


def model_defense(function: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A defence on the finished model: `f(parameters, context)`.

    Returns parameters (flat, or a state_dict), or a dict with any of parameters, bounds (flat), suspects (positions).
    """
    return _register("model-defense", function, False)


def malicious_update(function: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """What a malicious client sends: `f(parameters, context)` with its trained model, flat; returns the same kind."""
    return _register("malicious-update", function, False)


def trigger(function: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A trigger: `f(images, context)` with images (n, channels, side, side) float32 in [0, 1]; returns them stamped.

    What comes back is rounded to 8 bits a pixel, as image files have it.
    """
    return _register("trigger", function, False)


def _register(kind: str, function: Callable[..., Any] | None, fm: bool) -> Callable[..., Any]:
    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        if kind in _methods:
            raise ValueError(f"two functions are a {kind}: {_methods[kind][0].__name__} and {function.__name__}")
        _methods[kind] = (function, fm)
        return function

    return note if function is None else note(function)


def serve() -> None:
    """Answers FedClamp until it is done; returns at once where the file is run by hand or imported."""
    if "FEDCLAMP_EXEC" not in os.environ:
        if sys.stdin is not None and sys.stdin.isatty():
            print("an own method of FedClamp: fedclamp run --defense exec:" + sys.argv[0], file=sys.stderr)
        return
    lines, answers = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a method prints is for people
    for line in lines:
        with contextlib.suppress(BrokenPipeError):
            answers.write(json.dumps(_answered(json.loads(line))) + "\n")
            answers.flush()


def _answered(question: dict[str, Any]) -> dict[str, Any]:
    if "hello" in question:
        wants = ["images"] if any(fm for _, fm in _methods.values()) else []
        return {"protocol": PROTOCOL, "kinds": list(_methods), "wants": wants}
    try:
        return _answer(question)
    except Exception as error:  # told to FedClamp, which ends the round with it
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()  # a file's name may be no text
        return {"id": question.get("id"), "error": text[:LONGEST_ERROR]}


def _answer(question: dict[str, Any]) -> dict[str, Any]:
    kind = question["ask"]
    with h5py.File(question["input"]) as file:
        arrays = {name: node[()] for name, node in file.items() if isinstance(node, h5py.Dataset)}
        state = {name: node[()] for name, node in file.get("state", {}).items()}
    context = _context(question, arrays, state)
    first = {
        "rule": lambda: arrays["models"] - arrays["global"],
        "trigger": lambda: arrays["images"].astype(np.float32) / 255,
    }
    result = _methods[kind][0](first.get(kind, lambda: arrays["parameters"])(), context)
    with h5py.File(question["output"], "w") as file:
        for name, value in _results(kind, result, context).items():
            file[name] = value
        for name, value in context.state.items():
            if not isinstance(name, str) or not name or "/" in name or name == ".":
                raise ValueError(f"context.state: expected names without /, got {name!r}")
            file[f"state/{name}"] = _array(value, f"context.state[{name!r}]")
    audit = {str(name): str(value)[:LONGEST_FINDING] for name, value in context.audit.items()}
    return (
        {"id": question["id"], "round": question["round"], "audit": audit}
        if "round" in question
        else {"id": question["id"]}
    )


def _context(question: dict[str, Any], arrays: dict[str, np.ndarray], state: dict[str, np.ndarray]) -> Context:
    context = Context(state=state, arguments=sys.argv[1:], global_=arrays.get("global"))
    context.tensors = [(name, tuple(shape)) for name, shape in question.get("tensors", [])]
    context.bounded = [(name, units) for name, units in question.get("bounded", [])]
    for name in ("round", "seed", "client", "participants", "colluders", "assumed_malicious", "threads", "classes"):
        if name in question:
            setattr(context, name, question[name])
    for name in ("initial", "previous", "models", "clients", "distrusted"):
        setattr(context, name, arrays.get(name))
    context.images = question.get("images", arrays.get("images"))
    if "fm_images" in arrays:
        context.fm = FMData(*(arrays[f"fm_{name}"] for name in ("images", "labels", "mean", "std")))
    return context


_EXPECTED = {
    "rule": "weights or booleans, one for each client, or an Aggregate",
    "model-defense": "parameters (flat, or a state_dict), or a dict with any of parameters, bounds, suspects",
    "malicious-update": "parameters (flat, or a state_dict)",
    "trigger": "the images stamped: real numbers from 0 to 1, or uint8",
}


def _results(kind: str, result: Any, context: Context) -> dict[str, np.ndarray]:
    """The arrays of the answer, by name. Raises ValueError or TypeError for what FedClamp would refuse, or misread."""
    if result is None:
        raise ValueError(f"{_methods[kind][0].__name__} returned None: expected {_EXPECTED[kind]}; is a return missing?")
    if kind == "rule":
        return _rule_results(result, context)
    if kind == "trigger":
        return {"images": _stamped(_array(result, "images"))}
    if kind == "malicious-update":
        return {"parameters": _flat(result, context)}
    if not isinstance(result, dict):
        return {"parameters": _flat(result, context)}
    answers = {"parameters", "bounds", "suspects"}
    if not set(result) <= answers:
        if not set(result) & set(context._keys()):
            raise ValueError(f"expected {_EXPECTED['model-defense']} (its keys: {', '.join(context._keys())}), got a dict with {_few(result)}")
        return {"parameters": context.flatten(result)}
    given = {name: value for name, value in result.items() if value is not None}
    return {name: _flat(value, context) if name == "parameters" else _array(value, name) for name, value in given.items()}


def _stamped(images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise ValueError(f"images: expected real numbers from 0 to 1, or uint8, got {images.dtype}")
    if not np.isfinite(images).all():
        at = np.argwhere(~np.isfinite(images))[0].tolist()
        raise ValueError(f"images: expected finite numbers, got {images[tuple(at)]} at {at}")
    result: np.ndarray = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return result


def _rule_results(result: Any, context: Context) -> dict[str, np.ndarray]:
    if isinstance(result, Aggregate):
        weights = {} if result.weights is None else _rule_results(result.weights, context)
        if not isinstance(result.parameters, dict):
            return {"aggregate": _array(result.parameters, "parameters of an Aggregate").astype(np.float32), **weights}
        return {"aggregate": context.flatten(result.parameters), **weights}
    values = _array(result, _EXPECTED["rule"])
    if context.global_ is not None and values.shape == context.global_.shape != np.shape(context.clients):
        raise ValueError(f"expected {_EXPECTED['rule']}, got parameters: return fedclamp.Aggregate(parameters)")
    return {"accepted": values.astype(np.uint8)} if values.dtype == bool else {"weights": values.astype(np.float64)}


def _flat(value: Any, context: Context) -> np.ndarray:
    return context.flatten(value) if isinstance(value, dict) else _array(value, "parameters").astype(np.float32)


def _array(value: Any, what: str) -> np.ndarray:
    """Numbers of whatever holds some, PyTorch's tensors too."""
    array: np.ndarray = value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"expected {what}: numbers, got {type(value).__name__} of {array.dtype}")
    return array


def _few(names: Iterable[Any]) -> str:
    listed = [str(name)[:40] for name in names]
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "") or "none"
