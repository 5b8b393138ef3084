"""`fedclamp compare`, and `inspect` of every file that the program writes."""
import json
import re
import shutil

import h5py
import numpy as np
import pytest

from support import fedclamp, refused


@pytest.fixture(scope="module")
def fm_run(tmp_path_factory, tiny):
    """Of the data of clean_run, bounds fitted after the last round."""
    path = tmp_path_factory.mktemp("compare") / "fm.h5"
    fedclamp("run", *tiny, "--attack", "fm", "--defense", "bounds", "--out", path)
    return path


@pytest.fixture(scope="module")
def third(files, tiny):
    """Another seed and another rule, a round more, and clients' own models."""
    path = files / "third.h5"
    fedclamp("run", *tiny, "--attack", "fm", "--defense", "norm-clip", "--defense", "clp", "--rounds", 3, "--seed", 7, "--evaluate-clients", "--out", path)
    return path


def test_what_differs_and_what_was_measured(clean_run, fm_run, third):
    shown = json.loads(fedclamp("compare", clean_run, fm_run, third, "--json").stdout)
    assert shown["differences"] == {"attack": ["none", "fm", "fm"], "defense": ["none", "bounds", "norm-clip clp"], "rounds": [2, 2, 3],
                                    "evaluate-clients": [False, False, True], "seed": [1, 1, 7]}
    assert [run["name"] for run in shown["runs"]] == ["clean", "fm", "third"]
    for run, path in zip(shown["runs"], (clean_run, fm_run, third)):
        with h5py.File(path) as file:
            assert run["models"]["global model"] == {"accuracy": file["history/acc"][-1], "attack_success_rate": file["history/asr"][-1]}
            assert [row["accuracy"] for row in run["history"]][1:] == list(file["history/acc"][()])
            for name in file.get("defended", ()):
                assert run["models"][name]["attack_success_rate"] == file[f"defended/{name}/asr"][()]
    assert "clients' own models" in shown["runs"][2]["models"] and "clients' own models, clp" in shown["runs"][2]["models"]
    assert shown["remarks"] == ["the runs have different numbers of rounds: clean 2, fm 2, third 3"]
    text = fedclamp("compare", clean_run, fm_run, third).stdout
    assert re.search(r"^  attack +none +fm +fm$", text, re.M) and re.search(r"^  global model +[01]\.\d{4} +[01]\.\d{4} ", text, re.M)
    assert re.search(r"^  bounds +- +- +[01]\.\d{4}", text, re.M) and "note: the runs have" in text


def test_page(tmp_path, clean_run, fm_run, third):
    """Self-contained; each run's curve in both figures and by itself."""
    page = tmp_path / "page.html"
    fedclamp("compare", clean_run, fm_run, third, "--report", page)
    html = page.read_text()
    assert "<script" not in html and "url(" not in html and not re.search(r'(src|href)="(?!#|data:)', html) and 'name="viewport"' in html
    for figure in ("ACC over the rounds", "ASR over the rounds"):
        svg = re.search(rf"<title>{figure}</title>.*?</svg>", html, re.S)[0]
        lines = re.findall(r'<polyline points="([^"]+)"', svg)
        assert [len(line.split()) for line in lines] == [3, 3, 4], "the initialised model and every round"
    assert html.count("by itself</title>") == 3 and "<td class=\"group\">norm-clip clp</td>" in html
    refused("compare", clean_run, fm_run, "--report", page, says="exists already", folder=tmp_path)
    fedclamp("compare", clean_run, fm_run, "--report", page, "--overwrite")
    assert "third" not in page.read_text()
    refused("compare", clean_run, fm_run, "--report", fm_run, "--overwrite", says="input file")
    refused("compare", clean_run, fm_run, "--report", tmp_path / "no/page.html", says="no/page.html", folder=tmp_path)


def test_alike_and_elsewhere(tmp_path, clean_run, colour):
    """A copy of the data under another name is the same data; another data set is said to be one; equal names of files get their folders."""
    (tmp_path / "copy").mkdir()
    shutil.copy(clean_run, tmp_path / "copy/clean.h5")
    with h5py.File(tmp_path / "copy/clean.h5", "r+") as file:
        values = json.loads(file["config/json"][()])
        values["data"] = "/elsewhere/tiny.h5"
        del file["config/json"]
        file["config/json"] = np.bytes_(json.dumps(values))
    done = fedclamp("compare", clean_run, tmp_path / "copy/clean.h5")
    assert "all 2 runs have the same options" in done.stdout and f"{tmp_path}/copy/clean.h5" in done.stdout
    fedclamp("run", "--data", colour[0], "--synthetic", colour[1], "--clients", 4, "--rounds", 1, "--batch", 8, "--out", tmp_path / "colour.h5")
    shown = json.loads(fedclamp("compare", clean_run, tmp_path / "colour.h5", "--json").stdout)
    assert len(shown["differences"]["data"]) == 2 and "sha256" in shown["differences"]["data"][0], "both call themselves tiny"
    assert any("the data sets are different: clean was measured on tiny" in remark for remark in shown["remarks"])


def test_a_run_that_is_not_finished(tmp_path, fm_run, clean_run):
    shutil.copy(fm_run, tmp_path / "half.h5")
    with h5py.File(tmp_path / "half.h5", "r+") as file:
        values = json.loads(file["config/json"][()])
        values["rounds"] = 20
        del file["config/json"]
        file["config/json"] = np.bytes_(json.dumps(values))
    assert "note: half is not finished: its figures are those after round 2 of 20" in fedclamp("compare", clean_run, tmp_path / "half.h5").stdout


def test_what_is_no_run_file(tmp_path, clean_run, data, fm_run, fm):
    refused("compare", clean_run, code=64, says="two run files")
    refused("compare", code=64, says="run.h5")
    refused("compare", clean_run, data, says=["tiny.h5", "expected a run file, got images"])
    refused("compare", clean_run, tmp_path / "none.h5", says="none.h5")
    fedclamp("bound", fm_run, "--synthetic", fm, "--out", tmp_path / "bounded.h5")
    refused("compare", clean_run, tmp_path / "bounded.h5", says="a checkpoint without the rounds of a run")
    (tmp_path / "text.h5").write_text("no")
    refused("compare", clean_run, tmp_path / "text.h5", says="text.h5")


def kind(path):
    shown = json.loads(fedclamp("inspect", path, "--json").stdout)
    assert shown["kind"] != "HDF5 file of another kind", path
    assert shown["kind"] in fedclamp("inspect", path).stdout.splitlines()[0]
    return shown


def test_inspect_of_every_file(tmp_path, tiny, data, fm, clean_run, fm_run):
    """What `import` writes is read by `test_import.py`."""
    fedclamp("step", "init", *tiny, "--attack", "fm", "--defense", "krum", "--malicious", 0, "--initial-epochs", 1, "--out", tmp_path / "g0.h5")
    updates = [tmp_path / f"u{k}.h5" for k in range(4)]
    for k, update in enumerate(updates):
        fedclamp("step", "local", tmp_path / "g0.h5", "--data", data, "--share", "--client", k, "--out", update)
    fedclamp("step", "aggregate", tmp_path / "g0.h5", *updates, "--synthetic", fm, "--out", tmp_path / "a1.h5")
    fedclamp("bound", fm_run, "--synthetic", fm, "--out", tmp_path / "bounded.h5")
    assert "images" in kind(fm) and "data set" == kind(data)["kind"]
    assert "run file" in kind(clean_run)["kind"] and "step" in kind(tmp_path / "g0.h5")["kind"]
    update, aggregate = kind(updates[2]), kind(tmp_path / "a1.h5")
    assert "a client's update" in update["kind"] and update["step"]["client"] == 2 and update["step"]["round"] == 1
    assert "an aggregate" in aggregate["kind"] and aggregate["step"]["clients"] == [0, 1, 2, 3]
    assert aggregate["step"]["missing"] == [] and len(aggregate["step"]["rejected"]) == 3
    assert "a model with bounds" in kind(tmp_path / "bounded.h5")["kind"]


def test_inspect_of_results(tmp_path, data, fm):
    out = tmp_path / "out"
    command = ["reproduce", "main", "--data", data, "--synthetic", fm, "--row", "none", "--row", "bounds", "--column", "fm", "--set", "rounds=1", "--set", "initial-epochs=1",
               "--set", "local-epochs=1", "--set", "fusion-epochs=1"]
    fedclamp(*command, "--out", out, timeout=600)
    shown = kind(out / "results.h5")
    assert shown["setting"]["scale"] == "smoke" and "5 x 3" in shown["tables"]["main"]
    assert len(shown["cells"]) == 12 and sum(cell["finished"] for cell in shown["cells"]) == 2
    attacked, = [cell for cell in shown["cells"] if cell["finished"] and cell["options"]["attack"] == "fm"]
    assert attacked["options"]["defense"] == "bounds" and attacked["options"]["rounds"] == 1 and (out / "cells" / attacked["file"]).exists()
    assert kind(out)["cells"] == shown["cells"]
    assert "cells, 2 of 12 finished" in fedclamp("inspect", out).stdout and "not begun" in fedclamp("inspect", out / "results.h5").stdout
    pictures, = out.glob("cells/*.pictures.h5")
    assert "pictures" in kind(pictures)["kind"] and any("channel" in value for value in kind(pictures)["shown_in_the_report"].values())
    refused("inspect", tmp_path, says=["expected a file, or a folder of results", "setting.txt"])


def test_inspect_shows_what_is_not_read(tmp_path):
    """Committed types, links to nothing, in circles and to other files, data sets without a value, foreign filters: each for what it is."""
    with h5py.File(tmp_path / "odd.h5", "w") as file:
        file["inside/compound"] = np.dtype([("a", "i4"), ("b", "f8")])
        file["number"] = np.dtype("f4")
        file["nothing"], file["inside/below"] = h5py.SoftLink("/absent/x"), h5py.SoftLink("no")
        file["circle"], file["other"] = h5py.SoftLink("/circle"), h5py.ExternalLink("b.h5", "/x")
        file["empty"], file["good"], file["alias"] = h5py.Empty("f4"), np.arange(4), h5py.SoftLink("/good")
        file.create_dataset("lzf", data=np.arange(100), compression="lzf", chunks=(100,))
        layout = h5py.VirtualLayout((4,), "i8")
        layout[:] = h5py.VirtualSource("c.h5", "x", (4,))
        file.create_virtual_dataset("virtual", layout)
    shown = json.loads(fedclamp("inspect", tmp_path / "odd.h5", "--json").stdout)["contents"]
    assert shown["/good"] == shown["/alias"] == {"shape": [4], "type": "int64"}
    expected = {"/inside/compound": "named type", "/number": "named type: float32", "/nothing": "link to nothing: /absent/x",
                "/inside/below": "link to nothing: no", "/circle": "soft links in a row", "/other": "link to another file",
                "/empty": "float32, without a value", "/lzf": "filter that is not built in", "/virtual": "virtual storage"}
    text = fedclamp("inspect", tmp_path / "odd.h5").stdout
    for path, words in expected.items():
        assert shown[path]["shape"] is None and words in shown[path]["type"] and path in text and words in text, path
    assert len(shown) == len(expected) + 2


@pytest.mark.parametrize("kind", ["data", "fm"])
def test_inspect_notices_a_false_digest(tmp_path, data, fm, kind):
    """All is shown, and exit code 1 says that a check did not hold."""
    path = tmp_path / "x.h5"
    shutil.copy(data if kind == "data" else fm, path)
    true = fedclamp("inspect", path).stdout.split("digest ")[1].split()[0]
    with h5py.File(path, "r+") as file:
        file.attrs["digest"] = "0" * 64
    done = fedclamp("inspect", path, "--json", code=1)
    facts = json.loads(done.stdout)["data_set" if kind == "data" else "images"]
    assert facts["digest"] == "0" * 64 and facts["digest of the content"] == true
    assert done.stderr.count("\n") == 1 and f"x.h5: attribute digest of /: expected {true}, got {'0' * 64}" in done.stderr
    with h5py.File(path, "r+") as file:
        file.attrs["digest"] = true
    assert "digest of the content" not in fedclamp("inspect", path).stdout
