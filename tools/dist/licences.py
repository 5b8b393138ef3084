#!/usr/bin/env python3
"""The licences of all that an executable contains: licences.py LINK-MAP FOLDER [--machine x86_64].

The link's map (`make build` leaves .build/fedclamp.map) names every archive and object that went in. Each must belong to a part
below, which says where its text is on this machine; FOLDER gets the texts and a list. Debian's texts refer to common licences:
these are copied, too. --machine: another machine's executable; the list then has no versions, since those of its libraries are
not those of this machine. Exit codes: 0 done, 1 something is linked in that no part knows, 2 a text is missing.
"""
import argparse
import pathlib
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = re.compile(r"(/[^\s():]+\.(?:a|o))(?=[\s():]|$)", re.MULTILINE)
COMMON = re.compile(r"/usr/share/common-licenses/([\w.+-]*\w)")
OWN = re.compile(r"/(\w+)\.build/[^/]+\.o$")        # an object of a module: of ours, or of a package that we depend on


def swift_licence(found: list[str]) -> str:
    path = pathlib.Path(shutil.which("swiftc") or "").resolve().parents[1] / "share/swift/LICENSE.txt"
    return path.read_text(encoding="utf-8")


def uuid_licence(found: list[str]) -> str:
    """The comment at the beginning of the header beside the library."""
    header = pathlib.Path(shutil.which("swiftc") or "").resolve().parents[1] / "lib/swift_static/_FoundationCShims/uuid.h"
    comment = header.read_text(encoding="utf-8").split("*/")[0]
    return "\n".join(line.removeprefix("/*").removeprefix(" *").removeprefix(" ") for line in comment.splitlines()).strip() + "\n"


def parser_licence(found: list[str]) -> str:
    return (ROOT / ".build/checkouts/swift-argument-parser/LICENSE.txt").read_text(encoding="utf-8")


def debian(package: str) -> Callable[[list[str]], str]:
    return lambda found: pathlib.Path(f"/usr/share/doc/{package}/copyright").read_text(encoding="utf-8")


def gcc_version(found: list[str]) -> str:
    return re.search(r"/(\d+)/[^/]+$", found[0])[1]


def gcc_licence(found: list[str]) -> str:
    """Of that version; of another where only a cross-build has it."""
    here = sorted(pathlib.Path("/usr/share/doc").glob("libgcc-*-dev/copyright"))
    exact = pathlib.Path(f"/usr/share/doc/libgcc-{gcc_version(found)}-dev/copyright")
    return (exact if exact.exists() or not here else here[-1]).read_text(encoding="utf-8")


@dataclass
class Part:
    name: str
    what: str
    files: str  # a pattern of paths in the map
    text: Callable[[list[str]], str]
    package: str = ""  # Debian's, for the version


PARTS = [
    Part("swift", "Swift: runtime, standard library, FoundationEssentials, libdispatch",
         r"/swift_static/\w+/(\w+/)?(lib(swift|_?Foundation|dispatch|BlocksRuntime)\w*\.a|swiftrt\.o)$", swift_licence),
    Part("swift-foundation-uuid", "uuid.c in Swift's FoundationEssentials", r"/lib_FoundationCShims\.a$", uuid_licence),
    Part("swift-argument-parser", "Swift Argument Parser", r"/ArgumentParser(ToolInfo)?\.build/", parser_licence),
    Part("hdf5", "HDF5", r"/libhdf5(_serial)?\.a$", debian("libhdf5-dev"), "libhdf5-dev"),
    Part("libaec", "libaec, with its libsz", r"/lib(aec|sz)\.a$", debian("libaec-dev"), "libaec-dev"),
    Part("zlib", "zlib", r"/libz\.a$", debian("zlib1g-dev"), "zlib1g-dev"),
    Part("glibc", "GNU C Library (LGPL-2.1)", r"/(lib(c|c_nonshared|m|m-[\d.]+|mvec|pthread|dl|util|rt)\.a|crt[1in]\.o|[gr]?crt1\.o)$",
         debian("libc6-dev"), "libc6-dev"),
    Part("gcc", "GCC: libstdc++, libgcc (GPL-3 with the runtime library exception)",
         r"/gcc(-cross)?/[^/]+/\d+/(lib(gcc|gcc_eh|stdc\+\+|supc\+\+)\.a|crt(begin|end)[ST]?\.o)$",
         gcc_licence, "libgcc-*-dev"),
]
RELINK = """
FedClamp's own licence is [fedclamp.txt](fedclamp.txt). glibc is under the LGPL: with FedClamp's sources anyone may link the executable
again with another version of it (`make build`).
"""


def linked(text: str) -> list[str]:
    """Paths of archives and objects in a map of GNU ld, gold or lld, our own modules left out."""
    modules = {path.name for path in (ROOT / "Sources").iterdir()} | {"KernelsBaseline"}
    own = {path for path in set(FILES.findall(text)) if (match := OWN.search(path)) and match[1] in modules}
    return sorted(set(FILES.findall(text)) - own)


def version(part: Part, found: list[str]) -> str:
    if part.name == "swift":
        said = subprocess.run(["swiftc", "--version"], capture_output=True, text=True, check=True)
        return re.search(r"Swift version (\S+)", said.stdout + said.stderr)[1]
    if part.name == "swift-argument-parser":
        state = (ROOT / ".build/workspace-state.json").read_text(encoding="utf-8")
        return re.search(r'"version"\s*:\s*"(\d+\.\d+[^"]*)"', state)[1]
    if not part.package:
        return ""
    package = part.package.replace("*", gcc_version(found) if "*" in part.package else "")
    return subprocess.run(["dpkg-query", "--show", "--showformat=${Version}", package], capture_output=True, text=True).stdout


def write(folder: pathlib.Path, found: dict[str, list[str]], is_native: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copyfile(ROOT / "LICENSE", folder / "fedclamp.txt")
    rows, common = [], set()
    for part in PARTS:
        if not found[part.name]:
            continue
        text = part.text(found[part.name])
        (folder / f"{part.name}.txt").write_text(text, encoding="utf-8")
        common |= set(COMMON.findall(text))
        libraries = sorted({pathlib.Path(path).name for path in found[part.name] if path.endswith(".a")})
        rows.append(f"| {part.what} | {version(part, found[part.name]) if is_native else ''} | {' '.join(libraries)} | [text]({part.name}.txt) |")
    for name in sorted(common):
        (folder / "common").mkdir(exist_ok=True)
        shutil.copyfile(f"/usr/share/common-licenses/{name}", folder / "common" / f"{name}.txt")
    head = ["# What is in the executable besides FedClamp", "", "| what | version | linked in from | licence |", "|---|---|---|---|"]
    tail = ["", "`common` has the licences that these texts refer to as /usr/share/common-licenses."] if common else []
    (folder / "README.md").write_text("\n".join(head + rows + tail) + "\n" + RELINK, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=pathlib.Path)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--machine", default=platform.machine())
    a = parser.parse_args()
    try:
        paths = linked(a.map.read_text(encoding="utf-8", errors="replace"))
        found = {part.name: [path for path in paths if re.search(part.files, path)] for part in PARTS}
        unknown = [path for path in paths if not any(path in group for group in found.values())]
        if unknown or not found["glibc"]:
            for path in unknown:
                print(f"licences.py: {path} is linked in, and no part in tools/dist/licences.py knows it: add one with its licence", file=sys.stderr)
            if not unknown:
                print(f"licences.py: {a.map}: expected the map of a static link, found no libc.a in it", file=sys.stderr)
            return 1
        write(a.folder, found, a.machine == platform.machine())
    except OSError as error:
        print(f"licences.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
