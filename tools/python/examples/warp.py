#!/usr/bin/env python3
"""A trigger: the image's rows are shifted as a wave, up to one pixel, with the phase from the run's seed.

fedclamp reproduce triggers --trigger exec:./warp.py --out results/warp
"""

import numpy as np

import fedclamp


@fedclamp.trigger
def wave(images, context):
    side = images.shape[-1]
    phase = np.random.default_rng(context.seed).uniform(0, 2 * np.pi)
    places = np.arange(side) + np.sin(2 * np.pi * np.arange(side)[:, None] / 8 + phase)  # (row, column)
    places = places.clip(0, side - 1)
    left = np.minimum(places.astype(int), side - 2)
    share, rows = places - left, np.arange(side)[:, None]
    return (1 - share) * images[..., rows, left] + share * images[..., rows, left + 1]


fedclamp.serve()
