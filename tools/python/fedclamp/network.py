"""The network in PyTorch, for own defences and for models that runs left. Needs torch, as nothing else does here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

    from .clampnet import ClampNet
    from .methods import Context, FMData


def network(context: Context, parameters: np.ndarray) -> ClampNet:
    """ClampNet with flat parameters. Its input are images as `inputs` makes them."""
    state = context.unflatten(parameters)
    return network_of(state)


def network_of(state: dict[str, Any]) -> ClampNet:
    """ClampNet with a state_dict of arrays, bounded where the state has bounds; with `input.` where it has that."""
    import torch

    from .clampnet import ClampNet, head_of

    channels, classes = state["conv1.weight"].shape[1], state["fc2.bias"].shape[0]
    net = ClampNet(channels, classes, "bounds.fc1" in state, head_of(state))
    tensors = {name: torch.from_numpy(np.array(value, dtype=np.float32)) for name, value in state.items()}
    net.load_state_dict(net.state_dict() | tensors)
    return net


def inputs(fm: FMData) -> torch.Tensor:
    """(n, channels, 32, 32): images padded with zeros and normalised, as the network takes them."""
    import torch
    import torch.nn.functional as F

    border = (32 - fm.images.shape[-1]) // 2
    pixels = F.pad(torch.from_numpy(fm.images).float() / 255, (border,) * 4)
    mean, std = torch.from_numpy(fm.mean.astype(np.float32)), torch.from_numpy(fm.std.astype(np.float32))
    return (pixels - mean[:, None, None]) / std[:, None, None]


def maxima(net: ClampNet, images: torch.Tensor, batch: int = 256) -> torch.Tensor:
    """(n, channels and units): the largest activation of each channel within an image, in the order of bounds."""
    import torch

    rows = []
    with torch.no_grad():
        for part in images.split(batch):
            found: list[torch.Tensor] = []
            net(
                part,
                watch=lambda name, before, found=found: found.append(
                    before.relu().flatten(2).amax(2) if before.dim() > 2 else before.relu()
                ),
            )
            rows.append(torch.cat(found, dim=1))
    return torch.cat(rows)
