"""Files made to harm: each is refused within seconds, with little memory, with a message and exit code 2."""
import re
import resource
import subprocess

import h5py
import numpy as np
import pytest

from reference import random_model, write_checkpoint
from support import BINARY, BOUNDED, fedclamp, refused, write_split


def small():
    resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))


HARD = dict(timeout=10, preexec_fn=small)


@pytest.fixture
def checkpoint(tmp_path):
    model = random_model(1, 10, seed=1)
    path = tmp_path / "bad.h5"
    write_checkpoint(path, model, {name: np.ones(len(model[f"{name}/bias"])) for name in BOUNDED}, {"target": np.int64(0)})
    return path


@pytest.fixture
def run_file(tmp_path, tiny):
    path = tmp_path / "run.h5"
    fedclamp("run", *tiny, "--rounds", 1, "--attack", "classic", "--malicious", 1, "--defense", "foolsgold", "--out", path)
    return path


def resumed(tiny, path):
    return ["run", *tiny, "--rounds", 1, "--attack", "classic", "--malicious", 1, "--defense", "foolsgold", "--out", path, "--resume"]


def test_groups_that_contain_themselves(checkpoint):
    """Twelve cycles, each through every other: 12 to the power of 16 ways."""
    with h5py.File(checkpoint, "r+") as file:
        for k in range(12):
            file[f"again-{k}"] = file["/"]
            file[f"model/again-{k}"] = file["model"]
    fedclamp("inspect", checkpoint, **HARD)


@pytest.mark.parametrize("value", [-1e300, 5e14, 1e300, -np.inf, np.nan])
def test_numbers_beyond_all_measure(run_file, value):
    with h5py.File(run_file, "r+") as file:
        file["timing/seconds"][:] = value
        file["history/loss"][:] = value
    fedclamp("inspect", run_file, **HARD)
    fedclamp("inspect", run_file, "--json", **HARD)


def test_unknown_trigger_in_a_file(checkpoint, data):
    """The file's fault, not the command line's."""
    with h5py.File(checkpoint, "r+") as file:
        file["attack"].attrs["trigger"] = "pach\x1b[31m"
    done = refused("evaluate", checkpoint, "--data", data, says=["bad.h5", "pach", "patch"])
    assert "\x1b" not in done.stderr


def test_unknown_instruction_set_in_a_file(run_file, tiny):
    with h5py.File(run_file, "r+") as file:
        text = file["config/json"][()].replace(b'"isa":"', b'"isa":"x')
        del file["config/json"]
        file["config/json"] = text
    refused(*resumed(tiny, run_file), says="instruction set")


@pytest.mark.parametrize("rounds", [2 ** 63 - 1, -2 ** 63, 2, 10 ** 9])
def test_rounds_that_never_were(run_file, tiny, rounds):
    with h5py.File(run_file, "r+") as file:
        file["state/finished_rounds"][()] = rounds
    refused(*resumed(tiny, run_file), says=["run.h5", "finished_rounds"], **HARD)


@pytest.mark.parametrize("text", ['"participation":1e300', '"participation":-1', '"clients":0', '"target":-5'])
def test_configuration_in_a_file(run_file, tiny, text):
    """JSON of this program's form with numbers that its command line refuses."""
    key = text.split(":")[0].encode()
    with h5py.File(run_file, "r+") as file:
        json = file["config/json"][()]
        start = json.index(key)
        end = min(k for k in (json.find(b",", start), json.find(b"}", start)) if k > 0)
        del file["config/json"]
        file["config/json"] = json[:start] + text.encode() + json[end:]
    for command in (resumed(tiny, run_file), ["inspect", run_file], ["evaluate", run_file, "--data", tiny[1]]):
        refused(*command, says=["run.h5", "config"])


def test_history_out_of_order(run_file, tiny):
    with h5py.File(run_file, "r+") as file:
        file["history/round"][:] = 7
    refused(*resumed(tiny, run_file), says=["run.h5", "history"])


@pytest.mark.parametrize("name", ["model/conv1/weight", "state/memory/foolsgold_client_0", "state/memory/foolsgold_client_3"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_none(run_file, tiny, name, value):
    with h5py.File(run_file, "r+") as file:
        file[name][..., 0] = value
    refused(*resumed(tiny, run_file), says=["run.h5", "finite"])


def test_damaged_lists_of_links(run_file, tmp_path):
    """HDF5 1.10 gives pointers back that it never set when the index of a group's links is damaged. Whether it died of that
    hung on what lay in the memory before: not in the copy of the process that reads first, but in the original."""
    data, at, told = run_file.read_bytes(), 0, []
    while (at := data.find(b"FRHP", at + 1)) > 0:           # the heap that a group's links, or an object's attributes, are in
        for byte in (13, 61, 110, 140):
            bad = tmp_path / "bad.h5"
            bad.write_bytes(data[:at + byte] + bytes([data[at + byte] ^ 0x2a]) + data[at + byte + 1:])
            done = subprocess.run([BINARY, "inspect", bad], capture_output=True, text=True, **HARD)
            assert done.returncode in (0, 2), done.stderr
            told.append(done.stderr)
    assert len(told) >= 8 and sum("bad.h5" in t and "cannot list" in t for t in told) >= 8, told


def test_names_at_no_address(run_file, tmp_path, tiny):
    """A group's names are said to lie at 2^64 - 1, which HDF5 1.10 took for an address; from there it read a null pointer, if
    the program asked for a name before anything else was read."""
    old = tmp_path / "old.h5"
    with h5py.File(run_file) as source, h5py.File(old, "w", libver="earliest") as file:     # groups of the oldest kind
        file.attrs.update(source.attrs)
        source.visititems(lambda name, node: source.copy(name, file.require_group(name.rpartition("/")[0] or "/"), name.rpartition("/")[2])
                          if isinstance(node, h5py.Dataset) else None)
    data, tried = old.read_bytes(), 0
    for heap in re.finditer(b"HEAP", data):
        for place in re.finditer(re.escape(heap.start().to_bytes(8, "little")), data):      # behind the address of a tree of links
            bad, at = tmp_path / "bad.h5", place.start()
            bad.write_bytes(data[:at - 6] + b"\xff" * 14 + data[at + 8:])
            done = subprocess.run([BINARY, "evaluate", bad, "--data", tiny[1]], capture_output=True, text=True, **HARD)
            assert done.returncode in (0, 2), done.stderr
            tried += 1
    assert tried >= 5


def test_many_links_to_one_model(run_file, tiny):
    """A few kilobytes of links that would be read as gigabytes."""
    with h5py.File(run_file, "r+") as file:
        for k in range(2000):
            file[f"state/memory/more-{k}"] = file["state/memory/foolsgold_client_0"]
    refused(*resumed(tiny, run_file), says=["run.h5", "/state/memory"], **HARD)
    with h5py.File(run_file, "r+") as file:
        for k in range(2000):
            del file[f"state/memory/more-{k}"]
            file[f"defended/d{k}"] = file["model"]
    refused(*resumed(tiny, run_file), says=["run.h5", "/defended"], **HARD)
    refused("inspect", run_file, says=["run.h5", "/defended"], **HARD)


@pytest.mark.parametrize("kind", ["sparse", "bomb"])
def test_small_files_with_large_claims(tmp_path, fm, kind):
    """Kilobytes that declare hundreds of millions of images or labels: chunks never written, or zeros without end."""
    path, count = tmp_path / "bad.h5", 400_000_000 if kind == "sparse" else 1_000_000
    with h5py.File(path, "w") as file:
        for split in ("train", "test"):
            file.create_dataset(f"{split}/images", (count, 1, 28, 28), "u1", chunks=(1000, 1, 28, 28), compression="gzip")
            labels = file.create_dataset(f"{split}/labels", (count,), "i8", chunks=(100_000,), compression="gzip")
            if kind == "bomb":
                labels[:] = 0
    refused("inspect", path, says="bad.h5", **HARD)
    refused("run", "--data", path, "--synthetic", fm, "--out", tmp_path / "out.h5", says="bad.h5", folder=tmp_path, **HARD)


def test_changed_pixels_under_the_old_digest(tmp_path, data, fm):
    """A stored digest is no proof: it is computed before hours of work."""
    (tmp_path / "idx").mkdir()
    import gzip
    from test_import import write_idx
    write_idx(tmp_path / "idx")
    fedclamp("import", "mnist", "--from", tmp_path / "idx", "--out", tmp_path / "data.h5")
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        file["train/images"][3, 0, 5, 5] ^= 1
    refused("run", "--data", tmp_path / "data.h5", "--synthetic", "holdout:5", "--clients", 2, "--out", tmp_path / "out.h5",
            says=["data.h5", "digest"], folder=tmp_path)


def test_elements_in_another_file(tmp_path, data, fm):
    """Neither external storage nor external links nor virtual data sets are followed."""
    secret = tmp_path / "secret.h5"
    secret.write_bytes(fm.read_bytes())
    with h5py.File(fm) as source:
        images, labels = source["images"][:], source["labels"][:]
    raw = tmp_path / "raw"
    raw.write_bytes(images.tobytes())
    for kind in ("storage", "link", "virtual", "soft link out of an external one"):
        with h5py.File(tmp_path / "bad.h5", "w") as file:
            file["labels"] = labels
            if kind == "storage":
                file.create_dataset("images", images.shape, "u1", external=[(str(raw), 0, images.size)])
            elif kind == "virtual":
                layout = h5py.VirtualLayout(images.shape, "u1")
                layout[...] = h5py.VirtualSource(str(secret), "images", images.shape)
                file.create_virtual_dataset("images", layout)
            elif kind == "link":
                file["images"] = h5py.ExternalLink(str(secret), "/images")
            else:
                file["there"] = h5py.ExternalLink(str(secret), "/")
                file["images"] = h5py.SoftLink("/there/images")
        refused("run", "--data", data, "--synthetic", tmp_path / "bad.h5", "--clients", 4, "--out", tmp_path / "out.h5",
                says="bad.h5", folder=tmp_path)


@pytest.mark.parametrize("text, says", [
    (b"rounds = 1\n" * 20_000, "64 KiB"), (b"seed = 1\n" * 5_000, "at most"), (b"x" * 60_000 + b" = 1\n", "unknown key"),
    (b"data = a\0b\n", "line 1: expected text in UTF-8, got a zero byte"), (b"rounds = 0\n", "rounds"), (b"threads = 5000\n", "threads"),
    (b"resume = true\noverwrite = true\n", "overwrite"), (b"defense = krum\ndefense = median\n", "median"),
    (b"\x1b[2J = 1\n", "unknown key"), (b"lr = nan\n", "lr"), (b"synthetic = holdout:x\n", "holdout")],
    ids=["200 kB", "5000 lines", "a long name", "a zero byte", "rounds", "threads", "both flags", "two rules", "escape", "nan", "holdout"])
def test_config_files(tmp_path, tiny, text, says):
    """Whatever is wrong in a file is exit code 2; a wrong command line stays 64."""
    (tmp_path / "run.conf").write_bytes(text)
    options = [o for o in tiny if o != "--rounds"][:4] if b"synthetic" not in text else ["--data", tiny[1]]
    done = refused("run", *options, "--config", tmp_path / "run.conf", "--out", tmp_path / "out.h5", says=["run.conf", says], folder=tmp_path, **HARD)
    assert "\x1b" not in done.stderr


def test_settings_of_a_folder(tmp_path):
    """setting.txt with more seeds than anybody has, twice the same table, or a pipe in its place."""
    good = {"scale": "smoke", "dataset": "d", "dataset_digest": "0", "synthetic": "holdout:9", "synthetic_digest": "0", "synthetic_images": "9",
            "evaluate_on": "test", "tables": "main", "seeds": "1"}
    for change in ({"seeds": " ".join(map(str, range(20_000)))}, {"tables": "main " * 5000}, {"seeds": "1 1"}, {"seeds": ""},
                   {"tables": "other"}, {"synthetic_images": "9e9"}, {"dataset": "x" * (2 << 20)}):
        part = tmp_path / "part"
        part.mkdir(exist_ok=True)
        (part / "setting.txt").write_text("".join(f"{k} = {v}\n" for k, v in (good | change).items()))
        refused("merge", part, "--out", tmp_path / "out", says="part", folder=tmp_path, **HARD)
    import os
    (part / "setting.txt").unlink()
    os.mkfifo(part / "setting.txt")
    refused("merge", part, "--out", tmp_path / "out", says="setting.txt", **HARD)
