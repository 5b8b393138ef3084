"""Damages files: bytes anywhere, bytes of HDF5's own structures with their check sums repaired, and texts.

A mutation of bytes is a list of patches (offset, bytes) and perhaps a new length, so that a large file is damaged and
healed in place.
"""
import struct

import h5py

INTERESTING = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
               1 << 32, 1 << 40, (1 << 62) - 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 8]


def lookup3(data):
    """Jenkins' hash as HDF5 uses it for its check sums (start value 0)."""
    mask, n = 0xffffffff, len(data)
    a = b = c = (0xdeadbeef + n) & mask

    def rot(x, k):
        return ((x << k) | (x >> (32 - k))) & mask

    if n == 0:
        return c
    padded = bytes(data) + bytes(-n % 12)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    for k in range(0, len(words), 3):
        a, b, c = (a + words[k]) & mask, (b + words[k + 1]) & mask, (c + words[k + 2]) & mask
        if k + 3 < len(words):
            a = (a - c) & mask ^ rot(c, 4); c = (c + b) & mask
            b = (b - a) & mask ^ rot(a, 6); a = (a + c) & mask
            c = (c - b) & mask ^ rot(b, 8); b = (b + a) & mask
            a = (a - c) & mask ^ rot(c, 16); c = (c + b) & mask
            b = (b - a) & mask ^ rot(a, 19); a = (a + c) & mask
            c = (c - b) & mask ^ rot(b, 4); b = (b + a) & mask
    c ^= b; c = (c - rot(b, 14)) & mask
    a ^= c; a = (a - rot(c, 11)) & mask
    b ^= a; b = (b - rot(a, 25)) & mask
    c ^= b; c = (c - rot(b, 16)) & mask
    a ^= c; a = (a - rot(c, 4)) & mask
    b ^= a; b = (b - rot(a, 14)) & mask
    c ^= b; c = (c - rot(b, 24)) & mask
    return c


def checked_blocks(data):
    """(start, end) of the blocks whose check sum stands at `end`: superblock, object headers."""
    blocks = [(0, 44)] if data[8] in (2, 3) else []
    at = data.find(b"OHDR")
    while at >= 0:
        flags = data[at + 5]
        start = at + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        size = int.from_bytes(data[start:start + width], "little")
        blocks.append((at, start + width + size))
        at = data.find(b"OHDR", at + 4)
    return [(s, e) for s, e in blocks if e + 4 <= len(data) and lookup3(data[s:e]) == int.from_bytes(data[e:e + 4], "little")]


class Victim:
    """A file that is damaged again and again."""

    def __init__(self, path, is_hdf5=True):
        self.path, self.data = path, path.read_bytes()
        self.structure = self.meta(path) if is_hdf5 else range(len(self.data))
        self.blocks = checked_blocks(self.data) if is_hdf5 else []
        self.touched, self.length = [], len(self.data)

    def meta(self, path):
        """Offsets outside of the elements of datasets."""
        raw = []

        def note(_, node):
            if isinstance(node, h5py.Dataset) and node.chunks is None and node.id.get_offset() is not None:
                raw.append((node.id.get_offset(), node.id.get_storage_size()))
            elif isinstance(node, h5py.Dataset) and node.chunks is not None:
                for k in range(node.id.get_num_chunks()):
                    chunk = node.id.get_chunk_info(k)
                    raw.append((chunk.byte_offset, chunk.size))

        with h5py.File(path) as file:
            file.visititems(note)
        offsets, at = [], 0
        for start, size in sorted(raw):
            offsets += range(at, max(at, start))
            at = max(at, start + size)
        return offsets + list(range(at, len(self.data)))

    def damage(self, rng):
        """Draws a mutation and applies it; returns words for it."""
        patches, length = [], None
        words = []
        for _ in range(rng.choice([1, 1, 1, 2, 3, 6])):
            kind = rng.choice(["bit", "byte", "number", "number", "splice", "fill", "cut", "grow", "raw"])
            at = rng.choice(self.structure) if kind != "raw" and self.structure else rng.randrange(max(1, len(self.data)))
            words.append(f"{kind}@{at}")
            if kind in ("bit", "raw"):
                patches.append((at, bytes([self.byte(at) ^ 1 << rng.randrange(8)])))
            elif kind == "byte":
                patches.append((at, bytes([rng.randrange(256)])))
            elif kind == "number":
                width = rng.choice([1, 2, 4, 8])
                value = rng.choice(INTERESTING) if rng.random() < 0.8 else rng.getrandbits(64)
                patches.append((at, (value & (1 << 8 * width) - 1).to_bytes(width, rng.choice(["little", "little", "big"]))))
            elif kind == "splice":
                start, size = (rng.choice(self.structure) if self.structure else 0), rng.choice([4, 8, 16, 40, 100])
                patches.append((at, self.data[start:start + size]))
            elif kind == "fill":
                patches.append((at, bytes([rng.choice([0, 0xff, 0x20])]) * rng.choice([2, 8, 32, 200])))
            elif kind == "cut":
                length = at
            else:
                length = len(self.data) + rng.choice([1, 8, 100, 5000])
        if self.blocks and rng.random() < 0.85:
            patches += self.repaired(patches)
            words.append("sums repaired")
        self.apply(patches, length)
        return " ".join(words)

    def byte(self, at):
        return self.data[at] if at < len(self.data) else 0

    def repaired(self, patches):
        fixes = []
        for start, end in self.blocks:
            if any(at < end and at + len(new) > start for at, new in patches):
                block = bytearray(self.data[start:end])
                for at, new in patches:
                    for k, value in enumerate(new):
                        if start <= at + k < end:
                            block[at + k - start] = value
                fixes.append((end, lookup3(block).to_bytes(4, "little")))
        return fixes

    def apply(self, patches, length):
        with open(self.path, "r+b") as file:
            for at, new in patches:
                file.seek(at)
                file.write(new)
                self.touched.append((at, len(new)))
                self.length = max(self.length, at + len(new))
            if length is not None:
                file.truncate(length)
                self.touched.append((min(length, len(self.data)), max(0, len(self.data) - length)))
                self.length = length

    def heal(self):
        with open(self.path, "r+b") as file:
            for at, size in self.touched:
                file.seek(at)
                file.write(self.data[at:at + size])
            file.truncate(len(self.data))
        self.touched, self.length = [], len(self.data)


def text(rng, original, vocabulary):
    """A damaged text: lines changed, repeated, dropped; words of `vocabulary` and bytes strewn in."""
    lines = original.split(b"\n")
    for _ in range(rng.choice([1, 1, 2, 3, 5])):
        kind = rng.choice(["word", "value", "drop", "repeat", "many", "bytes", "cut", "long", "swap", "sign", "ends", "mark", "latin"])
        at = rng.randrange(len(lines)) if lines else 0
        line = lines[at] if lines else b""
        if kind == "word":
            lines.insert(at, rng.choice(vocabulary) + b" = " + rng.choice(vocabulary))
        elif kind == "value":
            lines[at:at + 1] = [line.split(b"=")[0] + b"= " + rng.choice(vocabulary)]
        elif kind == "drop":
            del lines[at:at + 1]
        elif kind == "repeat":
            lines[at:at] = [line] * rng.choice([1, 2, 100])
        elif kind == "many":
            if rng.random() < 0.02:
                lines[at:at] = [line] * 20_000
        elif kind == "bytes":
            place = rng.randrange(len(line) + 1)
            lines[at:at + 1] = [line[:place] + bytes(rng.choice([[0], [0xff, 0xfe], [0x1b, 0x5b, 0x33], [0xe2, 0x80], [13], [9],
                                                                [rng.randrange(256) for _ in range(5)]])) + line[place:]]
        elif kind == "cut":
            lines[at:at + 1] = [line[:rng.randrange(len(line) + 1)]]
        elif kind == "long":
            lines[at:at + 1] = [line + rng.choice([b"9", b"x", b" ", b"="]) * rng.choice([10, 1000, 200_000 if rng.random() < 0.1 else 10])]
        elif kind == "ends":                    # as other systems end lines, some or all
            end = rng.choice([b"\r", b"\r\n", b"\n\r", b"\r\r\n"])
            lines = b"\n".join(lines).replace(b"\n", end, rng.choice([1, 2, -1])).split(b"\n")
        elif kind == "mark":
            lines[:1] = [rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xef\xbb", b"\xef\xbb\xbf" * 2]) + b"".join(lines[:1])]
        elif kind == "latin":
            lines[at:at + 1] = [line + rng.choice([b" # gr\xf6\xdfer", b"\xe9", b"\xcc\x81", b"\xf4\x8f\xbf\xa9", b"#1"])]
        elif kind == "swap":
            other = rng.randrange(len(lines)) if lines else 0
            if lines:
                lines[at], lines[other] = lines[other], lines[at]
        else:
            lines[at:at + 1] = [line.replace(b"= ", b"= " + rng.choice([b"-", b"1e", b"0x", b"\"", b"1e400", b"nan ", b"99999999999999999999"]))]
    return b"\n".join(lines)
