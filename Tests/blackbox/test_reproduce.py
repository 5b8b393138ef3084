"""`fedclamp reproduce main` from tiny files: every output is there, finished cells are not computed again."""
import base64
import csv
import json
import re
import struct
import zlib
from xml.etree import ElementTree

import h5py
import pytest

from support import contents, differing, fedclamp, listing, refused


@pytest.fixture(scope="module")
def data(few):
    return few[0]


@pytest.fixture(scope="module")
def fm(few):
    return few[1]


@pytest.fixture(scope="module")
def results(tmp_path_factory, data, fm):
    out = tmp_path_factory.mktemp("reproduce") / "out"
    fedclamp("reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--out", out, timeout=600)
    return out


def test_outputs(results):
    names = [p.name for p in results.rglob("*") if p.is_file()]
    assert {"results.h5", "main.md", "main.csv", "main.tex"} <= set(names)
    assert any(name.endswith(".svg") for name in names)
    assert not any("partial" in name for name in names)
    with h5py.File(results / "results.h5") as file:
        assert len(file)


def test_table(results):
    """smoke: none, norm-clip, multi-krum, bounds, the recommended combination against clean, classic, fm."""
    with open(next(results.rglob("main.csv")), newline="") as file:
        rows = list(csv.reader(file))
    text = "\n".join(",".join(row) for row in rows)
    for word in ("none", "norm-clip", "multi-krum", "bounds", "multi-krum + vouching + bounds-unlearning", "classic", "fm"):
        assert word in text
    assert len({len(row) for row in rows}) == 1, "every row has the same columns"
    assert next(results.rglob("main.md")).read_text().count("|") > 20
    assert "tabular" in next(results.rglob("main.tex")).read_text()


def test_report_is_self_contained(results):
    html = next(results.rglob("report.html")).read_text()
    assert "<svg" in html and "</html>" in html
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)(?!https?://arxiv)[^"']*\.(?:js|css|png|svg)""", html)
    assert "<script" not in html and "@import" not in html and "url(" not in html


def test_report_shows_everything(results):
    """Tables, bars, curves, and for the two attacks on the model with bounds: four strips or three, and seven layers."""
    html = next(results.rglob("report.html")).read_text()
    assert 'name="viewport"' in html, "readable on a phone"
    assert html.count("over the rounds</title>") == 9, "a panel for each of three rules and three attacks"
    assert html.count("and the bound</title>") == 2 * 7
    images = re.findall(r'<img alt="([^"]+)" width="\d+" src="data:image/png;base64,([^"]+)">', html)
    assert len(images) == 3 + 4, "clean, triggered, FM; under fm also poisoned FM images"
    for alt, data in images:
        assert "class 0" in alt
        assert png_size(base64.b64decode(data))[1] == 28
    names = {p.name for p in results.iterdir()}
    assert {"main.svg", "main-curves.svg", "activations-classic-patch.svg", "activations-fm-patch.svg"} <= names
    for name in names:
        if name.endswith(".svg"):
            assert ElementTree.parse(results / name).getroot().tag.endswith("svg")


def png_size(png):
    """(width, height) after checking every chunk and the amount of pixels."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(png):
        length, = struct.unpack(">I", png[at:at + 4])
        body, check = png[at + 4:at + 8 + length], png[at + 8 + length:at + 12 + length]
        assert struct.unpack(">I", check)[0] == zlib.crc32(body)
        chunks[body[:4]] = body[4:]
        at += 12 + length
    width, height, depth, colour = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert depth == 8 and len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + width * (3 if colour == 2 else 1))
    return width, height


def test_second_call_skips(results, data, fm):
    """Seconds instead of a minute, and the same results."""
    before = {p: p.read_bytes() for p in listing(results) if p.suffix in (".md", ".csv", ".tex")}
    fedclamp("reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--out", results, timeout=15)
    assert before and all(p.read_bytes() == content for p, content in before.items())


def test_other_data_in_the_same_folder(results, colour):
    refused("reproduce", "main", "--scale", "smoke", "--data", colour[0], "--synthetic", colour[1], "--out", results, folder=results)


def test_list(tmp_path, data, fm):
    shown = fedclamp("reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--list", "--out", tmp_path / "x").stdout
    for word in ("main", "norm-clip", "classic"):
        assert word in shown
    assert not (tmp_path / "x").exists()
    shown = fedclamp("reproduce", "--help").stdout
    for table in ("main", "bounds", "attacks", "distribution", "settings", "triggers", "strength", "ablation", "adaptive", "cost"):
        assert table in shown


def test_table_cost(results, data, fm):
    """From the trainings of `main`: nothing is trained again. Shares are of a plain round; a rule sends no more bytes."""
    fedclamp("reproduce", "cost", "--scale", "smoke", "--data", data, "--synthetic", fm, "--out", results, timeout=60)
    with open(results / "cost.csv", newline="") as file:
        rows = {row["row"]: row for row in csv.DictReader(file) if row["seed"] == "1"}
    assert set(rows) == {"none", "norm-clip", "multi-krum", "bounds"}
    for row in rows.values():
        assert float(row["seconds"]) > 0 and float(row["memory_mb"]) > 1
    plain = rows["none"]
    assert [float(plain[k]) for k in ("seconds_share", "memory_share", "sent_share")] == [1, 1, 1]
    assert 20 < float(plain["sent_mb"]) < 60, "7 clients, about 550,000 parameters of 4 bytes, both ways"
    assert float(rows["multi-krum"]["rule_seconds"]) > 0
    assert float(rows["bounds"]["sent_mb"]) == pytest.approx(7 * 576 * 4 / 1e6), "the bounds alone"


def test_papers_figures(results, data, fm):
    """What a user puts into paper.csv stands beside the results; a mistake in it is named."""
    call = ["reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--out", results]
    (results / "paper.csv").write_text("table,row,column,acc,asr\nmain,bounds,fm,0.777,0.022\n")
    fedclamp(*call)
    html = (results / "report.html").read_text()
    assert "[0.777]" in html and "[0.022]" in html
    (results / "paper.csv").write_text("table,row,column,acc,asr\nmain,bounds,fm,0.777,2\n")
    assert "paper.csv, line 2" in fedclamp(*call, code=2).stderr
    (results / "paper.csv").unlink()


def test_refusals(tmp_path, data, fm):
    files = ["--data", data, "--synthetic", fm]
    refused("reproduce", "mian", *files, "--out", tmp_path / "out", code=64, says="main", folder=tmp_path)
    refused("reproduce", "main", *files, "--scale", "smok", "--out", tmp_path / "out", code=64, says="smoke", folder=tmp_path)
    refused("reproduce", "main", *files, "--shard", "3/2", "--out", tmp_path / "out", code=64, says="shard", folder=tmp_path)
    refused("reproduce", "main", *files, "--seeds", 0, "--out", tmp_path / "out", code=64, says="seeds", folder=tmp_path)
    refused("reproduce", "main", *files, "--out", "/proc/out", says="/proc/out")
    (tmp_path / "file").write_text("in the way")
    refused("reproduce", "main", *files, "--out", tmp_path / "file", says="file", folder=tmp_path)


def test_without_data(tmp_path):
    """No data in the working directory: the exact command to make it. (Beside the executable there may be some.)"""
    from support import BINARY
    if (BINARY.parent / "data").exists():
        pytest.skip("data lie beside the executable")
    refused("reproduce", "main", "--scale", "smoke", "--out", tmp_path / "out", cwd=tmp_path, folder=tmp_path,
            says=["fedclamp import fashion-mnist --from", "--out data/fashion-mnist.h5"])


def test_merge_refuses(tmp_path):
    refused("merge", tmp_path / "none", "--out", tmp_path / "out", says="none", folder=tmp_path)
    assert not (tmp_path / "out").exists()


def test_what_vouching_leaves_alone_is_not_trained_again(results):
    """Where it accuses no class its training is the one without it, wall times and all."""
    cells = {}
    for path in (results / "cells").glob("????????????????.h5"):
        with h5py.File(path) as file:
            config = json.loads(file["config/json"][()])
            cells[config["attack"], *(name for name in config["defense"] if not name.startswith("bounds"))] = path
    groups = ("model", "initial", "history", "state", "timing")
    for attack in ("none", "classic"):
        vouched = cells[attack, "multi-krum", "vouching"]
        with h5py.File(vouched) as file:
            assert len(file["vouching/images"]) == 0
        unlike = differing(contents(vouched, groups), contents(cells[attack, "multi-krum"], groups))
        assert not [name for name in unlike if not name.endswith("_bounds-unlearning")], "but for the times of the defence on its model"
