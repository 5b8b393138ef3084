"""Algorithm 1 of Bi and Li (arXiv 2410.17573), written from its text in PyTorch; reference_models.py stores what it gives:

    paper/bounds          (3, 352) bounds of conv2, conv4, conv6, fc1 after each of three rounds of Algorithm 1 on the 40 images in order,
                          in one batch, one pass, Adam at rate 0.05, allowed drop 0.05, factor 1.1. z starts at 2u (t 299). fc2 is
                          multiplied by 1, 0.9, 1.1. More steps of Adam would turn rounding into whole steps, here and there. Labels: the unbounded predictions, of images 0 to 7 the class after
    paper/lambda          (4) before the first round and after each
    paper/drop            (3) accuracy lost
    paper-sgd/...         the same with two passes of plain gradient steps at rate 2e-4 on batches of 16, and an allowed drop of 0.2,
                          which the bounds stay below
"""
import torch

from clampnet import ClampNet, bound_shapes
from oracle import CLASSES, PLAIN, network, u

PAPER_LAYERS = ["conv2", "conv4", "conv6", "fc1"]


def paper_bounds(x, allowed, name_of_case, passes, size, make):
    """x: images as the network's inputs; allowed: the drop of accuracy that raises lambda; passes over batches of a size;
    make: the optimiser of parameters. The datasets by name."""
    dtype, at, multiplier = x.dtype, 0, 1.0
    z = {}
    for name, length in bound_shapes():
        if name in PAPER_LAYERS:
            z[name] = 2 * torch.from_numpy(u(299, length, at)).to(dtype)
            at += length
    found, multipliers, drops, named = [], [multiplier], [], None
    for scale in (1, 0.9, 1.1):
        plain, bounded = network(PLAIN[0], dtype), ClampNet(1, CLASSES, bounded=True).to(dtype)
        with torch.no_grad():
            plain.fc2.weight *= scale
            plain.fc2.bias *= scale
        bounded.load_state_dict(plain.state_dict(), strict=False)
        with torch.no_grad():
            wanted = plain(x)
            for name, values in z.items():
                bounded.bounds[name].copy_(values.reshape(bounded.bounds[name].shape))
        if named is None:
            named = wanted.argmax(1)
            named[:8] = (named[:8] + 1) % CLASSES
        parameters = [bounded.bounds[name] for name in PAPER_LAYERS]
        optimiser = make(parameters)
        for _ in range(passes):
            for first in range(0, len(x), size):
                batch = slice(first, first + size)
                optimiser.zero_grad()
                error = ((bounded(x[batch]) - wanted[batch]) ** 2).sum(1).mean()
                (error + multiplier * sum(bound.norm() for bound in parameters)).backward()
                optimiser.step()
                with torch.no_grad():
                    for bound in parameters:
                        bound.clamp_(min=0)
        with torch.no_grad():
            z = {name: bounded.bounds[name].detach().flatten().clone() for name in PAPER_LAYERS}
            right = [(net(x).argmax(1) == named).double().mean().item() for net in (plain, bounded)]
        drops.append(right[0] - right[1])
        multiplier = multiplier * 1.1 if drops[-1] < allowed else multiplier / 1.1
        multipliers.append(multiplier)
        found.append(torch.cat([z[name] for name in PAPER_LAYERS]))
    print(f"Algorithm 1: drops {drops}, lambda {multipliers}, bounds {found[-1].min():.3f} to {found[-1].max():.3f}")
    return {f"{name_of_case}/bounds": torch.stack(found), f"{name_of_case}/lambda": torch.tensor(multipliers, dtype=torch.float64),
            f"{name_of_case}/drop": torch.tensor(drops, dtype=torch.float64)}


def algorithm1(x):
    """Both cases."""
    return paper_bounds(x, 0.05, "paper", 1, 40, lambda z: torch.optim.Adam(z, lr=0.05)) | \
        paper_bounds(x, 0.2, "paper-sgd", 2, 16, lambda z: torch.optim.SGD(z, lr=2e-4))
