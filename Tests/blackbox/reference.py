"""ClampNet's forward pass in numpy and double, written from the schema alone: what `evaluate` is compared with."""
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")     # its threads wait for each other when a core is busy: 20 times slower
import h5py
import numpy as np

WIDTHS = dict(conv1=32, conv2=32, conv3=64, conv4=64, conv5=128, conv6=128)
POOLED = {"conv2", "conv4", "conv6"}


def layers(head="none"):
    """{hidden layer: width} with a head: "none", or PAIRSxWIDTH as in "2x192"."""
    pairs, width = (0, 0) if head == "none" else map(int, head.split("x"))
    return {**WIDTHS, "fc1": 128, **{f"head{k}": width for k in range(1, pairs + 1)}}


def convolve(x, weight, bias):
    """3x3, one pixel of zeros around. x (N, C, H, W), weight (O, C, 3, 3)."""
    n, c, h, w = x.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    columns = np.stack([padded[:, :, i:i + h, j:j + w] for i in range(3) for j in range(3)], axis=2)
    columns = columns.reshape(n, c * 9, h * w)
    flat = weight.reshape(len(weight), c * 9)
    return np.stack([flat @ image for image in columns]).reshape(n, -1, h, w) + bias[:, None, None]


def pool(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))


def normalise(images, mean, std):
    """Pixels 0..255 (N, C, 28 or 32, same) to (N, C, 32, 32); the frame of a 28x28 image is raw zeros."""
    border = (32 - images.shape[-1]) // 2
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (border, border), (border, border)))
    return (padded / 255 - mean[:, None, None]) / std[:, None, None]


def stamp(images, mask, pattern):
    """The trigger on raw pixels at 32x32: (1 - m) x + m p, p in [0, 1]."""
    border = (32 - images.shape[-1]) // 2
    padded = np.pad(images.astype(np.float64), ((0, 0), (0, 0), (border, border), (border, border)))
    return (1 - mask) * padded + mask * pattern * 255


def activations(model, images, bounds=None):
    """{layer: its activations after ReLU and bound, conv before the pool} of every bounded layer. Images as stored."""
    def clamp(name, a):
        a = np.maximum(a, 0)
        return a if bounds is None else np.minimum(a, bounds[name].reshape(1, -1, *[1] * (a.ndim - 2)))

    x, found = normalise(images, model["input/mean"], model["input/std"]), {}
    for name in WIDTHS:
        x = found[name] = clamp(name, convolve(x, model[f"{name}/weight"], model[f"{name}/bias"]))
        x = pool(x) if name in POOLED else x
    x = x.reshape(len(x), -1)
    for name in ["fc1", "head1", "head2", "head3"]:
        if f"{name}/weight" in model:
            x = found[name] = clamp(name, x @ model[f"{name}/weight"].T + model[f"{name}/bias"])
    return found


def logits(model, images, bounds=None):
    """`model` and `bounds`: {path below /model or /bounds: array}. Images as stored."""
    parts = [images[k:k + 4] for k in range(0, len(images), 4)]      # a few at a time stay in the cache
    hidden = np.concatenate([[*activations(model, part, bounds).values()][-1] for part in parts])
    return hidden @ model["fc2/weight"].T + model["fc2/bias"]


def read_group(path, group):
    """{path below `group`: float64 array} of all its datasets."""
    found = {}
    with h5py.File(path) as file:
        file[group].visititems(lambda name, node: found.__setitem__(name, node[()].astype(np.float64))
                               if isinstance(node, h5py.Dataset) else None)
    return found


def random_model(channels, classes, seed, head="none"):
    """He-normal weights, small biases: float32 values as double, so that a file of float32 holds them exactly."""
    rng = np.random.default_rng(seed)
    model, fan = {}, channels
    for name, width in WIDTHS.items():
        model[f"{name}/weight"] = rng.normal(0, np.sqrt(2 / (9 * fan)), (width, fan, 3, 3))
        fan = width
    fan = 2048
    for name, units in [*list(layers(head).items())[len(WIDTHS):], ("fc2", classes)]:
        model[f"{name}/weight"] = rng.normal(0, np.sqrt(2 / fan), (units, fan))
        fan = units
    for name in [*layers(head), "fc2"]:
        model[f"{name}/bias"] = rng.normal(0, 0.05, len(model[f"{name}/weight"]))
    model["input/mean"] = rng.uniform(0.2, 0.5, channels)
    model["input/std"] = rng.uniform(0.2, 0.4, channels)
    return {name: values.astype(np.float32).astype(np.float64) for name, values in model.items()}


def write_checkpoint(path, model, bounds=None, attack=None):
    """A checkpoint with what the schema asks of a model, no more."""
    with h5py.File(path, "w") as file:
        for group, arrays in (("model", model), ("bounds", bounds or {}), ("attack", attack or {})):
            for name, values in arrays.items():
                values = np.asarray(values)
                file[f"{group}/{name}"] = values.astype(np.float32) if values.dtype.kind == "f" else values


def share(chosen, scores, among=None):
    """(smallest, largest) share of images for which `chosen` (N, classes) holds the predicted class. They differ where
    float32 may rank the two best scores otherwise."""
    scores = scores if among is None else scores[among]
    chosen = chosen if among is None else chosen[among]
    order = np.sort(scores, axis=1)
    sure = order[:, -1] - order[:, -2] > 1e-4 * np.abs(scores).max()
    hits = chosen[np.arange(len(scores)), scores.argmax(1)]
    return (hits & sure).sum() / len(scores), (hits | ~sure).sum() / len(scores)
