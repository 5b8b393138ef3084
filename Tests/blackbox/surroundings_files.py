"""Text files as editors on other systems save them, and original files as other tools pack them."""

import gzip
import os
import pathlib
import shutil
import subprocess

import h5py
import pytest

from surroundings import cell
from support import ROOT

# --- configurations ---------------------------------------------------------------------------------------------------

OPTIONS = b"# three rounds\nrounds = 3\nclients = 4\nmalicious = 1\nbatch = 8\nattack = classic\npoison-fraction = 0.25\ninitial-epochs = 0\n"


def config_run(place, text, **checks):
    (place.folder / "run.conf").write_bytes(text)
    return place.run(
        "run",
        "--config",
        "run.conf",
        "--data",
        place.data,
        "--synthetic",
        place.fm,
        "--fusion-epochs",
        0,
        "--out",
        place.out,
        **checks,
    )


def good_config(name, change):
    @cell("text files from other editors", f"--config: {name}")
    def run(place):
        """The result is of what the file says."""
        config_run(place, change(OPTIONS), says=["4 clients", "3 rounds", "classic attack"])
        with h5py.File(place.out) as file:
            recorded = file["config"].attrs
            assert (
                len(file["history/round"]) == 3
                and str(recorded["attack"]) == "classic"
                and float(recorded["poison-fraction"]) == 0.25
            )


def bad_config(name, text, says):
    @cell("text files from other editors", f"--config: {name}")
    def run(place):
        config_run(place, text, code=2, says=["run.conf", *says])
        assert not place.out.exists()


MARK = b"\xef\xbb\xbf"
good_config("LF", lambda t: t)
good_config("CRLF, a comment first", lambda t: t.replace(b"\n", b"\r\n"))
good_config("CRLF without comments", lambda t: t.split(b"\n", 1)[1].replace(b"\n", b"\r\n"))
good_config("CR alone", lambda t: t.replace(b"\n", b"\r"))
good_config("byte order mark", lambda t: MARK + t)
good_config("byte order mark and CRLF", lambda t: MARK + t.replace(b"\n", b"\r\n"))
good_config("byte order mark before an option", lambda t: MARK + t.split(b"\n", 1)[1])
good_config("LF and CRLF in one file", lambda t: t.replace(b"\n", b"\r\n", 3))
good_config("no end of the last line", lambda t: t.rstrip(b"\n"))
good_config("white space around everything", lambda t: t.replace(b" = ", b"\t =\xc2\xa0 ").replace(b"\n", b"  \t\n"))
good_config("empty lines, a form feed", lambda t: t.replace(b"\n", b"\n\n\x0c\n"))
good_config("comments behind values", lambda t: t.replace(b"= 4\n", b"= 4 # four\n").replace(b"= 8\n", b"= 8\t#\n"))
good_config("comments in other scripts", lambda t: t + "# Runden: größer, 回合\n".encode())
good_config("Ctrl-Z at the end is a comment's", lambda t: t + b"# \x1a\n")
good_config("Ctrl-Z at the end, as DOS puts it", lambda t: t.replace(b"\n", b"\r\n") + b"\x1a")
bad_config("UTF-16, little endian", OPTIONS.decode().encode("utf-16"), ["line 1", "UTF-16"])
bad_config("UTF-16, big endian", b"\xfe\xff" + OPTIONS.decode().encode("utf-16-be"), ["UTF-16"])
bad_config("UTF-16 without a mark", OPTIONS.decode().encode("utf-16-le"), ["line 1", "a zero byte"])
bad_config("Latin-1 in a comment", OPTIONS + b"# gr\xf6\xdfer\n", ["line 9", "UTF-8", "\\xF6"])
bad_config("Latin-1 in a value, CRLF", b"rounds = 1\r\nattack = n\xf6ne\r\n", ["line 2", "\\xF6"])
bad_config("UTF-8 cut short", OPTIONS + b"# \xe2\x82", ["line 9"])
bad_config("overlong UTF-8", b"seed = 1\rrounds\xc0\xaf = 1\r", ["line 2"])
bad_config("a zero byte", b"rounds = 1\nseed = 1\0\n", ["line 2", "a zero byte"])
bad_config("an unknown key behind CR", b"# c\rrouns = 1\r", ["run.conf:2", "rounds"])
bad_config("YAML", b"rounds: 3\n", ["run.conf:1", "name = value"])
bad_config("JSON in one line", b'{"rounds": 3}\n', ["run.conf:1"])
bad_config("more than 64 KiB", b"# x\n" * 20_000, ["64 KiB"])


@cell("text files from other editors", "--config: # within a value")
def sharp(place):
    (place.folder / "r").mkdir()
    (place.folder / "run.conf").write_bytes(OPTIONS + b"out = r/exp#1.h5\n")
    place.run("run", "--config", "run.conf", "--data", place.data, "--synthetic", place.fm, "--fusion-epochs", 0)
    assert [p.name for p in (place.folder / "r").iterdir()] == ["exp#1.h5"]


@cell("text files from other editors", "--config: through a pipe")
def pipe(place):
    place.run(
        "run",
        "--config",
        "/dev/stdin",
        "--data",
        place.data,
        "--synthetic",
        place.fm,
        "--fusion-epochs",
        0,
        "--out",
        place.out,
        stdin=subprocess.Popen(["printf", OPTIONS.decode().replace("\n", "\\r\\n")], stdout=subprocess.PIPE).stdout,
        says="3 rounds",
    )


@cell("text files from other editors", "--config: a folder")
def config_folder(place):
    (place.folder / "run.conf").mkdir()
    place.run(*place.training("--config", "run.conf"), code=2, says=["run.conf", "Is a directory"])


@cell("text files from other editors", "--config: an endless device")
def endless(place):
    place.run(*place.training("--config", "/dev/zero"), code=2, says=["/dev/zero", "64 KiB"])


@cell("text files from other editors", "--config: twice")
def twice(place):
    """One of them would go unheard."""
    place.run(*place.training("--config", "a", "--config", "b"), code=64, says=["--config", "once"])


# --- settings, floors, a paper's figures ------------------------------------------------------------------------------


def setting(name, change, code, says):
    @cell("text files from other editors", f"setting.txt: {name}")
    def run(place):
        part, joined = place.folder / "part", place.folder / "all"
        part.mkdir()
        place.setting(part, change)
        place.run("merge", part, "--out", joined, code=code, says=says)
        if code == 1:
            text = (joined / "setting.txt").read_bytes()
            assert b"seeds = 7\n" in text and b"tables = main\n" in text and b"\r" not in text and MARK not in text


setting("LF", lambda t: t, 1, ["missing"])
setting("CRLF", lambda t: t.replace(b"\n", b"\r\n"), 1, ["missing"])
setting("CR", lambda t: t.replace(b"\n", b"\r"), 1, ["missing"])
setting("byte order mark, CRLF, empty lines", lambda t: MARK + t.replace(b"\n", b"\r\n\r\n"), 1, ["missing"])
setting("Latin-1", lambda t: t.replace(b"tiny", b"t\xefny"), 2, ["setting.txt", "line 3", "\\xEF"])
setting("UTF-16", lambda t: t.decode().encode("utf-16"), 2, ["setting.txt", "UTF-16"])
setting("# in a name", lambda t: t.replace(b"fm.h5", b"fm #2.h5"), 1, ["missing"])


def paper(name, change, code, says):
    @cell("text files from other editors", f"paper.csv: {name}")
    def run(place):
        part = place.folder / "part"
        part.mkdir()
        place.setting(part)
        (part / "paper.csv").write_bytes(
            change(b"table,row,column,acc,asr\nmain,none,fm,0.875,0.625\nmain,bounds,fm,,0.0625\n")
        )
        place.run("merge", part, "--out", part, code=code, says=says)
        if code == 1:
            report = (part / "report.html").read_text()
            assert "0.875" in report or "87.5" in report, "the paper's figure stands in the report"


paper("LF", lambda t: t, 1, ["missing"])
paper("CRLF", lambda t: t.replace(b"\n", b"\r\n"), 1, ["missing"])
paper("CR", lambda t: t.replace(b"\n", b"\r"), 1, ["missing"])
paper("byte order mark and CRLF, as spreadsheets save it", lambda t: MARK + t.replace(b"\n", b"\r\n"), 1, ["missing"])
paper("quoted fields", lambda t: t.replace(b"main,none", b'"main","none"'), 1, ["missing"])
paper("semicolons", lambda t: t.replace(b",", b";"), 2, ["paper.csv", "expected a first line"])
paper("Latin-1", lambda t: t + b"main,gr\xfc\xdfe,fm,1,1\n", 2, ["paper.csv", "line 4", "\\xFC"])


# --- originals --------------------------------------------------------------------------------------------------------


def packed(name, pack, code=0, says=()):
    @cell("gzip as other tools write it", name)
    def run(place):
        shutil.copytree(place.idx, place.folder / "idx")
        for path in (place.folder / "idx").iterdir():
            path.write_bytes(pack(gzip.decompress(path.read_bytes())))
        place.run("import", "mnist", "--from", "idx", "--out", place.out, code=code, says=says)
        if code == 0:
            place.run(*place.importing(out="plain.h5"))
            assert place.out.read_bytes() == (place.folder / "plain.h5").read_bytes()


def members(data, size):
    return b"".join(gzip.compress(data[k : k + size]) for k in range(0, len(data), size))


packed("two members", lambda d: members(d, len(d) // 2 + 1))
packed("members of 1000 bytes", lambda d: members(d, 1000))
packed("the header in two members", lambda d: gzip.compress(d[:5]) + gzip.compress(d[5:]))
packed(
    "empty members between and behind",
    lambda d: gzip.compress(b"")
    + gzip.compress(d[:20])
    + gzip.compress(b"")
    + gzip.compress(d[20:])
    + gzip.compress(b""),
)
packed("zeros behind the end", lambda d: gzip.compress(d) + bytes(512))
packed("other bytes behind the end", lambda d: gzip.compress(d) + b"and more", 2, ["8 other bytes behind its end"])
packed(
    "the second member cut short",
    lambda d: gzip.compress(d[:300]) + gzip.compress(d[300:])[:-9],
    2,
    ["download it again"],
)
packed(
    "a damaged check sum in the second member",
    lambda d: gzip.compress(d[:9]) + gzip.compress(d[9:])[:-8] + bytes(8),
    2,
    ["zlib error"],
)
packed("more than the header says in a second member", lambda d: gzip.compress(d) + gzip.compress(b"x"), 2, ["more"])
packed("not packed", lambda d: d)


@cell("published names", "any files with MNIST's names")
def not_mnist(place):
    place.run(*place.importing(), says=["idx-images", "not known to be the published one of mnist"])
    with h5py.File(place.out) as file:
        assert file.attrs["name"] == "idx-images" and file.attrs["source"] == "IDX images, source unknown"


@cell("published names", "any files with Fashion-MNIST's names")
def not_fashion(place):
    place.run("import", "fashion-mnist", "--from", place.idx, "--out", place.out, says="idx-images")
    with h5py.File(place.out) as file:
        assert file.attrs["name"] == "idx-images" and "source unknown" in file.attrs["source"]


FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")


@cell("published names", "Fashion-MNIST, unpacked and packed")
def fashion(place):
    if not FASHION.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    (place.folder / "mixed").mkdir()
    for path in FASHION.glob("*.gz"):
        data = gzip.decompress(path.read_bytes())
        if "labels" in path.name:
            (place.folder / "mixed" / path.stem).write_bytes(data)
        else:
            shutil.copy(path, place.folder / "mixed")
    place.run(
        "import", "fashion-mnist", "--from", "mixed", "--out", place.out, says="fashion-mnist,", silent="not known"
    )
    with h5py.File(place.out) as file:
        assert file.attrs["name"] == "fashion-mnist" and "Xiao" in file.attrs["source"]


@cell("published names", "Fashion-MNIST with MNIST's command")
def confused(place):
    if not FASHION.is_dir():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    place.run("import", "mnist", "--from", FASHION, "--out", place.out, says="idx-images")
    with h5py.File(place.out) as file:
        assert "LeCun" not in file.attrs["source"]


@cell("published names", "any files with CIFAR-10's names")
def not_cifar(place):
    (place.folder / "bin").mkdir()
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        (place.folder / f"bin/{name}.bin").write_bytes(bytes(3073 * 3))
    place.run("import", "cifar-10", "--from", "bin", "--out", place.out, says="cifar-10-records")
    with h5py.File(place.out) as file:
        assert file.attrs["name"] == "cifar-10-records" and "source unknown" in file.attrs["source"]


# --- Slurm ------------------------------------------------------------------------------------------------------------


def slurm(name, answer, expected, code=0):
    @cell("sbatch of several clusters", name)
    def run(place):
        """With commands of Slurm's names that write down what they are given."""
        tools, log = place.folder / "bin", place.folder / "calls"
        tools.mkdir()
        (tools / "sbatch").write_text(
            f'#!/bin/sh\nfor a; do case $a in --wrap) break;; esac; echo "$a" >> {log}; done\necho "{answer}"\n'
        )
        (tools / "squeue").write_text("#!/bin/sh\n")
        for tool in tools.iterdir():
            tool.chmod(0o755)
        done = subprocess.run(
            ["bash", ROOT / "tools/slurm/reproduce.sh", "3", place.folder / "results", "main"],
            capture_output=True,
            text=True,
            timeout=20,
            env={"PATH": f"{tools}:{os.environ['PATH']}", "FEDCLAMP": "true"},
        )
        assert done.returncode == code, done.stderr
        if code:
            assert "expected the number of a job" in done.stderr and log.read_text().count("--job-name") == 1
            return
        calls = log.read_text().splitlines()
        assert "--dependency=afterany:4711" in calls
        assert [c for c in calls if c.startswith("--clusters")] == expected


slurm("id;cluster", "4711;north", ["--clusters=north"])
slurm("id alone", "4711", [])
slurm("notes of the site around it", "sbatch: account x, 12 hours left\n4711;north\nsee https://site", ["--clusters=north"])
slurm("no id", "sbatch: see 12", [], code=2)
