"""Pictures of every kind at their right brightness, and folders with what systems and editors leave in them."""

import io
import os
import struct
import unicodedata
import zlib

import h5py
import numpy as np
import pytest
from hostile import refuses

from fedclamp.importers import main

Image = pytest.importorskip("PIL.Image")
GREY = np.full((28, 28), 128, np.uint8)


def saved(picture, kind, **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def palette(transparency=None):
    """Left half index 0, red; right half index 1, green."""
    picture = Image.fromarray(np.repeat([[0] * 14 + [1] * 14], 28, 0).astype(np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0])
    return saved(picture, "png", **({} if transparency is None else {"transparency": transparency}))


def deep(values, kind="tiff"):
    return saved(Image.fromarray(values), kind)


def big_endian_tiff():
    """Mid-grey, 16 bits, as a Macintosh writes it: mode I;16B."""
    pixels = np.full((28, 28), 32768, ">u2").tobytes()
    tags = [(256, 28), (257, 28), (258, 16), (259, 1), (262, 1), (273, 8), (277, 1), (278, 28), (279, len(pixels))]
    table = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    return b"MM\x00\x2a" + struct.pack(">I", 8 + len(pixels)) + pixels + struct.pack(">H", len(tags)) + table + bytes(4)


def alpha(mode):
    """Mid-grey, its right half clear with a hidden colour."""
    picture = Image.new(mode, (28, 28), (128, 255) if mode == "LA" else (128, 128, 128, 255))
    picture.paste((7, 0) if mode == "LA" else (7, 7, 7, 0), (14, 0, 28, 28))
    return saved(picture, "png")


RIGHT = {  # bytes, what the left and the right half must be in colour, whether it is transparent
    "grey": (saved(Image.fromarray(GREY), "png"), 128, 128, False),
    "bits": (saved(Image.fromarray(GREY > 0), "png"), 255, 255, False),
    "16 bits": (deep(np.full((28, 28), 32768, np.uint16), "png"), 128, 128, False),
    "16 bits, TIFF": (deep(np.full((28, 28), 32768, np.uint16)), 128, 128, False),
    "16 bits, big-endian": (big_endian_tiff(), 128, 128, False),
    "16 bits, white": (deep(np.full((28, 28), 65535, np.uint16), "png"), 255, 255, False),
    "16 bits, PGM": (b"P5 28 28 65535\n" + np.full((28, 28), 32768, ">u2").tobytes(), 128, 128, False),
    "real numbers": (deep(np.full((28, 28), 0.5, np.float32)), 128, 128, False),
    "palette": (palette(), (255, 0, 0), (0, 255, 0), False),
    "palette with a clear index": (palette(1), (255, 0, 0), 255, True),
    "palette with clear bytes": (palette(bytes([255, 0])), (255, 0, 0), 255, True),
    "palette with opaque bytes": (palette(bytes([255, 255])), (255, 0, 0), (0, 255, 0), False),
    "grey with alpha": (alpha("LA"), 128, 255, True),
    "colour with alpha": (alpha("RGBA"), 128, 255, True),
    "grey with a clear value": (saved(Image.fromarray(GREY), "png", transparency=128), 255, 255, True),
    "CMYK": (saved(Image.new("CMYK", (28, 28), (0, 255, 255, 0)), "tiff"), (255, 0, 0), (255, 0, 0), False),
    "CMYK, JPEG": (saved(Image.new("CMYK", (28, 28), (0, 0, 0, 127)), "jpeg"), 128, 128, False),
}


def parquet(folder, pictures):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"image": pictures, "label": [0, 1]}), folder / "a.parquet")
    return ["parquet", folder / "a.parquet", folder / "a.parquet"]


def folder(place, pictures):
    """train and test, each with a class for each of the pictures."""
    for part in ("train", "test"):
        for k, content in enumerate(pictures):
            (place / part / f"c{k}").mkdir(parents=True)
            (place / part / f"c{k}" / "1.png").write_bytes(content)
    return ["folder", place]


@pytest.mark.parametrize("form", [folder, parquet])
@pytest.mark.parametrize("name", RIGHT)
def test_brightness(tmp_path, capsys, name, form):
    content, left, right, transparent = RIGHT[name]
    words = [str(word) for word in form(tmp_path / "in" if form is folder else tmp_path, [content] * 2)]
    for channels in (3, 1):
        assert main([*words, "--channels", str(channels), "--overwrite", "--out", str(tmp_path / "x.h5")]) == 0, capsys.readouterr().err
        with h5py.File(tmp_path / "x.h5") as file:
            images = file["train/images"][()].astype(int)
        assert images.shape[1] == channels
        for half, expected in ((images[0, :, 16, 4], left), (images[0, :, 16, -5], right)):
            expected = np.full(3, expected) if np.isscalar(expected) else np.array(expected)
            expected = expected if channels == 3 else np.array([expected @ [0.299, 0.587, 0.114]])
            assert np.abs(half - expected).max() <= 2, (name, half, expected)
        told = capsys.readouterr().err
        assert ("4 pictures are transparent in places: laid on white" in told) == transparent, told


def test_a_parquet_of_deep_greys_is_grey(tmp_path):
    for content in (RIGHT["16 bits"][0], RIGHT["16 bits, big-endian"][0], RIGHT["real numbers"][0], RIGHT["grey with alpha"][0]):
        words = parquet(tmp_path, [content] * 2)
        assert main([*map(str, words), "--overwrite", "--out", str(tmp_path / "x.h5")]) == 0
        with h5py.File(tmp_path / "x.h5") as file:
            assert file["train/images"].shape[1] == 1


def bomb():
    """A PNG that says it has 40,000 x 40,000 pixels."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


ODD = {
    "32 bits": (deep(np.full((28, 28), 70000, np.int32)), "8 or 16 bits"),
    "real numbers to 255": (deep(np.full((28, 28), 200, np.float32)), "from 0 to 1, got 200 to 200"),
    "NaN": (deep(np.full((28, 28), np.nan, np.float32)), "from 0 to 1, got nan"),
    "white at 0": (saved(Image.fromarray(np.full((28, 28), 9, np.uint16)), "tiff", tiffinfo={262: 0}), "white there"),
    "Lab": (saved(Image.new("LAB", (28, 28)), "tiff"), "LAB"),
    "a text": (b"no picture", "none that Pillow reads"),
    "empty": (b"", "none that Pillow reads"),
    "truncated": (RIGHT["CMYK, JPEG"][0][:-20], "a damaged one"),
    "a bomb": (bomb(), "pixels, got a larger one"),
}


@pytest.mark.parametrize("form", [folder, parquet])
@pytest.mark.parametrize("name", ODD)
def test_refused(tmp_path, capsys, name, form):
    content, says = ODD[name]
    words = form(tmp_path / "in" if form is folder else tmp_path, [RIGHT["grey"][0], content])
    refuses(capsys, tmp_path, *words, "--out", tmp_path / "x.h5", says=[says, "c1/1.png" if form is folder else "image of row 1"])


def classes(path):
    with h5py.File(path) as file:
        return list(file.attrs["class_names"]), np.bincount(file["train/labels"][()]).tolist(), np.bincount(file["test/labels"][()]).tolist()


def test_hidden_things_are_left_out(tmp_path, capsys):
    grey = RIGHT["grey"][0]
    words = folder(tmp_path / "in", [grey] * 2)
    for place in ("train/.ipynb_checkpoints/1.png", "train/__MACOSX/._1.png", "train/c0/._1.png", "train/c0/.ipynb_checkpoints/1-checkpoint.png"):
        (tmp_path / "in" / place).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / place).write_bytes(grey)
    for place in ("train/.DS_Store", "test/c1/.DS_Store", "test/c1/Thumbs.db", "train/c0/desktop.ini"):
        (tmp_path / "in" / place).write_bytes(b"hidden")
    assert main([*map(str, words), "--out", str(tmp_path / "x.h5")]) == 0
    assert classes(tmp_path / "x.h5") == (["c0", "c1"], [1, 1], [1, 1])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "left out hidden files and folders: " in lines[0] and "and 5 more" in lines[0], lines


def test_pictures_in_folders_below_belong_to_the_class(tmp_path, capsys):
    """Also through a link, and a link back ends."""
    grey = RIGHT["grey"][0]
    words = folder(tmp_path / "in", [grey] * 2)
    (tmp_path / "in/train/c0/a/b").mkdir(parents=True)
    (tmp_path / "in/train/c0/a/b/2.png").write_bytes(grey)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/3.png").write_bytes(grey)
    (tmp_path / "in/train/c1/link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/train/c1/back").symlink_to(tmp_path / "in/train/c1")
    assert main([*map(str, words), "--out", str(tmp_path / "x.h5")]) == 0
    assert classes(tmp_path / "x.h5") == (["c0", "c1"], [2, 2], [1, 1]) and capsys.readouterr().err == ""


def test_two_spellings_of_unicode_are_one_class(tmp_path):
    words = folder(tmp_path / "in", [RIGHT["grey"][0]] * 2)
    (tmp_path / "in/train/c0").rename(tmp_path / "in/train" / unicodedata.normalize("NFD", "Café"))
    (tmp_path / "in/test/c0").rename(tmp_path / "in/test" / unicodedata.normalize("NFC", "Café"))
    assert main([*map(str, words), "--out", str(tmp_path / "x.h5")]) == 0
    assert classes(tmp_path / "x.h5") == ([unicodedata.normalize("NFC", "Café"), "c1"], [1, 1], [1, 1])


def test_an_empty_class_is_left_out(tmp_path, capsys):
    words = folder(tmp_path / "in", [RIGHT["grey"][0]] * 2)
    (tmp_path / "in/train/b").mkdir()
    (tmp_path / "in/train/c9/below").mkdir(parents=True)
    (tmp_path / "in/train/labels.csv").write_text("x")
    os.mkfifo(tmp_path / "in/train/c0/pipe")
    (tmp_path / "in/train/c0/nowhere").symlink_to("no")
    assert main([*map(str, words), "--out", str(tmp_path / "x.h5")]) == 0
    assert classes(tmp_path / "x.h5") == (["c0", "c1"], [1, 1], [1, 1])
    told = capsys.readouterr().err
    assert "left out class folders without pictures: b, c9" in told and "labels.csv" in told and "pipe" in told and "nowhere" in told
    (tmp_path / "in/test/new").mkdir()
    (tmp_path / "in/test/new/1.png").write_bytes(RIGHT["grey"][0])
    assert main([*map(str, words), "--out", str(tmp_path / "y.h5")]) == 0
    assert "no training image is of class new" in capsys.readouterr().err


def test_folders_without_pictures(tmp_path, capsys):
    words = folder(tmp_path / "in", [RIGHT["grey"][0]] * 2)
    for name in ("c0", "c1"):
        (tmp_path / "in/test" / name / "1.png").unlink()
    refuses(capsys, tmp_path, *words, "--out", tmp_path / "x.h5", says="none in test/CLASS")
    refuses(capsys, tmp_path, "folder", tmp_path / "none", "--out", tmp_path / "x.h5", says="none in train/CLASS")
    refuses(capsys, tmp_path, "folder", tmp_path / "in/train/c0/1.png", "--out", tmp_path / "x.h5", says="none in train/CLASS")


def test_a_name_that_is_not_utf_8(tmp_path):
    """As FedClamp shows it; pictures and the data set, too."""
    place = os.fsdecode(os.fsencode(tmp_path) + b"/in\xff")
    folder(tmp_path / "in", [RIGHT["grey"][0]] * 2)
    os.rename(tmp_path / "in", place)
    for part in ("train", "test"):
        os.rename(f"{place}/{part}/c1", f"{place}/{part}/" + os.fsdecode(b"caf\xe9"))
        os.rename(f"{place}/{part}/c0/1.png", f"{place}/{part}/c0/" + os.fsdecode(b"\xe9.png"))
    assert main(["folder", place, "--out", str(tmp_path / "x.h5")]) == 0
    assert classes(tmp_path / "x.h5")[0] == ["c0", "caf\\xe9"]
    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["name"] == "in\\xff"


def test_the_current_folder_has_a_name(tmp_path, monkeypatch):
    folder(tmp_path / "in", [RIGHT["grey"][0]] * 2)
    monkeypatch.chdir(tmp_path / "in")
    assert main(["folder", ".", "--out", str(tmp_path / "x.h5")]) == 0
    with h5py.File(tmp_path / "x.h5") as file:
        assert file.attrs["name"] == "in"
