# %% [markdown]
# # An own rule beside the built-in ones: from a run to a data frame
#
# Each `# %%` begins a cell: VS Code and Jupyter (with jupytext) open this file as a notebook. It also runs as it is:
#
#     python tour.py fashion-mnist.h5 fashion-mnist-fm.h5 tour

# %%
import pathlib
import sys

import pandas

import fedclamp

data, fm, out = (pathlib.Path(name) for name in sys.argv[1:4])
out.mkdir(exist_ok=True)
small = {"clients": 5, "malicious": 1, "images_per_client": 30, "batch": 10, "rounds": 3, "evaluation_limit": 1000}

# %% [markdown]
# ## The same attack against three rules
#
# `examples/trimmed.py` is our own rule. One client of five is malicious.

# %%
rules = {"no rule": None, "multi-krum": "multi-krum", "ours": f"exec:{pathlib.Path(__file__).parent / 'examples/trimmed.py'}"}
runs = {}
for name, rule in rules.items():
    file = out / f"{name}.h5"
    fedclamp.run(data, fm, file, attack="classic", defense=rule, overwrite=True, quiet=True, **small)
    runs[name] = fedclamp.load(file)

# %% [markdown]
# ## What came of it: the last round, and the curve of the attack's success

# %%
print(pandas.DataFrame({name: run.rates["none"] for name, run in runs.items()}).T.round(3))
print(pandas.DataFrame({name: run.history["asr"] for name, run in runs.items()}).round(3))

# %% [markdown]
# ## The models are NumPy arrays
#
# `fedclamp.network_of(run.state)` makes a PyTorch module of one.

# %%
for name, values in runs["ours"].state.items():
    print(name, values.shape)

# %% [markdown]
# ## A grid of settings, tidy
#
# A list is several values; every combination is trained, for each seed.

# %%
grid = small | {"attack": ["none", "fm"], "lr": [0.02, 0.05], "defense": ["none", "median"], "seeds": 2}
fedclamp.sweep(grid, out=out / "grid", data=data, synthetic=fm, quiet=True)
table = fedclamp.results(out / "grid")
print(table.query("measure == 'acc'").groupby(["column", "lr", "defense"])["value"].agg(["mean", "std"]).round(3))
