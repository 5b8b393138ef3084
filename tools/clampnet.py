"""ClampNet in PyTorch: the network of FedClamp, with the same names, layouts and rules at kinks.

Shared by oracle.py (golden files of the Swift tests) and checkpoint.py (conversion). The keys of `state_dict()` are
`conv1.weight` ... `fc2.bias`, `input.mean`, `input.std` and, for a bounded network, `bounds.conv1` ... `bounds.fc1`; with a
head also `head1.weight` ... and `bounds.head1` ... between those of fc1 and fc2.
"""
import torch
from torch import nn
from torch.nn import functional as F

CONVS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6"]
WIDTHS = [32, 32, 64, 64, 128, 128]
POOLED = {"conv2", "conv4", "conv6"}                   # a 2x2 max pool follows these
HIDDEN = 128                                           # units of fc1
SIDE = 32                                              # input height and width
MOST_PAIRS, HEAD_WIDTHS = 3, (128, 192, 256)
# Every head there is: so many more pairs of dense layer and ReLU between fc1 and fc2, and their width.
HEADS = {"none": (0, HIDDEN)} | {f"{pairs}x{width}": (pairs, width) for pairs in range(1, MOST_PAIRS + 1) for width in HEAD_WIDTHS}


def dense_layers(head="none"):
    """(name, units) of fc1 and the head's layers."""
    pairs, width = HEADS[head]
    return [("fc1", HIDDEN)] + [(f"head{k}", width) for k in range(1, pairs + 1)]


def bounded(head="none"):
    """The name of every layer with a ReLU, in order."""
    return [name for name, _ in bound_shapes(head)]


def parameter_shapes(channels, classes, head="none"):
    """(name, shape) of the parameter tensors in canonical order and layout: (O, I, H, W), (O, I), (O)."""
    shapes, fan = [], channels
    for name, width in zip(CONVS, WIDTHS):
        shapes += [(name + ".weight", (width, fan, 3, 3)), (name + ".bias", (width,))]
        fan = width
    fan = WIDTHS[-1] * 4 * 4
    for name, units in dense_layers(head) + [("fc2", classes)]:
        shapes += [(name + ".weight", (units, fan)), (name + ".bias", (units,))]
        fan = units
    return shapes


def bound_shapes(head="none"):
    """(name, length) of the bounds: one value a channel, or a unit of a dense layer."""
    return list(zip(CONVS, WIDTHS)) + dense_layers(head)


BOUNDED = bounded()                                    # those of a network without a head


def head_of(state):
    """The head, as in HEADS, of a state_dict, or of any {key: what has a shape}. ValueError for one that does not exist."""
    names = sorted({key.split(".")[0] for key in state if key.startswith("head")})
    if names != [f"head{k}" for k in range(1, len(names) + 1)] or len(names) > MOST_PAIRS:
        raise ValueError(f"a head has up to {MOST_PAIRS} layers, head1, head2, head3, without a gap; there are {', '.join(names)}")
    if not names:
        return "none"
    if "head1.weight" not in state:
        raise ValueError("no tensor head1.weight")
    shape = tuple(state["head1.weight"].shape)
    if len(shape) != 2 or shape[0] not in HEAD_WIDTHS:
        raise ValueError(f"head1.weight has shape {shape}: the width of a head is one of {', '.join(map(str, HEAD_WIDTHS))}")
    return f"{len(names)}x{shape[0]}"


class Preprocess(nn.Module):
    """Pixels 0..255 (N, C, 28 or 32, same) to the normalised input (N, C, 32, 32); zero pixels are added before."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def forward(self, pixels):
        border = (SIDE - pixels.shape[-1]) // 2
        padded = F.pad(pixels.to(self.mean.dtype), (border,) * 4)
        return (padded / 255 - self.mean[:, None, None]) / self.std[:, None, None]


class ClampNet(nn.Module):
    """`head`: one of HEADS."""

    def __init__(self, channels, classes, bounded=False, head="none"):
        super().__init__()
        self.input = Preprocess(channels)
        fan = channels
        for name, width in zip(CONVS, WIDTHS):
            self.add_module(name, nn.Conv2d(fan, width, 3, padding=1))
            fan = width
        self.dense, fan = [name for name, _ in dense_layers(head)], WIDTHS[-1] * 4 * 4
        for name, units in dense_layers(head):
            self.add_module(name, nn.Linear(fan, units))
            fan = units
        self.fc2 = nn.Linear(fan, classes)
        self.bounds = nn.ParameterDict(
            {name: nn.Parameter(torch.full((n,), torch.inf)) for name, n in bound_shapes(head)} if bounded else {})

    def activation(self, name, a):
        """ReLU and the bound layer min(a, z). At a = z the gradient goes to a: torch.minimum would halve it."""
        a = F.relu(a)
        if name not in self.bounds:
            return a
        z = self.bounds[name].reshape(1, -1, *[1] * (a.dim() - 2))
        return torch.where(a > z, z, a)

    def forward(self, x, watch=None):
        """Logits (N, classes) of the normalised input (N, C, 32, 32). `watch(name, before)` sees each layer's output
        before its ReLU. max_pool2d gives a tie to the first in row order."""
        for name in CONVS:
            x = self.get_submodule(name)(x)
            if watch:
                watch(name, x)
            x = self.activation(name, x)
            if name in POOLED:
                x = F.max_pool2d(x, 2)
        x = x.flatten(1)                               # (C, H, W)
        for name in self.dense:
            x = self.get_submodule(name)(x)
            if watch:
                watch(name, x)
            x = self.activation(name, x)
        return self.fc2(x)
