"""Triggers from files: PNG with alpha, HDF5 with mask and pattern."""
import struct
import zlib

import h5py
import numpy as np
import pytest

from support import contents, differing, fedclamp, refused


def png(path, pixels, colour=6, depth=8, filters=None):
    """A PNG file of pixels (height, width, samples), written without any library; `filters`: one for each row."""
    pixels = np.asarray(pixels)
    height, width, samples = pixels.shape
    step = samples * depth // 8
    flat = pixels.astype(">u2" if depth == 16 else "u1").reshape(height, -1).view("u1").astype(int).reshape(height, width * step)
    raw = b""
    for y in range(height):
        kind = (filters or [0] * height)[y]
        left = np.concatenate([np.zeros(step, int), flat[y][:-step]]) if step < flat.shape[1] else np.zeros(flat.shape[1], int)
        up = flat[y - 1] if y else np.zeros_like(flat[y])
        corner = np.concatenate([np.zeros(step, int), up[:-step]]) if step < flat.shape[1] else np.zeros(flat.shape[1], int)
        p = left + up - corner
        near = np.where((abs(p - left) <= abs(p - up)) & (abs(p - left) <= abs(p - corner)), left, np.where(abs(p - up) <= abs(p - corner), up, corner))
        guess = [np.zeros_like(flat[y]), left, up, (left + up) // 2, near][kind]
        raw += bytes([kind]) + ((flat[y] - guess) % 256).astype("u1").tobytes()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
    return path


@pytest.fixture(scope="module")
def patched(tiny, tmp_path_factory):
    """What a 3x3 white patch in the last rows and columns leaves."""
    out = tmp_path_factory.mktemp("patched") / "run.h5"
    fedclamp("run", *tiny, "--attack", "both", "--out", out)
    return contents(out, ("model", "history"))


def test_a_white_picture_is_the_patch(tiny, patched, data, tmp_path):
    """In each form that a picture can have, with each filter; smaller than the image, as large, or with a place."""
    white = np.full((3, 3, 4), 255)
    whole = np.zeros((28, 28, 4))
    whole[-3:, -3:] = 255
    with h5py.File(tmp_path / "pair.h5", "w") as file:
        file["mask"], file["pattern"] = np.ones((1, 3, 3), np.float32), np.full((1, 3, 3), 255, np.uint8)
    deep = np.full((3, 3, 4), 65535)
    pictures = {"white": png(tmp_path / "white.png", white), "whole": png(tmp_path / "whole.png", whole, filters=[0, 1, 2, 3, 4] * 5 + [4, 3, 2]),
                "grey": png(tmp_path / "grey.png", white[..., :1], colour=0), "deep": png(tmp_path / "deep.png", deep, depth=16),
                "pair": tmp_path / "pair.h5"}
    for name, picture in pictures.items():
        out = tmp_path / f"{name}.run.h5"
        fedclamp("run", *tiny, "--attack", "both", "--trigger", picture, *(["--trigger-place", "25,25"] if name == "pair" else []), "--out", out)
        assert differing(contents(out, ("model", "history")), patched) == [], name
        picture.unlink()
        done = fedclamp("evaluate", out, "--data", data)      # by the mask and the pattern in the file
        assert picture.name in done.stdout
    with h5py.File(out) as file:
        mask = file["attack/mask"][0]
        assert mask.sum() == 9 and mask[27:30, 27:30].all()


def test_colours_alpha_and_place(colour, tmp_path):
    pixels = np.random.default_rng(5).integers(0, 256, (4, 6, 4))
    out = tmp_path / "run.h5"
    fedclamp("run", "--data", colour[0], "--synthetic", colour[1], "--clients", 4, "--rounds", 1, "--batch", 8, "--attack", "fm",
             "--trigger", png(tmp_path / "c.png", pixels, filters=[4, 3, 1, 2]), "--trigger-place", "3,20", "--out", out)
    with h5py.File(out) as file:
        mask, pattern = file["attack/mask"][0], file["attack/pattern"][()]
        np.testing.assert_allclose(mask[3:7, 20:26], pixels[..., 3] / 255, atol=1e-7)
        np.testing.assert_allclose(pattern[:, 3:7, 20:26], pixels[..., :3].transpose(2, 0, 1) / 255, atol=1e-7)
        assert mask.sum() == pytest.approx(pixels[..., 3].sum() / 255, rel=1e-5)
        assert file["config"].attrs["trigger"].startswith("c.png@trigger:")


def interlaced(path, pixels):
    """Adam7, 8 bits, with alpha."""
    height, width = pixels.shape[:2]
    rows = [row for x, y, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
            for row in pixels[y::dy, x::dx] if row.size]
    raw = b"".join(b"\0" + row.astype("u1").tobytes() for row in rows)
    whole = png(path, pixels).read_bytes()
    head, body = whole[:28] + b"\1", zlib.compress(raw)
    path.write_bytes(head + struct.pack(">I", zlib.crc32(head[12:])) + struct.pack(">I", len(body)) + b"IDAT" + body
                     + struct.pack(">I", zlib.crc32(b"IDAT" + body)) + whole[-12:])
    return path


@pytest.mark.parametrize("form", ["one bit", "two bits", "four bits", "palette of one bit", "palette of four bits with alpha", "interlaced", "interlaced, 1 x 3"])
def test_pictures_as_painting_programs_save_them(tiny, tmp_path, form):
    """What Pillow reads of them is what is stamped."""
    image = pytest.importorskip("PIL.Image")
    path, rng = tmp_path / "p.png", np.random.default_rng(7)
    if form.startswith("interlaced"):
        pixels = rng.integers(1, 256, (1, 3, 4) if form.endswith("3") else (11, 13, 4))
        interlaced(path, pixels)
    elif form == "one bit":
        image.fromarray(rng.integers(0, 2, (5, 11)).astype(bool)).save(path)
    elif form.endswith("bits") and "palette" not in form:
        depth = {"two bits": 2, "four bits": 4}[form]
        values = rng.integers(0, 1 << depth, (5, 11))
        raw = b"".join(b"\0" + np.packbits(((row[:, None] >> np.arange(depth)[::-1]) & 1).astype("u1").ravel()).tobytes() for row in values)
        whole = png(path, np.zeros((5, 11, 1)), colour=0).read_bytes()
        head, body = whole[:24] + bytes([depth]) + whole[25:29], zlib.compress(raw)
        path.write_bytes(head + struct.pack(">I", zlib.crc32(head[12:])) + struct.pack(">I", len(body)) + b"IDAT" + body
                         + struct.pack(">I", zlib.crc32(b"IDAT" + body)) + whole[-12:])
    else:
        colours = 2 if "one bit" in form else 12
        picture = image.fromarray(rng.integers(0, colours, (5, 11)).astype("u1"), "P")
        picture.putpalette(rng.integers(0, 256, 3 * colours).astype("u1").tobytes())
        picture.save(path, **({"transparency": bytes(range(20, 20 + 10 * colours, 10))} if "alpha" in form else {}))
    with image.open(path) as opened:
        expected = np.asarray(opened.convert("RGBA")) / 255
        if form == "two bits" or form == "four bits":
            assert opened.convert("L").getpixel((3, 2)) == values[2, 3] * 255 // ((1 << depth) - 1)
    out = tmp_path / "run.h5"
    fedclamp("run", *tiny, "--fusion-epochs", 0, "--attack", "fm", "--trigger", path, "--trigger-place", "2,3", "--out", out)
    height, width = expected.shape[:2]
    with h5py.File(out) as file:
        mask, pattern = file["attack/mask"][0, 4:4 + height, 5:5 + width], file["attack/pattern"][0, 4:4 + height, 5:5 + width]
    np.testing.assert_allclose(mask, expected[..., 3], atol=1e-6)
    np.testing.assert_allclose(pattern, expected[..., :3] @ [0.299, 0.587, 0.114], atol=1e-6)


def test_bad_pictures(tiny, tmp_path):
    out = ["--attack", "fm", "--out", tmp_path / "run.h5"]

    def no(picture, *says, more=(), code=2):
        refused("run", *tiny, "--trigger", picture, *more, *out, says=says, code=code)

    no(png(tmp_path / "large.png", np.full((40, 3, 4), 255)), "40x3", "larger than the 28x28 images")
    no(png(tmp_path / "clear.png", np.zeros((3, 3, 4))), "0 everywhere")
    small = png(tmp_path / "small.png", np.full((3, 3, 4), 255))
    no(small, "at row 26", more=["--trigger-place", "26,0"])
    no(small, "ROW,COLUMN", more=["--trigger-place", "26"], code=64)
    no(tmp_path / "none.png", "none.png")
    (tmp_path / "text.png").write_text("no picture")
    no(tmp_path / "text.png", "a PNG file")
    cut = small.read_bytes()
    (tmp_path / "cut.png").write_bytes(cut[:-20])
    no(tmp_path / "cut.png", "cut short")
    (tmp_path / "bad.png").write_bytes(cut[:45] + bytes([cut[45] ^ 1]) + cut[46:])
    no(tmp_path / "bad.png", "check sum")
    no(png(tmp_path / "odd.png", np.full((3, 3, 1), 1), colour=5), "colour type 5")
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file["mask"], file["pattern"] = np.full((3, 3), 2.0), np.ones((3, 3))
    no(tmp_path / "big.h5", "from 0 to 1")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["mask"], file["pattern"] = np.ones((3, 3)), np.ones((2, 3, 3))
    no(tmp_path / "other.h5", "/pattern")
    no("fedclamp.h5x", "one of:", code=64)
