"""One encoded picture as bytes: what Pillow reads, at its right brightness, or refused."""
from __future__ import annotations

from typing import IO, Any

import numpy as np

from ..border import library, said
from ..program import PathLike
from .dataset import BadData, as_bytes

CONVERTED = ("1", "L", "RGB", "P", "RGBX", "CMYK", "YCbCr", "HSV")  # to 8 bits by Pillow's convert
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
GREY = ("1", "L", "LA", "La", "I", "F")
BITS_PER_SAMPLE, PHOTOMETRIC, WHITE_IS_ZERO = 258, 262, 0  # TIFF's


def pillow() -> Any:
    """PIL.Image. Raises ImportError that says what to install."""
    return library("PIL.Image", "pillow", "importers", "reading pictures")


def decoded(source: PathLike | IO[bytes], place: str, channels: int | None = None) -> tuple[np.ndarray, bool]:
    """Pixels uint8 (h, w, channels), and whether it was transparent: then it was laid on white.

    `channels`: 1 or 3; None: 1 of a grey picture.
    """
    image = pillow()
    try:
        with image.open(source) as opened:
            grey = opened.mode in GREY or opened.mode.startswith("I;16")
            pixels, transparent = _rgb_or_grey(image, opened, place, "L" if channels == 1 or channels is None and grey else "RGB")
    except BadData:
        raise
    except image.UnidentifiedImageError:
        raise BadData(f"{place}: expected a picture, got none that Pillow reads") from None
    except image.DecompressionBombError as error:
        raise BadData(f"{place}: expected a picture of at most {2 * image.MAX_IMAGE_PIXELS} pixels, got a larger one") from error
    except Exception as error:  # Pillow's readers raise what they like for a damaged file
        raise BadData(f"{place}: expected a picture, got a damaged one ({said(error)})") from error
    return (pixels if pixels.ndim == 3 else pixels[:, :, None]), transparent


def _rgb_or_grey(image: Any, opened: Any, place: str, mode: str) -> tuple[np.ndarray, bool]:
    if opened.mode in TRANSPARENT or opened.mode in CONVERTED and "transparency" in opened.info:
        full = opened.convert("RGBA")
        on_white = image.new("RGBA", full.size, "white")
        on_white.alpha_composite(full)
        return np.asarray(on_white.convert(mode)), np.asarray(full)[..., 3].min() < 255
    if opened.mode in CONVERTED:
        return np.asarray(opened.convert(mode)), False
    grey = _deep(opened, place)
    return (grey if mode == "L" else np.stack([grey] * 3, axis=2)), False


def _deep(opened: Any, place: str) -> np.ndarray:
    """Grey of more than 8 bits, which Pillow's convert would clip: 0 to 65535, or real numbers from 0 to 1."""
    values, tags = np.asarray(opened), getattr(opened, "tag_v2", {})
    bits = tags.get(BITS_PER_SAMPLE, (16,))[0]
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        raise BadData(f"{place}: expected black at 0, got a TIFF of {bits} bits with white there")
    if opened.mode == "F":
        return as_bytes(values, place)
    sixteen = opened.mode.startswith("I;16") or opened.mode == "I" and opened.format in ("PNG", "PPM")
    if not sixteen or bits != 16 or values.min() < 0 or values.max() > 65535:
        raise BadData(f"{place}: expected pixels of 8 or 16 bits, or real numbers from 0 to 1, got Pillow's mode {opened.mode}, {bits} bits")
    result: np.ndarray = np.rint(values / 257.0).astype(np.uint8)
    return result
