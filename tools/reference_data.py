#!/usr/bin/env python3
"""Golden file for the Swift tests of the defences on the FM data, by implementations that are not ours.

    python3 tools/reference_data.py [FOLDER]        default: Tests/DefensesTests/Golden

Needs numpy, h5py and scikit-learn.

data.h5, a group for each case: `rows` (images, units), `labels`, and for each defence NAME `NAME` (the positions that it leaves out; of activation-clustering those
of class 1, the one with poison: where a class is of one kind, which split is the best is a matter of the starts);
`silhouette` and `explained` (of activation-clustering's splits) and `deviations` (of scan), each (classes).
"""
import pathlib
import sys
import warnings

import h5py
import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import FastICA
from sklearn.metrics import silhouette_score


def activation_clustering(rows, labels, classes):
    """Chen et al. 2019 with independent components, as printed."""
    out, silhouettes, explained = [], np.zeros(classes), np.zeros(classes)
    for label in range(classes):
        images = np.where(labels == label)[0]
        x = FastICA(n_components=10, whiten="unit-variance", random_state=0, max_iter=5000, tol=1e-3).fit_transform(rows[images])
        found = KMeans(2, n_init=500, random_state=0).fit(x)
        sides, explained[label] = found.labels_, 1 - found.inertia_ / ((x - x.mean(0)) ** 2).sum()
        smaller = int(2 * sides.sum() < len(sides))
        silhouettes[label] = silhouette_score(x, sides)
        if label == 1 and np.mean(sides == smaller) < 0.35 and silhouettes[label] >= 0.1:
            out += list(images[sides == smaller])
    return np.sort(out), silhouettes, explained


def spectral_signatures(rows, labels, classes, part=0.15):
    """Tran et al. 2018, algorithm 1."""
    out = []
    for label in range(classes):
        images = np.where(labels == label)[0]
        centred = rows[images] - rows[images].mean(0)
        scores = (centred @ np.linalg.svd(centred, full_matrices=False)[2][0]) ** 2
        out += list(images[np.argsort(-scores, kind="stable")[:round(part * len(images))]])
    return np.sort(out)


def scan(rows, labels, classes):
    """Tang et al. 2021, image by image, the covariances inverted as they are; the identity of a class from the paper's formula."""
    x = rows - rows.mean(0)
    identities = np.stack([x[labels == label].mean(0) for label in range(classes)])
    means, counts = identities.copy(), np.bincount(labels, minlength=classes)
    last = None
    for _ in range(100):
        within, between = np.cov((x - identities[labels]).T, bias=True), np.cov(identities[labels].T, bias=True)
        off = (x - identities[labels]).mean(0)
        within += np.outer(off, off)
        identities = np.stack([n * between @ np.linalg.pinv(n * between + within) @ mean for n, mean in zip(counts, means)])
        now = np.concatenate([np.tril(within).ravel(), identities.ravel()])
        if last is not None and np.linalg.norm(now - last) < 1e-5 * np.linalg.norm(now):
            break
        last = now
    inverse, scores, smaller = np.linalg.pinv(within), np.zeros(classes), []

    def distance(a, b):
        return np.einsum("ij,jk,ik->i", a - b, inverse, a - b)

    root = np.linalg.cholesky(inverse + 1e-12 * np.eye(len(inverse)))
    for label in range(classes):
        images = np.where(labels == label)[0]
        own = x[images]
        white = own @ root
        along = (white - white.mean(0)) @ np.linalg.svd(white - white.mean(0), full_matrices=False)[2][0]
        start = np.stack([white[along <= 0].mean(0), white[along > 0].mean(0)])
        sides = KMeans(2, init=start, n_init=1).fit(white).labels_
        groups = np.stack([own[sides == side].mean(0) for side in (0, 1)])
        scores[label] = np.mean(distance(own, identities[label][None]) - distance(own, groups[sides]))
        smaller.append(images[sides == int(2 * sides.sum() < len(sides))])
    middle = np.median(scores)
    deviations = (scores - middle) / (1.4826 * np.median(np.abs(scores - middle)))
    out = [image for label in range(classes) if deviations[label] > np.exp(2) for image in smaller[label]]
    return np.sort(out), deviations


def case(rng, classes, images, units, poison, shift, dead=0):
    """Representations of `classes` kinds of images; of class 1 the part `poison` is of other kinds with a pattern in common."""
    centres, pattern, spread = rng.normal(0, 3, (classes, units)), rng.normal(0, 1, units), rng.normal(0, 0.4, (units, units))
    rows, labels = [], []
    for label in range(classes):
        n = images + 7 * label
        kinds = np.full(n, label)
        carries = np.zeros(n, bool)
        if label == 1:
            carries[: int(poison * n)] = True
            kinds[carries] = rng.integers(0, classes, carries.sum())
        x = centres[kinds] * np.where(carries, 0.3, 1)[:, None] + shift * carries[:, None] * pattern
        rows.append(x + rng.normal(0, 1, (n, units)) @ spread)
        labels.append(np.full(n, label))
    rows, labels = np.concatenate(rows), np.concatenate(labels)
    order = rng.permutation(len(rows))
    rows = np.maximum(rows, 0)
    if dead:
        rows[:, -dead:] = 0
    return rows[order], labels[order]


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "Tests/DefensesTests/Golden")
    warnings.filterwarnings("ignore")   # noise has no independent components to find; it is whitened all the same
    rng = np.random.default_rng(11)
    cases = {"poisoned": case(rng, 8, 80, 24, 0.25, 14), "clean": case(rng, 6, 80, 24, 0, 0), "faint": case(rng, 8, 60, 24, 0.15, 6, dead=2)}
    with h5py.File(folder / "data.h5", "w") as file:
        file.attrs["command"] = "tools/reference_data.py"
        for name, (rows, labels) in cases.items():
            rows = rows.astype("f4").astype("f8")
            classes = labels.max() + 1
            clustered, silhouettes, explained = activation_clustering(rows, labels, classes)
            signed, (scanned, deviations) = spectral_signatures(rows, labels, classes), scan(rows, labels, classes)
            group = file.create_group(name)
            group["rows"], group["labels"] = rows.astype("f4"), labels.astype("i4")
            for key, value in {"activation-clustering": clustered, "spectral-signatures": signed, "scan": scanned}.items():
                group[key] = np.asarray(value, "i4")
            group["silhouette"], group["explained"], group["deviations"] = silhouettes, explained, deviations
            print(name, len(clustered), len(signed), len(scanned), silhouettes.round(2), deviations.round(1))


if __name__ == "__main__":
    main()
