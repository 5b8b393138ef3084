#!/usr/bin/env python3
"""Checks of the source that no compiler makes; prints each offence as FILE:LINE and exits with 1 if there is one.

* Rooms: a file in Sources/ROOM imports only rooms that stand before its own in ROOMS (tools/rooms.py).
* Circles: the files of a room do not depend on each other in a circle (tools/circles.py).
* Files of source, tests and tools have at most 400 lines.
* Sources hold no `try!` and no `fatalError(`: errors are thrown and reported.
* The packages in tools, the first heading of CHANGELOG.md and the page on installing have the program's version.
* Only the lock of outputs reads the wall clock, which jumps, and only to show it; durations come from the monotonic one.
* Links of pages lead somewhere, the files and targets that pages name exist, and the picture of the rooms is that of the imports.
"""
import pathlib
import re
import sys

import circles
import documents
from rooms import IMPORT, ROOMS, ROOT, room_of

LONGEST = 400
FORBIDDEN = re.compile(r"\btry!|\bfatalError\(")
WALL_CLOCK = re.compile(r"\btime\((?:nil|NULL|&)|\bgettimeofday\b|\bCLOCK_REALTIME\b|\bDate\(\)|DispatchWallTime")
SHOWS_THE_TIME = "OutputLock.swift"
SUFFIXES = {".swift", ".c", ".h", ".py", ".sh"}


def offences(path, lines):
    if len(lines) > LONGEST:
        yield len(lines), f"{len(lines)} lines, at most {LONGEST}"
    if path.parts[0] != "Sources":
        return
    here = room_of(path.parts[1])
    if here is None:
        yield 1, f"room {path.parts[1]} is not in the list of tools/rooms.py"
        return
    for number, line in enumerate(lines, 1):
        code = line.split("//")[0]
        for found in FORBIDDEN.findall(code):
            yield number, f"forbidden in Sources: {found}"
        if WALL_CLOCK.search(code) and path.name != SHOWS_THE_TIME:
            yield number, "reads the wall clock, which jumps"
        match = IMPORT.match(code) if path.suffix == ".swift" else None
        there = room_of(match[1]) if match else None
        if there is not None and there >= here:
            yield number, f"{path.parts[1]} imports {match[1]}, which does not stand before it"


VERSION = "Sources/Federation/State/Version.swift"
ALSO_THERE = {"tools/python/fedclamp/__init__.py": r'^__version__ = "(.+)"', "tools/flower/pyproject.toml": r'^version = "(.+)"',
              "CHANGELOG.md": r"\A[^#]*# [^#]*## ([0-9.]+)", "data/INSTALL.md": r"\bfedclamp-(\d[0-9.]*\d)\b"}


def other_versions():
    """Offences of files that name another version than the program's."""
    version = re.search(r'programVersion = "(.+)"', (ROOT / VERSION).read_text(encoding="utf-8"))[1]
    for name, pattern in ALSO_THERE.items():
        found = set(re.findall(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        if found != {version}:
            yield f"{name}: version {', '.join(sorted(found)) or 'missing'}, {VERSION} says {version}"


def main():
    files = [p for top in ("Sources", "Tests", "tools") for p in sorted((ROOT / top).rglob("*"))
             if p.suffix in SUFFIXES and p.is_file() and not any(q.is_symlink() for q in p.parents)]
    if not any(p.suffix == ".swift" for p in files):
        sys.exit("lint: no Swift files found")
    count = 0
    for path in files:
        inside = path.relative_to(ROOT)
        for number, message in offences(inside, path.read_text(encoding="utf-8").splitlines()):
            print(f"{inside}:{number}: {message}")
            count += 1
    for page, number, message in [*circles.offences(), *documents.offences()]:
        print(f"{page}:{number}: {message}")
        count += 1
    for message in other_versions():
        print(message)
        count += 1
    print(f"lint: {len(files)} files, {count} offences")
    sys.exit(1 if count else 0)


if __name__ == "__main__":
    main()
