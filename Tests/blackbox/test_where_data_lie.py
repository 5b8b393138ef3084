"""Where reproduce finds its data when nobody names them: here, beside the executable, and where a wheel puts them."""
import importlib.util
import pathlib
import shlex
import shutil
import subprocess
import sys
import types

import h5py
import pytest

from support import BINARY, ROOT, listing

PUBLISHED = pathlib.Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture()
def installed(tmp_path):
    """The executable as pip puts it: bin/fedclamp, and nothing else yet."""
    (tmp_path / "env/bin").mkdir(parents=True)
    return pathlib.Path(shutil.copy(BINARY, tmp_path / "env/bin/fedclamp"))


def listed(program, folder, *words, code=0):
    done = subprocess.run([program, "reproduce", "main", "--scale", "smoke", "--list", "--out", "x", *words], cwd=folder, capture_output=True, text=True,
                          timeout=120, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == code, done.stderr
    return done.stderr


def test_fm_images_of_a_wheel(installed, data, fm, tmp_path):
    work = tmp_path / "work"
    (work / "data").mkdir(parents=True)
    shutil.copy(data, work / "data/fashion-mnist.h5")
    assert "withheld training images stand in" in listed(installed, work, code=2)      # of which these data have too few
    share = tmp_path / "env/share/fedclamp"
    share.mkdir(parents=True)
    shutil.copy(fm, share / "fashion-mnist-fm.h5")
    assert listed(installed, work) == ""
    (work / "data/fashion-mnist-fm.h5").write_text("not one")      # what lies here comes first
    assert "data/fashion-mnist-fm.h5" in listed(installed, work, code=2)


def test_fm_images_of_fashion_mnist_that_lies_elsewhere(installed, data, fm, tmp_path):
    """It was told "no data/fashion-mnist-fm.h5", which was there. Other data get other images, also under its name."""
    share, work, mine = tmp_path / "env/share/fedclamp", tmp_path / "work", tmp_path / "mine.h5"
    share.mkdir(parents=True)
    work.mkdir()
    shutil.copy(fm, share / "fashion-mnist-fm.h5")
    for name, says in (("fashion-mnist", None), ("mine", "no FM data given: 1,000 withheld training images stand in")):
        shutil.copy(data, mine)
        with h5py.File(mine, "r+") as file:
            file.attrs["name"] = name
        text = listed(installed, work, "--data", str(mine), code=2 if says else 0)
        assert says in text if says else text == ""
    with h5py.File(mine, "r+") as file:
        file.attrs["name"] = "fashion-mnist"
        for split in ("train", "test"):
            images = file[f"{split}/images"][()].repeat(3, axis=1)
            del file[f"{split}/images"]
            file[f"{split}/images"] = images
        file.attrs.pop("digest", None)
    assert "no FM data given: 1,000 withheld training images stand in" in listed(installed, work, "--data", str(mine), code=2)


def test_the_command_for_missing_data_can_be_copied(installed, tmp_path):
    """As it stands, in an empty folder."""
    work = tmp_path / "work"
    work.mkdir()
    text = listed(installed, work, code=2)
    command = text.split("make it with: ")[1].split(" (Debian")[0]
    assert command.startswith("mkdir data && fedclamp import") and not listing(work)
    if not PUBLISHED.is_dir():
        pytest.skip("the published files are not here: make deps installs them")
    first, second = command.split(" && ")
    subprocess.run(shlex.split(first), cwd=work, check=True)
    subprocess.run([installed, *shlex.split(second)[1:]], cwd=work, check=True, capture_output=True)
    assert "stand in" in listed(installed, work)
    (work / "data/fashion-mnist.h5").unlink()
    assert "with: fedclamp import" in listed(installed, work, code=2)


def test_a_wheel_has_them_where_they_are_looked_for(monkeypatch, tmp_path):
    """The hook that `make wheel` runs, without the library that calls it."""
    names = ["hatchling", "hatchling.builders", "hatchling.builders.hooks", "hatchling.builders.hooks.plugin", "hatchling.builders.hooks.plugin.interface"]
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[names[-1]].BuildHookInterface = object
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "tools/python/hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "README.md").write_text("licences")
    for name, value in {"BINARY": BINARY, "MACHINE": "x86_64", "LICENCES": tmp_path}.items():
        monkeypatch.setenv(f"FEDCLAMP_{name}", str(value))
    hook, built = module.CarriesTheExecutable(), {"force_include": {}}
    hook.root = str(ROOT / "tools/python")
    hook.initialize("0.1.0", built)
    (source, target), = built["shared_data"].items()
    assert pathlib.Path(source).samefile(ROOT / "data/fashion-mnist-fm.h5") and target == "share/fedclamp/fashion-mnist-fm.h5"
