#!/usr/bin/env python3
"""The triggers a second time, by numpy and torch in double, and the golden file of Tests/AttacksTests.

    python3 tools/reference_triggers.py [FILE]          default: Tests/AttacksTests/Golden/triggers.h5

WaNet's field is torch.nn.functional.interpolate(mode="bicubic", align_corners=True), its sampling grid_sample(
align_corners=True), as in the authors' program. Random numbers are FedClamp's counter-based streams, written anew here.

The input image of the golden file is not stored; element i of the flat (C, H, W) image is

    float32(clip(1.4 u(i) - 0.2, 0, 1)),    u(i) = (mix(i + 1) >> 40) / 2^24

with mix as in tools/oracle.py, so that some pixels are 0 and some are 1. For images 1x28x28 and 3x32x32 the datasets
"1x28" and "3x32" hold what each trigger adds to that image, float32 (triggers, elements), made with seed SEED (an
attribute): all elements of the flat image, or every `stride`-th (an attribute), which meets all rows and columns. Rows are
in the order of the attribute `names`; `moving` is that of image number KEY, `noise` is WaNet's random warp of image number KEY (an attribute); `dba-0` and
`dba-1` are the shares of two colluders.
"""
import pathlib
import sys

import h5py
import numpy as np
import torch
from torch.nn import functional as F

SEED, KEY = 12345678901234567890, 41
GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def mix(z):
    """The finaliser of SplitMix64 on an array of uint64."""
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)


def mix1(z):
    return int(mix(np.array([z & MASK], dtype=np.uint64))[0])


def uniform(seed, purpose, count, round_=0, client=0, whole=False):
    """The first `count` numbers in [0, 1), or whole ones of 64 bits, of the stream named (seed, purpose, round, client)."""
    state = mix1(seed + GAMMA)
    for byte in purpose.encode():
        state = mix1(state ^ byte)
    state = mix1(state ^ round_)
    key = mix1(state + mix1(client ^ 0xD1B54A32D192ED03))
    counter = np.arange(1, count + 1, dtype=np.uint64)
    numbers = mix(np.uint64(key) + counter * np.uint64(GAMMA))
    return numbers if whole else (numbers >> np.uint64(11)) / 2.0 ** 53


def stream(seed, purpose, client=0):
    """The whole 64-bit numbers of a stream, one after the other."""
    at = 0
    while True:
        for u in uniform(seed, purpose, at + 256, client=client, whole=True)[at:]:
            yield int(u)
        at += 256


def index(numbers, bound):
    """The next of 0 .. bound - 1, without bias."""
    limit = MASK - MASK % bound
    return next(x for x in numbers if x < limit) % bound


# --- triggers: x is (C, H, W) in double, from 0 to 1 -----------------------------------------------------------------

def patch(x, size=3):
    y = x.copy()
    y[:, -size:, -size:] = 1
    return y


def blend(x, seed, alpha=0.2):
    t = uniform(seed, "blend image", x.size).reshape(x.shape)
    return np.clip((1 - alpha) * x + alpha * t, 0, 1)


def sig(x, delta=40 / 255, frequency=6):
    columns = np.arange(x.shape[2])
    return np.clip(x + delta * np.sin(2 * np.pi * columns * frequency / x.shape[2]), 0, 1)


def chessboard(x, amplitude=4 / 255):
    rows, columns = np.indices(x.shape[1:])
    return np.clip(x + amplitude * ((rows + columns) % 2 == 0), 0, 1)


def dba(x, colluder=None, colluders=1):
    bars = [(0, 0), (0, 9), (4, 0), (4, 9)]
    mine = bars if colluder is None else bars[colluder::colluders]
    y = x.copy()
    for row, column in mine:
        y[:, row, column:column + 6] = 1
    return y


def wanet_grid(side, seed, k=4, strength=0.5):
    """Where each pixel looks, (1, H, W, 2) from -1 to 1, x first."""
    raw = 2 * torch.from_numpy(uniform(seed, "wanet field", 2 * k * k)).reshape(1, 2, k, k) - 1
    field = F.interpolate(raw / raw.abs().mean(), size=side, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    line = torch.linspace(-1, 1, side, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return (torch.stack((x, y), 2)[None] + strength * field / side).clamp(-1, 1)


def wanet(x, seed, key=None):
    """Warped; with `key`, the number of the image, warped with its extra random shifts."""
    side = x.shape[1]
    grid = wanet_grid(side, seed)
    if key is not None:
        extra = 2 * uniform(seed, "wanet noise", 2 * side * side, client=key) - 1
        grid = (grid + torch.from_numpy(extra).reshape(1, side, side, 2) / side).clamp(-1, 1)
    return F.grid_sample(torch.from_numpy(x)[None], grid, mode="bilinear", align_corners=True)[0].numpy().clip(0, 1)


def frame(x):
    y = np.ones_like(x)
    y[:, 1:-1, 1:-1] = x[:, 1:-1, 1:-1]
    return y


def moving(x, seed, key, size=4):
    numbers, places = stream(seed, "moving place", key), x.shape[1] - size + 1
    row, column = index(numbers, places), index(numbers, places)
    y = x.copy()
    y[:, row:row + size, column:column + size] = np.indices((size, size)).sum(0) % 2 == 0
    return y


def dark(x, factor=0.3):
    y = x.copy()
    y[:, :x.shape[1] // 3] *= factor
    return y


def picture(x, seed, alpha=0.1, k=4):
    raw = torch.from_numpy(uniform(seed, "smooth picture", x.shape[0] * k * k)).reshape(1, x.shape[0], k, k)
    t = F.interpolate(raw, size=x.shape[1:], mode="bicubic", align_corners=True)[0].clamp(0, 1).numpy()
    return np.clip((1 - alpha) * x + alpha * t, 0, 1)


def dots(x, seed):
    plane, numbers = x.shape[1] * x.shape[2], stream(seed, "dots")
    order = list(range(plane))
    for i in range(plane - 1, 0, -1):                               # Fisher-Yates, from the last
        j = index(numbers, i + 1)
        order[i], order[j] = order[j], order[i]
    y = x.copy().reshape(x.shape[0], -1)
    y[:, order[:max(1, plane // 64)]] = 1
    return y.reshape(x.shape)


def glass(x, seed, reach=1, passes=2):
    """Pixels change places one pair after the other, as the paper's program does it (there the shifts of one image)."""
    y, side, numbers = x.copy(), x.shape[1], stream(seed, "glass")
    for _ in range(passes):
        for row, column in [divmod(k, side) for k in range(side * side)][::-1]:
            r = min(max(row + index(numbers, 2 * reach + 1) - reach, 0), side - 1)
            c = min(max(column + index(numbers, 2 * reach + 1) - reach, 0), side - 1)
            y[:, row, column], y[:, r, c] = y[:, r, c].copy(), y[:, row, column].copy()
    return y


def specific(x, seed, amplitude=16 / 255, grid=4, levels=8):
    side = x.shape[1]
    edges = [k * side // grid for k in range(grid + 1)]
    means = np.array([[x[:, a:b, c:d].mean() for c, d in zip(edges, edges[1:])] for a, b in zip(edges, edges[1:])])
    digits = np.minimum(np.floor(means * levels), levels - 1).astype(int).ravel()
    content = sum(int(digit) * levels ** k for k, digit in enumerate(digits))
    words = uniform(seed, "specific texture", -(-side * side // 64), client=content, whole=True)
    signs = 2.0 * np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")[:side * side] - 1
    return np.clip(x + amplitude * signs.reshape(1, side, side), 0, 1)


def all_triggers(seed, key):
    """Name and function of each."""
    return {"patch": patch, "blend": lambda x: blend(x, seed), "sig": sig, "chessboard": chessboard,
            "wanet": lambda x: wanet(x, seed), "noise": lambda x: wanet(x, seed, key), "dba": dba,
            "dba-0": lambda x: dba(x, 0, 2), "dba-1": lambda x: dba(x, 1, 2),
            "frame": frame, "square": lambda x: patch(x, 10), "square:5": lambda x: patch(x, 5),
            "gain": lambda x: np.minimum(1.3 * x, 1), "moving": lambda x: moving(x, seed, key), "invert": lambda x: 1 - x,
            "dark": dark, "picture": lambda x: picture(x, seed), "dots": lambda x: dots(x, seed),
            "glass": lambda x: glass(x, seed), "specific": lambda x: specific(x, seed)}


# --- the golden file ------------------------------------------------------------------------------------------------

def golden_image(channels, side):
    counter = np.arange(1, channels * side * side + 1, dtype=np.uint64) + np.uint64(GAMMA)
    u = (mix(counter) >> np.uint64(40)) / 2.0 ** 24
    return np.clip(1.4 * u - 0.2, 0, 1).astype(np.float32).astype(np.float64).reshape(channels, side, side)


def main():
    default = pathlib.Path(__file__).resolve().parent.parent / "Tests/AttacksTests/Golden/triggers.h5"
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", track_order=False) as file:
        file.attrs["seed"], file.attrs["key"] = str(SEED), KEY
        for channels, side, stride in ((1, 28, 1), (3, 32, 5)):
            x = golden_image(channels, side)
            triggers = all_triggers(SEED, KEY)
            added = np.stack([(trigger(x) - x).ravel()[::stride] for trigger in triggers.values()]).astype(np.float32)
            data = file.create_dataset(f"{channels}x{side}", data=added, chunks=added.shape, compression="gzip",
                                       compression_opts=9, shuffle=True)
            data.attrs["names"], data.attrs["stride"] = " ".join(triggers), stride
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    with np.errstate(over="ignore"):
        main()
