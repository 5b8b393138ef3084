"""ClampNet in PyTorch: the network of FedClamp, with the same names, layouts and rules at kinks.

Shared by oracle.py (golden files of the Swift tests) and checkpoint.py (conversion). The keys of `state_dict()` are
`conv1.weight` ... `fc2.bias`, `input.mean`, `input.std` and, for a bounded network, `bounds.conv1` ... `bounds.fc1`.
"""
import torch
from torch import nn
from torch.nn import functional as F

CONVS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6"]
WIDTHS = [32, 32, 64, 64, 128, 128]
POOLED = {"conv2", "conv4", "conv6"}                   # a 2x2 max pool follows these
LAYERS = CONVS + ["fc1", "fc2"]
BOUNDED = CONVS + ["fc1"]                              # every ReLU, in order
HIDDEN = 128                                           # units of fc1
SIDE = 32                                              # input height and width


def parameter_shapes(channels, classes):
    """(name, shape) of the 16 parameter tensors in canonical order and layout: (O, I, H, W), (O, I), (O)."""
    shapes, fan = [], channels
    for name, width in zip(CONVS, WIDTHS):
        shapes += [(name + ".weight", (width, fan, 3, 3)), (name + ".bias", (width,))]
        fan = width
    for name, units, fan in [("fc1", HIDDEN, WIDTHS[-1] * 4 * 4), ("fc2", classes, HIDDEN)]:
        shapes += [(name + ".weight", (units, fan)), (name + ".bias", (units,))]
    return shapes


def bound_shapes():
    """(name, length) of the 7 bounds: one value a channel, or a unit of fc1."""
    return list(zip(BOUNDED, WIDTHS + [HIDDEN]))


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
    def __init__(self, channels, classes, bounded=False):
        super().__init__()
        self.input = Preprocess(channels)
        fan = channels
        for name, width in zip(CONVS, WIDTHS):
            self.add_module(name, nn.Conv2d(fan, width, 3, padding=1))
            fan = width
        self.fc1 = nn.Linear(WIDTHS[-1] * 4 * 4, HIDDEN)
        self.fc2 = nn.Linear(HIDDEN, classes)
        self.bounds = nn.ParameterDict(
            {name: nn.Parameter(torch.full((n,), torch.inf)) for name, n in bound_shapes()} if bounded else {})

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
        x = self.fc1(x.flatten(1))                     # flattened (C, H, W)
        if watch:
            watch("fc1", x)
        return self.fc2(self.activation("fc1", x))
