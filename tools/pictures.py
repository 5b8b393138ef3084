"""PNG files and contact sheets, without an imaging library."""
import struct
import zlib

import numpy as np

GAP = 2


def write_png(path, pixels):
    """(H, W, 3) uint8 as a PNG."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def row(images, zoom=3):
    """Images (C, H, W) from 0 to 1 side by side, enlarged, as (H', W', 3) uint8."""
    tiles = []
    for image in images:
        colour = np.repeat(image, 3 // len(image), axis=0).transpose(1, 2, 0)
        tile = np.kron(np.clip(colour * 255 + 0.5, 0, 255).astype(np.uint8), np.ones((zoom, zoom, 1), np.uint8))
        tiles.append(np.pad(tile, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=90))
    return np.concatenate(tiles, axis=1)


def contact_sheet(path, images, labels, columns=16, zoom=2):
    """Images (N, C, H, W) uint8, the first of each class in a row of its own, as a PNG."""
    picked = [images[labels == label][:columns] for label in np.unique(labels)]
    blank = np.zeros((columns, *images.shape[1:]), np.uint8)
    write_png(path, np.concatenate([row(np.concatenate([p, blank])[:columns] / 255.0, zoom) for p in picked]))
