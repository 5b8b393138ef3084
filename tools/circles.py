#!/usr/bin/env python3
"""Circles within a room: files of Sources/ROOM each of which names something of the next, and the last something of the first.

    circles.py          prints the shortest circle of each knot of files; tools/lint.py does too

A file depends on another where its code, without comments and texts, names a type, function or variable of the other's top level.
What stands behind a dot is a member, and what a file declares is its own; a function counts only where it is called.
"""
import re

from rooms import ROOT

PREFIX = r"^(?:@\w+(?:\([^)]*\))?\s+|(?:public|package|internal|final|indirect|nonisolated(?:\(unsafe\))?|\w+\(set\))\s+)*"
TOP = re.compile(PREFIX + r"(struct|class|enum|protocol|actor|typealias|func|let|var)\s+(\w+)", re.MULTILINE)
OWN = [re.compile(pattern) for pattern in (
    r"\b(?:struct|class|enum|protocol|actor|typealias|associatedtype|func|let|var|case)\s+(\w+)", r", (\w+)(?:: [\w.?\[\]]+)? = ",
    r"\b([a-z]\w*): ?(?:[@(\[A-Z]|inout\b|any\b|some\b|borrowing\b|consuming\b)", r"\b(?:let|var|for) \(([\w, ]+)\)", r"([\w, ]+)\)? in\b")]
WORD = re.compile(r"(?<![.\w])([A-Za-z_]\w*)(?=(\()?)")
IN_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"""|"|[()]|[^"/()]+|/', re.DOTALL)
IN_LITERAL = re.compile(r'"""|"|\\.|[^"\\]+', re.DOTALL)


def code_of(text):
    """The text without comments and literals of text, in the same lines; code in literals stays."""
    out, inside, at = [], [], 0     # inside: literals that are open, by their quote, and code in them, by its open brackets
    while at < len(text):
        in_literal = bool(inside) and isinstance(inside[-1], str)
        match = (IN_LITERAL if in_literal else IN_CODE).match(text, at)
        token, at, keeps = match[0], match.end(), False
        if in_literal:
            if token == inside[-1]:
                inside.pop()
            elif token == "\\(":
                inside.append(1)
        elif token in ('"', '"""'):
            inside.append(token)
        elif token[:2] not in ("//", "/*"):
            keeps = True
            if inside and token in ("(", ")"):
                inside[-1] += 1 if token == "(" else -1
                if not inside[-1]:
                    inside.pop()
        out.append(token if keeps else " " + "\n" * token.count("\n"))
    return "".join(out).replace("...", "   ")       # the dots of a range


def dependencies(files):
    """Of each file, {other file: (line, name)}, the first name of the other's top level that it uses."""
    code = {path: code_of(path.read_text(encoding="utf-8")) for path in files}
    homes = {name: (path, kind) for path in files for kind, name in TOP.findall(code[path])}
    found = {path: {} for path in files}
    for path in files:
        own = {word for pattern in OWN for names in pattern.findall(code[path]) for word in re.split(r"[, ]+", names)}
        for match in WORD.finditer(code[path]):
            name, calls = match.groups()
            home, kind = homes.get(name, (path, None))
            if home == path or name in own or kind == "func" and not calls:
                continue
            found[path].setdefault(home, (code[path].count("\n", 0, match.start()) + 1, name))
    return found


def shortest_circle(start, graph):
    """The files from `start` back to it, without its second mention; None where no way leads back."""
    ways, seen = [[start]], set()
    for way in ways:        # grows
        for there in graph[way[-1]]:
            if there == start:
                return way
            if there not in seen:
                seen.add(there)
                ways.append([*way, there])
    return None


def offences():
    """(file, line, message) of circles, as many as it takes to have named the shortest one of each knot."""
    folders = [path for path in sorted((ROOT / "Sources").iterdir()) if path.is_dir() and not path.is_symlink()]
    for room in folders:
        graph = dependencies(sorted(room.rglob("*.swift")))
        circles = sorted(filter(None, (shortest_circle(path, graph) for path in graph)), key=len)
        named = set()
        for circle in circles:
            if named.isdisjoint(circle):
                named.update(circle)
                steps = [f"{path.name} uses {graph[path][there][1]} of {there.name}" for path, there in zip(circle, circle[1:] + circle[:1])]
                yield circle[0].relative_to(ROOT), graph[circle[0]][(circle[1:] + circle)[0]][0], "a circle of files: " + ", ".join(steps)


def main():
    for page, line, message in offences():
        print(f"{page}:{line}: {message}")


if __name__ == "__main__":
    main()
