#!/usr/bin/env python3
"""Golden files for the Swift tests of the clusterings, by implementations that are not ours.

    python3 tools/reference_clusters.py [FOLDER]        default: Tests/DefensesTests/Golden

Needs numpy, h5py and the packages hdbscan and scikit-learn.

hdbscan.h5: `points` (all cases' points, 2), `labels`, and `cases` (points, min cluster size, min samples, single cluster).

clusters.h5: `points` (all cases' points, 3), `cases` (points, clusters asked for), `linkage` (clusters by average linkage on
the points' distances, numbered by their first points), `bandwidth` (of each case) and `shift` (mean shift's labels).
"""
import pathlib
import sys

import h5py
import hdbscan
import numpy as np
from hdbscan._hdbscan_linkage import label, mst_linkage_core
from hdbscan._hdbscan_reachability import mutual_reachability
from hdbscan.hdbscan_ import _tree_to_labels
from sklearn.cluster import AgglomerativeClustering, MeanShift, estimate_bandwidth


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


def bandwidth_of(points):
    """scikit-learn's estimate at the quantile 0.5, of distances that are not differences of squares."""
    nearest = np.sort(np.sqrt(((points[:, None] - points[None]) ** 2).sum(2)), axis=1)
    found = nearest[:, max(1, len(points) // 2) - 1].mean()
    assert abs(found - estimate_bandwidth(points, quantile=0.5, n_samples=None)) <= 1e-7 * np.linalg.norm(points, axis=1).max()
    return found


def shift(points, bandwidth):
    return MeanShift(bandwidth=bandwidth, bin_seeding=False, cluster_all=False).fit(points).labels_


def write_hdbscan(path, rng):
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
        file.attrs["command"] = "tools/reference_clusters.py"
        file["points"], file["labels"], file["cases"] = np.concatenate(points), np.concatenate(labels).astype("i4"), np.array(cases, "i4")


def by_first(labels):
    """The same clusters, numbered by their first points."""
    order = list(dict.fromkeys(labels))
    return np.array([order.index(label) for label in labels])


def write_clusters(path, rng):
    points, cases, linkage, bandwidths, shifts = [], [], [], [], []
    while len(cases) < 40:
        n, groups = int(rng.integers(2, 30)), int(rng.integers(1, 4))
        x = rng.normal(0, 4, (groups, 3))[rng.integers(0, groups, n)] + rng.normal(0, 1, (n, 3)) * rng.choice([0.2, 0.7, 3])
        if len(cases) % 8 == 7:
            x = np.repeat(x, 2, axis=0)                                # equal points
        n, count = len(x), min(n, int(rng.integers(1, 5)))
        d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(2))
        found = AgglomerativeClustering(n_clusters=count, metric="precomputed", linkage="average").fit(d).labels_
        bandwidth = bandwidth_of(x)
        if bandwidth == 0:
            continue                                                   # scikit-learn refuses it
        labels = [shift(x, bandwidth * f) for f in (1 - 1e-7, 1, 1 + 1e-7)]
        if not all(np.array_equal(labels[1], other) for other in labels):
            continue
        for values, value in zip((points, cases, linkage, bandwidths, shifts), (x, (n, count), by_first(found), bandwidth, labels[1])):
            values.append(value)
    print(path, "mean shift's clusters per case:", [int(found.max() + 1) for found in shifts], "beyond:", [int((found < 0).sum()) for found in shifts])
    with h5py.File(path, "w") as file:
        file.attrs["command"] = "tools/reference_clusters.py"
        file["points"], file["cases"], file["bandwidth"] = np.concatenate(points), np.array(cases, "i4"), np.array(bandwidths)
        file["linkage"], file["shift"] = np.concatenate(linkage).astype("i4"), np.concatenate(shifts).astype("i4")


if __name__ == "__main__":
    if len(sys.argv) > 2 or any(a.startswith("-") for a in sys.argv[1:]):
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) == 2 else "Tests/DefensesTests/Golden")
    folder.mkdir(parents=True, exist_ok=True)
    write_hdbscan(folder / "hdbscan.h5", np.random.default_rng(48))
    write_clusters(folder / "clusters.h5", np.random.default_rng(40))
