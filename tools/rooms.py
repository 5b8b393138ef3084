#!/usr/bin/env python3
"""The rooms of the house, and a picture of which imports which, drawn from the sources.

    rooms.py > Sources/rooms.svg          make rooms

tools/lint.py holds the sources to the order of ROOMS, and the committed picture to the imports.
"""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
ROOMS = ["CPlatform", "CZlib", "CHDF5", "HDF5", "Options", "Tensor", "KernelTable", "Kernels", "Network", "Datasets", "OwnMethods", "Attacks",
         "Numerics", "DefenseInterface", "Rules", "Detection", "Bounds", "ModelDefenses", "DataDefenses", "Defenses", "Federation", "Experiments", "fedclamp"]
IMPORT = re.compile(r"^\s*(?:@\w+(?:\(.*?\))?\s+|(?:public|package|internal|fileprivate|private)\s+)*import\s+"
                    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)")
PICTURE = "Sources/rooms.svg"
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 138, 36, 156, 74, 50
TITLE = "Each room builds on the rooms that its arrows lead to, and on theirs"


def room_of(module):
    """Index in ROOMS, None for modules from elsewhere. KernelsBaseline, KernelsAVX2 ... are Kernels."""
    name = "Kernels" if module.startswith("Kernels") else module
    return ROOMS.index(name) if name in ROOMS else None


def imports():
    """Of each room, the rooms that its files import."""
    found = {room: set() for room in ROOMS}
    for path in sorted((ROOT / "Sources").rglob("*.swift")):
        here = room_of(path.relative_to(ROOT).parts[1])
        if here is None or any(above.is_symlink() for above in path.parents):
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            match = IMPORT.match(line)
            there = room_of(match[1]) if match else None
            if there is not None and there != here:
                found[ROOMS[here]].add(ROOMS[there])
    return found


def arrows(found):
    """The imports that do not follow from others."""
    below = {}
    for room in ROOMS:      # rooms before it are done
        below[room] = set(found[room]).union(*(below.get(other, set()) for other in found[room]))
    return {room: sorted(other for other in found[room] if not any(other in below[via] for via in found[room])) for room in ROOMS}


def places(lines):
    """Room: (column, row). A room stands below all that import it, near the middle of them."""
    above = {room: [other for other in ROOMS if room in lines[other]] for room in ROOMS}
    row, column = {}, {}
    for room in reversed(ROOMS):
        row[room] = 1 + max((row[other] for other in above[room]), default=-1)
    for level in range(max(row.values()) + 1):
        members = [room for room in ROOMS if row[room] == level]
        middle = {room: sum(column[other] for other in above[room]) / max(1, len(above[room])) for room in members}
        for at, room in enumerate(sorted(members, key=lambda room: middle[room])):
            column[room] = at - (len(members) - 1) / 2
    return {room: (column[room], row[room]) for room in ROOMS}


def picture():
    """The text of the SVG."""
    lines = arrows(imports())
    at = places(lines)
    left = min(column for column, _ in at.values())
    right = max(column for column, _ in at.values())

    def middle(room):
        return round((at[room][0] - left) * ACROSS + WIDTH / 2 + MARGIN / 2), round(at[room][1] * DOWN + HEIGHT / 2 + MARGIN)

    wide = round((right - left) * ACROSS + WIDTH + MARGIN)
    high = round(max(row for _, row in at.values()) * DOWN + HEIGHT + 1.5 * MARGIN)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" font-family="sans-serif">',
           '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
           '<path d="M0 0L8 4L0 8z" fill="#555"/></marker></defs>',
           f'<rect width="{wide}" height="{high}" fill="white"/>',
           f'<text x="{wide / 2:g}" y="26" text-anchor="middle" font-size="15" font-weight="bold">{TITLE}</text>']
    for room in ROOMS:
        for other in lines[room]:
            (x, y), (u, v) = middle(room), middle(other)
            y, v = y + HEIGHT // 2, v - HEIGHT // 2
            turn = v - (DOWN - HEIGHT)      # straight down past the rows between, then over
            out.append(f'<path d="M{x} {y}V{turn}C{x} {v} {u} {turn} {u} {v}" fill="none" stroke="#555" marker-end="url(#tip)"/>')
    for room in ROOMS:
        x, y = middle(room)
        out.append(f'<rect x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="#eef3f9" stroke="#1f4e79"/>')
        out.append(f'<text x="{x}" y="{y + 5}" text-anchor="middle" font-size="14">{room}</text>')
    return "\n".join([*out, "</svg>"]) + "\n"


if __name__ == "__main__":
    print(picture(), end="")
