"""What no reader of the pages should find: links that lead nowhere, and names of files and make's targets that do not exist."""
import pathlib
import re

from rooms import PICTURE, ROOT, picture

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"`([^`]+)`")
TOP = r"(?:Sources|Tests|tools|data)"
# "Sources/Rules/Krum.swift", "Krum.swift"; names with a star or in capitals stand for others.
PATH = re.compile(rf"^{TOP}/[\w./+-]+$|^[\w+-]+\.(?:swift|py|sh)$")
TARGET = re.compile(r"\bmake ([a-z][a-z0-9-]*)\b")
BUILT = {"build", "results"}
MADE = {"data/fashion-mnist.h5", "mine.py", "Sources/Rules/FirstClient.swift"}      # made by `make data`; a reader's own


def pages():
    """All pages of the repository, none of what was built."""
    inside = (path.relative_to(ROOT) for path in sorted(ROOT.rglob("*.md")))
    return [ROOT / path for path in inside if path.parts[0] not in BUILT and not any(part.startswith(".") for part in path.parts)]


def outside_fences(lines):
    """(number, line) of what is no block of code."""
    fenced = False
    for number, line in enumerate(lines, 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def anchors(path):
    """The headings' names as GitHub makes them."""
    found = set()
    for _, line in outside_fences(path.read_text(encoding="utf-8").splitlines()):
        if re.match(r"#+ ", line):
            text = re.sub(r"[`*]", "", LINK.sub(lambda m: m[0][1:m[0].index("]")], line.lstrip("#").strip())).lower()
            found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


def broken(path, target):
    """Why a link of the page leads nowhere; None where it does not, or leads elsewhere."""
    if re.match(r"[a-z]+:", target):
        return None
    name, _, anchor = target.partition("#")
    there = (path.parent / name).resolve() if name else path
    if not there.exists():
        return f"link to {target}: there is no such file"
    if anchor and there.suffix == ".md" and anchor not in anchors(there):
        return f"link to {target}: there is no such heading"
    return None


def offences():
    """(page, line, what) of every page; (picture, 1, what) where the picture of the rooms is not that of the imports."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    files = {p.name for top in ("Sources", "Tests", "tools") for p in (ROOT / top).rglob("*")} | {p.name for p in ROOT.iterdir()}
    for path in pages():
        page, lines = path.relative_to(ROOT), path.read_text(encoding="utf-8").splitlines()
        for number, line in outside_fences(lines):
            yield from ((page, number, why) for target in LINK.findall(line) if (why := broken(path, target)))
            for code in CODE.findall(line):
                name = code.split()[0] if code.split() else ""
                exists = (ROOT / name).exists() if "/" in name else name in files
                if PATH.match(name) and name not in MADE and not exists and not (path.parent / name).exists():
                    yield page, number, f"`{name}`: there is no such file"
        for number, line in enumerate(lines, 1):
            spans = [line] if line.startswith("    ") or not CODE.search(line) else CODE.findall(line)
            for target in (t for span in spans if span.strip().startswith("make ") for t in TARGET.findall(span)):
                if target not in targets:
                    yield page, number, f"make {target}: there is no such target"
    if (ROOT / PICTURE).read_text(encoding="utf-8") != picture():
        yield pathlib.Path(PICTURE), 1, "is not what the imports say: make rooms"
