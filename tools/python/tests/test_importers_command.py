"""Command lines that are wrong, and libraries that are missing: one clear line."""

import sys

import h5py
import numpy as np
import pytest
from hostile import arrays, refuses

from fedclamp.importers import main


@pytest.mark.parametrize(
    ("form", "missing", "says"),
    [("folder", "PIL", "pip install pillow"), ("parquet", "pyarrow", "pip install pyarrow"), ("parquet", "PIL", "pip install pillow"),
     ("npz", "PIL", "pip install pillow")],
)  # fmt: skip
def test_a_library_that_is_missing(tmp_path, capsys, monkeypatch, form, missing, says):
    if form == "parquet" and missing == "PIL":
        pytest.importorskip("pyarrow")
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "a.npz", **(arrays() | {"train_images": np.zeros((8, 30, 30), np.uint8)}))
    for module in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)

    class Finder:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split(".")[0] == missing:
                raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("sys.meta_path", [Finder, *sys.meta_path])
    files = {"folder": [tmp_path], "parquet": ["a.parquet", "b.parquet"], "npz": [tmp_path / "a.npz"]}[form]
    refuses(capsys, tmp_path, form, *files, "--out", tmp_path / "x.h5", says=[says, "fedclamp[importers]"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "form"),
        (["npz"], "files"),
        (["npz", "a.npz"], "--out"),
        (["jpeg", "a", "--out", "x.h5"], "invalid choice"),
        (["npz", "a.npz", "--out", "x.h5", "--what"], "--what"),
        (["npz", "a.npz", "b.npz", "--out", "x.h5"], "expected one file or folder, got 2"),
        (["folder", "a", "--out", "x.h5", "--channels", "2"], "--channels"),
        (["npz", "a.npz", "--out", "x.h5", "--invert"], "expected with tff or leaf only"),
        (["npz", "a.npz", "--out", "x.h5", "--channels", "1"], "expected with folder or parquet only"),
        (["folder", "a", "--out", "x.h5", "--classes", "3"], "expected with npz"),
        (["npz", "a.npz", "--out", "x.h5", "--classes", "many"], "--classes"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(tmp_path, capsys, monkeypatch, words, says):
    """It was "fedclamp-import: 2", the exit code that argparse had in mind."""
    monkeypatch.chdir(tmp_path)
    refuses(capsys, tmp_path, *words, code=64, says=says)


def test_help(capsys):
    assert main(["--help"]) == 0
    told = capsys.readouterr()
    assert "--overwrite" in told.out and told.err == ""


def test_names_with_a_line_break_stay_on_one_line(tmp_path, capsys):
    refuses(capsys, tmp_path, "npz", tmp_path / "a\nb.npz", "--out", tmp_path / "x.h5", says="No such file")


def test_what_was_written_is_told(tmp_path, capsys):
    """As `fedclamp import` does: what the file holds, and its digest."""
    for user, name in enumerate(("train", "test")):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            for client in range(3 - user):
                group = file.create_group(f"examples/c{client}")
                group["pixels"], group["label"] = np.zeros((4, 28, 28), np.float32), np.arange(4)
    out = tmp_path / "x.h5"
    assert main(["tff", str(tmp_path / "train.h5"), str(tmp_path / "test.h5"), "--name", "letters", "--out", str(out)]) == 0
    with h5py.File(out) as file:
        digest = file.attrs["digest"]
    assert capsys.readouterr().out == (
        f"{out}: letters, 12 training and 8 test images of 1x28x28, 4 classes, of 3 clients\ndigest {digest}\n"
    )
