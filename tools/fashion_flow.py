"""A small class-conditional flow-matching network for 28x28 grey images, to train and sample on one CPU core.

A straight line leads from noise e (t = 0) to an image x (t = 1): x_t = (1 - t) e + t x. The network learns the velocity
x - e at x_t (Lipman et al., "Flow Matching for Generative Modeling", 2023); sampling integrates it from noise. Images are
taken apart into 2x2 pixels, (4, 14, 14), so that the first level has 14x14 places and the second 7x7.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Residual block; time and class shift and scale its middle."""

    def __init__(self, inside, outside, condition):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, inside), nn.Conv2d(inside, outside, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, outside), nn.Conv2d(outside, outside, 3, padding=1)
        self.condition = nn.Linear(condition, 2 * outside)
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x, condition):
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.condition(condition)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(x) + h


class Attention(nn.Module):
    """Self-attention over all places."""

    def __init__(self, width, heads=4):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv, self.out = nn.GroupNorm(8, width), nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x):
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w)
        return x + self.out(y)


class Flow(nn.Module):
    """Velocity of (N, 1, 28, 28) at times (N) for labels (N)."""

    def __init__(self, width=48, classes=10):
        super().__init__()
        condition = 4 * width
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.label = nn.Embedding(classes, condition)
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.down1 = Block(width, width, condition)
        self.shrink = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.low1, self.attention = Block(2 * width, 2 * width, condition), Attention(2 * width)
        self.low2 = Block(2 * width, 2 * width, condition)
        self.grow = nn.Conv2d(2 * width, 4 * width, 1)
        self.up1, self.up2 = Block(2 * width, width, condition), Block(2 * width, width, condition)
        self.norm, self.last = nn.GroupNorm(8, width), nn.Conv2d(width, 4, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x, time, label):
        frequencies = torch.exp(-math.log(1000) * torch.arange(self.width // 2) / (self.width // 2))
        angles = 1000 * time[:, None] * frequencies
        condition = F.silu(self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.label(label))
        a = self.first(F.pixel_unshuffle(x, 2))
        b = self.down1(a, condition)
        h = self.low2(self.attention(self.low1(self.shrink(b), condition)), condition)
        h = F.pixel_shuffle(self.grow(h), 2)
        h = self.up2(torch.cat([self.up1(torch.cat([h, b], 1), condition), a], 1), condition)
        return F.pixel_shuffle(self.last(F.silu(self.norm(h))), 2)


def loss_at(model, images, labels, generator):
    """Squared error of the velocity at random times; times near the middle are drawn more often (logit-normal)."""
    time = torch.sigmoid(torch.randn(len(images), generator=generator))
    noise = torch.randn(images.shape, generator=generator)
    t = time[:, None, None, None]
    return F.mse_loss(model((1 - t) * noise + t * images, time, labels), images - noise)


@torch.no_grad()
def sample(model, labels, steps, generator):
    """Images of the labels, -1 to 1, by Heun's method with `steps` evaluations (odd: 2 k - 1 for k steps)."""
    x = torch.randn((len(labels), 1, 28, 28), generator=generator)
    count = (steps + 1) // 2
    times = torch.linspace(0, 1, count + 1)
    for i in range(count):
        now, then = times[i], times[i + 1]
        here = model(x, now.expand(len(labels)), labels)
        ahead = x + (then - now) * here
        if i + 1 < count:
            here = (here + model(ahead, then.expand(len(labels)), labels)) / 2
            ahead = x + (then - now) * here
        x = ahead
    return x
