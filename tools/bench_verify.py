"""Whether FedClamp and each of PyTorch's settings compute the same: one round of one client, by `fedclamp step`.

The images are mirror images of themselves, so that FedClamp's random flips change nothing, and fill one batch, so that
neither does the order: three steps of SGD with momentum, logits on FM images, and a step of fusion must come out alike.
"""
import h5py
import numpy as np

from checkpoint import load

IMAGES = 64
RATE, FUSION_RATE = 0.01, 0.01
# float32 through eight layers, with Winograd's transforms on one side: errors as shares of the largest logit, and of the
# norm of what the training changed in a tensor, where a unit near a kink may go the other way.
LOGIT_LIMIT, UPDATE_LIMIT = 1e-4, 1e-2


class Disagreement(Exception):
    pass


def mirrored(path, seed, channels):
    """A file of noise that is its own mirror image."""
    rng = np.random.default_rng(seed)
    half = rng.integers(0, 256, (IMAGES, channels, 32, 16), np.uint8)
    with h5py.File(path, "w") as file:
        file.attrs["class_names"] = [str(k) for k in range(10)]
        file["images"] = np.concatenate([half, half[..., ::-1]], axis=-1)
        file["labels"] = (np.arange(IMAGES) % 10).astype(np.uint8)
        return file["images"][()], file["labels"][()]


def state_of(path):
    return {key: value.numpy() for key, value in load(path).state_dict().items()}


def distance(start, a, b):
    """Largest difference of two trainings over the tensors, as a share of what the first changed in each."""
    worst = 0.0
    for key in start:
        if not key.startswith("input."):
            worst = max(worst, np.linalg.norm(a[key] - b[key]) / np.linalg.norm(a[key] - start[key]))
    return float(worst)


def verify(program, folder, data, worker, settings):
    """{setting: {"training", "logits", "fusion"}}, the differences found. Raises Disagreement over a limit."""
    files = {name: folder / f"verify-{name}.h5" for name in ("images", "fm", "global", "update", "aggregate", "fused")}
    worker.ask("load", "verify", *mirrored(files["images"], 1, 3))
    worker.ask("load", "verify-fm", *mirrored(files["fm"], 2, 3))
    fm = ["--synthetic", files["fm"]]
    program("step", "init", *fm, "--clients", 1, "--malicious", 0, "--rounds", 1, "--initial-epochs", 0, "--local-epochs", 3,
            "--lr", RATE, "--fusion-lr", FUSION_RATE, "--clip-norm", 0, "--out", files["global"])
    program("step", "local", files["global"], "--client", 0, "--data", files["images"], "--out", files["update"])
    program("step", "aggregate", files["global"], files["update"], *fm, "--out", files["aggregate"])
    program("step", "fuse", files["aggregate"], *fm, "--out", files["fused"])
    start, update, fused = (state_of(files[name]) for name in ("global", "update", "fused"))
    with h5py.File(files["aggregate"]) as file:
        teacher = file["aggregate/teacher_logits"][()]

    found = {}
    for setting in settings:
        try:
            trained = worker.ask("local", setting, start, "verify", list(range(IMAGES)), IMAGES, RATE, 3)
        except RuntimeError:
            if not setting[1]:
                raise
            continue                                         # no torch.compile here: the measurements will say so
        logits = worker.ask("logits", setting, [update], "verify-fm", IMAGES)
        after = worker.ask("fuse", setting, update, "verify-fm", teacher, IMAGES, FUSION_RATE)
        errors = {"training": distance(start, update, trained), "logits": float(np.abs(logits - teacher).max() / np.abs(teacher).max()),
                  "fusion": distance(update, fused, after)}
        for what, error in errors.items():
            if not error <= (LOGIT_LIMIT if what == "logits" else UPDATE_LIMIT):
                raise Disagreement(f"{what} of PyTorch ({' '.join(map(str, setting))}) and FedClamp differ by {error:.2g}")
        found[setting[0] + (" compiled" if setting[1] else "")] = errors
    return found
