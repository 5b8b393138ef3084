#!/usr/bin/env python3
"""A rule: updates with the largest norms are thrown out, the rest is averaged by coordinates without extremes.

fedclamp reproduce main --defense exec:./trimmed.py:0.2 --out results/trimmed
"""

import numpy as np

import fedclamp


@fedclamp.rule
def norm_sorted_trimmed_mean(updates, context):
    share = float(context.arguments[0]) if context.arguments else 0.2
    out = int(np.ceil(share * len(updates)))
    kept = np.sort(np.argsort(np.linalg.norm(updates.astype(np.float64), axis=1), kind="stable")[: len(updates) - out])
    middle = np.sort(updates[kept].astype(np.float64), axis=0)[1:-1]
    return fedclamp.Aggregate(context.global_ + middle.mean(axis=0), np.isin(np.arange(len(updates)), kept))


fedclamp.serve()
