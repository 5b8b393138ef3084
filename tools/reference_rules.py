#!/usr/bin/env python3
"""Golden files for the Swift tests of the aggregation rules, by implementations that are not ours.

    python3 tools/reference_rules.py [FOLDER]           default: Tests/DefensesTests/Golden

Needs numpy, h5py and, for the rules themselves, these packages (tools/requirements.txt says where they come from):

    flwr          Flower: FedAvg, median, trimmed mean, Krum, Multi-Krum, Bulyan
    geom-median   the smoothed Weiszfeld algorithm of RFA's author
    hdbscan       clustering, inside FLAME and DeepSight
    scikit-learn  average linkage and mean shift, inside ClippedClustering and SignGuard

Norm clipping, DP, RFOut, RLR, FoolsGold, FLTrust, and what FLAME, DeepSight, ClippedClustering and SignGuard do around the
clustering are written here in numpy, from the papers. Everything is computed in double from float32 models. Noise (norm
clipping's, DP's, FLAME's) is left out; RFOut has delta 1.5.

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
"""
import pathlib
import sys

import h5py
import numpy as np
from flwr.server.strategy import aggregate as flower
from geom_median.numpy import compute_geometric_median
from sklearn.cluster import AgglomerativeClustering

from reference_clusters import bandwidth_of, cluster, shift

# conv1.weight 0, conv1.bias 1, ... fc1.weight 12, fc1.bias 13, fc2.weight 14, fc2.bias 15
PARTS = [(15, range(10)), (14, [128 * c + h for c in range(10) for h in range(9)]), (0, range(60)), (1, range(20)), (13, range(20))]
TENSOR = np.concatenate([np.full(len(p), t) for t, p in PARTS])
ELEMENT = np.concatenate([np.asarray(p) for _, p in PARTS])
CLASSES, INPUTS, DRAWS, NOISE_IMAGES = 10, 9, 3, 20
SEED, ROUND = 1, 1                                                   # of the tests
PARAMETERS = [(32, 9), (32,), (32, 288), (32,), (64, 288), (64,), (64, 576), (64,), (128, 576), (128,), (128, 1152), (128,),
              (128, 2048), (128,), (10, 128), (10,)]                 # ClampNet's tensors, 1 channel and 10 classes
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


def dp(r, limit=0.4):
    scale = 1 / np.maximum(1, np.linalg.norm(r.D, axis=1) / limit)
    return result(r, r.G + scale @ r.D / r.n, None, scale)


def rfout(r, delta=1.5):
    W = r.W.astype("f8")
    off, limit = np.abs(W - W.mean(0)), delta * W.std(0)
    inside = off <= limit
    assert np.all(np.abs(off - limit) > 1e-5 * limit), "choose another seed: a near tie"
    print(f"  rfout n={r.n}: {(~inside).sum()} of {inside.size} values left out")
    return result(r, np.where(inside, W, 0).sum(0) / inside.sum(0))


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


def clipped_mean(r, admitted):
    norms = np.linalg.norm(r.D, axis=1)
    scale = np.minimum(1, np.median(norms) / norms)
    return result(r, r.G + (scale[:, None] * r.D)[admitted].mean(0), of(admitted, r.n), scale)


def flame(r):
    labels = cluster(cosine_distances(r.W.astype("f8")), r.n // 2 + 1)
    return clipped_mean(r, np.flatnonzero(labels == 0))


def clip_cluster(r, seen, clients, rows):
    D, norms = r.D[rows], np.linalg.norm(r.D[rows], axis=1)
    kept = norms.astype("f4").astype("f8")
    seen += list(kept)
    labels = AgglomerativeClustering(n_clusters=2, metric="precomputed", linkage="average").fit(cosine_distances(D)).labels_
    sizes = np.bincount(labels)
    assert sizes[0] != sizes[1], "choose another seed: two clusters of one size"
    larger = labels == np.argmax(sizes)
    print(f"  clip-cluster n={r.n}: clusters {labels}, limit {np.median(seen):.3f} of {len(seen)} norms {np.round(norms, 2)}")
    scale, weight = np.zeros(r.n), np.zeros(r.n)
    scale[clients], weight[clients] = np.where(kept > np.median(seen), np.median(seen) / norms, 1), larger
    return result(r, r.G + (scale[clients][:, None] * D)[larger].mean(0), weight, scale)


class Stream:
    """Sources/Datasets/RandomStream.swift: SplitMix64 from a hash of the name."""
    MASK = 2 ** 64 - 1

    @classmethod
    def mix(cls, z):
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & cls.MASK
        z = (z ^ z >> 27) * 0x94D049BB133111EB & cls.MASK
        return z ^ z >> 31

    def __init__(self, seed, purpose, number):
        h = self.mix(seed + 0x9E3779B97F4A7C15 & self.MASK)
        for byte in purpose.encode():
            h = self.mix(h ^ byte)
        h = self.mix(h ^ number)
        self.key, self.counter = self.mix(h + self.mix(0xD1B54A32D192ED03) & self.MASK), 0

    def below(self, n):
        limit = self.MASK - self.MASK % n
        while True:
            self.counter += 1
            x = self.mix(self.key + self.counter * 0x9E3779B97F4A7C15 & self.MASK)
            if x < limit:
                return x % n

    def permutation(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def drawn():
    """Which of the 200 numbers lie among SignGuard's coordinates, and how many coordinates those are."""
    sizes = [int(np.prod(shape)) for shape in PARAMETERS]
    count = sum(sizes) // 10
    chosen = set(Stream(SEED, "sign-guard coordinates", ROUND).permutation(sum(sizes))[:count])
    return np.isin(np.cumsum([0] + sizes)[TENSOR] + ELEMENT, list(chosen)), count


def sign_guard(r, among):
    inside, count = among
    norms, signs = np.linalg.norm(r.D, axis=1), np.sign(r.D[:, inside])
    up, down = (signs > 0).sum(1) / count, (signs < 0).sum(1) / count
    points = np.stack([up, 1 - up - down, down], 1)
    bandwidth = bandwidth_of(points)
    largest = [np.argmax(np.bincount(labels[labels >= 0])) == labels for labels in
               (shift(points, bandwidth * f) for f in (1 - 1e-7, 1, 1 + 1e-7))]
    assert all(np.array_equal(largest[1], other) for other in largest), "choose another seed: a near tie"
    size = norms / np.median(norms)
    assert np.all(np.abs(size - 0.1) > 1e-6) and np.all(np.abs(size - 3) > 1e-6)
    admitted = np.flatnonzero(largest[1] & (size >= 0.1) & (size <= 3))
    print(f"  sign-guard n={r.n}: {inside.sum()} of the numbers among {count} drawn, cluster {largest[1].astype(int)}, admitted {admitted}")
    return clipped_mean(r, admitted)


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


def rules(r, among):
    history, seen, all_, rest = {}, [], list(range(r.n)), list(range(r.n - 1))
    yield from {"none": none(r), "norm-clip": norm_clip(r), "dp": dp(r), "krum": krum(r), "multi-krum": multi_krum(r), "median": median(r),
                "trimmed-mean": trimmed_mean(r), "rfout": rfout(r), "bulyan": bulyan(r), "rfa": rfa(r), "rlr": rlr(r),
                "foolsgold": foolsgold(r, history, all_, all_), "foolsgold-2": foolsgold(r, history, rest, all_[1:]),
                "flame": flame(r), "deepsight": deepsight(r), "clip-cluster": clip_cluster(r, seen, all_, all_),
                "clip-cluster-2": clip_cluster(r, seen, rest, all_[1:]), "sign-guard": sign_guard(r, among), "fltrust": fltrust(r)}.items()


def write_round(path, n, f, among):
    r = Round(n, f, np.random.default_rng(n))
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "fedclamp-golden"
        file.attrs["command"] = "tools/reference_rules.py"
        file.attrs["malicious"] = f
        for name, values in [("tensor", TENSOR.astype("i4")), ("element", ELEMENT.astype("i4")), ("global", r.G), ("root", r.root),
                             ("models", r.W), ("images", r.images.astype("i4")), ("features", r.features)]:
            file[name] = values
        found = dict(rules(r, among))
        file["rules"] = np.array(list(found), "S16")
        for part, name in enumerate(["model", "weight", "scale"]):
            file[name] = np.stack([values[part] for values in found.values()])
        for name, (_, weight, _) in found.items():
            print(f"  {name:13} weights {np.round(weight, 2)}")


if __name__ == "__main__":
    if len(sys.argv) > 2 or any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else "Tests/DefensesTests/Golden")
    folder.mkdir(parents=True, exist_ok=True)
    among = drawn()
    for n, f in SIZES.items():
        print(f"rules-{n}.h5")
        write_round(folder / f"rules-{n}.h5", n, f, among)
    for path in sorted(folder.glob("rules-*.h5")):
        print(f"{path}: {path.stat().st_size / 1e3:.1f} kB")
