"""Own methods: programs as rules, defences, malicious updates and triggers, held to the built-in ones."""

import json

import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

from own import EXAMPLES, KRUM, REMEMBERS, ENVIRONMENT, method, run
from support import BINARY, ROOT, contents, differing, fedclamp, refused


def test_multi_krum_as_a_program_gives_the_same_bits(seven, tmp_path):
    built_in, own = tmp_path / "a.h5", tmp_path / "b.h5"
    krum = method(tmp_path / "krum.py", KRUM)
    run(*seven, "--attack", "classic", "--defense", "multi-krum", "--out", built_in)
    done = run(*seven, "--attack", "classic", "--defense", f"exec:{krum}", "--out", own)
    assert "exec:krum" in done.stderr
    groups = ("model", "initial", "history", "state")
    assert differing(contents(built_in, groups), contents(own, groups)) == []
    with h5py.File(own) as file:
        assert file["history/recall"][-1] == file["history/recall"][-1]         # it rejects clients, and is rated for it
        methods = list(file["provenance"].attrs["own_methods"])
        assert len(methods) == 1 and methods[0].startswith("exec:krum@rule:") and methods[0].endswith(f" exec:{krum}"), methods
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5", "krum.py"], "the exchange left something"


def test_weights_follow_their_meaning(seven, tmp_path):
    """All weight on one client: the aggregate is its model, which is what krum's winner gives; equal weights are FedAvg of equal shares."""
    one = method(tmp_path / "one.py", """
        @fedclamp.rule
        def all_alike(updates, context):
            return np.full(len(updates), 3.0)
        """)
    run(*seven, "--out", tmp_path / "plain.h5")
    run(*seven, "--defense", f"exec:{one}", "--out", tmp_path / "own.h5")
    assert differing(contents(tmp_path / "plain.h5", ("model",)), contents(tmp_path / "own.h5", ("model",))) == []


def test_nobody_let_through_is_no_step(seven, tmp_path):
    none = method(tmp_path / "none.py", "@fedclamp.rule\ndef nobody(updates, context):\n    return np.zeros(len(updates), bool)\n")
    run(*seven, "--fusion-epochs", 0, "--defense", f"exec:{none}", "--out", tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert np.array_equal(file["model/fc2/weight"][()], file["initial/fc2/weight"][()])


def test_state_survives_a_resume(seven, tmp_path):
    counts = method(tmp_path / "counts.py", REMEMBERS)
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    options = [*seven[:-4], "--rounds", 3, "--batch", 8, "--defense", f"exec:{counts}"]
    run(*options, "--out", whole)
    failing = method(tmp_path / "x.py", REMEMBERS)      # the same program under the same name, which dies in round 2
    failing.unlink()
    counts.write_text(counts.read_text().replace("    weights = ", "    if context.round == 2 and os.path.exists('stop'): os._exit(7)\n    weights = "))
    run(*options, "--out", whole, "--overwrite")
    (tmp_path / "stop").touch()
    done = run(*options, "--out", parts, code=2, cwd=tmp_path)
    assert "exit code 7" in done.stderr and "round 2" in done.stderr
    (tmp_path / "stop").unlink()
    run(*options, "--out", parts, "--resume")
    assert differing(contents(whole), contents(parts)) == []
    with h5py.File(parts) as file:
        assert file["state/own/rule/rounds"][0] == 3


@pytest.mark.parametrize("threads", [1, 2])
def test_a_malicious_update_has_its_way(seven, tmp_path, threads):
    """Sending G back is the same as a rate of next to nothing; threads change no bit."""
    mine = method(tmp_path / "mine.py", """
        @fedclamp.malicious_update
        def stays(parameters, context):
            assert context.colluders == 2 and context.participants == 7 and context.client in (0, 1)
            return context.global_ + 3 * (parameters - context.global_)
        """)
    options = [*seven, "--attack", "classic", "--threads", threads]
    run(*options, "--malicious-update", f"exec:{mine}", "--out", tmp_path / "own.h5")
    run(*options, "--model-replacement", 3, "--out", tmp_path / "built-in.h5")
    with h5py.File(tmp_path / "own.h5") as own, h5py.File(tmp_path / "built-in.h5") as built_in:
        a, b = own["model/fc1/weight"][()], built_in["model/fc1/weight"][()]
        assert np.abs(a - b).max() < 1e-4 * np.abs(b).max(), np.abs(a - b).max()


def test_a_defence_on_the_model_hands_out_parameters_bounds_and_findings(seven, tmp_path):
    halves = method(tmp_path / "halves.py", """
        @fedclamp.model_defense
        def halves(parameters, context):
            assert context.fm.images.dtype == np.uint8 and len(context.fm.labels) == len(context.fm.images) and context.initial is not None
            context.audit["factor"] = 0.5
            bounds = np.full(sum(n for _, n in context.bounded), np.inf, np.float32)
            bounds[:32] = 2
            return {"parameters": parameters / 2, "bounds": bounds, "suspects": np.array([1, 5])}
        """)
    done = run(*seven, "--attack", "fm", "--defense", f"exec:{halves}", "--out", tmp_path / "run.h5")
    assert "factor" in done.stdout and "exec:halves" in done.stdout
    with h5py.File(tmp_path / "run.h5") as file:
        left = file["defended/exec:halves"]
        assert np.array_equal(left["fc2/weight"][()], file["model/fc2/weight"][()] / 2)
        assert left["bounds/conv1"][0] == 2 and np.isinf(left["bounds/fc1"][0])
    fedclamp("evaluate", tmp_path / "run.h5", "--data", seven[1], "--defended", "exec:halves")


def test_a_file_of_several_own_methods_can_be_inspected(seven, tmp_path):
    """A run file, and a global checkpoint; each method is named with what it is for."""
    rule, stays = method(tmp_path / "rule.py", REMEMBERS), method(tmp_path / "stays.py", "@fedclamp.malicious_update\ndef f(p, c):\n    return p\n")
    options = [*seven, "--attack", "classic", "--defense", f"exec:{rule}", "--malicious-update", f"exec:{stays}"]
    run(*options, "--out", tmp_path / "run.h5")
    fedclamp("step", "init", *options, "--out", tmp_path / "g0.h5", env=ENVIRONMENT)
    for name in ("run", "g0"):
        text = fedclamp("inspect", tmp_path / f"{name}.h5").stdout
        assert "exec:rule@rule:" in text and "exec:stays@malicious-update:" in text
        said = json.loads(fedclamp("inspect", tmp_path / f"{name}.h5", "--json").stdout)
        assert "exec:stays@malicious-update:" in json.dumps(said["provenance"])


def test_a_changed_defence_is_done_again_on_resume(seven, tmp_path):
    own = method(tmp_path / "own.py", "@fedclamp.model_defense\ndef f(parameters, context):\n    return parameters * 2\n")
    options = [*seven, "--defense", f"exec:{own}", "--out", tmp_path / "run.h5"]
    run(*options)
    own.write_text(own.read_text().replace("* 2", "* 4"))
    run(*options, "--resume")
    with h5py.File(tmp_path / "run.h5") as file:
        assert list(file["defended"]) == ["exec:own"]
        assert np.array_equal(file["defended/exec:own/fc2/weight"][()], file["model/fc2/weight"][()] * 4)
    refused("run", *seven, "--defense", f"exec:{own}", "--seed", 3, "--out", tmp_path / "run.h5", "--resume", says="seed was 1", env=ENVIRONMENT)


def test_resume_from_the_file_alone(seven, tmp_path):
    """The file names its rule by its digest; the program is named anew, and no other version is taken."""
    counts = method(tmp_path / "counts.py", REMEMBERS)
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    options = [*seven[:-4], "--batch", 8, "--defense", f"exec:{counts}"]
    run(*options, "--rounds", 2, "--out", whole)
    run(*options, "--rounds", 1, "--out", parts)
    refused("run", "--resume", parts, "--rounds", 2, says=["exec:counts", "--own exec:PROGRAM"], env=ENVIRONMENT)
    run("--resume", parts, "--rounds", 2, "--own", f"exec:{counts}")
    assert differing(contents(whole, ("model", "state")), contents(parts, ("model", "state"))) == []
    counts.write_text(counts.read_text() + "\n")
    refused("run", "--resume", parts, "--rounds", 3, "--own", f"exec:{counts}", says="is needed", env=ENVIRONMENT)
    refused("run", "--resume", parts, "--rounds", 3, "--defense", f"exec:{counts}", says="defense was", env=ENVIRONMENT)


def test_a_trigger_may_depend_on_the_image(colour, tmp_path):
    """It gets uint8 images once each, mirrored ones too; the patch as a program ends at the patch's own bits."""
    data, fm = colour
    patch = method(tmp_path / "patch.py", """
        @fedclamp.trigger
        def patch(images, context):
            images = images.copy()
            images[:, :, -3:, -3:] = 1
            return images
        """)
    options = ["--data", data, "--synthetic", fm, "--clients", 4, "--rounds", 2, "--batch", 8, "--attack", "both"]
    run(*options, "--out", tmp_path / "a.h5")
    run(*options, "--trigger", f"exec:{patch}", "--out", tmp_path / "b.h5")
    assert differing(contents(tmp_path / "a.h5", ("model", "history")), contents(tmp_path / "b.h5", ("model", "history"))) == []
    refused("evaluate", tmp_path / "b.h5", "--data", data, says=["exec:patch", "--trigger"], folder=tmp_path)
    done = fedclamp("evaluate", tmp_path / "b.h5", "--data", data, "--trigger", f"exec:{patch}", env=ENVIRONMENT)
    assert "exec:patch" in done.stdout


EXAMPLE_OPTIONS = {"trimmed": ["--defense", "exec:{}:0.2"], "boost": ["--attack", "classic", "--malicious-update", "exec:{}"],
                   "warp": ["--attack", "both", "--trigger", "exec:{}"], "shrink": ["--defense", "exec:{}:0.99"], "mixup": ["--defense", "exec:{}"]}


@pytest.mark.parametrize("name", EXAMPLE_OPTIONS)
def test_examples(seven, tmp_path, name):
    path = EXAMPLES / f"{name}.py"
    text = path.read_text()
    assert len(text.splitlines()) < 40
    if "import torch" in text:
        pytest.importorskip("torch")
    runs = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for out, threads in zip(runs, (1, 2), strict=True):
        done = run(*seven, *[word.format(path) for word in EXAMPLE_OPTIONS[name]], "--threads", threads, "--out", out)
        assert f"exec:{name}" in done.stderr
    assert differing(contents(runs[0], ("model", "history", "state")), contents(runs[1], ("model", "history", "state"))) == []


def test_every_example_is_tried():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXAMPLE_OPTIONS)


def test_python_beside_the_executable_comes_first(seven, tmp_path):
    """As in a virtual environment that nobody activated: only its python3 has the package."""
    env = tmp_path / "env/bin"
    env.mkdir(parents=True)
    program = shutil.copy(BINARY, env / "fedclamp")
    (env / "python3").write_text(f"#!/bin/sh\ntouch {tmp_path}/asked\nPYTHONPATH={ROOT}/tools/python exec {sys.executable} \"$@\"\n")
    (env / "python3").chmod(0o755)
    krum = method(tmp_path / "krum.py", KRUM)
    krum.chmod(0o644)
    command = [program, "run", *seven, "--attack", "classic", "--defense", f"exec:{krum}", "--out", tmp_path / "run.h5"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0 and (tmp_path / "asked").exists(), done.stderr
