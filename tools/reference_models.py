#!/usr/bin/env python3
"""Golden file for the Swift tests of the defences on the model, by PyTorch in double and scipy.

    python3 tools/reference_models.py [FOLDER]           default: Tests/DefensesTests/Golden

Needs torch, h5py, numpy and scipy (tools/requirements.txt). Inputs are not stored; both sides compute them from the
generator u(t, i) of oracle.py. The network has 1 channel, 10 classes and oracle.py's weights (t 0 to 15). Besides:

    t         tensor                                                             value
    200       FM images (40, 28, 28)                                             floor(256 u), bytes
    201       labels (40)                                                        floor(10 u)
    270 + s   ANP's noise on weights, before its step, of iteration s            0.4 (2u - 1), (576)
    280 + s   the same on biases
    240 + s   gradients of bounds in step s                                      0.5 (2u - 0.5), (576)
    295       pixels with a trigger, on average (28, 28), normalised             2u - 1
    297       the same without                                                   u - 0.5
    298       what pixels keep of their spread under it (28, 28)                 u
    296       bounds under which is unlearnt                                     4 + 4u, (576)
    230       drawn images (28, 28), end to end, of which margins/images are used    u

Inputs of the network are 4 pixel / 255 - 2 (mean 0.5, std 0.25), 2 raw-zero pixels on each side. models.h5:

    anp/masks             (3, 576) after each of three iterations on images 0 to 15, 8 to 23, 16 to 31
    anp/losses            (3, 2) masked; under noise as well
    margins/images        (20) int32, their numbers: those that keep clear of kinks in every step (see oracle.py)
    margins/statistics    (20) margins before the last of 4 steps of rate 0.04; two images a class
    margins/pixels        (8) projections of the images after it (signs: t 100 to 107), clamped
    mmac/gradient         (576) of the loss with c 0.002 on images 0 to 19 and the margin images in order, at z = 1
    mmac/adam             (576) bounds from 1 on after 20 steps of Adam at rate 0.1 on gradients t 240 to 259
    fine/activity         (128) of conv6 over the 40 images
    fine/order            (128) channels, quietest first
    fine/right            (129) how many of the 40 images are classified as without pruning, after 0 to 128 channels went
    pruning/activity      (3, 128) of conv6 over the images of three clients: 0 to 14, 10 to 29, 25 to 39
    pruning/votes         (128) how many of them have the channel among their 25 quietest
    pruning/elected       (25) channels with most votes; equals by the sum of ranks, then by number
    pruning/parameters    (8) projections of all without those, conv6's other weights within 1.5 deviations of their mean
    clp/singular          (448) largest singular value of every convolution's channel as a matrix (inputs, 9), layer by layer
    clp/pruned            (448) 1 where it exceeds its layer's mean by 1.5 unbiased standard deviations
    tuning/parameters     (3, 8) projections of all parameters after each of three steps on the 40 images with their labels: SGD
                          0.01, momentum 0.9, decay 5e-4, gradients clipped at norm 1
    tuning/losses         (3) before each
    unlearning/parameters (3, 8) projections of all parameters after each of three steps under bounds (t 296), SGD 0.003, momentum 0.9,
                          decay 5e-4, clipped at norm 1: divergence from the unbounded network's predictions, the means over
                          images 0 to 15, and over 16 to 23 with the trigger laid on and 24 to 31, whose teacher has it taken off
    unlearning/losses     (3) before each
    mmbm/gradient         (576) of the squared error of the logits (mean) on images 0 to 19, at z = 0.5 + u(290, i)
    mmbm/start            (576) the larger of 8 and the channel's largest activation over the 40 images
    mmbm/bounds           (4, 576) after a step of Adam at rate 0.1 on that error plus 0.005 times the sum of the layers' norms of z,
                          there; and from the start after each of three steps, on images 0 to 15, 8 to 23, 16 to 31, the norms
                          times 5, 1 and 20
    paper..., paper-sgd...   see reference_paper.py;    sam..., flain..., abl..., cleanse...   see reference_rivals.py
    gamma/values          (cases, 9) and gamma/shape, gamma/scale, gamma/p: scipy's fit (start 0) to all but the largest
                          of the first gamma/count values, and MM-BD's p

Every dataset but gamma's, margins/images, cleanse/images, cleanse/norms and cleanse/index has the attribute `float32_max`: the largest deviation of torch's float32 from it.
"""
import pathlib
import sys

import h5py
import numpy as np
import torch
from scipy import stats
from torch.nn import functional as F

import oracle
from clampnet import BOUNDED, ClampNet, bound_shapes
from oracle import CLASSES, PLAIN, network, project, u
from reference_paper import algorithm1
from reference_rivals import clear_images, outliers, rivals

IMAGES, PER_CLASS = 40, 2
EPS, ALPHA, MASK_RATE, MOMENTUM, ASCENT_STEPS, ASCENT_RATE = 0.4, 0.2, 0.002, 0.9, 4, 0.04
CLEARANCE = 5e-6                                       # of a layer's rms; five times float32's error after Winograd's transforms
NOISE = (270, 280)
BATCHES = [slice(0, 16), slice(8, 24), slice(16, 32)]
COUNTS = [3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9]


def normalised(pixels):
    """(N, 28, 28) in [0, 1] to (N, 1, 32, 32)."""
    return F.pad(pixels[:, None], (2, 2, 2, 2)) * 4 - 2


def images(dtype):
    pixels = np.floor(256 * u(200, IMAGES * 784)).astype(np.float32) / np.float32(255)
    return normalised(torch.from_numpy(pixels.reshape(IMAGES, 28, 28))).to(dtype)      # in float32, as the program


def labels():
    return torch.from_numpy(np.floor(CLASSES * u(201, IMAGES)).astype(np.int64))

# --- ANP ---------------------------------------------------------------------------------------------------------

def masked(net, x, weights, biases):
    """The network with every neuron's weights and bias times a factor: (576) tensors."""
    at = 0
    for name in BOUNDED:
        layer = net.get_submodule(name)
        n = layer.bias.numel()
        w = layer.weight.detach() * weights[at:at + n].reshape(-1, *[1] * (layer.weight.dim() - 1))
        b = layer.bias.detach() * biases[at:at + n]
        at += n
        if name == "fc1":
            x = F.relu(F.linear(x.flatten(1), w, b))
        else:
            x = F.relu(F.conv2d(x, w, b, padding=1))
            if name in ("conv2", "conv4", "conv6"):
                x = F.max_pool2d(x, 2)
    return F.linear(x, net.fc2.weight.detach(), net.fc2.bias.detach())


def anp(dtype):
    net, x, y = network(PLAIN[0], dtype), images(dtype), labels()
    n = sum(count for _, count in bound_shapes())
    mask = torch.ones(n, dtype=dtype, requires_grad=True)
    optimiser = torch.optim.SGD([mask], lr=MASK_RATE, momentum=MOMENTUM)
    one, masks, losses, least = torch.ones(n, dtype=dtype), [], [], np.inf
    for s, batch in enumerate(BATCHES):
        noise = [torch.from_numpy((EPS * (2 * u(t + s, n) - 1)).astype(np.float32)).to(dtype).requires_grad_() for t in NOISE]
        F.cross_entropy(masked(net, x[batch], mask.detach() + noise[0], one + noise[1]), y[batch]).backward()
        for e in noise:
            g = e.grad.abs()
            least = min(least, (g[g > 0].min() / g.max()).item())
        with torch.no_grad():
            noise = [(e + EPS * e.grad.sign()).clamp(-EPS, EPS) for e in noise]
        optimiser.zero_grad()
        robust = F.cross_entropy(masked(net, x[batch], mask + noise[0], one + noise[1]), y[batch])
        natural = F.cross_entropy(masked(net, x[batch], mask, one), y[batch])
        (ALPHA * natural + (1 - ALPHA) * robust).backward()
        optimiser.step()
        with torch.no_grad():
            mask.clamp_(0, 1)
        masks.append(mask.detach().clone())
        losses.append(torch.stack([natural.detach(), robust.detach()]))
    print(f"anp: least gradient of the noise, of the largest: {least:.1e}; masks {mask.min():.3f} to {mask.max():.3f}")
    return {"anp/masks": torch.stack(masks), "anp/losses": torch.stack(losses)}


# --- margin images, MMAC -------------------------------------------------------------------------------------------

def margins_of(logits, target):
    hot = F.one_hot(target, CLASSES).bool()
    return logits[hot] - logits.masked_fill(hot, -torch.inf).max(1).values


def drawn(numbers):
    return torch.stack([torch.from_numpy(u(230, 784, int(n) * 784).astype(np.float32).reshape(28, 28)) for n in numbers])


def ascent(net, x, target):
    """The images after the steps, their margins before the last one, and which kept clear of kinks."""
    x, good = x.clone().requires_grad_(), torch.ones(len(x), dtype=torch.bool)
    for _ in range(ASCENT_STEPS):
        x.grad = None
        inputs = normalised(x.clamp(0, 1))
        good &= oracle.clear(net, inputs.detach())
        margins = margins_of(net(inputs), target)
        margins.sum().backward()
        good &= ((x.detach() - 0.5).abs() - 0.5).abs().flatten(1).min(1).values > 1e-6      # of the range of pixels, too
        with torch.no_grad():
            x += ASCENT_RATE * x.grad
    return x.detach().clamp(0, 1), margins.detach(), good


def choose_margin_images():
    """For every place in turn a drawn image that is clear in double."""
    oracle.CLEARANCE = CLEARANCE
    net, target = network(PLAIN[0], torch.float64), torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    chosen, following = np.full(len(target), -1), 0
    while (places := np.flatnonzero(chosen < 0)).size:
        numbers = np.arange(following, following + len(places))
        following += len(places)
        good = ascent(net, drawn(numbers).double(), target[places])[2].numpy()
        chosen[places[good]] = numbers[good]
    print(f"margin images: {len(chosen)} of {following} drawn are clear")
    return chosen


def margin_images(dtype, chosen):
    target = torch.arange(CLASSES).repeat_interleave(PER_CLASS)
    x, margins, _ = ascent(network(PLAIN[0], dtype), drawn(chosen).to(dtype), target)
    print(f"margins {margins.min():.3f} to {margins.max():.3f}, {((x == 0) | (x == 1)).double().mean():.2f} of the pixels at the range's ends")
    return x, target, {"margins/statistics": margins, "margins/pixels": torch.from_numpy(project(x.double().numpy().reshape(-1)))}


def mmac(dtype, fake, target):
    plain, bounded, x = network(PLAIN[0], dtype), ClampNet(1, CLASSES, bounded=True).to(dtype), images(dtype)[:20]
    bounded.load_state_dict(plain.state_dict(), strict=False)
    z = [bounded.bounds[name] for name in BOUNDED]
    with torch.no_grad():
        for bound in z:
            bound.fill_(1)
        wanted = plain(x)
    loss = F.mse_loss(bounded(x), wanted) + 0.002 * 200 * margins_of(bounded(normalised(fake)), target).mean()
    loss.backward()
    return {"mmac/gradient": torch.cat([bound.grad for bound in z])}


def adam(dtype):
    """Torch's Adam on given gradients: every step of MMAC's is about the rate long, so that rounding would decide signs."""
    z = torch.ones(576, dtype=dtype, requires_grad=True)
    optimiser, found = torch.optim.Adam([z], lr=0.1), []
    for s in range(20):
        z.grad = torch.from_numpy((0.5 * (2 * u(240 + s, 576) - 0.5)).astype(np.float32)).to(dtype)
        optimiser.step()
        with torch.no_grad():
            z.clamp_(min=0)
    return {"mmac/adam": z.detach()}


# --- Fine-Pruning ----------------------------------------------------------------------------------------------------

def fine_pruning(dtype):
    net, x, kept = network(PLAIN[0], dtype), images(dtype), {}
    net.conv6.register_forward_hook(lambda *a: kept.update(conv6=a[2].detach()))
    with torch.no_grad():
        first = net(x)
        activity = F.max_pool2d(F.relu(kept["conv6"]), 2).mean(dim=(0, 2, 3))
        order, right, closest = activity.argsort(stable=True), [], np.inf
        for k in range(len(order) + 1):
            if k:
                net.conv6.weight[order[k - 1]] = 0
                net.conv6.bias[order[k - 1]] = 0
            top = (logits := net(x)).topk(2).values
            closest = min(closest, (top[:, 0] - top[:, 1]).min().item())
            right.append((logits.argmax(1) == first.argmax(1)).sum().double())
    gaps = activity.sort().values.diff()
    print(f"fine-pruning: closest activities {gaps[gaps > 0].min():.1e}, logits {closest:.1e}; right {[int(r) for r in right[::16]]}")
    return {"fine/activity": activity, "fine/order": order.double(), "fine/right": torch.stack(right)}


# --- pruning by votes ------------------------------------------------------------------------------------------------

def federated_pruning(dtype):
    net, x, kept = network(PLAIN[0], dtype), images(dtype), {}
    net.conv6.register_forward_hook(lambda *a: kept.update(conv6=a[2].detach()))
    with torch.no_grad():
        net(x)
        maps = F.max_pool2d(F.relu(kept["conv6"]), 2)
        activity = torch.stack([maps[part].mean(dim=(0, 2, 3)) for part in (slice(0, 15), slice(10, 30), slice(25, 40))])
        ranks = activity.argsort(dim=1, stable=True).argsort(dim=1)
        votes = (ranks < 25).sum(0)
        elected = sorted(range(128), key=lambda c: (-votes[c].item(), ranks[:, c].sum().item(), c))[:25]
        net.conv6.weight[elected] = 0
        net.conv6.bias[elected] = 0
        rest = torch.ones(128, dtype=torch.bool)
        rest[elected] = False
        mean, deviation = net.conv6.weight[rest].mean(), net.conv6.weight[rest].std(correction=0)
        clipped = net.conv6.weight[rest].clamp(mean - 1.5 * deviation, mean + 1.5 * deviation)
        changed = (clipped != net.conv6.weight[rest]).sum()
        net.conv6.weight[rest] = clipped
    gaps = activity.sort(dim=1).values.diff(dim=1)
    print(f"pruning: closest activities {gaps[gaps > 0].min():.1e}; votes of the elected {[votes[c].item() for c in elected]}; {changed} weights clipped")
    left = torch.from_numpy(project(torch.cat([p.detach().flatten() for p in net.parameters()]).double().numpy()))
    return {"pruning/activity": activity, "pruning/votes": votes.double(), "pruning/elected": torch.tensor(elected).double(), "pruning/parameters": left}


# --- CLP -------------------------------------------------------------------------------------------------------------

def lipschitz(dtype):
    net, singular, pruned = network(PLAIN[0], dtype), [], []
    for name in BOUNDED[:-1]:
        weight = net.get_submodule(name).weight.detach()
        values = torch.linalg.matrix_norm(weight.flatten(2), ord=2)
        limit = values.mean() + 1.5 * values.std()
        print(f"clp {name}: {int((values > limit).sum())} pruned, nearest to the limit {((values - limit).abs() / limit).min():.1e}")
        singular.append(values)
        pruned.append((values > limit).to(dtype))
    return {"clp/singular": torch.cat(singular), "clp/pruned": torch.cat(pruned)}


# --- fine-tuning -----------------------------------------------------------------------------------------------------

def tuning(dtype):
    net, x, y = network(PLAIN[0], dtype), images(dtype), labels()
    optimiser, found, losses = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4), [], []
    for _ in range(3):
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1, error_if_nonfinite=True)
        optimiser.step()
        losses.append(loss.detach())
        found.append(torch.from_numpy(project(torch.cat([p.detach().flatten() for p in net.parameters()]).double().numpy())))
        print(f"fine-tuning: loss {loss:.4f}, norm of the gradient {norm:.2f}")
    return {"tuning/parameters": torch.stack(found), "tuning/losses": torch.stack(losses)}


# --- unlearning ------------------------------------------------------------------------------------------------------

def unlearning(dtype):
    teacher, net, x = network(PLAIN[0], dtype), ClampNet(1, CLASSES, bounded=True).to(dtype), images(dtype)
    net.load_state_dict(teacher.state_dict(), strict=False)
    at = 0
    with torch.no_grad():
        for bound in (net.bounds[name] for name in BOUNDED):
            bound.copy_((4 + 4 * torch.from_numpy(u(296, bound.numel(), at))).to(dtype).reshape(bound.shape))
            at += bound.numel()
    inner = x[..., 2:-2, 2:-2]
    marked, clean, keeps = [torch.from_numpy(v).to(dtype).reshape(28, 28) for v in (2 * u(295, 784) - 1, u(297, 784) - 0.5, u(298, 784))]
    learnt, taught = x[:32].clone(), x[:32].clone()
    learnt[16:24, :, 2:-2, 2:-2] = (marked + keeps * (inner[16:24] - clean)).clamp(-2, 2)
    taught[24:, :, 2:-2, 2:-2] = (clean + (inner[24:32] - marked) / keeps.clamp(min=0.5)).clamp(-2, 2)
    weights = [p for name, p in net.named_parameters() if not name.startswith("bounds")]
    optimiser, found, losses = torch.optim.SGD(weights, lr=0.003, momentum=0.9, weight_decay=5e-4), [], []
    with torch.no_grad():
        wanted = teacher(taught).softmax(1)
    for _ in range(3):
        optimiser.zero_grad()
        parts = F.kl_div(net(learnt).log_softmax(1), wanted, reduction="none").sum(1)
        loss = parts[:16].mean() + parts[16:].mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, 1, error_if_nonfinite=True)
        optimiser.step()
        losses.append(loss.detach())
        found.append(torch.from_numpy(project(torch.cat([p.detach().flatten() for p in weights]).double().numpy())))
        print(f"unlearning: loss {loss:.4f}, norm of the gradient {norm:.2f}, of the trigger's part {parts[16:].mean():.4f}")
    return {"unlearning/parameters": torch.stack(found), "unlearning/losses": torch.stack(losses)}


# --- MM-BM -----------------------------------------------------------------------------------------------------------

def maximum_margin_bounds(dtype):
    plain, bounded, x = network(PLAIN[0], dtype), ClampNet(1, CLASSES, bounded=True).to(dtype), images(dtype)
    bounded.load_state_dict(plain.state_dict(), strict=False)
    z, largest = [bounded.bounds[name] for name in BOUNDED], {}
    for name in BOUNDED:
        plain.get_submodule(name).register_forward_hook(lambda m, i, y, name=name: largest.update({name: F.relu(y).transpose(0, 1).flatten(1).max(1).values}))
    with torch.no_grad():
        wanted = plain(x)
        start = torch.cat(list(largest.values())).clamp(min=8)
        at = 0
        for bound in z:
            bound.copy_(0.5 + torch.from_numpy(u(290, bound.numel(), at)).to(dtype).reshape(bound.shape))
            at += bound.numel()

    def descend(optimiser, batch, cost):
        optimiser.zero_grad()
        F.mse_loss(bounded(x[batch]), wanted[batch]).backward()
        error = torch.cat([bound.grad.flatten() for bound in z])
        (cost * sum(bound.norm() for bound in z)).backward()
        optimiser.step()
        with torch.no_grad():
            for bound in z:
                bound.clamp_(min=0)
        return error, torch.cat([bound.detach().flatten() for bound in z])

    gradient, once = descend(torch.optim.Adam(z, lr=0.1), slice(0, 20), 0.005)
    with torch.no_grad():
        for bound, values in zip(z, start.split([bound.numel() for bound in z])):
            bound.copy_(values.reshape(bound.shape))
    optimiser = torch.optim.Adam(z, lr=0.1)
    found = [once] + [descend(optimiser, batch, cost)[1] for batch, cost in zip(BATCHES, (5, 1, 20))]
    print(f"mm-bm: start {start.min():.2f} to {start.max():.2f}, {(start > 8).sum()} above 8; gradient up to {gradient.abs().max():.3g}; {(once > 1.5).sum()} of 576 bounds rise above 1.5")
    return {"mmbm/gradient": gradient, "mmbm/start": start, "mmbm/bounds": torch.stack(found)}

# --- MM-BD -----------------------------------------------------------------------------------------------------------

def detection():
    rng = np.random.default_rng(9)
    values = rng.gamma(np.repeat(rng.uniform(0.5, 200, len(COUNTS)), 9).reshape(-1, 9), 0.3)
    values[9:, 4] *= [1.5, 3, 10]                       # a class that stands out
    values[8] = 5 + 0.02 * rng.normal(size=9)             # classes that all but agree
    rows = []
    for row, count in zip(values, COUNTS):
        others = np.delete(row[:count], np.argmax(row[:count]))
        shape, _, scale = stats.gamma.fit(others, floc=0)
        q = stats.gamma.sf(row[:count].max(), shape, scale=scale)
        rows.append((shape, scale, -np.expm1(count * np.log1p(-q))))
        print(f"  gamma {count}: shape {shape:.3f}, q {q:.2e}, p {rows[-1][2]:.2e}")
    return {"gamma/values": values, "gamma/count": np.array(COUNTS, "i4")} | dict(
        zip(["gamma/shape", "gamma/scale", "gamma/p"], np.array(rows).T))


def cases(dtype, chosen, clear):
    fake, target, margins = margin_images(dtype, chosen)
    return anp(dtype) | margins | mmac(dtype, fake, target) | adam(dtype) | fine_pruning(dtype) | federated_pruning(dtype) | lipschitz(dtype) | tuning(dtype) | unlearning(dtype) | maximum_margin_bounds(dtype) | algorithm1(images(dtype)) | rivals(images(dtype), labels(), clear)


if __name__ == "__main__":
    if  any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    torch.set_num_threads(1)
    path = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else "Tests/DefensesTests/Golden") / "models.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen, clear = choose_margin_images(), clear_images(images(torch.float64))
    exact, single = cases(torch.float64, chosen, clear), cases(torch.float32, chosen, clear)
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "fedclamp-golden"
        file.attrs["command"] = "tools/reference_models.py"
        for name, value in exact.items():
            worst = (single[name].double() - value).abs().max().item()
            file[name] = value.numpy()
            file[name].attrs["float32_max"] = worst
            print(f"{name}: float32 deviates by {worst:.1e} of {value.abs().max().item():.3g}")
        file["margins/images"], file["cleanse/images"] = chosen.astype("i4"), clear
        for name, value in (detection() | outliers()).items():
            file[name] = value
    print(f"{path}: {path.stat().st_size / 1e3:.1f} kB")
