"""Every cell of the matrix of surroundings (surroundings_*.py)."""

import pathlib

import pytest

import surroundings_files  # noqa: F401, they register their cells
import surroundings_hdf5  # noqa: F401
import surroundings_names  # noqa: F401
import surroundings_places  # noqa: F401
import surroundings_system  # noqa: F401
from conftest import write_dataset, write_fm
from support import contents, fedclamp
from surroundings import KINDS, LIMIT, Place, build_launcher, table
from test_import import write_idx

CELLS = [(kind, name) for kind in KINDS for name in KINDS[kind]]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Small good files that any user may read, the launcher, and what a training gives in good surroundings."""
    folder = tmp_path_factory.mktemp("good")
    write_dataset(folder / "data.h5", train=20, test=10)
    write_fm(folder / "fm.h5", count=12)
    write_idx(folder / "idx")
    place = Place(folder, folder, build_launcher(folder), None)
    fedclamp(*place.training(out=folder / "reference.h5"))
    for path in folder.rglob("*"):
        path.chmod(0o755)
    for path in [folder, *list(folder.parents)[:2]]:  # pytest's folders are for their owner alone
        path.chmod(0o755)
    return folder, place.launcher, contents(folder / "reference.h5")


@pytest.mark.parametrize("kind, name", CELLS, ids=[f"{kind}: {name}" for kind, name in CELLS])
def test_cell(kind, name, good, tmp_path):
    KINDS[kind][name](Place(tmp_path, *good))


def test_matrix_is_in_the_readme():
    """At least 120 cells, and the counts of Tests/README.md are those of the matrix."""
    text = (pathlib.Path(__file__).resolve().parents[1] / "README.md").read_text()
    assert len(CELLS) >= 120
    assert [row for row in table() if row not in text] == []
    assert f"{LIMIT} s" in text
