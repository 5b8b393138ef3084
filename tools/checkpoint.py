#!/usr/bin/env python3
"""FedClamp checkpoints to PyTorch and back, and their logits by PyTorch.

    checkpoint.py to-torch CHECKPOINT.h5 OUT.pt [--defended NAME]
    checkpoint.py from-torch STATE.pt OUT.h5 [--mean M ... --std S ...]
    checkpoint.py logits CHECKPOINT.h5 DATA.h5 --out logits.npy [--split test] [--count N] [--bounded] [--defended NAME]

A .pt file holds a state_dict of `ClampNet` in clampnet.py:

    state = torch.load("model.pt", weights_only=True)
    net = ClampNet(channels=3, classes=10, bounded="bounds.fc1" in state, head=head_of(state))
    net.load_state_dict(state)
    logits = net(net.input(pixels))                    # pixels 0..255, (N, C, 28 or 32, same)

`from-torch` takes mean and standard deviation of the input from the state or, where it has none, from --mean and --std
(one value a channel, pixels scaled to 0..1). Exit codes: 0 done, 2 bad input, 64 usage. Needs torch, h5py, numpy.
"""
import argparse
import os
import pickle
import sys

import h5py
import numpy as np
import torch

from clampnet import ClampNet, bound_shapes, head_of, parameter_shapes

BATCH = 256


class BadInput(Exception):
    pass


# --- checkpoints --------------------------------------------------------------------------------------------------

def read_array(file, path, shape=None):
    """The float32 dataset at `path`, all of it finite; `shape` is what it must be, None where any will do."""
    if not isinstance(file.get(path), h5py.Dataset):
        raise BadInput(f"{file.filename}: no dataset {path}")
    values = np.asarray(file[path], dtype=np.float32)
    if shape is not None and values.shape != tuple(shape):
        raise BadInput(f"{file.filename}: {path} has shape {values.shape}, expected {tuple(shape)}")
    if np.isnan(values).any():
        raise BadInput(f"{file.filename}: {path} contains NaN")
    return values


def hdf5_path(key, model="/model", above=""):
    """Key of a state_dict to path in a checkpoint: conv1.weight, input.mean, bounds.conv1. `model` is the group of the
    parameters, `above` that of the bounds."""
    if key.startswith("bounds."):
        return above + "/" + key.replace(".", "/")
    return ("/model/" if key.startswith("input.") else model + "/") + key.replace(".", "/")


def expected(channels, classes, bounded, head):
    """(key, shape) of a whole state_dict."""
    shapes = parameter_shapes(channels, classes, head) + [("input.mean", (channels,)), ("input.std", (channels,))]
    return shapes + ([("bounds." + name, (n,)) for name, n in bound_shapes(head)] if bounded else [])


def head(tensors, where):
    """The head of {key: tensor} with the keys of a state_dict."""
    try:
        return head_of(tensors)
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from None


def head_tensors(file, model):
    """What `head` needs of a file: a key of every layer, and the first one's weights where they are there."""
    keys = {f"{name}.bias": None for name in file[model] if name.startswith("head")}
    first = file.get(f"{model}/head1/weight")
    return keys | ({"head1.weight": first} if isinstance(first, h5py.Dataset) else {})


def load(path, defended=None):
    """The network of a checkpoint, or the one that a defence left; bounded where it has bounds."""
    with h5py.File(path) as file:
        above = f"/defended/{defended}" if defended else ""
        if defended and not isinstance(file.get(above), h5py.Group):
            raise BadInput(f"{path}: no model that {defended} defended; there are: {', '.join(file.get('defended', {})) or 'none'}")
        model = above if defended and "conv1" in file[above] else "/model"
        first = read_array(file, hdf5_path("conv1.weight", model))
        last = read_array(file, hdf5_path("fc2.bias", model))
        if first.ndim != 4 or last.ndim != 1:
            raise BadInput(f"{path}: not a ClampNet checkpoint")
        channels, classes, bounded = first.shape[1], last.shape[0], "bounds" in file[above or "/"]
        found = head(head_tensors(file, model), f"{path}: {model}")
        state = {key: torch.from_numpy(read_array(file, hdf5_path(key, model, above), shape))
                 for key, shape in expected(channels, classes, bounded, found)}
    net = ClampNet(channels, classes, bounded, found)
    net.load_state_dict(state)
    return net


def save(state, path):
    """Writes a state_dict as a checkpoint, under a temporary name first."""
    partial = f"{path}.partial-{os.getpid()}"
    try:
        with h5py.File(partial, "w") as file:
            file.attrs["format"] = "fedclamp-checkpoint"
            file.attrs["version"] = 1
            file.attrs["source"] = "tools/checkpoint.py from-torch"
            for key, value in state.items():
                file[hdf5_path(key)] = value
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.remove(partial)


# --- the three commands -------------------------------------------------------------------------------------------

def to_torch(a):
    net = load(a.checkpoint, a.defended)
    torch.save(net.state_dict(), a.out)


def from_torch(a):
    try:
        state = torch.load(a.state, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError):
        raise BadInput(f"{a.state}: not a file of tensors that torch.save wrote") from None
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise BadInput(f"{a.state}: not a state_dict")
    for key in ("conv1.weight", "fc2.bias"):
        if key not in state:
            raise BadInput(f"{a.state}: no tensor {key}; the keys are those of ClampNet in tools/clampnet.py")
    for key, values in (("input.mean", a.mean), ("input.std", a.std)):
        if values is not None:
            state[key] = torch.tensor(values)
        elif key not in state:
            raise BadInput(f"{a.state}: no tensor {key}: say --{key[6:]}")
    bounded = any(key.startswith("bounds.") for key in state)
    shapes = dict(expected(state["conv1.weight"].shape[1], len(state["fc2.bias"]), bounded, head(state, a.state)))
    for key in sorted(state.keys() ^ shapes.keys()):
        raise BadInput(f"{a.state}: {'unknown' if key in state else 'missing'} tensor {key}")
    for key, shape in shapes.items():
        if tuple(state[key].shape) != shape:
            raise BadInput(f"{a.state}: {key} has shape {tuple(state[key].shape)}, expected {shape}")
        if not (key.startswith("bounds.") or torch.isfinite(state[key]).all()) or torch.isnan(state[key]).any():
            raise BadInput(f"{a.state}: {key} has values that are not finite")
    if not (state["input.std"] > 0).all():
        raise BadInput("standard deviations must be positive")
    save({key: state[key].to(torch.float32).numpy() for key in shapes}, a.out)


def read_images(path, split, count):
    """uint8 (N, C, H, W) of a dataset file; a file with `images` at its root is one split."""
    with h5py.File(path) as file:
        at = "images" if "images" in file else f"{split}/images"
        if at not in file:
            raise BadInput(f"{path}: no dataset /{at}")
        images = file[at]
        if images.ndim != 4 or images.dtype.kind not in "ui":
            raise BadInput(f"{path}: /{at} must be integers of shape (N, C, H, W)")
        layouts = [node.attrs.get("layout") for node in (images, images.parent, file)]
        values = images[:count]
    channels_last = any(layout in ("NHWC", b"NHWC") for layout in layouts)
    return values.transpose(0, 3, 1, 2) if channels_last else values


def logits(a):
    net = load(a.checkpoint, a.defended).eval()
    if a.bounded and not net.bounds:
        raise BadInput(f"{a.checkpoint}: no /bounds")
    if not a.bounded:
        net.bounds.clear()
    images = torch.from_numpy(np.ascontiguousarray(read_images(a.data, a.split, a.count)))
    channels = len(net.input.mean)
    if images.shape[1] != channels or images.shape[2] != images.shape[3] or images.shape[2] not in (28, 32):
        raise BadInput(f"{a.data}: images are {tuple(images.shape[1:])}, the network takes {channels} x 28 x 28 or 32 x 32")
    with torch.no_grad():
        parts = [net(net.input(batch)) for batch in images.split(BATCH)]
    np.save(a.out, torch.cat(parts).numpy())


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def parse():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    c = commands.add_parser("to-torch", help="checkpoint to state_dict")
    c.add_argument("checkpoint")
    c.add_argument("out")
    c.set_defaults(run=to_torch)
    c = commands.add_parser("from-torch", help="state_dict to checkpoint")
    c.add_argument("state")
    c.add_argument("out")
    c.add_argument("--mean", type=float, nargs="+", help="of the input, one value a channel, pixels scaled to 0..1")
    c.add_argument("--std", type=float, nargs="+")
    c.set_defaults(run=from_torch)
    c = commands.add_parser("logits", help="logits of a checkpoint as a .npy file, float32 (count, classes)")
    c.add_argument("checkpoint")
    c.add_argument("data")
    c.add_argument("--out", required=True)
    c.add_argument("--split", default="test", choices=["train", "test"])
    c.add_argument("--count", type=int, help="only the first COUNT images")
    c.add_argument("--bounded", action="store_true", help="with the bounds of the file")
    c.set_defaults(run=logits)
    for name in ("to-torch", "logits"):
        commands.choices[name].add_argument("--defended", metavar="NAME", help="the model that this defence left, instead of /model and /bounds")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    try:
        arguments.run(arguments)
    except (BadInput, OSError, RuntimeError, ValueError) as error:
        print("checkpoint.py:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
