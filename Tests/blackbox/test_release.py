"""What `make dist` packs: the same bytes each time, licences of all that is linked in, and a tree that runs on an empty root."""
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from support import BINARY, ROOT

MAP = ROOT / ".build/fedclamp.map"
LICENCES = ROOT / "tools/dist/licences.py"
LIBRARIES = "/usr/lib/x86_64-linux-gnu"


def pack(out, **environment):
    if BINARY != ROOT / "build/fedclamp" or not MAP.exists():
        pytest.skip("needs build/fedclamp and .build/fedclamp.map of make build")
    if not shutil.which("swiftc") or not os.path.isdir("/usr/share/doc/libhdf5-dev"):
        pytest.skip("needs Swift and Debian's libhdf5-dev, whose licences are packed")
    done = subprocess.run([ROOT / "tools/dist/pack.sh", out], capture_output=True, text=True, timeout=120, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    tarball, = out.glob(f"fedclamp-*-linux-{os.uname().machine}.tar.gz")
    return tarball


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def release(tarball, tmp_path_factory):
    """The folder of the unpacked release."""
    place = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(tarball) as tar:
        tar.extractall(place, filter="data")
    folder, = place.iterdir()
    return folder


def test_the_same_bytes_again(tarball, tmp_path):
    """Another time, time zone, language and mask."""
    mask = os.umask(0o077)
    try:
        again = pack(tmp_path, TZ="Asia/Tokyo", LANG="de_DE.UTF-8", LC_ALL="de_DE.UTF-8")
    finally:
        os.umask(mask)
    assert again.name == tarball.name and again.read_bytes() == tarball.read_bytes()
    digest = hashlib.sha256(tarball.read_bytes()).hexdigest()
    assert f"{digest}  {tarball.name}\n" in (tarball.parent / "SHA256SUMS").read_text()


def test_nothing_of_the_machine_is_in_it(tarball, release):
    """Names sorted, no owner, one time; the executable does not know where it was built."""
    with tarfile.open(tarball) as tar:
        members = tar.getmembers()
    names = [member.name.split("/") for member in members]
    assert names == sorted(names) and len(names) > 30
    assert {(m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, "", "")} and len({m.mtime for m in members}) == 1
    assert {m.mode for m in members} <= {0o755, 0o644}
    assert str(ROOT).encode() not in (release / "fedclamp").read_bytes()


def test_what_a_user_needs_is_in_it(release):
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "Containerfile", "fedclamp.def", "data/INSTALL.md", "data/fashion-mnist-fm.h5",
                 "share/man/man1/fedclamp.1", "share/bash-completion/completions/fedclamp", "share/zsh/site-functions/_fedclamp",
                 "share/fish/vendor_completions.d/fedclamp.fish", "tools/slurm/reproduce.sh", "licences/README.md"):
        assert (release / name).stat().st_size > 0, name
    for page in re.findall(r"\]\(([^):#]+)[)#]", (release / "README.md").read_text()):
        assert (release / page).is_file(), f"README.md names {page}"
    said = subprocess.run([release / "fedclamp", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    assert f"fedclamp-{said}-" in release.name


def test_every_licence_is_there(release):
    page = (release / "licences/README.md").read_text()
    for part in ("swift", "swift-argument-parser", "hdf5", "libaec", "zlib", "glibc", "gcc"):
        assert f"({part}.txt)" in page and (release / f"licences/{part}.txt").stat().st_size > 500
    assert "GNU LESSER GENERAL PUBLIC LICENSE" in (release / "licences/common/LGPL-2.1.txt").read_text()
    for text in (release / "licences").glob("*.txt"):
        for name in re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", text.read_text()):
            assert (release / f"licences/common/{name}.txt").is_file(), f"{text.name} refers to {name}"


@pytest.mark.parametrize("linked, code, says", [
    (f"{LIBRARIES}/libc.a(open.o)\n{LIBRARIES}/libcurl.a(easy.o)", 1, "libcurl.a is linked in"),
    (f"{LIBRARIES}/libc.a(open.o)\n /w/.build/release/Crypto.build/Hash.swift.o", 1, "Crypto.build/Hash.swift.o is linked in"),
    ("nothing", 1, "found no libc.a"),
    (None, 2, "No such file")])
def test_an_unknown_part_is_refused(tmp_path, linked, code, says):
    """A library that comes new needs its licence before anything is packed."""
    if linked:
        (tmp_path / "map").write_text(linked + "\n")
    done = subprocess.run([sys.executable, LICENCES, tmp_path / "map", tmp_path / "out"], capture_output=True, text=True, timeout=20)
    assert done.returncode == code and says in done.stderr and not (tmp_path / "out").exists()


def copied(name):
    """[(source, target)] of the Containerfile or the Apptainer definition."""
    text = (ROOT / "tools/container" / name).read_text()
    if name == "Containerfile":
        words = [line.split()[1:] for line in text.splitlines() if line.startswith("COPY ")]
        return [(source, to + source if to.endswith("/") else to) for *sources, to in words for source in sources]
    return [tuple(line.split()) for line in text.split("%files\n")[1].splitlines() if line.startswith("    ")]


def test_both_containers_have_the_same_files():
    assert sorted(copied("Containerfile")) == sorted(copied("fedclamp.def"))


def test_on_an_empty_root(release, tmp_path, data, fm):
    """The tree that the Containerfile makes, and nothing else: a training, and the FM data beside the executable."""
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    for source, target in copied("Containerfile"):
        to = tmp_path / target.lstrip("/")
        to.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (release / source).is_dir() else shutil.copy)(release / source, to)
    (tmp_path / "work/data").mkdir(parents=True)
    shutil.copy(data, tmp_path / "work/data/fashion-mnist.h5")
    shutil.copy(fm, tmp_path / "work/fm.h5")

    def inside(*words):
        enter = "import os, sys; os.chroot(sys.argv[1]); os.chdir('/work'); os.execve('/fedclamp', ['fedclamp', *sys.argv[2:]], {})"
        done = subprocess.run([sys.executable, "-S", "-c", enter, tmp_path, *words], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    inside("run", "--data", "data/fashion-mnist.h5", "--synthetic", "fm.h5", "--clients", "4", "--rounds", "1", "--batch", "8", "--out", "run.h5")
    assert (tmp_path / "work/run.h5").stat().st_size > 1_000_000
    assert "6,000" in inside("inspect", "/data/fashion-mnist-fm.h5")
