"""Each importer: a file of its form as its makers write it, read back by FedClamp; and files that are not."""

import io
import json
import pickle

import h5py
import numpy as np
import pytest
from conftest import pictures

import fedclamp
from fedclamp.importers import (
    BadData,
    from_cifar_pickles,
    from_folder,
    from_leaf,
    from_npz,
    from_parquet,
    from_tff,
    main,
)
from fedclamp.program import call


def inspected(path):
    """What FedClamp says of it; reading it verifies the digest."""
    return json.loads(call("inspect", path, "--json", quiet=True))


def same(path, split, images, labels):
    with h5py.File(path) as file:
        assert np.array_equal(file[f"{split}/images"][()], images) and np.array_equal(
            file[f"{split}/labels"][()], labels
        )


def test_npz_with_medmnist_keys(tmp_path):
    (train, y), (test, z) = pictures(40, channels=3), pictures(20, channels=3, seed=2)
    np.savez(
        tmp_path / "pathmnist.npz",
        train_images=train.transpose(0, 2, 3, 1),
        train_labels=y[:, None],
        val_images=test.transpose(0, 2, 3, 1),
        val_labels=z[:, None],
        test_images=test.transpose(0, 2, 3, 1),
        test_labels=z[:, None],
    )
    from_npz(tmp_path / "pathmnist.npz", tmp_path / "a.h5")
    same(tmp_path / "a.h5", "train", train, y)
    same(tmp_path / "a.h5", "test", test, z)
    assert inspected(tmp_path / "a.h5")["data_set"]["name"] == "pathmnist"
    from_npz(tmp_path / "pathmnist.npz", tmp_path / "b.h5", validation=True)
    with h5py.File(tmp_path / "b.h5") as file:
        assert len(file["train/labels"]) == 60


def test_npz_as_keras_has_it_and_other_sizes(tmp_path):
    (train, y), (test, z) = pictures(40), pictures(20, seed=2)
    large = train[:, 0].repeat(2, 1).repeat(2, 2)  # 56 x 56
    np.savez(tmp_path / "mnist.npz", x_train=large, y_train=y, x_test=test[:, 0].repeat(2, 1).repeat(2, 2), y_test=z)
    pytest.importorskip("PIL")
    assert main(["npz", str(tmp_path / "mnist.npz"), "--out", str(tmp_path / "a.h5"), "--name", "twice"]) == 0
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["train/images"].shape == (40, 1, 32, 32) and file.attrs["name"] == "twice"


def test_a_folder_of_pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    train, y = pictures(20, side=32, channels=3)
    for part, count in (("train", 20), ("test", 10)):
        for k in range(count):
            place = tmp_path / "set" / part / f"class{y[k]}"
            place.mkdir(parents=True, exist_ok=True)
            image.fromarray(train[k].transpose(1, 2, 0)).save(place / f"{k:03}.png")
    from_folder(tmp_path / "set", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file.attrs["class_names"]) == [f"class{k}" for k in range(10)]
        at = np.flatnonzero(file["train/labels"][()] == 3)[0]
        assert np.array_equal(file["train/images"][at], train[3])
    inspected(tmp_path / "a.h5")
    (tmp_path / "set/train/class0/bad.png").write_text("no picture")
    with pytest.raises(BadData, match="bad.png"):
        from_folder(tmp_path / "set", tmp_path / "b.h5")
    assert not (tmp_path / "b.h5").exists()


def batches(folder, change=lambda batch: batch):
    images, labels = pictures(60, side=32, channels=3)
    for k in range(6):
        batch = {
            b"batch_label": b"x",
            b"labels": [int(v) for v in labels[10 * k : 10 * k + 10]],
            b"data": images[10 * k : 10 * k + 10].reshape(10, 3072),
        }
        name = "test_batch" if k == 5 else f"data_batch_{k + 1}"
        (folder / name).write_bytes(pickle.dumps(change(batch), protocol=2))
    return images, labels


class Evil:
    """What a pickle of a stranger can be: a call of any function."""

    def __reduce__(self):
        return (open, ("started", "w"))


def test_cifar_pickles_hold_arrays_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, labels = batches(tmp_path)
    from_cifar_pickles(tmp_path, tmp_path / "a.h5")
    same(tmp_path / "a.h5", "train", images[:50], labels[:50])
    same(tmp_path / "a.h5", "test", images[50:], labels[50:])
    assert inspected(tmp_path / "a.h5")["data_set"]["name"] == "cifar-10-pickles"
    batches(tmp_path, lambda batch: batch | {b"data": Evil()})
    with pytest.raises(BadData, match="io.open|arrays only"):
        from_cifar_pickles(tmp_path, tmp_path / "b.h5")
    assert not (tmp_path / "started").exists() and not (tmp_path / "b.h5").exists()
    batches(tmp_path, lambda batch: batch | {b"data": batch[b"data"][:, :100]})
    with pytest.raises(BadData, match="3072"):
        from_cifar_pickles(tmp_path, tmp_path / "b.h5")


def test_parquet_as_the_hub_has_it(tmp_path):
    image, parquet, arrow = (
        pytest.importorskip("PIL.Image"),
        pytest.importorskip("pyarrow.parquet"),
        pytest.importorskip("pyarrow"),
    )
    images, labels = pictures(30)

    def cell(k):
        stream = io.BytesIO()
        image.fromarray(images[k, 0]).save(stream, "png")
        return {"bytes": stream.getvalue(), "path": f"{k}.png"}

    for name, part in (("train", range(20)), ("test", range(20, 30))):
        parquet.write_table(
            arrow.table({"image": [cell(k) for k in part], "label": [int(labels[k]) for k in part]}),
            tmp_path / f"{name}.parquet",
        )
    from_parquet(tmp_path / "train.parquet", str(tmp_path / "test.parquet"), tmp_path / "a.h5")
    same(tmp_path / "a.h5", "train", images[:20], labels[:20])
    same(tmp_path / "a.h5", "test", images[20:], labels[20:])
    with pytest.raises(BadData, match="expected a column mask"):
        from_parquet([tmp_path / "train.parquet"], [tmp_path / "test.parquet"], tmp_path / "b.h5", image="mask")


def test_tff_with_natural_clients_from_file_to_run(tmp_path, fm):
    images, labels = pictures(60)
    for name, clients in (
        ("train", {"f0_b": range(0, 10), "f0_a": range(10, 40), "f1_c": range(40, 50)}),
        ("test", {"f0_a": range(50, 60)}),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for client, part in clients.items():
                file[f"examples/{client}/pixels"] = (images[list(part), 0] / 255).astype(np.float32)
                file[f"examples/{client}/label"] = labels[list(part)].astype(np.int32)
    from_tff(tmp_path / "train.h5", tmp_path / "test.h5", tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.bincount(file["train/clients"][()]).tolist() == [30, 10, 10] and "clients" not in file["test"]
        assert np.array_equal(file["train/images"][:30], images[10:40])
    assert inspected(tmp_path / "a.h5")["data_set"]["natural clients"] == 3
    out = tmp_path / "run.h5"
    fedclamp.run(
        tmp_path / "a.h5",
        "none",
        out,
        partition="natural",
        clients=3,
        malicious=1,
        rounds=1,
        batch=8,
        attack="classic",
        poison_fraction=1,
        quiet=True,
    )
    with h5py.File(out) as file:
        assert file["attack/poisoned_client_0"][()].tolist() == list(range(30)), (
            "client 0 is f0_a with all of its images"
        )
    from_tff(tmp_path / "train.h5", tmp_path / "test.h5", tmp_path / "b.h5", invert=True)
    with h5py.File(tmp_path / "b.h5") as file:
        assert np.array_equal(file["train/images"][:30], 255 - images[10:40])


def test_leaf(tmp_path):
    images, labels = pictures(30)
    flat = (images.reshape(30, -1) / 255).tolist()
    users = {"u2": range(0, 5), "u1": range(5, 20)}
    (tmp_path / "train.json").write_text(
        json.dumps(
            {
                "users": list(users),
                "user_data": {
                    user: {"x": [flat[k] for k in part], "y": [int(labels[k]) for k in part]}
                    for user, part in users.items()
                },
            }
        )
    )
    (tmp_path / "test.json").write_text(
        json.dumps({"users": ["u1"], "user_data": {"u1": {"x": flat[20:], "y": [int(v) for v in labels[20:]]}}})
    )
    assert (
        main(["leaf", str(tmp_path / "train.json"), str(tmp_path / "test.json"), "--out", str(tmp_path / "a.h5")]) == 0
    )
    same(
        tmp_path / "a.h5",
        "train",
        images[list(range(5, 20)) + list(range(5))],
        labels[list(range(5, 20)) + list(range(5))],
    )
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["train/clients"][()].tolist() == [0] * 15 + [1] * 5
    with pytest.raises(BadData, match="flat images"):
        from_leaf([tmp_path / "train.json"], [tmp_path / "test.json"], tmp_path / "b.h5", shape=(32, 32, 3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"train_images": np.zeros((4, 28, 28), np.int64)}, "uint8"),
        ({"train_images": np.zeros((4, 28, 28, 2), np.uint8)}, "1 or 3 channels"),
        ({"train_labels": np.zeros(3, int)}, "4 whole numbers"),
        ({"train_labels": np.zeros(4)}, "whole numbers"),
        ({"train_labels": np.full(4, -1)}, "from 0"),
        ({"train_images": None}, "expected train_images"),
    ],
)
def test_bad_npz(tmp_path, change, says, capsys):
    good = {
        f"{part}_{what}": value
        for part in ("train", "test")
        for what, value in (("images", np.zeros((4, 28, 28), np.uint8)), ("labels", np.arange(4)))
    }
    np.savez(tmp_path / "x.npz", **{name: value for name, value in (good | change).items() if value is not None})
    assert main(["npz", str(tmp_path / "x.npz"), "--out", str(tmp_path / "x.h5")]) == 2
    assert says in capsys.readouterr().err and not (tmp_path / "x.h5").exists()


def test_usage(tmp_path, capsys):
    assert main(["tff", "one.h5", "--out", "x.h5"]) == 64 and "then a test file" in capsys.readouterr().err
    assert main(["npz", str(tmp_path / "none.npz"), "--out", "x.h5"]) == 2
