#!/usr/bin/env python3
"""A malicious update: the sign of the last layer's update is flipped, and all of it is boosted.

fedclamp reproduce attacks --malicious-update exec:./boost.py --out results/boost
"""

import numpy as np

import fedclamp


@fedclamp.malicious_update
def sign_flip_with_boost(parameters, context):
    boost = float(context.arguments[0]) if context.arguments else context.participants / context.colluders
    mine, old = context.unflatten(parameters), context.unflatten(context.global_)
    signs = {name: -1 if name.startswith("fc2") else 1 for name in mine}
    return {name: (old[name] + boost * signs[name] * (mine[name] - old[name])).astype(np.float32) for name in mine}


fedclamp.serve()
