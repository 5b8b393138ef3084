"""Labels that do not run from 0: renumbered with a note, as fedclamp import idx does, never a class that nobody has."""

import io
import json

import h5py
import numpy as np
import pytest
from hostile import arrays, refuses

from fedclamp.importers import BadData, Note, from_npz, main, write_dataset
from fedclamp.importers.dataset import Split
from fedclamp.program import call


def write(form, folder, train, test):
    """Files of a form with black images of these labels; the words of the command."""
    if form == "npz":
        np.savez(folder / "a.npz", **arrays(train, test))
        return ["npz", folder / "a.npz"]
    files = []
    for name, labels in (("train", train), ("test", test)):
        labels = [int(k) for k in labels]
        files.append(folder / f"{name}.{form}")
        if form == "leaf":
            files[-1].write_text(json.dumps({"user_data": {"u": {"x": [[0] * 783 + [0.5]] * len(labels), "y": labels}}}))
        elif form == "tff":
            with h5py.File(files[-1], "w") as file:
                file["examples/u/pixels"], file["examples/u/label"] = np.zeros((len(labels), 28, 28), np.float32), labels
        else:
            arrow, stream = pytest.importorskip("pyarrow"), io.BytesIO()
            pytest.importorskip("PIL.Image").new("L", (28, 28)).save(stream, "png")
            pytest.importorskip("pyarrow.parquet").write_table(
                arrow.table({"image": [stream.getvalue()] * len(labels), "label": labels}), files[-1]
            )
    return [form, *files]


@pytest.mark.parametrize("form", ["npz", "leaf", "tff", "parquet"])
@pytest.mark.parametrize(
    ("file", "classes", "says"),
    [
        (np.arange(1, 11), np.arange(10), "labels are numbered from 1: class 0 is the file's 1"),
        ([0, 255], [0, 1], "labels are 0, 255: they became classes 0 to 1"),
        ([*range(9), 12], np.arange(10), "labels are 0 to 8, 12: they became classes 0 to 9"),
        ([300, 2000, 65535], np.arange(3), "300, 2000, 65535"),
    ],
)
def test_renumbered_with_a_note(tmp_path, capsys, form, file, classes, says):
    words = write(form, tmp_path, file, file[:2])
    assert main([*map(str, words), "--out", str(tmp_path / "a.h5")]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("fedclamp-import: note: ") and says in lines[0], lines
    with h5py.File(tmp_path / "a.h5") as written:
        assert written["train/labels"][()].tolist() == list(classes) and written["test/labels"][()].tolist() == list(classes[:2])
        assert list(written.attrs["class_names"]) == [str(k) for k in file]
    assert json.loads(call("inspect", tmp_path / "a.h5", "--json", quiet=True))["data_set"]["classes"] == len(file)


@pytest.mark.parametrize("form", ["npz", "leaf", "tff", "parquet"])
def test_classes_keeps_the_numbers(tmp_path, capsys, form):
    """A part of a data set, in which some classes have no image."""
    words = write(form, tmp_path, [0, 1, 5], [1, 0])
    assert main([*map(str, words), "--classes", "7", "--out", str(tmp_path / "a.h5")]) == 0
    assert "no training image is of class 2, 3, 4 and 1 more" in capsys.readouterr().err
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["train/labels"][()].tolist() == [0, 1, 5] and len(file.attrs["class_names"]) == 7
    refuses(capsys, tmp_path, *words, "--classes", 5, "--out", tmp_path / "b.h5", says=["expected 0 to 4", "0, 1, 5"])
    for count in ("1", "0", "-3", "1001"):
        refuses(capsys, tmp_path, *words, "--classes", count, "--out", tmp_path / "b.h5", code=64, says="expected 2 to 1000")


def test_labels_from_0_are_told_nothing(tmp_path, capsys):
    words = write("npz", tmp_path, [2, 0, 1, 3], [0])
    assert main([*map(str, words), "--out", str(tmp_path / "a.h5")]) == 0
    assert capsys.readouterr().err == ""


def test_a_class_of_the_test_images_alone(tmp_path, capsys):
    words = write("npz", tmp_path, [0, 1, 1], [0, 1, 2])
    assert main([*map(str, words), "--out", str(tmp_path / "a.h5")]) == 0
    assert "no training image is of class 2" in capsys.readouterr().err


def test_from_python_the_note_is_a_warning(tmp_path):
    _, path = write("npz", tmp_path, [1, 2], [2])
    with pytest.warns(Note, match="numbered from 1"):
        from_npz(path, tmp_path / "a.h5")
    with pytest.raises(BadData, match="take 1 off each"):
        from_npz(path, tmp_path / "b.h5", class_names=["a", "b"])
    half = Split(np.zeros((2, 1, 28, 28), np.uint8), np.array([0, 4]))
    with pytest.warns(Note, match="0, 4"):
        write_dataset(tmp_path / "c.h5", half, half, name="half")


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([5, 5], ["expected 2 to 1000 classes, got 1 (5)"]),
        (np.arange(1001), ["expected 2 to 1000 classes, got 1001"]),
        ([0, 65536], ["0 to 65535", "65536"]),
        ([0, 2**63], ["0 to 65535", str(2**63)]),
        ([-1, 1], ["from 0", "-1 to 1"]),
        ([0.0, 1.0], ["whole numbers", "real numbers"]),
        (["cat", "dog"], ["whole numbers", "texts"]),
        ([[0, 1], [1, 0]], ["whole numbers", "(2, 2)"]),
        ([1j, 2j], ["whole numbers", "complex"]),
    ],
)
def test_labels_that_are_none(tmp_path, capsys, labels, says):
    labels = np.array(labels, dtype=np.uint64 if labels[-1] == 2**63 else None) if isinstance(labels, list) else labels
    np.savez(tmp_path / "a.npz", **arrays(labels, labels))
    refuses(capsys, tmp_path, "npz", tmp_path / "a.npz", "--out", tmp_path / "a.h5", says=says)
