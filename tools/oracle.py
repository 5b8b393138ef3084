#!/usr/bin/env python3
"""Golden files for the Swift tests of ClampNet: PyTorch in double, and how far PyTorch in float32 is from it.

    python3 tools/oracle.py [FOLDER]           default: Tests/NetworkTests/Golden; also `make golden`

Needs torch, h5py and numpy (tools/requirements.txt). One thread, fixed inputs: the same versions write the same bytes.

INPUTS ARE NOT STORED. Both sides compute them from one counter-based generator, in double, rounded once to float32:

    mix(x):   z = x + 0x9E3779B97F4A7C15;  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
              z = (z ^ z >> 27) * 0x94D049BB133111EB;  z ^ z >> 31                       (64-bit, wrapping)
    u(t, i) = (mix((t << 40) + i + 1) >> 40) / 2^24      in [0, 1); t numbers the tensor, i its element in row order

    t         tensor                                                                value
    0..15     conv1.weight, conv1.bias, ... conv6, fc1, fc2.weight, fc2.bias;       weight (2u - 1) * sqrt(6 / fan_in)
              (O, I, 3, 3), (O, I) or (O); fc1 over the flattened (C, H, W)         bias   (2u - 1) * 0.1
    24..29    head1.weight, head1.bias, ... head3.bias                              the same
    20        a row of candidate images (C, 32, 32), normalised, end to end         (2u - 1) * 1.7
    21        labels (20), for every case and every training step                   floor(u * 10)
    22        teacher's logits (20, 10)                                             (2u - 1) * 4
    30..39    bounds z of conv1 ... conv6, fc1, head1, head2, head3                 zscale * u, but z[3] = 0
    40 + s    candidate images of training step s = 0..9                            (2u - 1) * 1.7
    100 + k   signs of projection k = 0..7                                          +1 if u >= 0.5 else -1

The inputs x (20, C, 32, 32) are chosen from the candidates: image n is candidate images[n], so that its element e is
u(20, images[n] * C * 1024 + e). Chosen are candidates whose activations all keep clear of kinks (of ReLU, bounds and
pools; see `clear`) by 2e-5 of the layer's rms, which is far above the rounding errors of float32. So no decision falls
differently there, and the gradients of a correct implementation agree to rounding instead of to one flipped unit.

CASES, one group each; batch 20, 10 classes, losses are means over the batch:

    unbounded   cross-entropy, every bound +inf
    bounded     cross-entropy under the bounds z; also the gradients of z
    distill     unbounded; (1 - b) T^2 KL(softmax(teacher / T) || softmax(logits / T)) + b CE, with T = 2, b = 0.5
    fidelity    under the bounds z; sum over classes of (logits - teacher)^2 / classes; gradients of z only
    training    unbounded; ten steps of SGD on cross-entropy: lr 0.001 (0.02 diverges on such noise), momentum 0.9,
                weight decay 5e-4 on all parameters, as torch.optim.SGD (the first velocity is the first gradient)

clampnet-1ch.h5 and clampnet-3ch.h5, without a head, have all cases; clampnet-1x128.h5, -2x192 and -3x256, with that head,
`bounded` and `training`.

LAYOUT. /zscale (hidden layers) float32, /images (20) int32, /training/images (10, 20) int32; then in each case's group, float64
unless said otherwise:

    loss                       scalar; in `training` the ten losses before each step (10)
    logits, dlogits            (20, 10); not in `training`
    activation_mean/LAYER      mean over batch and space of the layer's output after ReLU and bound, a channel or unit
    gradient/LAYER/weight|bias float32; `training` has final/LAYER/weight|bias instead: the parameters after ten steps
    gradient/bounds/LAYER      float32; in `bounded` and `fidelity`
    projection/...             (8) for every tensor under gradient/ or final/ that is not stored whole

A gradient or final tensor of at most 10,000 elements is stored flat and whole (attribute `stride` = 1); of a larger one
elements 0, 13, 26, ... in row order (`stride` = 13) and its eight projections, which cover every element. With a head it is
whole up to 600 elements, else elements 0, 97, 194, ... and projections: the trunk's tensors stand in the other files already.
Every dataset has the attributes `float32_max` and `float32_rms`: the largest and the root mean square deviation of
torch's float32 result from the double one, over all elements (also those not stored); and `max` and `rms` of the
double result itself.
"""
import pathlib
import sys
from typing import NamedTuple

import h5py
import numpy as np
import torch
from torch.nn import functional as F

from clampnet import POOLED, ClampNet, bound_shapes, bounded, parameter_shapes

BATCH, CLASSES, STEPS = 20, 10, 10
PROJECTIONS = 8
TEMPERATURE, LABEL_WEIGHT = 2.0, 0.5
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.001, 0.9, 5e-4
CLEARANCE = 2e-5                                       # of a layer's rms: how far activations keep from kinks

# Chosen (see `above`) so that 20 to 30 % of each layer's positive activations lie above their bound.
ZSCALE = dict(conv1=3.4, conv2=2.8, conv3=3.9, conv4=5.0, conv5=3.7, conv6=2.3, fc1=2.2, head1=1.8, head2=1.4, head3=1.15)


class Golden(NamedTuple):
    """One file: its network, its cases, and what is stored of a tensor: all of it up to `whole` elements, else each `stride`th."""
    name: str
    channels: int
    head: str = "none"
    cases: tuple = ("unbounded", "bounded", "distill", "fidelity", "training")
    whole: int = 10_000
    stride: int = 13


PLAIN = [Golden("1ch", 1), Golden("3ch", 3)]
WITH_HEAD = [Golden(head, channels, head, ("bounded", "training"), whole=600, stride=97)
             for head, channels in (("1x128", 1), ("2x192", 3), ("3x256", 1))]


# --- the generator -----------------------------------------------------------------------------------------------

def u(t, count, start=0):
    """u(t, start), ... u(t, start + count - 1) in double: exact multiples of 2^-24."""
    i = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    z = (np.uint64(t) << np.uint64(40)) + i + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return ((z ^ z >> np.uint64(31)) >> np.uint64(40)) / 2.0 ** 24


def uniform(t, shape, scale, start=0):
    """(2u - 1) * scale, rounded once to float32."""
    values = (2 * u(t, int(np.prod(shape)), start) - 1) * scale
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def inputs(channels, images, t=20):
    shape = (channels, 32, 32)
    return torch.stack([uniform(t, shape, 1.7, int(image) * int(np.prod(shape))) for image in images])


def labels():
    return torch.from_numpy(np.floor(u(21, BATCH) * CLASSES).astype(np.int64))


def teacher():
    return uniform(22, (BATCH, CLASSES), 4.0)


def tensor_numbers(golden):
    """t of each parameter tensor, in their order: a head's tensors stand before fc2's and are numbered apart."""
    count = len(parameter_shapes(golden.channels, CLASSES, golden.head))
    return [*range(14), *range(24, 24 + count - 16), 14, 15]


def network(golden, dtype, zscale=None):
    """The network of the golden files; bounded when `zscale` (a value for each hidden layer) is given."""
    net = ClampNet(golden.channels, CLASSES, zscale is not None, golden.head)
    tensors = dict(net.named_parameters())
    with torch.no_grad():
        for t, (name, shape) in zip(tensor_numbers(golden), parameter_shapes(golden.channels, CLASSES, golden.head)):
            scale = np.sqrt(6 / np.prod(shape[1:])) if name.endswith("weight") else 0.1
            tensors[name].copy_(uniform(t, shape, scale))
        for t, (name, count) in enumerate(bound_shapes(golden.head) if zscale is not None else []):
            z = (float(zscale[t]) * u(30 + t, count)).astype(np.float32)
            z[3] = 0
            tensors["bounds." + name].copy_(torch.from_numpy(z))
    return net.to(dtype)


# --- images that keep clear of kinks ------------------------------------------------------------------------------

def clear(net, x):
    """Which images (N) of x have no pre-activation near 0, none near its bound, and no pool whose two largest values
    differ by little (unless they are equal because both are 0 or at the bound: then nothing depends on the choice)."""
    good = torch.ones(len(x), dtype=torch.bool)

    def watch(name, before):
        near = CLEARANCE * before.square().mean().sqrt()
        bad = before.abs() < near
        after = net.activation(name, before)
        if name in net.bounds:
            z = net.bounds[name].reshape(1, -1, *[1] * (before.dim() - 2))
            bad |= (before - z).abs() < near
        if name in POOLED:
            windows = after.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
            first, second = windows.topk(2).values.unbind(-1)
            good.logical_and_(~((first > second) & (first - second < near)).flatten(1).any(1))
        good.logical_and_(~bad.flatten(1).any(1))

    with torch.no_grad():
        net(x, watch)
    return good


def choose_images(channels, nets, t=20):
    """BATCH candidates of tensor t, ascending, that are clear in all of `nets` (double)."""
    chosen = []
    for start in range(0, 1_000_000, BATCH):
        candidates = torch.arange(start, start + BATCH)
        for net in nets:
            if len(candidates):
                candidates = candidates[clear(net, inputs(channels, candidates, t).double())]
        chosen += candidates.tolist()
        if len(chosen) >= BATCH:
            return np.array(chosen[:BATCH], dtype=np.int32)
    raise RuntimeError("no clear images: lower CLEARANCE")


# --- the cases: each returns {name in its group: tensor} ----------------------------------------------------------

def cross_entropy(logits):
    return F.cross_entropy(logits, labels())


def distillation(logits):
    soft = F.kl_div(F.log_softmax(logits / TEMPERATURE, 1), F.softmax(teacher().to(logits) / TEMPERATURE, 1),
                    reduction="batchmean")
    return (1 - LABEL_WEIGHT) * TEMPERATURE ** 2 * soft + LABEL_WEIGHT * cross_entropy(logits)


def fidelity(logits):
    return (logits - teacher().to(logits)).square().sum(1).mean() / CLASSES


def tree(name):
    """conv1.weight -> conv1/weight, bounds.conv1 -> bounds/conv1."""
    return name.replace(".", "/")


def one_step(golden, dtype, images, loss_of, zscale=None, parameters=True):
    net = network(golden, dtype, zscale)
    found = {}

    def watch(name, before):
        after = net.activation(name, before).detach()
        found["activation_mean/" + name] = after.mean(dim=(0, *range(2, after.dim())))

    logits = net(inputs(golden.channels, images).to(dtype), watch)
    logits.retain_grad()
    loss = loss_of(logits)
    loss.backward()
    found |= {"loss": loss.detach(), "logits": logits.detach(), "dlogits": logits.grad}
    for name, p in net.named_parameters():
        if parameters or name.startswith("bounds."):
            found["gradient/" + tree(name)] = p.grad
    return found


def training(golden, dtype, images=None):
    """Ten steps. Without `images` (STEPS, BATCH) they are chosen on the way, clear of the kinks of each step's network."""
    net = network(golden, dtype)
    optimiser = torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    losses, used = [], []
    for step in range(STEPS):
        used.append(choose_images(golden.channels, [net], 40 + step) if images is None else images[step])
        optimiser.zero_grad()
        loss = cross_entropy(net(inputs(golden.channels, used[-1], 40 + step).to(dtype)))
        loss.backward()
        losses.append(loss.detach())
        optimiser.step()
    final = {"final/" + tree(name): p.detach() for name, p in net.named_parameters()}
    return {"images": np.stack(used), "loss": torch.stack(losses)} | final


def cases(golden, dtype, images, zscale, training_images=None):
    run = {
        "unbounded": lambda: one_step(golden, dtype, images, cross_entropy),
        "bounded": lambda: one_step(golden, dtype, images, cross_entropy, zscale),
        "distill": lambda: one_step(golden, dtype, images, distillation),
        "fidelity": lambda: one_step(golden, dtype, images, fidelity, zscale, parameters=False),
        "training": lambda: training(golden, dtype, training_images),
    }
    return {case: run[case]() for case in golden.cases}


# --- writing ------------------------------------------------------------------------------------------------------

def rms(a):
    return float(np.sqrt(np.mean(np.square(a))))


def write(group, name, values, exact, single, **attributes):
    """`values` is what is stored of `exact`; deviations are those of `single` from `exact`, whole."""
    compression = dict(compression="gzip", compression_opts=9, shuffle=True) if values.size > 512 else {}
    d = group.create_dataset(name, data=values, **compression)
    d.attrs["float32_max"] = float(np.max(np.abs(single - exact)))
    d.attrs["float32_rms"] = rms(single - exact)
    d.attrs["max"] = float(np.max(np.abs(exact)))
    d.attrs["rms"] = rms(exact)
    for key, value in attributes.items():
        d.attrs[key] = value


def project(a):
    return np.array([np.dot(np.where(u(100 + k, a.size) >= 0.5, 1.0, -1.0), a) for k in range(PROJECTIONS)])


def write_tensor(golden, group, name, exact, single):
    kind, _, rest = name.partition("/")
    if kind not in ("gradient", "final"):
        write(group, name, exact, exact, single)
        return
    exact, single = exact.reshape(-1), single.reshape(-1)
    stride = 1 if exact.size <= golden.whole else golden.stride
    write(group, name, exact[::stride].astype(np.float32), exact, single, stride=stride)
    if stride > 1:
        p = project(exact)
        write(group, "projection/" + rest, p, p, project(single))


def above(golden, images, zscale):
    """Share of each layer's positive activations that lie above their bound, in the bounded network."""
    net, shares = network(golden, torch.float64, zscale), {}

    def watch(name, before):
        a, z = before.relu(), net.bounds[name].reshape(1, -1, *[1] * (before.dim() - 2))
        shares[name] = (torch.sum(a > z) / torch.sum(a > 0)).item()

    with torch.no_grad():
        net(inputs(golden.channels, images).double(), watch)
    return shares


def check_ties():
    """The rule at ties that this file and ClampNet rely on: a pool's gradient goes to the first in row order."""
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    F.max_pool2d(x, 2).backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]


def write_file(path, golden):
    zscale = np.array([ZSCALE[name] for name in bounded(golden.head)], dtype=np.float32)
    images = choose_images(golden.channels, [network(golden, torch.float64), network(golden, torch.float64, zscale)])
    shares = above(golden, images, zscale)
    print(path, "above their bound:", ", ".join(f"{n} {s:.3f}" for n, s in shares.items()))
    assert all(0.2 <= s <= 0.3 for s in shares.values()), "choose other constants in ZSCALE"
    exact = cases(golden, torch.float64, images, zscale)
    training_images = exact["training"].pop("images")
    single = cases(golden, torch.float32, images, zscale, training_images)
    with h5py.File(path, "w") as f:
        f.attrs["format"] = "fedclamp-golden"
        f.attrs["version"] = 1
        f.attrs["channels"] = golden.channels
        f.attrs["classes"] = CLASSES
        f.attrs["batch"] = BATCH
        f.attrs["torch"] = str(torch.__version__)
        f.attrs["command"] = "tools/oracle.py"
        f["zscale"] = zscale
        f["images"] = images
        for case, found in exact.items():
            group = f.create_group(case)
            for name, value in found.items():
                write_tensor(golden, group, name, value.double().numpy(), single[case][name].double().numpy())
        f["training/images"] = training_images
    print(f"  {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) > 2 or any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    check_ties()
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else "Tests/NetworkTests/Golden")
    folder.mkdir(parents=True, exist_ok=True)
    for golden in PLAIN + WITH_HEAD:
        write_file(folder / f"clampnet-{golden.name}.h5", golden)
