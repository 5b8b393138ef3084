"""Natural clients, plain federated learning, IDX files of any name."""
import gzip

import h5py
import numpy as np
import pytest

from own import run
from support import contents, differing, fedclamp, refused


def test_natural_clients(tmp_path, fm, data):
    own = tmp_path / "own.h5"
    with h5py.File(data) as source, h5py.File(own, "w") as file:
        for split in ("train", "test"):
            for name in ("images", "labels"):
                file[f"{split}/{name}"] = source[f"{split}/{name}"][()]
        owners = np.repeat([7, 3, 900, 40], [20, 60, 40, 40])
        file["train/clients"] = owners
    options = ["--data", own, "--synthetic", fm, "--partition", "natural", "--rounds", 1, "--batch", 8, "--attack", "classic", "--poison-fraction", 1]
    out = tmp_path / "run.h5"
    fedclamp("run", *options, "--clients", 4, "--malicious", 4, "--out", out)
    with h5py.File(out) as file:
        for client, owner in enumerate([3, 7, 40, 900]):
            assert np.array_equal(file[f"attack/poisoned_client_{client}"][()], np.flatnonzero(owners == owner))
    fedclamp("run", *options, "--clients", 2, "--malicious", 2, "--out", out, "--overwrite")
    with h5py.File(out) as file:
        shares = [tuple(file[f"attack/poisoned_client_{k}"][()]) for k in range(2)]
        assert all(share in {tuple(np.flatnonzero(owners == owner)) for owner in owners} for share in shares) and shares[0] != shares[1]
    refused("run", *options, "--clients", 5, "--out", tmp_path / "x.h5", says=["natural over 5", "--clients 4"], folder=tmp_path)
    refused("run", "--data", data, *options[2:], "--clients", 4, "--out", tmp_path / "x.h5", says="/train/clients", folder=tmp_path)
    with h5py.File(own, "r+") as file:
        del file["train/clients"]
        file["train/clients"] = owners[:-1]
    refused("run", *options, "--out", tmp_path / "x.h5", says=["/train/clients", "shape (160)"], folder=tmp_path)


def test_plain_federated_learning(tmp_path, data):
    """No FM data: FedAvg from random weights, normalised by the clients' own images; the same by steps."""
    options = ["--data", data, "--synthetic", "none", "--clients", 2, "--rounds", 1, "--batch", 8]
    out = tmp_path / "run.h5"
    done = fedclamp("run", *options, "--out", out)
    assert "no FM data" in done.stderr
    with h5py.File(data) as source, h5py.File(out) as file:
        pixels = source["train/images"][()] / 255
        assert file["model/input/mean"][0] == pytest.approx(pixels.mean(), rel=1e-5) and file["model/input/std"][0] == pytest.approx(pixels.std(), rel=1e-5)
        assert "conv1" not in file["initial"]
        assert file["provenance"].attrs["synthetic_digest"] == "none"
    fedclamp("step", "init", *options, "--out", tmp_path / "g0.h5")
    updates = [tmp_path / f"u{k}.h5" for k in range(2)]
    for k, update in enumerate(updates):
        fedclamp("step", "local", tmp_path / "g0.h5", "--client", k, "--share", "--data", data, "--out", update)
    fedclamp("step", "aggregate", tmp_path / "g0.h5", *updates, "--data", data, "--out", tmp_path / "a1.h5")
    fedclamp("step", "fuse", tmp_path / "a1.h5", "--data", data, "--out", tmp_path / "g1.h5")
    assert differing(contents(out, ("model",)), contents(tmp_path / "g1.h5", ("model",))) == []
    run(*options, "--resume", "--out", out)


@pytest.mark.parametrize(("more", "says", "code"), [
    (["--attack", "fm"], "no FM data to poison", 64), (["--defense", "vouching"], "--synthetic none", 64), (["--defense", "fltrust"], "fltrust needs the server's FM data", 2),
    (["--defense", "bounds"], "FM images, got 0; bounds needs them", 2), (["--defense", "fine-tuning"], "FM images, got 0", 2),
    (["--save-synthetic", "x.h5"], "no FM data to save", 64)])
def test_what_needs_fm_data_says_so_before_anything_is_trained(tmp_path, data, more, says, code):
    done = fedclamp("run", "--data", data, "--synthetic", "none", "--clients", 4, *more, "--out", tmp_path / "x.h5", code=code, cwd=tmp_path)
    assert says in done.stderr and "initialisation  ACC" not in done.stderr and done.stdout == "" and not list(tmp_path.iterdir())


def idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_idx_files_of_any_name(tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "gzip"
    folder.mkdir()
    pictures, labels = rng.integers(0, 256, (30, 28, 28)), np.arange(30) % 26 + 1
    for variant in ("emnist-letters", "emnist-digits"):
        for split, part in (("train", slice(0, 26)), ("test", slice(26, 30))):
            idx(folder / f"{variant}-{split}-images-idx3-ubyte.gz", pictures[part])
            idx(folder / f"{variant}-{split}-labels-idx1-ubyte", labels[part])
    call = ["import", "idx", "--from", folder, "--out", tmp_path / "x.h5"]
    refused(*call, says=["--variant", "emnist-digits-train"], folder=tmp_path)
    done = fedclamp(*call, "--variant", "emnist-letters")
    assert "rows and columns" in done.stderr and "numbered from 1" in done.stderr
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["train/images"][:, 0], pictures[:26].transpose(0, 2, 1)) and file.attrs["name"] == "emnist-letters"
        assert file["train/labels"][()].tolist() == list(range(26)) and list(file.attrs["class_names"])[0] == "1"
    kmnist = tmp_path / "kmnist"
    kmnist.mkdir()
    for split, part in (("train", slice(0, 26)), ("t10k", slice(26, 30))):
        idx(kmnist / f"{split}-images-idx3-ubyte.gz", pictures[part])
        idx(kmnist / f"{split}-labels-idx1-ubyte.gz", labels[part] % 10)
    call = ["import", "idx", "--from", kmnist, "--out", tmp_path / "k.h5"]
    refused(*call, "--name", "mnist", says="not the published files of mnist", folder=tmp_path)
    fedclamp(*call, "--name", "kmnist")
    with h5py.File(tmp_path / "k.h5") as file:
        assert np.array_equal(file["train/images"][:, 0], pictures[:26]) and file.attrs["name"] == "kmnist"
    (kmnist / "t10k-labels-idx1-ubyte.gz").unlink()
    refused(*call, "--overwrite", says="labels-idx1-ubyte", folder=tmp_path)
    refused("import", "mnist", "--from", kmnist, "--out", tmp_path / "m.h5", "--name", "x", code=64, folder=tmp_path)
    refused("import", "--from", kmnist, "--out", tmp_path / "m.h5", code=64, folder=tmp_path)


def test_idx_labels_with_gaps(tmp_path):
    """Those that occur are the classes, with a note, as fedclamp-import has it; --classes keeps the numbers, and says which have no image."""
    def written(train, test):
        for split, labels in (("train", train), ("t10k", test)):
            idx(tmp_path / f"{split}-images-idx3-ubyte", np.zeros((len(labels), 28, 28)))
            idx(tmp_path / f"{split}-labels-idx1-ubyte", np.array(labels))
        return ["import", "idx", "--from", tmp_path, "--overwrite", "--out", tmp_path / "x.h5"]

    def labels():
        with h5py.File(tmp_path / "x.h5") as file:
            return file["train/labels"][()].tolist(), file["test/labels"][()].tolist(), list(file.attrs["class_names"])

    call = written([9, 0, 5, 0], [5, 9])
    done = fedclamp(*call)
    assert done.stderr.count("\n") == 1 and "labels are 0, 5, 9: they became classes 0 to 2" in done.stderr and "--classes 10" in done.stderr
    assert labels() == ([2, 0, 1, 0], [1, 2], ["0", "5", "9"])
    done = fedclamp(*call, "--classes", 10)
    assert "no training image is of class 1, 2, 3 and 4 more" in done.stderr
    assert labels() == ([9, 0, 5, 0], [5, 9], [str(k) for k in range(10)])
    fedclamp(*call, "--classes", 1000)
    assert len(labels()[2]) == 1000
    refused(*call, "--classes", 9, says=["labels: expected 0 to 8", "--classes 9", "got 0, 5, 9"], folder=tmp_path)
    refused(*call, "--classes", 1, code=64, says="--classes 1: expected a number from 2 to 1000", folder=tmp_path)
    refused("import", "mnist", "--from", tmp_path, "--classes", 10, "--out", tmp_path / "y.h5", code=64, says="--classes", folder=tmp_path)
    assert "numbered from 1" in fedclamp(*written([1, 2, 3], [1])).stderr and labels()[0] == [0, 1, 2]
    assert "labels are 1 to 3, 7" in fedclamp(*written([1, 2, 7, 3], [1])).stderr
    assert fedclamp(*written([0, 1], [2])).stderr.endswith("no training image is of class 2\n")
    refused(*written([4, 4], [4]), says="2 classes or more", folder=tmp_path)
