"""`fedclamp import`: the original files as published, and damaged ones."""
import gzip
import os
import shutil
import struct

import h5py
import numpy as np
import pytest

from support import fedclamp, refused

PARTS = [("train", 30), ("t10k", 20)]


def idx(values):
    return struct.pack(">HBB", 0, 8, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_idx(folder, packed=True, seed=1):
    """Four files; returns {prefix: (images, labels)}."""
    folder.mkdir(exist_ok=True)
    rng, written = np.random.default_rng(seed), {}
    for prefix, count in PARTS:
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        for name, values in ((f"{prefix}-images-idx3-ubyte", images), (f"{prefix}-labels-idx1-ubyte", labels)):
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
            else:
                (folder / name).write_bytes(idx(values))
        written[prefix] = images, labels
    return written


def check_dataset(path, name, expected, classes):
    """`expected`: {split: (images (N, C, H, W), labels)}."""
    with h5py.File(path) as file:
        assert file.attrs["format"] == "fedclamp-dataset"
        assert file.attrs["version"] == 1
        assert file.attrs["name"] == name
        assert len(file.attrs["class_names"]) == classes
        assert len(set(file.attrs["class_names"])) == classes
        assert file.attrs["source"]
        assert len(file.attrs["digest"]) >= 32
        for split, (images, labels) in expected.items():
            stored = file[split]["images"]
            assert stored.dtype == np.uint8 and stored.chunks is None, "images are stored contiguous"
            assert np.array_equal(stored[:], images)
            assert file[split]["labels"].dtype in (np.uint8, np.uint16)
            assert np.array_equal(file[split]["labels"][:], labels)


@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
@pytest.mark.parametrize("packed", [True, False], ids=["gz", "plain"])
def test_idx(tmp_path, name, packed):
    written = write_idx(tmp_path / "idx", packed)
    fedclamp("import", name, "--from", tmp_path / "idx", "--out", tmp_path / "out.h5")
    check_dataset(tmp_path / "out.h5", "idx-images", {split: (written[prefix][0][:, None], written[prefix][1])
                                              for split, prefix in (("train", "train"), ("test", "t10k"))}, 10)


def records(count, label_bytes, classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    pixels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    first = [[7, k][-label_bytes:] for k in labels]
    return b"".join(bytes(b) + p.tobytes() for b, p in zip(first, pixels)), pixels, labels


def test_cifar10(tmp_path):
    (tmp_path / "bin").mkdir()
    parts = [records(3 + k, 1, 10, k) for k in range(6)]
    for k in range(5):
        (tmp_path / f"bin/data_batch_{k + 1}.bin").write_bytes(parts[k][0])
    (tmp_path / "bin/test_batch.bin").write_bytes(parts[5][0])
    fedclamp("import", "cifar-10", "--from", tmp_path / "bin", "--out", tmp_path / "out.h5")
    check_dataset(tmp_path / "out.h5", "cifar-10-records", {
        "train": (np.concatenate([p[1] for p in parts[:5]]), np.concatenate([p[2] for p in parts[:5]])),
        "test": parts[5][1:]}, 10)


def test_cifar100(tmp_path):
    (tmp_path / "bin").mkdir()
    train, test = records(9, 2, 100, 1), records(5, 2, 100, 2)
    (tmp_path / "bin/train.bin").write_bytes(train[0])
    (tmp_path / "bin/test.bin").write_bytes(test[0])
    fedclamp("import", "cifar-100", "--from", tmp_path / "bin", "--out", tmp_path / "out.h5")
    check_dataset(tmp_path / "out.h5", "cifar-100-records", {"train": train[1:], "test": test[1:]}, 100)


def test_real_cifar10(tmp_path):
    folder = os.environ.get("FEDCLAMP_CIFAR")
    if not folder:
        pytest.skip("FEDCLAMP_CIFAR names no folder with CIFAR-10's binary files")
    fedclamp("import", "cifar-10", "--from", folder, "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file.attrs["name"] == "cifar-10" and "Krizhevsky" in file.attrs["source"]
        for split, each in (("train", 5000), ("test", 1000)):
            assert file[split]["images"].shape == (10 * each, 3, 32, 32)
            assert np.bincount(file[split]["labels"][:]).tolist() == [each] * 10


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-10])


def damage_magic(path):
    path.write_bytes(gzip.compress(b"\1\2" + gzip.decompress(path.read_bytes())[2:]))


def damage_rank(path):
    path.write_bytes(gzip.compress(idx(np.zeros((4, 4), np.uint8))))


def damage_pixels(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1]))


def damage_trailing(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"x"))


def damage_bits(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x40
    path.write_bytes(content)


def damage_huge(path):
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2 ** 31, 2 ** 31, 2 ** 31)))


def damage_size(path):
    path.write_bytes(gzip.compress(idx(np.zeros((30, 27, 28), np.uint8))))


def damage_empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [damage_cut, damage_magic, damage_rank, damage_pixels, damage_trailing, damage_bits,
                                    damage_huge, damage_size, damage_empty], ids=lambda f: f.__name__[7:])
def test_damaged_images(tmp_path, damage):
    write_idx(tmp_path / "idx")
    damage(tmp_path / "idx/train-images-idx3-ubyte.gz")
    refused("import", "mnist", "--from", tmp_path / "idx", "--out", tmp_path / "out.h5",
            says="train-images-idx3-ubyte.gz", folder=tmp_path)


def test_plain_truncated(tmp_path):
    write_idx(tmp_path / "idx", packed=False)
    damage_cut(tmp_path / "idx/t10k-images-idx3-ubyte")
    refused("import", "mnist", "--from", tmp_path / "idx", "--out", tmp_path / "out.h5",
            says="t10k-images-idx3-ubyte", folder=tmp_path)


@pytest.mark.parametrize("labels", [np.full(30, 10, np.uint8), np.zeros(29, np.uint8), np.zeros(0, np.uint8)],
                         ids=["label 10", "one too few", "none"])
def test_bad_labels(tmp_path, labels):
    write_idx(tmp_path / "idx")
    (tmp_path / "idx/train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    refused("import", "fashion-mnist", "--from", tmp_path / "idx", "--out", tmp_path / "out.h5",
            says="train-labels-idx1-ubyte.gz", folder=tmp_path)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_missing_file(tmp_path, name):
    write_idx(tmp_path / "idx")
    (tmp_path / f"idx/{name}.gz").unlink()
    refused("import", "mnist", "--from", tmp_path / "idx", "--out", tmp_path / "out.h5", says=name, folder=tmp_path)


def test_missing_folder(tmp_path):
    refused("import", "mnist", "--from", tmp_path / "nowhere", "--out", tmp_path / "out.h5", says="nowhere", folder=tmp_path)


@pytest.mark.parametrize("length, first", [(3073 * 2 - 1, 1), (0, 1), (3073, 10)], ids=["cut", "empty", "label 10"])
def test_bad_cifar(tmp_path, length, first):
    (tmp_path / "bin").mkdir()
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        (tmp_path / f"bin/{name}.bin").write_bytes(records(2, 1, 10, 1)[0])
    (tmp_path / "bin/data_batch_3.bin").write_bytes((bytes([first]) + bytes(9000))[:length])
    refused("import", "cifar-10", "--from", tmp_path / "bin", "--out", tmp_path / "out.h5", says="data_batch_3.bin", folder=tmp_path)


def test_cifar_missing(tmp_path):
    refused("import", "cifar-10", "--from", tmp_path, "--out", tmp_path / "out.h5", says="data_batch_1.bin", folder=tmp_path)


def test_unknown_name(tmp_path):
    refused("import", "fashion-mnits", "--from", tmp_path, "--out", tmp_path / "out.h5", code=64, says="fashion-mnist", folder=tmp_path)


def test_out_cannot_be_written(tmp_path):
    write_idx(tmp_path / "idx")
    refused("import", "mnist", "--from", tmp_path / "idx", "--out", tmp_path / "no/such/folder/out.h5", says="out.h5", folder=tmp_path)
    refused("import", "mnist", "--from", tmp_path / "idx", "--out", "/proc/out.h5", says="/proc", folder=tmp_path)


def test_h5dump_reads_it(tmp_path):
    import subprocess
    tool = shutil.which("h5dump")
    if tool is None:
        pytest.skip("h5dump (hdf5-tools) is not installed")
    write_idx(tmp_path / "idx")
    fedclamp("import", "mnist", "--from", tmp_path / "idx", "--out", tmp_path / "out.h5")
    shown = subprocess.run([tool, "-H", tmp_path / "out.h5"], capture_output=True, text=True, check=True).stdout
    assert "H5T_STD_U8LE" in shown and "( 30, 1, 28, 28 )" in shown
