"""Where an importer may write: never over its input, over what exists, or over what is no file."""

import os
import resource
import socket
import stat
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hostile import arrays, listing, refuses

from fedclamp.importers import BadData, from_npz, main, write_dataset
from fedclamp.importers.dataset import Split


@pytest.fixture()
def npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays())
    return path


def test_an_input_is_never_replaced(npz, tmp_path, capsys, monkeypatch):
    """By its name, another path, a symbolic and a hard link; with --overwrite, too."""
    (tmp_path / "soft.h5").symlink_to(npz)
    os.link(npz, tmp_path / "hard.h5")
    monkeypatch.chdir(tmp_path)
    for out in (npz, "./a.npz", f"../{tmp_path.name}/a.npz", "soft.h5", "hard.h5"):
        refuses(capsys, tmp_path, "npz", npz, "--out", out, "--overwrite", says=["is the input", "a.npz"])
    tff = tmp_path / "b.h5"
    with h5py.File(tff, "w") as file:
        file["examples/c/pixels"], file["examples/c/label"] = np.zeros((4, 28, 28), np.float32), np.arange(4)
    for words in (["tff", tff, tff], ["leaf", tff, tff], ["parquet", tff, tff]):
        if words[0] == "parquet":
            pytest.importorskip("pyarrow")
        refuses(capsys, tmp_path, *words, "--out", tff, "--overwrite", says="is the input")


def test_a_picture_or_batch_of_the_folder_is_an_input(tmp_path, capsys):
    image = pytest.importorskip("PIL.Image")
    for part in ("train", "test"):
        for one in ("cat", "dog"):
            (tmp_path / part / one).mkdir(parents=True)
            image.new("L", (32, 32)).save(tmp_path / part / one / "1.png")
    refuses(capsys, tmp_path, "folder", tmp_path, "--out", tmp_path / "train/cat/1.png", "--overwrite", says="is the input")
    for name in [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]:
        (tmp_path / name).write_bytes(b"x")
    refuses(capsys, tmp_path, "cifar-pickles", tmp_path, "--out", tmp_path / "data_batch_3", "--overwrite", says="is the input")


def test_what_exists_stays_without_overwrite(npz, tmp_path, capsys):
    out = tmp_path / "out.h5"
    out.write_text("precious")
    refuses(capsys, tmp_path, "npz", npz, "--out", out, says=["out.h5 exists already", "--overwrite"])
    with pytest.raises(BadData, match="overwrite=True"):
        from_npz(npz, out)
    half = Split(np.zeros((2, 1, 28, 28), np.uint8), np.arange(2))
    with pytest.raises(BadData, match="exists already"):
        write_dataset(out, half, half, name="half")
    assert out.read_text() == "precious"
    assert main(["npz", str(npz), "--out", str(out), "--overwrite"]) == 0
    assert h5py.is_hdf5(out) and sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "out.h5"]


def test_a_link_stays_a_link(npz, tmp_path, capsys):
    """What it points to is written, also where that is not there yet."""
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link.h5", tmp_path / "far/data.h5"
    link.symlink_to(target)
    assert main(["npz", str(npz), "--out", str(link)]) == 0
    assert link.is_symlink() and target.is_file() and h5py.is_hdf5(target)
    refuses(capsys, tmp_path, "npz", npz, "--out", link, says="exists already")
    target.write_text("old")
    assert main(["npz", str(npz), "--out", str(link), "--overwrite"]) == 0
    assert link.is_symlink() and h5py.is_hdf5(target)


def test_what_is_no_file_is_never_replaced(npz, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    os.mkfifo("pipe")
    (tmp_path / "to-pipe.h5").symlink_to(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for name, got in (("pipe", "a device or pipe"), ("socket", "a device or pipe"), ("to-pipe.h5", "a device or pipe"), ("folder", "a folder")):
            for more in ([], ["--overwrite"]):
                refuses(capsys, tmp_path, "npz", npz, "--out", name, *more, says=["expected the name of a file", got])
        assert stat.S_ISFIFO(os.stat("pipe").st_mode) and stat.S_ISSOCK(os.stat("socket").st_mode)


def test_places_that_cannot_be_written(npz, tmp_path, capsys):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "away").symlink_to("nowhere/x.h5")
    for out, says in (
        ("", "expected the name of a file"),
        (f"{tmp_path}/new/", "expected the name of a file"),
        (tmp_path / "no/x.h5", "expected a folder"),
        (tmp_path / "away", "expected a folder"),
        (tmp_path / "loop", "loop"),
        (npz / "x.h5", "a.npz"),
        (tmp_path / ("x" * 300), "name too long"),
    ):
        refuses(capsys, tmp_path, "npz", npz, "--out", out, says=says)
    name = "x" * 252 + ".h5"
    assert main(["npz", str(npz), "--out", str(tmp_path / name)]) == 0, "the longest name there is"


@pytest.mark.parametrize("bytes_free", [0, 100, 3000, 8000, 14000])
def test_a_full_disk(npz, tmp_path, bytes_free):
    """The limit on a file's size stands for it. Nothing is left."""
    before = listing(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "fedclamp.importers", "npz", str(npz), "--out", str(tmp_path / "x.h5")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_free, bytes_free)),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "x.h5: cannot write" in done.stderr, done.stderr
    assert listing(tmp_path) == before
