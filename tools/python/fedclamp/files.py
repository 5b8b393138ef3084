"""Run files and other checkpoints as arrays, and folders of results as data frames."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from .program import PathLike

if TYPE_CHECKING:
    import pandas


@dataclass
class Run:
    """A run file.

    States are dicts of NumPy arrays with the keys of `ClampNet.state_dict()`; `fedclamp.network_of` makes a module of one.
    """

    path: str
    state: dict[str, np.ndarray]  # the undefended global model, with input.mean and input.std
    bounds: dict[str, np.ndarray]  # what was handed out with it; empty for none
    defended: dict[str, dict[str, np.ndarray]]  # by the defence's name: what it left, bounds included
    history: dict[str, np.ndarray]  # one row a round
    config: dict[str, Any]
    provenance: dict[str, Any]
    rates: dict[str, dict[str, float]]  # acc, asr and robust_accuracy of the last round ("none") and of each defence

    @property
    def bounded_state(self) -> dict[str, np.ndarray]:
        """The state with its bounds."""
        return self.state | {f"bounds.{name}": z for name, z in self.bounds.items()}


def load(path: PathLike) -> Run:
    """Reads a run file, or any checkpoint with /model. KeyError or OSError for what is none."""
    with h5py.File(path) as file:
        state = _state(file["model"])
        inputs = {name: value for name, value in state.items() if name.startswith("input.")}
        defended, rates = {}, {}
        for name, group in file.get("defended", {}).items():
            own = _state(group) if "conv1" in group else {k: v for k, v in state.items() if not k.startswith("input.")}
            bounds = {f"bounds.{layer}": z[()] for layer, z in group.get("bounds", {}).items()}
            defended[name] = own | inputs | bounds
            rates[name] = {key: float(group[key][()]) for key in ("acc", "asr", "robust_accuracy")}
        history = {name: column[()] for name, column in file.get("history", {}).items()}
        if len(history.get("acc", ())):
            rates = {"none": {key: float(history[key][-1]) for key in ("acc", "asr", "robust_accuracy")}} | rates
        config = json.loads(file["config/json"][()]) if "config/json" in file else {}
        provenance = {name: value for name, value in file["provenance"].attrs.items()} if "provenance" in file else {}
        bounds = {layer: z[()] for layer, z in file.get("bounds", {}).items()}
    return Run(str(path), state, bounds, defended, history, config, provenance, rates)


def _state(group: h5py.Group) -> dict[str, np.ndarray]:
    """conv1.weight ... of the layers in a group, and input.mean and input.std."""
    return {
        f"{layer}.{name}": group[layer][name][()]
        for layer in group
        if isinstance(group[layer], h5py.Group) and layer != "bounds"
        for name in group[layer]
    }


def results(folder: PathLike) -> pandas.DataFrame:
    """A folder that `reproduce`, `sweep` or `merge` wrote, as a tidy data frame.

    Columns: table, row, column, seed, measure (acc, asr, floor, ...), value; of a sweep also one for each option that has
    several values, numbers as numbers. Needs pandas.

        fedclamp.results("results/smoke").pivot_table("value", ["table", "row"], ["column", "measure"])
        fedclamp.results("results/grid").query("measure == 'acc'").groupby("lr")["value"].mean()
    """
    import pandas

    path = pathlib.Path(folder) / "results.h5"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: expected a folder that fedclamp reproduce has finished")
    frames: list[pandas.DataFrame] = []
    with h5py.File(path) as file:
        for table, group in file.items():
            if isinstance(group, h5py.Group) and "rows" in group:
                frames.append(_frame(table, group))
    return pandas.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def _frame(table: str, group: h5py.Group) -> pandas.DataFrame:
    import pandas

    rows, columns = group["rows"].asstr()[()], group["columns"].asstr()[()]
    seeds = group["seeds"][()]
    places = ("row_options", 0), ("column_options", 1)
    options = {name: (at, _values(texts)) for place, at in places for name, texts in group.get(place, {}).items()}
    records = []
    for measure, values in group.items():
        if isinstance(values, h5py.Dataset) and values.shape == (len(rows), len(columns), len(seeds)):
            for place, value in np.ndenumerate(values[()]):
                if not np.isnan(value):
                    chosen = [texts[place[at]] for at, texts in options.values()]
                    names = str(rows[place[0]]), str(columns[place[1]])
                    records.append((table, *names, int(seeds[place[2]]), *chosen, measure, float(value)))
    return pandas.DataFrame(records, columns=["table", "row", "column", "seed", *options, "measure", "value"])


def _values(texts: h5py.Dataset) -> list[Any]:
    """An option's values: as numbers where all are."""
    found: list[Any] = list(texts.asstr()[()])
    for kind in (int, float):
        try:
            return [kind(text) for text in found]
        except ValueError:
            continue
    return found
