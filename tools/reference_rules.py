#!/usr/bin/env python3
"""Golden files for the Swift tests of the aggregation rules and of HDBSCAN, by implementations that are not ours.

    python3 tools/reference_rules.py [FOLDER]           default: Tests/DefensesTests/Golden

Needs numpy, h5py and, for the rules themselves, these packages (tools/requirements.txt says where they come from):

    flwr          Flower: FedAvg, median, trimmed mean, Krum, Multi-Krum, Bulyan
    geom-median   the smoothed Weiszfeld algorithm of RFA's author
    hdbscan       clustering, inside FLAME and DeepSight, and by itself

Norm clipping, RLR, FoolsGold, FLTrust, and what FLAME and DeepSight do around the clustering are written here in numpy,
from the papers. Everything is computed in double from float32 models. Noise (norm clipping's, FLAME's) is left out.

rules-N.h5, one random round of N clients, F of them malicious:

    tensor, element        (200) where the numbers lie: index of ClampNet's tensor (conv1.weight, conv1.bias, ...) and of the
                           canonical element in it; all other parameters are 0
    global, root           (200) float32: G, and the model that the server's own training gives
    models                 (N, 200) float32: W_i of client i
    images                 (N) what they trained on
    features               (3, 20, 9) float32: DeepSight's random images, as the inputs of the output layer that are used
    rules                  the rules' names, in the order of the rows below; foolsgold-2 is a second round on G, where client
                           i sends model i + 1 and client N - 1 is absent
    model                  (rules, 200) float64
    weight, scale          (rules, N) a teacher's weight (0: no teacher), and s_i of the model G + s_i (W_i - G) that it is

The first 100 of the 200 are the output layer's biases and, class by class, its weights of the inputs 0 to 8.

hdbscan.h5: `points` (all cases' points, 2), `labels`, and `cases` (points, min cluster size, min samples, single cluster).
"""
import pathlib
import sys

import h5py
import hdbscan
import numpy as np
from flwr.server.strategy import aggregate as flower
from geom_median.numpy import compute_geometric_median
from hdbscan._hdbscan_linkage import label, mst_linkage_core
from hdbscan._hdbscan_reachability import mutual_reachability
from hdbscan.hdbscan_ import _tree_to_labels

# conv1.weight 0, conv1.bias 1, ... fc1.weight 12, fc1.bias 13, fc2.weight 14, fc2.bias 15
PARTS = [(15, range(10)), (14, [128 * c + h for c in range(10) for h in range(9)]), (0, range(60)), (1, range(20)), (13, range(20))]
TENSOR = np.concatenate([np.full(len(p), t) for t, p in PARTS])
ELEMENT = np.concatenate([np.asarray(p) for _, p in PARTS])
CLASSES, INPUTS, DRAWS, NOISE_IMAGES = 10, 9, 3, 20
SIZES = {7: 1, 10: 2, 11: 2}                                         # clients: assumed malicious


class Round:
    def __init__(self, n, f, rng):
        d = len(TENSOR)
        self.n, self.f = n, f
        self.G = rng.normal(0, 0.1, d).astype("f4")
        common = rng.normal(0, 0.02, d)
        W = self.G + common + rng.normal(0, 0.03, (n, d)) * rng.uniform(0.5, 1.5, (n, 1))
        evil = rng.normal(0, 0.05, d)                                 # the malicious ones agree, and move one class
        evil[:100] = 0
        evil[[0, *range(10, 19)]] = rng.normal(0.4, 0.1, 10)
        W[:f] = self.G + evil + rng.normal(0, 0.01, (f, d)) * (np.abs(evil) > 0)
        self.W = W.astype("f4")
        self.root = (self.G + common + rng.normal(0, 0.02, d)).astype("f4")
        self.images = rng.integers(100, 600, n)
        self.features = rng.normal(0, 3, (DRAWS, NOISE_IMAGES, INPUTS)).astype("f4")
        self.D = self.W.astype("f8") - self.G.astype("f8")

    def flower(self, members=None):
        return [([self.W[i].astype("f8")], int(self.images[i])) for i in (range(self.n) if members is None else members)]


def result(r, model, weight=None, scale=None):
    weight = np.ones(r.n) if weight is None else np.asarray(weight, "f8")
    return np.asarray(model, "f8"), weight, np.where(weight > 0, 1.0 if scale is None else scale, 0)


def of(members, n):
    return np.isin(np.arange(n), members).astype("f8")


def apart(values):
    """The two smallest gaps decide selections: they must not hang on rounding."""
    values = np.sort(values)
    assert np.all(np.diff(values) > 1e-9 * values[-1]), "choose another seed: a near tie"


def none(r):
    return result(r, flower.aggregate(r.flower())[0])


def norm_clip(r, limit=0.4):
    scale = 1 / np.maximum(1, np.linalg.norm(r.D, axis=1) / limit)
    return result(r, r.G + (r.images / r.images.sum() * scale) @ r.D, None, scale)


def krum_scores(r, members):
    W = r.W[members].astype("f8")
    squared = ((W[:, None] - W[None]) ** 2).sum(2)
    scores = np.sort(squared, axis=1)[:, 1:1 + max(1, len(members) - r.f - 2)].sum(1)
    return scores


def krum(r):
    scores = krum_scores(r, np.arange(r.n))
    apart(scores)
    return result(r, flower.aggregate_krum(r.flower(), r.f, 0)[0], of([np.argmin(scores)], r.n))


def multi_krum(r):
    keep = r.n - r.f
    return result(r, flower.aggregate_krum(r.flower(), r.f, keep)[0], of(np.argsort(krum_scores(r, np.arange(r.n)))[:keep], r.n))


def median(r):
    return result(r, flower.aggregate_median(r.flower())[0])


def trimmed_mean(r):
    return result(r, flower.aggregate_trimmed_avg(r.flower(), 0.2)[0])


def bulyan(r):
    f = r.f
    r.f = min(f, (r.n - 3) // 4)
    left, selected = list(range(r.n)), []
    while len(selected) < r.n - 2 * r.f:
        best = left[np.argmin(krum_scores(r, left))]
        left.remove(best)
        selected.append(best)
    model = flower.aggregate_bulyan(r.flower(), r.f, flower.aggregate_krum, to_keep=0)[0]
    r.f = f
    return result(r, model, of(selected, r.n))


def rfa(r):
    points = [w.astype("f8") for w in r.W]
    v = compute_geometric_median(points, r.images / r.images.sum(), eps=1e-6, maxiter=4, ftol=0).median
    before = compute_geometric_median(points, r.images / r.images.sum(), eps=1e-6, maxiter=3, ftol=0).median
    b = r.images / np.maximum(1e-6, np.linalg.norm(r.W - before, axis=1))
    return result(r, v, b / b.sum())


def rlr(r):
    theta = int(np.ceil(4 * np.sqrt(r.n / 10) - 1e-9))
    rate = np.where(np.abs(np.sign(r.D).sum(0)) >= theta, 1.0, -1.0)
    return result(r, r.G + rate * (r.images / r.images.sum() @ r.D))


def foolsgold(r, history, clients, rows):
    for client, row in zip(clients, rows):
        history[client] = (history.get(client, np.zeros(r.D.shape[1])) + r.D[row]).astype("f4").astype("f8")
    H = np.stack([history[c] for c in clients])
    H = H / np.linalg.norm(H, axis=1, keepdims=True)
    cs = H @ H.T
    np.fill_diagonal(cs, 0)
    v = cs.max(1) + 1e-5
    cs *= np.minimum(1, v[:, None] / v[None])
    a = np.clip(1 - cs.max(1), 0, 1)
    a /= a.max()
    a[a == 1] = 0.99
    with np.errstate(divide="ignore"):
        a = np.clip(np.log(a / (1 - a)) + 0.5, 0, 1)
    weight = np.zeros(r.n)
    weight[clients] = a / a.sum()
    return result(r, r.G + (a / a.sum()) @ r.D[rows], weight)


def cosine_distances(X):
    U = X / np.linalg.norm(X, axis=1, keepdims=True)
    distances = np.maximum(0, 1 - U @ U.T)
    np.fill_diagonal(distances, 0)
    return distances


def cluster(distances, size, samples=1, single=True):
    """hdbscan's labels, its edges sorted stably. Core distances repeat, so equal edges are common, and the order in which
    they are joined shows in the clusters. The package sorts with numpy's default sort, whose order of equal elements
    depends on the CPU; where no edges are equal the package as it is must agree."""
    samples = min(len(distances) - 1, samples)
    tree = mst_linkage_core(mutual_reachability(distances.copy(), samples))
    tree = tree[np.argsort(tree[:, 2], kind="stable")]
    labels = _tree_to_labels(None, label(tree), size, allow_single_cluster=single)[0]
    if len(np.unique(tree[:, 2])) == len(tree):
        package = hdbscan.HDBSCAN(metric="precomputed", min_cluster_size=size, min_samples=samples, allow_single_cluster=single)
        assert np.array_equal(labels, package.fit_predict(distances))
    return labels


def clipped_mean(r, admitted):
    norms = np.linalg.norm(r.D, axis=1)
    scale = np.minimum(1, np.median(norms) / norms)
    return result(r, r.G + (scale[:, None] * r.D)[admitted].mean(0), of(admitted, r.n), scale)


def flame(r):
    labels = cluster(cosine_distances(r.W.astype("f8")), r.n // 2 + 1)
    return clipped_mean(r, np.flatnonzero(labels == 0))


def log_softmax(y):
    y = y - y.max(1, keepdims=True)
    return y - np.log(np.exp(y).sum(1, keepdims=True))


def deepsight(r):
    db, dw = r.D[:, :10], r.D[:, 10:100].reshape(r.n, CLASSES, INPUTS)
    energy = (np.abs(db) + np.abs(dw).sum(2)) ** 2
    neup = energy / energy.sum(1, keepdims=True)
    exceedings = (neup > max(0.01, 1 / CLASSES) * neup.max(1, keepdims=True)).sum(1)
    suspicious = exceedings <= np.median(exceedings) / 2

    def logits(model, draw):
        return (r.features[draw].astype("f8") @ model[10:100].reshape(CLASSES, INPUTS).astype("f8").T + model[:10]).astype("f4").astype("f8")

    def euclidean(X):
        return np.sqrt(((X[:, None] - X[None]) ** 2).sum(2))

    size = max(2, min(5, r.n // 4))
    between = lambda distances: (lambda labels: (labels[:, None] != labels[None]).astype("f8"))(cluster(distances, size))
    draws = []
    for draw in range(DRAWS):
        reference = log_softmax(logits(r.G, draw))
        ddif = np.stack([np.exp(log_softmax(logits(w, draw)) - reference).mean(0) for w in r.W])
        draws.append(between(euclidean(ddif)))
    labels = cluster((np.mean(draws, 0) + between(euclidean(neup)) + between(cosine_distances(db))) / 3, size)
    labels = np.where(labels < 0, r.n + np.arange(r.n), labels)          # noise: clusters of one
    share = np.array([suspicious[labels == own].mean() for own in labels])
    print(f"  deepsight n={r.n}: exceedings {exceedings}, labels {labels}, accepted {np.flatnonzero(share < 1 / 3)}")
    return clipped_mean(r, np.flatnonzero(share < 1 / 3))


def fltrust(r):
    g0 = r.root.astype("f8") - r.G
    norms, n0 = np.linalg.norm(r.D, axis=1), np.linalg.norm(g0)
    trust = np.maximum(0, r.D @ g0 / (norms * n0))
    trust /= trust.sum()
    return result(r, r.G + (trust * n0 / norms) @ r.D, trust, n0 / norms)


def rules(r):
    history = {}
    yield from {"none": none(r), "norm-clip": norm_clip(r), "krum": krum(r), "multi-krum": multi_krum(r), "median": median(r),
                "trimmed-mean": trimmed_mean(r), "bulyan": bulyan(r), "rfa": rfa(r), "rlr": rlr(r),
                "foolsgold": foolsgold(r, history, list(range(r.n)), list(range(r.n))),
                "foolsgold-2": foolsgold(r, history, list(range(r.n - 1)), list(range(1, r.n))),
                "flame": flame(r), "deepsight": deepsight(r), "fltrust": fltrust(r)}.items()


def write_round(path, n, f):
    r = Round(n, f, np.random.default_rng(n))
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "fedclamp-golden"
        file.attrs["command"] = "tools/reference_rules.py"
        file.attrs["malicious"] = f
        for name, values in [("tensor", TENSOR.astype("i4")), ("element", ELEMENT.astype("i4")), ("global", r.G), ("root", r.root),
                             ("models", r.W), ("images", r.images.astype("i4")), ("features", r.features)]:
            file[name] = values
        found = dict(rules(r))
        file["rules"] = np.array(list(found), "S16")
        for part, name in enumerate(["model", "weight", "scale"]):
            file[name] = np.stack([values[part] for values in found.values()])
        for name, (_, weight, _) in found.items():
            print(f"  {name:13} weights {np.round(weight, 2)}")


def write_clusterings(path, rng):
    points, labels, cases = [], [], []
    for k in range(48):
        n = int(rng.integers(2, 33))
        groups = int(rng.integers(1, 4))
        centres = rng.normal(0, 4, (groups, 2))
        x = centres[rng.integers(0, groups, n)] + rng.normal(0, 1, (n, 2)) * rng.choice([0.2, 0.7, 3])
        if k % 8 == 7:
            n = min(n, 12)
            x = np.round(x[:n])                                       # equal points and equal distances
        size, samples, single = n // 2 + 1 if k % 4 == 0 else int(rng.integers(2, 7)), int(rng.integers(1, 5)), k % 4 == 0 or bool(rng.integers(0, 2))
        d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
        found = cluster(d, size, samples, single)
        points.append(x)
        labels.append(found)
        cases.append((n, size, samples, single))
    print(path, "clusters per case:", [int(found.max() + 1) for found in labels])
    with h5py.File(path, "w") as file:
        file.attrs["command"] = "tools/reference_rules.py"
        file["points"], file["labels"], file["cases"] = np.concatenate(points), np.concatenate(labels).astype("i4"), np.array(cases, "i4")


if __name__ == "__main__":
    if len(sys.argv) > 2 or any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else "Tests/DefensesTests/Golden")
    folder.mkdir(parents=True, exist_ok=True)
    for n, f in SIZES.items():
        print(f"rules-{n}.h5")
        write_round(folder / f"rules-{n}.h5", n, f)
    write_clusterings(folder / "hdbscan.h5", np.random.default_rng(48))
    for path in sorted(folder.glob("*.h5")):
        print(f"{path}: {path.stat().st_size / 1e3:.1f} kB")
