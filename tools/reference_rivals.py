"""FT-SAM, FLAIN, ABL and Neural Cleanse, written from their papers in PyTorch; reference_models.py stores what they give:

    sam/parameters        (3, 8) projections of all parameters after each of three steps on the 40 images with their labels: rho 0.5,
                          smoothing 0.1, SGD 0.01, momentum 0.9, decay 5e-4, gradients clipped at norm 1
    sam/losses            (3) before each, at the model itself
    flain/activity        (2048) means of fc1's inputs over the 40 images, (128, 4, 4)
    flain/right           (17) how many of the 40 images are classified as before, with the first 0, 128, 256, ... 2048 inputs flipped,
                          quietest first. w0 is the model with 0.05 (2u - 1) (t 301) taken off the weights of fc1
    flain/flipped         how many are flipped until 4 or more images are lost, and flain/parameters (8) projections of the parameters
                          then, fc1's weights at their old norm
    abl/ascent            (3, 8) projections of all parameters after each of three steps of local gradient ascent on images 0 to 15, 8 to 23,
                          16 to 31, gamma 3.5: SGD 0.01, momentum 0.9, decay 1e-4, clipped at norm 1
    abl/ascent-losses     (3) before each
    abl/unlearning        (3, 8) the same after each of three steps of SGD 0.005 down the mean loss of images 0 to 31 and up that of 32 to 39
    abl/unlearning-losses (3, 2) both means before each
    cleanse/gradient      (1568) of Neural Cleanse's loss with respect to a (784) and b (784), at a = 4u - 2 (t 310), b = 4u - 2 (t 311), on
                          class 3, cost 0.01, on cleanse/images, int32: those of the 40 that keep clear of kinks under the trigger
    cleanse/adam          (1568) a and b after 5 steps of Adam at rate 0.1 with 0.5 and 0.9 on gradients 2u - 1 (t 320 to 324)
    cleanse/norms         (6, 10), and cleanse/index (6, 10) their anomaly indices, 0 from the median on
"""
import numpy as np
import torch
from torch.nn import functional as F

import oracle
from oracle import CLASSES, PLAIN, network, project, u

CLEARANCE = 5e-6                                       # as in reference_models.py
BATCHES = [slice(0, 16), slice(8, 24), slice(16, 32)]


def projections(net):
    return torch.from_numpy(project(torch.cat([p.detach().flatten() for p in net.parameters()]).double().numpy()))


def descend(net, optimiser, loss):
    optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(net.parameters(), 1, error_if_nonfinite=True)
    optimiser.step()


def sharpness(x, y):
    net = network(PLAIN[0], x.dtype)
    weights, found, losses = list(net.parameters()), [], []
    optimiser = torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=5e-4)
    wanted = torch.full((len(y), CLASSES), 0.1 / (CLASSES - 1), dtype=x.dtype)
    wanted[torch.arange(len(y)), y] = 0.9
    for _ in range(3):
        loss = F.cross_entropy(net(x), wanted)
        losses.append(loss.detach())
        slopes = torch.autograd.grad(loss, weights)
        size = torch.cat([(w * g).flatten() for w, g in zip(weights, slopes)]).norm()
        moves = [(0.5 / size * w ** 2 * g).detach() for w, g in zip(weights, slopes)]
        with torch.no_grad():
            for w, move in zip(weights, moves):
                w += move
        optimiser.zero_grad()
        around = F.cross_entropy(net(x), wanted)
        around.backward()
        with torch.no_grad():
            for w, move in zip(weights, moves):
                w -= move
        torch.nn.utils.clip_grad_norm_(weights, 1, error_if_nonfinite=True)
        optimiser.step()
        found.append(projections(net))
        print(f"ft-sam: loss {loss:.4f}, around it {around:.4f}")
    return {"sam/parameters": torch.stack(found), "sam/losses": torch.stack(losses)}


def flipping(x):
    net, kept = network(PLAIN[0], x.dtype), {}
    net.conv6.register_forward_hook(lambda *a: kept.update(maps=F.max_pool2d(F.relu(a[2]), 2).flatten(1).detach()))
    with torch.no_grad():
        named = net(x).argmax(1)
        activity = kept["maps"].mean(0)
        order, weight = activity.argsort(stable=True), net.fc1.weight
        before, update = weight.clone(), (0.05 * torch.from_numpy((2 * u(301, weight.numel()) - 1).astype(np.float32))).to(x.dtype).reshape(weight.shape)
        base, right, flipped, closest, at = before - update, [], None, np.inf, 0

        def correct():
            logits = net.fc2(F.relu(net.fc1(kept["maps"])))
            top = logits.topk(2).values
            return int((logits.argmax(1) == named).sum()), (top[:, 0] - top[:, 1]).min().item()

        while True:
            count, gap = correct()
            if at % 128 == 0:
                right.append(float(count))
                closest = min(closest, gap)
            if flipped is None and count <= len(x) - 4:
                flipped, stopped = at, weight.clone()
                closest = min(closest, gap)
            if at == 2048:
                break
            weight[:, order[at]] = base[:, order[at]] - update[:, order[at]]
            at += 1
        weight.copy_(stopped * before.norm() / stopped.norm())
    steps = activity[order].diff()
    print(f"flain: right {right}, flipped {flipped}; closest logits {closest:.1e}, activities {steps[127::128].min():.1e}, at the end {steps[flipped - 1]:.1e}")
    return {"flain/activity": activity, "flain/right": torch.tensor(right), "flain/flipped": torch.tensor(float(flipped)),
            "flain/parameters": projections(net)}


def anti_backdoor(x, y):
    net, found, losses = network(PLAIN[0], x.dtype), [], []
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    for batch in BATCHES:
        loss = F.cross_entropy(net(x[batch]), y[batch])
        descend(net, optimiser, (loss - 3.5).sign() * loss)
        losses.append(loss.detach())
        found.append(projections(net))
        print(f"abl: ascent, {loss:.3f}")
    ascent = {"abl/ascent": torch.stack(found), "abl/ascent-losses": torch.stack(losses)}
    net, found, losses = network(PLAIN[0], x.dtype), [], []
    optimiser = torch.optim.SGD(net.parameters(), lr=0.005, momentum=0.9, weight_decay=1e-4)
    for _ in range(3):
        each = F.cross_entropy(net(x), y, reduction="none")
        down, up = each[:32].mean(), each[32:].mean()
        descend(net, optimiser, down - up)
        losses.append(torch.stack([down.detach(), up.detach()]))
        found.append(projections(net))
        print(f"abl: unlearning, {down:.3f} {up:.3f}")
    return ascent | {"abl/unlearning": torch.stack(found), "abl/unlearning-losses": torch.stack(losses)}


def stamped(x, a, b):
    mask, pattern = a.tanh() / 2 + 0.5, b.tanh() / 2 + 0.5
    pixels = (x[:, :, 2:-2, 2:-2] + 2) / 4
    return mask, F.pad((1 - mask) * pixels + mask * pattern, (2, 2, 2, 2)) * 4 - 2


def starts(dtype):
    return [torch.from_numpy(4 * u(t, 784) - 2).to(dtype).reshape(28, 28).requires_grad_() for t in (310, 311)]


def clear_images(x):
    """The images, as the network's inputs in double, that keep clear of kinks under the trigger."""
    oracle.CLEARANCE = CLEARANCE
    good = torch.cat([oracle.clear(network(PLAIN[0], torch.float64), stamped(x[i:i + 1], *starts(torch.float64))[1].detach()) for i in range(len(x))])
    print(f"neural cleanse: {int(good.sum())} of {len(x)} images are clear")
    return torch.nonzero(good).flatten().numpy().astype("i4")


def cleanse(x, images):
    net, dtype = network(PLAIN[0], x.dtype), x.dtype
    a, b = starts(dtype)
    mask, inputs = stamped(x[torch.from_numpy(images).long()], a, b)
    loss = F.cross_entropy(net(inputs), torch.full((len(images),), 3)) + 0.01 * mask.sum()
    loss.backward()
    gradient = torch.cat([a.grad.flatten(), b.grad.flatten()])
    values = torch.cat([a.detach().flatten(), b.detach().flatten()]).requires_grad_()
    optimiser = torch.optim.Adam([values], lr=0.1, betas=(0.5, 0.9))
    for s in range(5):
        values.grad = torch.from_numpy(2 * u(320 + s, 1568) - 1).to(dtype)
        optimiser.step()
    print(f"neural cleanse: loss {loss:.3f}, gradient up to {gradient.abs().max():.2g}")
    return {"cleanse/gradient": gradient, "cleanse/adam": values.detach()}


def outliers():
    rng = np.random.default_rng(4)
    norms = 60 + 10 * rng.normal(size=(6, 10))
    norms[1:, 3] = [20, 35, 5, 200, 40]
    norms[3, 7] = 12
    middle = np.median(norms, axis=1, keepdims=True)
    spread = 1.4826 * np.median(np.abs(norms - middle), axis=1, keepdims=True)
    index = np.where(norms < middle, (middle - norms) / spread, 0)
    print(f"neural cleanse: {(index > 2).sum(1)} classes stand out")
    return {"cleanse/norms": norms, "cleanse/index": index}


def rivals(x, y, clear):
    """x: images as the network's inputs; y: labels; clear: numbers of those for Neural Cleanse. The datasets by name."""
    return sharpness(x, y) | flipping(x) | anti_backdoor(x, y) | cleanse(x, clear)
