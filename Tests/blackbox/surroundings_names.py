"""Names of files and folders that are not UTF-8, very long, or full of characters that mean something elsewhere."""

import errno
import os

import h5py

from support import contents, differing
from surroundings import cell


def named(name, shown=None, folder=False):
    """A file (or folder that holds it) of this name, bytes: written, replaced, read, named in messages."""

    @cell("names of files", f"{'working folder' if folder else 'output'} {ascii(name)[1:][:40]}")
    def run(place):
        inside = os.fsencode(place.folder)
        if folder:
            os.mkdir(inside + b"/" + name)
            inside, out = inside + b"/" + name, b"out.h5"
        else:
            out = b"./" + name
        command = place.importing(out=out)
        place.run(*command, cwd=inside)
        place.run(*command, "--overwrite", cwd=inside)  # twice: what exists is looked up by another way
        place.run("inspect", out, cwd=inside, says=[*(shown or []), "30 images of 1x28x28"])
        place.run(*command, cwd=inside, code=2, says="exists already")
        left = [n for n in os.listdir(inside) if b".partial-" in n or n.endswith(b".lock")]
        assert not left and os.path.basename(out) in os.listdir(inside)


named(b"caf\xe9.h5", ["caf\\xE9.h5"])
named(b"\xe9", ["\\xE9"])
named(b"\xff\xfe.h5", ["\\xFF\\xFE.h5"])
named(b"half \xe2\x82.h5", ["half \\xE2\\x82.h5"])
named("private \U0010ffe9.h5".encode())
named("日本 ü.h5".encode(), ["日本 ü.h5"])
named("\u0301combining.h5".encode())
named("u\u0308.h5".encode())
named(b"two\nlines.h5")
named(b"tab\tand \x1b[31mcolour.h5")
named(b" spaces .h5 ")
named(b"-dash.h5")
named(b"#1=100%$HOME;'\"\\*?.h5")
named(b"holdout:5")
named(b"x" * 252 + b".h5")
named(b"\xe9" * 235)
named(b"folder \xe9", folder=True)
named("größer".encode(), folder=True)
named("\u0301".encode(), folder=True)
named(b"line\nbreak", folder=True)


@cell("names of files", "a run that is saved, replaced and resumed in a folder that is not UTF-8")
def resumed(place):
    inside = os.fsencode(place.folder) + b"/folder \xe9"
    os.mkdir(inside)
    for more in ([], ["--overwrite"], ["--resume"]):
        place.run(*place.training(*more, out=b"o\xe9.h5"), cwd=inside)
    with open(inside + b"/o\xe9.h5", "rb") as file:
        place.out.write_bytes(file.read())
    assert not differing(contents(place.out), place.reference) and os.listdir(inside) == [b"o\xe9.h5"]


@cell("names of files", "data, FM data and a configuration that are not UTF-8")
def inputs(place):
    folder = os.fsencode(place.folder)
    for source, name in ((place.data, b"d\xe9.h5"), (place.fm, b"f\xe9.h5")):
        with open(source, "rb") as old, open(folder + b"/" + name, "wb") as new:
            new.write(old.read())
    with open(folder + b"/c\xe9.conf", "wb") as file:
        file.write(b"rounds = 1\nclients = 2\nmalicious = 0\nbatch = 8\ninitial-epochs = 0\nfusion-epochs = 0\n")
    place.run(
        "run",
        "--config",
        b"c\xe9.conf",
        "--data",
        b"d\xe9.h5",
        "--synthetic",
        b"f\xe9.h5",
        b"--out=" + os.fsencode(place.out),
    )
    assert not differing(contents(place.out), place.reference)
    place.run(
        *place.training("--config", b"n\xe9.conf"), "--overwrite", code=2, says="n\\xE9.conf: cannot open: No such file"
    )
    place.run("inspect", b"none\xe9.h5", code=2, says="none\\xE9.h5: cannot open: No such file")
    place.run("inspect", place.out, "--json", says="\\\\xE9.h5")


@cell("names of files", "a folder of originals that is not UTF-8")
def originals(place):
    os.symlink(place.idx, os.fsencode(place.folder) + b"/idx\xe9")
    place.run("import", "mnist", "--from", b"idx\xe9", "--out", "out.h5")
    place.run("import", "mnist", "--from", b"none\xe9", "--out", "other.h5", code=2, says="none\\xE9")


@cell("names of files", "a folder of results that is not UTF-8")
def results(place):
    (place.folder / "part").mkdir()
    place.setting(place.folder / "part")
    for _ in range(2):
        place.run("merge", "part", "--out", b"all\xe9/d\xe9", code=1, says="missing")
    assert b"results.h5" in os.listdir(os.fsencode(place.folder) + b"/all\xe9/d\xe9")


@cell("names of files", "objects of a file whose names are not UTF-8")
def objects(place):
    with h5py.File(place.folder / "odd.h5", "w") as file:
        group = h5py.h5g.create(file.id, b"gr\xfc\xdfe")
        h5py.h5d.create(group, b"\xe9", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((3,)))
        h5py.h5a.create(file.id, b"n\xe4me", h5py.h5t.STD_U8LE, h5py.h5s.create_simple((3,)))
    place.run("inspect", "odd.h5", says="/gr\\xFC\\xDFe/\\xE9")


def refused(name, out, says, code=2):
    @cell("names of files", name)
    def run(place):
        """Before the work: nothing is trained, nothing written."""
        target = out(place) if callable(out) else out
        before = sorted(os.listdir(place.folder))
        place.run(*place.training(out=target), code=code, says=says, silent="image passes")
        assert sorted(os.listdir(place.folder)) == before


def deep(place):
    """A path so long that the file's fits and its temporary file's does not."""
    parts = "/".join(["d" * 200] * 20)
    path = place.folder
    descriptor = os.open(path, os.O_RDONLY)
    for part in parts.split("/"):
        os.mkdir(part, dir_fd=descriptor)
        inner = os.open(part, os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = inner
    os.close(descriptor)
    return parts + "/" + "x" * (4094 - len(parts) - 1)


refused("a name of 256 bytes", "x" * 256, "File name too long")
refused("a name of 5000 bytes", "x" * 5000, "File name too long")
refused("a path at the limit", deep, "File name too long")
refused(
    "a loop of links", lambda p: (os.symlink("loop", p.folder / "loop"), "loop")[1], "Too many levels of symbolic links"
)
refused("a folder", lambda p: (os.mkdir(p.folder / "there"), "there")[1], "got a folder")
refused("the empty name", "", "got an empty one")
refused("a file as a folder", lambda p: f"{p.data}/x.h5", "Not a directory")
refused("a folder that is not there", "none/x.h5", "No such file or directory")
refused("a device", "/dev/null", "a device or pipe")


@cell("names of files", "names at the limit beside each other")
def beside(place):
    """Long names that begin alike have locks and temporary files of their own."""
    names = ["y" * 250 + f"{k}.h5" for k in range(2)]
    first = place.folder / names[0]
    for name in names:
        place.run(*place.importing(out=name))
    assert first.read_bytes() == (place.folder / names[1]).read_bytes()
    place.run(*place.importing(out="y" * 251 + "ä.h5"), code=2, says=os.strerror(errno.ENAMETOOLONG))
