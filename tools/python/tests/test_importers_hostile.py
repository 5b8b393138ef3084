"""Files that are not what they should be, each form: one clear line."""

import json
import os
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
from hostile import arrays, refuses

from fedclamp.importers import main


def savez(path, **change):
    np.savez(path, **{name: value for name, value in (arrays() | change).items() if value is not None})


def raw(path, member, content):
    """An archive that NumPy did not write."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(member, content)
        for name in ("train_labels.npy", "test_images.npy", "test_labels.npy"):
            file.writestr(name, content)


def damaged(path, change):
    savez(path)
    path.write_bytes(change(path.read_bytes()))


def flipped(content):
    at = content.index(b"NUMPY") + 200
    return content[:at] + bytes([content[at] ^ 255]) + content[at + 1 :]


def huge(path):
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000, 28, 28), }".ljust(117) + b"\n"
    raw(path, "train_images.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)


ODD_NPZ = {
    "object arrays": (lambda p: savez(p, train_images=np.array([{}, 1], dtype=object)), ["a.npz: train_images", "array of numbers", "Object arrays"]),
    "object labels": (lambda p: savez(p, train_labels=np.array([None] * 8)), ["a.npz: train_labels"]),
    "an npy": (lambda p: p.write_bytes(b"\x93NUMPY\x01\x00v\x00"), ["NumPy archive", "a single array (.npy)"]),
    "truncated": (lambda p: damaged(p, lambda content: content[: len(content) // 2]), ["NumPy archive", "truncated"]),
    "a text": (lambda p: p.write_text("hello\n"), ["NumPy archive"]),
    "empty": (lambda p: p.write_bytes(b""), ["NumPy archive"]),
    "a pickle": (lambda p: p.write_bytes(pickle.dumps(arrays())), ["NumPy archive"]),
    "a bad check sum": (lambda p: damaged(p, flipped), ["train_images", "CRC"]),
    "an archive of other things": (lambda p: raw(p, "train_images", b"x"), ["(n, h, w)"]),
    "an empty archive": (lambda p: zipfile.ZipFile(p, "w").close(), ["train_images and train_labels", "an empty archive"]),
    "a shape that no machine holds": (huge, ["train_images"]),
    "a folder": (lambda p: p.mkdir(), ["expected a file, got a folder"]),
    "a pipe": (os.mkfifo, ["expected a file, got a device or pipe"]),
    "a scalar": (lambda p: savez(p, train_images=np.uint8(3)), ["images: expected (n, h, w)", "()"]),
    "scalar labels": (lambda p: savez(p, train_labels=np.int64(3)), ["8 whole numbers", "()"]),
    "no pixels": (lambda p: savez(p, train_images=np.zeros((8, 0, 0), np.uint8)), ["(8, 0, 0)"]),
    "no images": (lambda p: savez(p, train_images=np.zeros((0, 28, 28), np.uint8), train_labels=np.zeros(0, int)), ["expected images, got none"]),
    "NaN": (lambda p: savez(p, train_images=np.full((8, 28, 28), np.nan)), ["from 0 to 1", "nan"]),
    "pixels to 255 as real numbers": (lambda p: savez(p, train_images=np.full((8, 28, 28), 255.0)), ["from 0 to 1, got 255 to 255"]),
    "texts": (lambda p: savez(p, train_images=np.full((8, 28, 28), "x")), ["expected uint8", "<U1"]),
    "complex numbers": (lambda p: savez(p, train_images=np.zeros((8, 28, 28), complex)), ["expected uint8", "complex128"]),
    "test images of another size": (lambda p: savez(p, test_images=np.zeros((8, 32, 32), np.uint8)), ["(1, 32, 32)", "(1, 28, 28)"]),
}


@pytest.mark.parametrize("name", ODD_NPZ)
def test_npz(tmp_path, capsys, name):
    make, says = ODD_NPZ[name]
    make(tmp_path / "a.npz")
    refuses(capsys, tmp_path, "npz", tmp_path / "a.npz", "--out", tmp_path / "a.h5", says=["a.npz", *says])


def tff(path, **change):
    """Client a is right; b is it with a change: an array or a function that writes it, by name."""
    with h5py.File(path, "w") as file:
        for client in ("a", "b"):
            for name, value in {"pixels": np.zeros((4, 28, 28), np.float32), "label": np.arange(4)}.items():
                value = change.get(name, value) if client == "b" else value
                if value is not None:
                    file[f"examples/{client}/{name}"] = value


def odd_client(path, make):
    tff(path)
    with h5py.File(path, "r+") as file:
        make(file["examples"])


ODD_TFF = {
    "a text": (lambda p: p.write_text("hello"), ["HDF5"]),
    "empty": (lambda p: p.write_bytes(b""), ["HDF5"]),
    "a pipe": (os.mkfifo, ["a device or pipe"]),
    "a client is a dataset": (lambda p: odd_client(p, lambda g: g.create_dataset("c", data=[1, 2])), ["examples/c", "a group", "a dataset"]),
    "a dangling client": (lambda p: odd_client(p, lambda g: g.__setitem__("c", h5py.SoftLink("/no"))), ["examples/c", "a link to nothing"]),
    "a dangling array": (lambda p: odd_client(p, lambda g: g.__setitem__("c/pixels", h5py.SoftLink("/no"))), ["examples/c/pixels", "a link to nothing"]),
    "an external link": (lambda p: odd_client(p, lambda g: g.__setitem__("c", h5py.ExternalLink("no.h5", "/"))), ["examples/c"]),
    "an array is a group": (lambda p: odd_client(p, lambda g: g.create_group("c/pixels")), ["examples/c/pixels", "a dataset", "a group"]),
    "an empty client": (lambda p: odd_client(p, lambda g: g.create_group("c")), ["examples/c", "pixels or image", "nothing"]),
    "shapes differ": (lambda p: tff(p, pixels=np.zeros((4, 32, 32), np.float32)), ["examples/b", "(28, 28)", "(32, 32)"]),
    "kinds differ": (lambda p: tff(p, pixels=np.full((4, 28, 28), 200, np.int32)), ["examples/b", "uint8", "int32"]),
    "text labels": (lambda p: tff(p, label=["cat"] * 4), ["examples/b/label", "numbers"]),
    "real labels": (lambda p: tff(p, label=np.arange(4) + 0.5), ["examples/b", "whole numbers", "real numbers"]),
    "a scalar": (lambda p: tff(p, label=3), ["examples/b/label", "()"]),
    "no data space": (lambda p: tff(p, pixels=h5py.Empty("f")), ["examples/b/pixels"]),
    "a label is missing": (lambda p: tff(p, label=np.arange(3)), ["examples/b", "4 whole numbers", "(3,)"]),
    "examples is a dataset": (lambda p: h5py.File(p, "w").create_dataset("examples", data=[1]).file.close(), ["a group examples"]),
    "no clients": (lambda p: h5py.File(p, "w").create_group("examples").file.close(), ["expected images, got none"]),
}


@pytest.mark.parametrize("name", ODD_TFF)
def test_tff(tmp_path, capsys, name):
    make, says = ODD_TFF[name]
    make(tmp_path / "a.h5")
    tff(tmp_path / "test.h5")
    refuses(capsys, tmp_path, "tff", tmp_path / "a.h5", tmp_path / "test.h5", "--out", tmp_path / "x.h5", says=["a.h5", *says])
    refuses(capsys, tmp_path, "tff", tmp_path / "test.h5", tmp_path / "a.h5", "--out", tmp_path / "x.h5", says=["a.h5", *says])


def test_tff_reads_all_of_its_training_files(tmp_path):
    """A client of one name is the same in all files."""
    for k, name in enumerate(("one", "two", "test")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for client in ("a", "b") if name == "one" else ("b", "c"):
                file[f"examples/{client}/pixels"], file[f"examples/{client}/label"] = np.full((2, 28, 28), k / 2, np.float32), [0, 1]
    files = [str(tmp_path / f"{name}.h5") for name in ("one", "two", "test")]
    assert main(["tff", *files, "--out", str(tmp_path / "x.h5")]) == 0
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["train/clients"][()].tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
        assert file["train/images"][:, 0, 0, 0].tolist() == [0, 0, 0, 0, 128, 128, 128, 128] and len(file["test/labels"]) == 4


def leaf(**change):
    right = {"x": [[0.5] * 784] * 4, "y": [0, 1, 2, 3]}
    return json.dumps({"users": ["a", "b"], "user_data": {"a": right, "b": {k: v for k, v in (right | change).items() if v != "none"}}})


ODD_LEAF = {
    "truncated": (leaf()[:-9].encode(), ["LEAF's JSON"]),
    "empty": (b"", ["LEAF's JSON"]),
    "bytes": (bytes(range(256)), ["LEAF's JSON"]),
    "brackets": (b"[" * 100000, ["LEAF's JSON"]),
    "a list": (b"[1]", ["users and user_data"]),
    "null": (b"null", ["users and user_data"]),
    "user_data is a list": (b'{"user_data": [1]}', ["users and user_data"]),
    "nobody": (b'{"user_data": {}}', ["expected images, got none"]),
    "a user is a list": (b'{"user_data": {"b": [1]}}', ["user b", "lists x and y", "list"]),
    "no x": (leaf(x="none").encode(), ["user b", "lists x and y"]),
    "x is a text": (leaf(x="abc").encode(), ["user b", "x: str"]),
    "x is null": (leaf(x=None).encode(), ["user b", "NoneType"]),
    "x of texts": (leaf(x=[["0.5"] * 784] * 4).encode(), ["user b", "784 numbers"]),
    "x of nulls": (leaf(x=[[None] * 784] * 4).encode(), ["user b", "784 numbers"]),
    "ragged": (leaf(x=[[0.5] * 784] * 3 + [[0.5] * 9]).encode(), ["user b", "784 numbers each", "9 values in image 3"]),
    "a number for an image": (leaf(x=[[0.5] * 784] * 3 + [1]).encode(), ["user b", "int in image 3"]),
    "short": (leaf(x=[[0.5] * 9] * 4).encode(), ["user b", "784 numbers each", "(4, 9)"]),
    "out of range": (leaf(x=[[255] * 784] * 4).encode(), ["user b", "from 0 to 1, got 255"]),
    "NaN": (leaf(x=[[float("nan")] * 784] * 4).encode(), ["user b", "nan"]),
    "a huge number": (leaf(x=[[10**400] * 784] * 4).encode(), ["user b", "784 numbers"]),
    "a label is missing": (leaf(y=[0, 1]).encode(), ["user b", "4 images and 2 labels"]),
    "labels of texts": (leaf(y=["a"] * 4).encode(), ["user b", "whole numbers", "texts"]),
    "labels of nulls": (leaf(y=[None] * 4).encode(), ["user b", "whole numbers"]),
    "labels of lists": (leaf(y=[[1], 2, 3, 4]).encode(), ["user b", "whole numbers"]),
    "labels of huge numbers": (leaf(y=[10**30] * 4).encode(), ["user b", "whole numbers"]),
}


@pytest.mark.parametrize("name", ODD_LEAF)
def test_leaf(tmp_path, capsys, name):
    content, says = ODD_LEAF[name]
    (tmp_path / "a.json").write_bytes(content)
    (tmp_path / "test.json").write_text(leaf())
    refuses(capsys, tmp_path, "leaf", tmp_path / "a.json", tmp_path / "test.json", "--out", tmp_path / "x.h5", says=["a.json", *says])


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_leaf_in_another_encoding_of_unicode(tmp_path, encoding):
    (tmp_path / "a.json").write_text(leaf(), encoding=encoding)
    assert main(["leaf", *[str(tmp_path / "a.json")] * 2, "--out", str(tmp_path / "x.h5")]) == 0
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["train/labels"][()].tolist() == [0, 1, 2, 3] * 2


RIGHT = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3]}
ODD_BATCHES = {
    "ragged data": (pickle.dumps(RIGHT | {b"data": [[1, 2], [3]]}), ["data"]),
    "scalar labels": (pickle.dumps(RIGHT | {b"labels": 3}), ["labels", "4 whole numbers", "()"]),
    "ragged labels": (pickle.dumps(RIGHT | {b"labels": [[0], [1, 2], 3, 4]}), ["labels", "4 whole numbers"]),
    "too few labels": (pickle.dumps(RIGHT | {b"labels": [0, 1]}), ["labels", "4 whole numbers", "(2,)"]),
    "labels beyond": (pickle.dumps(RIGHT | {b"labels": [0, 1, 2, 10]}), ["0 to 9"]),
    "labels of texts": (pickle.dumps(RIGHT | {b"labels": ["a"] * 4}), ["whole numbers"]),
    "truncated": (pickle.dumps(RIGHT)[:-20], ["a pickle of arrays"]),
    "empty": (b"", ["a pickle of arrays"]),
    "a text": (b"hello", ["a pickle of arrays"]),
    "a recursion": (b"\x80\x02" + b"(" * 9 + b"R.", ["a pickle of arrays"]),
    "another thing": (pickle.dumps([1]), ["expected a batch"]),
}


@pytest.mark.parametrize("name", ODD_BATCHES)
def test_cifar_pickles(tmp_path, capsys, name):
    content, says = ODD_BATCHES[name]
    for k in range(1, 6):
        (tmp_path / f"data_batch_{k}").write_bytes(content if k == 2 else pickle.dumps(RIGHT))
    (tmp_path / "test_batch").write_bytes(pickle.dumps(RIGHT))
    refuses(capsys, tmp_path, "cifar-pickles", tmp_path, "--out", tmp_path / "x.h5", says=says)
    (tmp_path / "data_batch_2").unlink()
    refuses(capsys, tmp_path, "cifar-pickles", tmp_path, "--out", tmp_path / "x.h5", says=["data_batch_2: No such file"])
    (tmp_path / "data_batch_1").unlink()
    refuses(capsys, tmp_path, "cifar-pickles", tmp_path, "--out", tmp_path / "x.h5", says=["data_batch_1 to 5"])


ODD_PARQUET = {
    "a text": (lambda p, _: p.write_text("hello"), ["a Parquet file"]),
    "empty": (lambda p, _: p.write_bytes(b""), ["a Parquet file"]),
    "a folder": (lambda p, _: p.mkdir(), ["expected a file, got a folder"]),
    "a pipe": (lambda p, _: os.mkfifo(p), ["a device or pipe"]),
    "truncated": (lambda p, table: (table({"image": [b"x"] * 9, "label": [0] * 9}, p), p.write_bytes(p.read_bytes()[:-30])), ["a Parquet file"]),
    "no columns": (lambda p, table: table({"x": [1]}, p), ["image or img or pixels", "got x"]),
    "no rows": (lambda p, table: table({"image": [], "label": []}, p), ["expected pictures, got none"]),
    "no picture": (lambda p, table: table({"image": [b"hello"], "label": [0]}, p), ["image of row 0", "Pillow"]),
    "nothing": (lambda p, table: table({"image": [None], "label": [0]}, p), ["image of row 0", "got nothing"]),
    "numbers": (lambda p, table: table({"image": [[1, 2]], "label": [0]}, p), ["image of row 0", "list"]),
    "a path alone": (lambda p, table: table({"image": [{"path": "/etc/passwd"}], "label": [0]}, p), ["got nothing"]),
}


@pytest.mark.parametrize("name", ODD_PARQUET)
def test_parquet(tmp_path, capsys, name):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("PIL")
    make, says = ODD_PARQUET[name]
    make(tmp_path / "a.parquet", lambda columns, path: parquet.write_table(arrow.table(columns), path))
    refuses(capsys, tmp_path, "parquet", *[tmp_path / "a.parquet"] * 2, "--out", tmp_path / "x.h5", says=["a.parquet", *says])


@pytest.mark.parametrize("labels", [["cat"], [None], [0.5], [[1, 2]]])
def test_parquet_with_odd_labels(tmp_path, capsys, labels):
    arrow, parquet, image = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet"), pytest.importorskip("PIL.Image")
    image.new("L", (28, 28)).save(tmp_path / "x.png")
    png = (tmp_path / "x.png").read_bytes()
    parquet.write_table(arrow.table({"image": [png] * 2, "label": labels * 2}), tmp_path / "a.parquet")
    says = "real numbers" if labels == [0.5] else "labels: expected 2"
    refuses(capsys, tmp_path, "parquet", *[tmp_path / "a.parquet"] * 2, "--out", tmp_path / "x.h5", says=["a.parquet", "whole numbers", says])
