#!/usr/bin/env python3
"""A defence on the model: each bound is a quantile of the FM images' activations, without a look at labels.

fedclamp reproduce main --defense exec:./shrink.py:0.99 --out results/shrink
"""

import numpy as np
import torch

import fedclamp


@fedclamp.model_defense
def quantile_bounds(parameters, context):
    share = float(context.arguments[0]) if context.arguments else 0.99
    torch.set_num_threads(context.threads)
    maxima = fedclamp.maxima(fedclamp.network(context, parameters), fedclamp.inputs(context.fm))
    context.audit["quantile"] = share
    return {"bounds": np.quantile(maxima.numpy(), share, axis=0).astype(np.float32)}


fedclamp.serve()
