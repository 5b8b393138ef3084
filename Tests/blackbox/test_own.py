"""Own methods: programs that speak JSON lines, by the Python package and bare; what comes of them when they misbehave."""
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import h5py
import numpy as np
import pytest

from support import BINARY, ROOT, contents, differing, fedclamp, refused

EXAMPLES = ROOT / "tools/python/examples"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT / "tools/python"),
                            "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
KRUM = """
    @fedclamp.rule
    def multi_krum(updates, context):
        n, f = len(updates), context.assumed_malicious
        models = context.models.astype(np.float64)
        scores = [np.sort([np.sum((a - b) ** 2) for b in models])[1:n - f - 1].sum() for a in models]
        return np.isin(np.arange(n), np.argsort(scores, kind="stable")[:n - f])
    """
# Counts rounds in its state, and leaves out a client of the round's number.
REMEMBERS = """
    @fedclamp.rule
    def counts(updates, context):
        context.state["rounds"] = context.state.get("rounds", np.zeros(1)) + 1
        context.state["sum"] = context.state.get("sum", 0) + updates.sum(axis=0)
        weights = np.ones(len(updates))
        weights[int(context.state["rounds"][0]) % len(updates)] = 0
        return weights
    """


def method(path, body, serves=True):
    """A program in Python at `path`, with the package."""
    path.write_text("#!/usr/bin/env python3\nimport fedclamp\nimport numpy as np\nimport sys, os, time, json\n\n"
                    + textwrap.dedent(body) + ("\nfedclamp.serve()\n" if serves else ""))
    return path


def run(*arguments, **options):
    return fedclamp("run", *arguments, env=ENVIRONMENT, **options)


@pytest.fixture(scope="module")
def six(data, fm):
    """Multi-Krum needs 2f + 2 < n."""
    return ["--data", data, "--synthetic", fm, "--clients", 7, "--rounds", 2, "--batch", 8]


def test_multi_krum_as_a_program_gives_the_same_bits(six, tmp_path):
    built_in, own = tmp_path / "a.h5", tmp_path / "b.h5"
    krum = method(tmp_path / "krum.py", KRUM)
    run(*six, "--attack", "classic", "--defense", "multi-krum", "--out", built_in)
    done = run(*six, "--attack", "classic", "--defense", f"exec:{krum}", "--out", own)
    assert "exec:krum" in done.stderr
    groups = ("model", "initial", "history", "state")
    assert differing(contents(built_in, groups), contents(own, groups)) == []
    with h5py.File(own) as file:
        assert file["history/recall"][-1] == file["history/recall"][-1]         # it rejects clients, and is rated for it
        methods = list(file["provenance"].attrs["own_methods"])
        assert len(methods) == 1 and methods[0].startswith("exec:krum@rule:") and methods[0].endswith(f" exec:{krum}"), methods
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5", "krum.py"], "the exchange left something"


def test_weights_follow_their_meaning(six, tmp_path):
    """All weight on one client: the aggregate is its model, which is what krum's winner gives; equal weights are FedAvg of equal shares."""
    one = method(tmp_path / "one.py", """
        @fedclamp.rule
        def all_alike(updates, context):
            return np.full(len(updates), 3.0)
        """)
    run(*six, "--out", tmp_path / "plain.h5")
    run(*six, "--defense", f"exec:{one}", "--out", tmp_path / "own.h5")
    assert differing(contents(tmp_path / "plain.h5", ("model",)), contents(tmp_path / "own.h5", ("model",))) == []


def test_nobody_let_through_is_no_step(six, tmp_path):
    none = method(tmp_path / "none.py", "@fedclamp.rule\ndef nobody(updates, context):\n    return np.zeros(len(updates), bool)\n")
    run(*six, "--fusion-epochs", 0, "--defense", f"exec:{none}", "--out", tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5") as file:
        assert np.array_equal(file["model/fc2/weight"][()], file["initial/fc2/weight"][()])


def test_state_survives_a_resume(six, tmp_path):
    counts = method(tmp_path / "counts.py", REMEMBERS)
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    options = [*six[:-4], "--rounds", 3, "--batch", 8, "--defense", f"exec:{counts}"]
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
def test_a_malicious_update_has_its_way(six, tmp_path, threads):
    """Sending G back is the same as a rate of next to nothing; threads change no bit."""
    mine = method(tmp_path / "mine.py", """
        @fedclamp.malicious_update
        def stays(parameters, context):
            assert context.colluders == 2 and context.participants == 7 and context.client in (0, 1)
            return context.global_ + 3 * (parameters - context.global_)
        """)
    options = [*six, "--attack", "classic", "--threads", threads]
    run(*options, "--malicious-update", f"exec:{mine}", "--out", tmp_path / "own.h5")
    run(*options, "--model-replacement", 3, "--out", tmp_path / "built-in.h5")
    with h5py.File(tmp_path / "own.h5") as own, h5py.File(tmp_path / "built-in.h5") as built_in:
        a, b = own["model/fc1/weight"][()], built_in["model/fc1/weight"][()]
        assert np.abs(a - b).max() < 1e-4 * np.abs(b).max(), np.abs(a - b).max()


def test_a_defence_on_the_model_hands_out_parameters_bounds_and_findings(six, tmp_path):
    halves = method(tmp_path / "halves.py", """
        @fedclamp.model_defense
        def halves(parameters, context):
            assert context.fm.images.dtype == np.uint8 and len(context.fm.labels) == len(context.fm.images) and context.initial is not None
            context.audit["factor"] = 0.5
            bounds = np.full(sum(n for _, n in context.bounded), np.inf, np.float32)
            bounds[:32] = 2
            return {"parameters": parameters / 2, "bounds": bounds, "suspects": np.array([1, 5])}
        """)
    done = run(*six, "--attack", "fm", "--defense", f"exec:{halves}", "--out", tmp_path / "run.h5")
    assert "factor" in done.stdout and "exec:halves" in done.stdout
    with h5py.File(tmp_path / "run.h5") as file:
        left = file["defended/exec:halves"]
        assert np.array_equal(left["fc2/weight"][()], file["model/fc2/weight"][()] / 2)
        assert left["bounds/conv1"][0] == 2 and np.isinf(left["bounds/fc1"][0])
    fedclamp("evaluate", tmp_path / "run.h5", "--data", six[1], "--defended", "exec:halves")


def test_a_changed_defence_is_done_again_on_resume(six, tmp_path):
    own = method(tmp_path / "own.py", "@fedclamp.model_defense\ndef f(parameters, context):\n    return parameters * 2\n")
    options = [*six, "--defense", f"exec:{own}", "--out", tmp_path / "run.h5"]
    run(*options)
    own.write_text(own.read_text().replace("* 2", "* 4"))
    run(*options, "--resume")
    with h5py.File(tmp_path / "run.h5") as file:
        assert list(file["defended"]) == ["exec:own"]
        assert np.array_equal(file["defended/exec:own/fc2/weight"][()], file["model/fc2/weight"][()] * 4)
    refused("run", *six, "--defense", f"exec:{own}", "--seed", 3, "--out", tmp_path / "run.h5", "--resume", says="seed was 1", env=ENVIRONMENT)


def test_resume_from_the_file_alone(six, tmp_path):
    """The file names its rule by its digest; the program is named anew, and no other version is taken."""
    counts = method(tmp_path / "counts.py", REMEMBERS)
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    options = [*six[:-4], "--batch", 8, "--defense", f"exec:{counts}"]
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


# --- programs that misbehave ------------------------------------------------------------------------------------------

def bare(path, answer, hello='{"protocol": 1, "kinds": ["rule"]}'):
    """A program without the package: Python that sees `question` and says `answer`."""
    path.write_text("#!/usr/bin/env python3\nimport json, os, sys, time\nimport h5py\nimport numpy as np\n"
                    f"sys.stdin.readline()\nprint('{hello}', flush=True)\n"
                    "def give(**arrays):\n    with h5py.File(question['output'], 'w') as file:\n"
                    "        for name, value in arrays.items(): file[name] = value\n"
                    "def say(**members): print(json.dumps({'id': question['id'], 'round': question['round']} | members), flush=True)\n"
                    "for line in sys.stdin:\n    question = json.loads(line)\n" + textwrap.indent(textwrap.dedent(answer), "    "))
    path.chmod(0o755)
    return path


MISBEHAVIOURS = {
    "dies": ("print('out of ideas', file=sys.stderr); sys.exit(3)", ["exit code 3", "it said: out of ideas"]),
    "is killed": ("os.kill(os.getpid(), 9)", ["signal 9"]),
    "hangs": ("time.sleep(60)", ["within 3.0 s", "--exec-seconds"]),
    "answers nothing and closes": ("os.close(1); time.sleep(60)", ["expected a line of JSON"]),
    "gives NaN": ("give(weights=np.full(7, np.nan)); say()", ["numbers from 0", "nan"]),
    "gives negative weights": ("give(weights=-np.ones(7)); say()", ["numbers from 0", "-1"]),
    "gives a wrong shape": ("give(weights=np.ones(8)); say()", ["shape (7)", "(8)"]),
    "gives a scalar": ("give(weights=1.0); say()", ["shape (7)", "()"]),
    "gives two answers in one": ("give(weights=np.ones(7), accepted=np.ones(7)); say()", ["weights or accepted", "both"]),
    "gives nothing": ("give(); say()", ["weights, accepted or aggregate", "none"]),
    "gives no file": ("say()", ["no such file"]),
    "gives text": ("give(weights=np.array([b'x'] * 7)); say()", ["arrays of numbers"]),
    "writes no HDF5": ("open(question['output'], 'w').write('weights'); say()", ["HDF5"]),
    "gives an unknown array": ("give(weights=np.ones(7), wait=np.ones(7)); say()", ["weights, accepted, aggregate", '"wait"']),
    "says an unknown key": ("give(weights=np.ones(7)); say(weight=3)", ["id, round, audit", '"weight"']),
    "answers another round": ("give(weights=np.ones(7)); say(round=9)", ["round 1", "9"]),
    "answers another question": ("give(weights=np.ones(7)); say(id=99)", ["question 1", "99"]),
    "prints": ("print('hello'); give(weights=np.ones(7)); say()", ["a line of JSON", '"hello"']),
    "prints much": ("print('x' * 3000000, flush=True)", ["1 MiB"]),
    "gives an aggregate of infinity": ("give(aggregate=np.full(h5py.File(question['input'])['global'].shape, np.inf)); say()", ["finite", "inf"]),
    "says an error": ("say(error='no idea')", ["no idea"]),
    "overflows single precision": ("give(aggregate=np.full(h5py.File(question['input'])['global'].shape, 1e300)); say()", ["finite", "inf"]),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_misbehaving_rule_ends_the_round_with_one_line(six, tmp_path, name):
    answer, says = MISBEHAVIOURS[name]
    program, out = bare(tmp_path / "mine.py", answer), tmp_path / "run.h5"
    done = fedclamp("run", *six, "--defense", f"exec:{program}", "--exec-seconds", 3, "--out", out, code=2, env=ENVIRONMENT)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("fedclamp run: exec:mine, asked for rule, round 1:"), done.stderr
    for word in says:
        assert word in line, f"{word!r} is not in: {line}"
    assert len(line) < 700
    with h5py.File(out) as file:                        # the last good file stays
        assert file["state/finished_rounds"][()] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.py", "run.h5"]


def test_start_and_kinds(six, tmp_path):
    out = ["--out", tmp_path / "run.h5"]

    def no(request, *says, option="--defense"):
        refused("run", *six, option, request, *out, says=says, env=ENVIRONMENT, folder=tmp_path)

    no("exec:./nowhere.py", "nowhere.py")
    plain = tmp_path / "plain"
    plain.write_text("no program")
    no(f"exec:{plain}", "expected an executable file")
    no(f"exec:{tmp_path}", "expected a program")
    odd = method(tmp_path / "odd é.py", KRUM)
    refused("run", *six, "--defense", f"exec:{odd}", *out, code=64, env=ENVIRONMENT)
    no(f"exec:{bare(tmp_path / 'other.py', '', hello=HELLO % 'trigger')}", "expected a program with one of: rule, model-defense", "trigger")
    no(f"exec:{bare(tmp_path / 'none.py', '', hello=HELLO % 'law')}", "kinds")
    no(f"exec:{bare(tmp_path / 'new.py', '', hello=HELLO.replace('1', '2') % 'rule')}", "protocol")
    silent = tmp_path / "silent.py"
    silent.write_text("import sys\nsys.exit(0)\n")
    no(f"exec:{silent}", "exit code 0")
    krum, twin = method(tmp_path / "krum.py", KRUM), tmp_path / "a"
    twin.mkdir()
    method(twin / "krum.py", "@fedclamp.malicious_update\ndef f(p, c):\n    return p\n")
    refused("run", *six, "--defense", f"exec:{krum}", "--malicious-update", f"exec:{twin / 'krum.py'}", *out, says="is called exec:krum too", env=ENVIRONMENT)


HELLO = '{"protocol": 1, "kinds": ["%s"]}'


def test_what_a_file_names_is_not_started(six, tmp_path):
    """A checkpoint of a stranger that names a program: no step starts it, each says what it would need."""
    krum = method(tmp_path / "krum.py", KRUM)
    g0 = tmp_path / "g0.h5"
    data = six[1]
    fedclamp("step", "init", *six, "--defense", f"exec:{krum}", "--out", g0, env=ENVIRONMENT)
    krum.write_text(krum.read_text().replace("    n, f", f"    open({str(tmp_path / 'started')!r}, 'w')\n    n, f"))
    updates = []
    for client in range(7):
        updates.append(tmp_path / f"u{client}.h5")
        fedclamp("step", "local", g0, "--client", client, "--share", "--data", data, "--out", updates[-1])
    aggregate = ["step", "aggregate", g0, *updates, "--synthetic", six[3], "--out", tmp_path / "a1.h5"]
    refused(*aggregate, says=["exec:krum", "--own exec:PROGRAM"], env=ENVIRONMENT)
    refused(*aggregate, "--own", f"exec:{krum}", says=["exec:krum", "is needed"], env=ENVIRONMENT)        # another version is another program
    assert not (tmp_path / "started").exists()
    method(krum, KRUM)
    fedclamp(*aggregate, "--own", f"exec:{krum}", env=ENVIRONMENT)
    fedclamp("step", "fuse", tmp_path / "a1.h5", "--synthetic", six[3], "--out", tmp_path / "g1.h5")
    run(*six, "--defense", "multi-krum", "--out", tmp_path / "run.h5")
    with h5py.File(tmp_path / "g1.h5") as steps, h5py.File(tmp_path / "run.h5") as whole:
        assert steps["history/acc"].shape == (1,) and np.isfinite(steps["model/fc2/weight"][()]).all()
        assert whole["history/acc"].shape == (2,)


def test_a_configuration_with_a_path_is_refused(six, tmp_path):
    """In a run file only identities may stand, never a path."""
    out = tmp_path / "run.h5"
    run(*six, "--out", out)
    import hashlib
    with h5py.File(out, "r+") as file:
        text = file["config/json"][()].decode().replace('"defense":[]', '"defense":["exec:/bin/true"]')
        assert "/bin/true" in text
        del file["config/json"]
        file["config/json"] = text
        file["config"].attrs["hash"] = hashlib.sha256(text.encode()).hexdigest()
    refused("step", "clients", out, says="name@kind:digest")


def test_ctrl_c_ends_the_program_too(six, tmp_path):
    hangs = bare(tmp_path / "mine.py", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(300)")
    process = subprocess.Popen([BINARY, *map(str, ["run", *six, "--defense", f"exec:{hangs}", "--out", tmp_path / "run.h5"])],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    child = int((tmp_path / "pid").read_text())
    process.send_signal(signal.SIGINT)                  # the first waits for the round
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 130
    time.sleep(0.5)
    assert not pathlib.Path(f"/proc/{child}").exists() or "Z" in pathlib.Path(f"/proc/{child}/stat").read_text().split(")")[1]
    fedclamp("run", *six, "--out", tmp_path / "run.h5", "--overwrite")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.py", "pid", "run.h5"], "what was exchanged is removed by the next run"


def test_what_it_writes_to_stderr_can_be_kept(six, tmp_path):
    talks = method(tmp_path / "talks.py", """
        @fedclamp.rule
        def talks(updates, context):
            print("round", context.round)               # stdout is the protocol's: the package sends this to stderr
            return np.ones(len(updates))
        """)
    run(*six, "--defense", f"exec:{talks}", "--exec-log", tmp_path / "log", "--out", tmp_path / "run.h5")
    assert (tmp_path / "log").read_text() == "round 1\nround 2\n"


# --- tables ---------------------------------------------------------------------------------------------------------------

def rows(folder, table):
    lines = (folder / f"{table}.csv").read_text().splitlines()
    return {line.split(",")[1].strip('"') for line in lines[1:]}


HALVES = "@fedclamp.model_defense\ndef halves(parameters, context):\n    return {'parameters': parameters * FACTOR}\n"


def test_rows_in_a_table_shards_and_a_changed_defence(data, fm, tmp_path):
    """A rule and a defence of one's own are rows beside the others; parts join; a changed defence is done again, alone."""
    krum = method(tmp_path / "krum.py", KRUM)
    halves = method(tmp_path / "halves.py", HALVES.replace("FACTOR", "0.5"))
    files = ["--scale", "smoke", "--data", data, "--synthetic", fm]
    own = ["--defense", f"exec:{krum}", "--defense", f"exec:{halves}"]
    parts = [tmp_path / "part-1", tmp_path / "part-2"]
    for number, part in enumerate(parts, 1):
        fedclamp("reproduce", "main", *files, *own, "--shard", f"{number}/2", "--out", part, env=ENVIRONMENT, timeout=400)
    whole = tmp_path / "whole"
    fedclamp("merge", *parts, "--out", whole)           # without the programs
    assert {"none", "multi-krum", "bounds", "exec:krum", "exec:halves"} <= rows(whole, "main")
    lines = [line.split(",") for line in (whole / "main.csv").read_text().splitlines()]
    assert all(line[4] for line in lines if line[1] in ("exec:krum", "exec:halves") and line[3] == "1") and "exec:halves@" not in (whole / "main.csv").read_text()

    before = {p.name: p.stat().st_mtime_ns for p in (whole / "cells").glob("*.h5")}
    done = fedclamp("reproduce", "main", *files, *own, "--out", whole, env=ENVIRONMENT)
    assert "15 of them finished before" in done.stderr and before == {p.name: p.stat().st_mtime_ns for p in (whole / "cells").glob("*.h5")}
    method(tmp_path / "halves.py", HALVES.replace("FACTOR", "0"))
    done = fedclamp("reproduce", "main", *files, *own, "--out", whole, env=ENVIRONMENT)
    assert "12 of them finished before" in done.stderr, done.stderr
    changed = [p.name for p in (whole / "cells").glob("*.h5") if before[p.name] != p.stat().st_mtime_ns]
    assert len(changed) == 3, "only the trainings without rule, whose model the defence changes"
    for name in changed:
        with h5py.File(whole / "cells" / name) as file:
            assert set(file["defended"]) == {"bounds", "exec:halves"} and not file["defended/exec:halves/fc2/weight"][()].any()
    done = fedclamp("reproduce", "main", *files, "--out", whole)
    assert "exec:halves" in done.stdout and "exec:krum" in done.stdout, "rows stay without their programs"
    refused("merge", whole, parts[0], "--out", tmp_path / "joined", says="another version of exec:halves")


def test_a_failing_program_leaves_its_places_empty(data, fm, tmp_path):
    """The others are computed; afterwards it goes on from the last good file."""
    fails = method(tmp_path / "fails.py", """
        @fedclamp.rule
        def fails(updates, context):
            if context.round == 2 and os.path.exists('stop'):
                raise ValueError('no idea')
            return np.ones(len(updates))
        """)
    (tmp_path / "stop").touch()
    call = ["reproduce", "main", "--scale", "smoke", "--data", data, "--synthetic", fm, "--defense", f"exec:{fails}", "--row", "none", "--row", "exec:fails",
            "--column", "clean", "--out", tmp_path / "out"]
    done = fedclamp(*call, env=ENVIRONMENT, code=1, cwd=tmp_path)
    assert "failed: exec:fails, clean" in done.stderr and "it says: ValueError: no idea" in done.stderr
    assert len(list((tmp_path / "out/cells").glob("*.h5"))) == 2, "the other one, and what the failed one had done"
    (tmp_path / "stop").unlink()
    done = fedclamp(*call, env=ENVIRONMENT, cwd=tmp_path, timeout=300)
    assert "1 of them finished before" in done.stderr


def test_own_methods_in_the_plans_of_all_tables(data, fm, tmp_path):
    warp = EXAMPLES / "warp.py"
    boost, krum = EXAMPLES / "boost.py", method(tmp_path / "krum.py", KRUM)
    picture = tmp_path / "badge.h5"
    with h5py.File(picture, "w") as file:
        file["mask"], file["pattern"] = np.ones((2, 2)), np.ones((2, 2))
    own = ["--trigger", f"exec:{warp}", "--trigger", picture, "--malicious-update", f"exec:{boost}:5", "--defense", f"exec:{krum}"]

    def titles(table):
        return fedclamp("reproduce", table, "--scale", "smoke", "--data", data, "--synthetic", fm, *own, "--list", "--out", tmp_path / "x",
                        env=ENVIRONMENT).stdout

    for table, words in {"attacks": ["exec:warp", "badge.h5", "exec:boost:5"], "triggers": ["exec:warp", "badge.h5", "exec:krum"],
                         "bounds": ["exec:warp", "exec:krum"], "strength": ["exec:boost:5", "exec:krum"], "adaptive": ["exec:boost:5", "exec:krum"],
                         "settings": ["exec:krum"], "distribution": ["exec:krum"], "ablation": ["exec:krum"], "cost": ["exec:krum"], "paper-1": ["exec:krum"]}.items():
        text = titles(table)
        for word in words:
            assert word in text, (table, word)
        assert "@" not in text
    assert not (tmp_path / "x").exists()
    refused("reproduce", "main", "--defense", "multi-krum", "--data", data, "--synthetic", fm, "--out", tmp_path / "x", code=64, says="your own")


# --- pictures ---------------------------------------------------------------------------------------------------------

def png(path, pixels, colour=6, depth=8, filters=None):
    """A PNG file of pixels (height, width, samples), written without any library; `filters`: one for each row."""
    import struct
    import zlib

    pixels = np.asarray(pixels)
    height, width, samples = pixels.shape
    step = samples * depth // 8
    flat = pixels.astype(">u2" if depth == 16 else "u1").reshape(height, -1).view("u1").astype(int).reshape(height, width * step)
    raw = b""
    for y in range(height):
        kind = (filters or [0] * height)[y]
        left = np.concatenate([np.zeros(step, int), flat[y][:-step]]) if step < flat.shape[1] else np.zeros(flat.shape[1], int)
        up = flat[y - 1] if y else np.zeros_like(flat[y])
        corner = np.concatenate([np.zeros(step, int), up[:-step]]) if step < flat.shape[1] else np.zeros(flat.shape[1], int)
        p = left + up - corner
        near = np.where((abs(p - left) <= abs(p - up)) & (abs(p - left) <= abs(p - corner)), left, np.where(abs(p - up) <= abs(p - corner), up, corner))
        guess = [np.zeros_like(flat[y]), left, up, (left + up) // 2, near][kind]
        raw += bytes([kind]) + ((flat[y] - guess) % 256).astype("u1").tobytes()

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
                     + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
    return path


@pytest.fixture(scope="module")
def patched(tiny, tmp_path_factory):
    """What a 3x3 white patch in the last rows and columns leaves."""
    out = tmp_path_factory.mktemp("patched") / "run.h5"
    fedclamp("run", *tiny, "--attack", "both", "--out", out)
    return contents(out, ("model", "history"))


def test_a_white_picture_is_the_patch(tiny, patched, data, tmp_path):
    """In each form that a picture can have, with each filter; smaller than the image, as large, or with a place."""
    white = np.full((3, 3, 4), 255)
    whole = np.zeros((28, 28, 4))
    whole[-3:, -3:] = 255
    with h5py.File(tmp_path / "pair.h5", "w") as file:
        file["mask"], file["pattern"] = np.ones((1, 3, 3), np.float32), np.full((1, 3, 3), 255, np.uint8)
    deep = np.full((3, 3, 4), 65535)
    pictures = {"white": png(tmp_path / "white.png", white), "whole": png(tmp_path / "whole.png", whole, filters=[0, 1, 2, 3, 4] * 5 + [4, 3, 2]),
                "grey": png(tmp_path / "grey.png", white[..., :1], colour=0), "deep": png(tmp_path / "deep.png", deep, depth=16),
                "pair": tmp_path / "pair.h5"}
    for name, picture in pictures.items():
        out = tmp_path / f"{name}.run.h5"
        fedclamp("run", *tiny, "--attack", "both", "--trigger", picture, *(["--trigger-place", "25,25"] if name == "pair" else []), "--out", out)
        assert differing(contents(out, ("model", "history")), patched) == [], name
        picture.unlink()
        done = fedclamp("evaluate", out, "--data", data)      # by the mask and the pattern in the file
        assert picture.name in done.stdout
    with h5py.File(out) as file:
        mask = file["attack/mask"][0]
        assert mask.sum() == 9 and mask[27:30, 27:30].all()


def test_colours_alpha_and_place(colour, tmp_path):
    pixels = np.random.default_rng(5).integers(0, 256, (4, 6, 4))
    out = tmp_path / "run.h5"
    fedclamp("run", "--data", colour[0], "--synthetic", colour[1], "--clients", 4, "--rounds", 1, "--batch", 8, "--attack", "fm",
             "--trigger", png(tmp_path / "c.png", pixels, filters=[4, 3, 1, 2]), "--trigger-place", "3,20", "--out", out)
    with h5py.File(out) as file:
        mask, pattern = file["attack/mask"][0], file["attack/pattern"][()]
        np.testing.assert_allclose(mask[3:7, 20:26], pixels[..., 3] / 255, atol=1e-7)
        np.testing.assert_allclose(pattern[:, 3:7, 20:26], pixels[..., :3].transpose(2, 0, 1) / 255, atol=1e-7)
        assert mask.sum() == pytest.approx(pixels[..., 3].sum() / 255, rel=1e-5)
        assert file["config"].attrs["trigger"].startswith("c.png@trigger:")


def test_bad_pictures(tiny, tmp_path):
    out = ["--attack", "fm", "--out", tmp_path / "run.h5"]

    def no(picture, *says, more=(), code=2):
        refused("run", *tiny, "--trigger", picture, *more, *out, says=says, code=code)

    no(png(tmp_path / "large.png", np.full((40, 3, 4), 255)), "40x3", "larger than the 28x28 images")
    no(png(tmp_path / "clear.png", np.zeros((3, 3, 4))), "0 everywhere")
    small = png(tmp_path / "small.png", np.full((3, 3, 4), 255))
    no(small, "at row 26", more=["--trigger-place", "26,0"])
    no(small, "ROW,COLUMN", more=["--trigger-place", "26"], code=64)
    no(tmp_path / "none.png", "none.png")
    (tmp_path / "text.png").write_text("no picture")
    no(tmp_path / "text.png", "a PNG file")
    cut = small.read_bytes()
    (tmp_path / "cut.png").write_bytes(cut[:-20])
    no(tmp_path / "cut.png", "cut short")
    (tmp_path / "bad.png").write_bytes(cut[:45] + bytes([cut[45] ^ 1]) + cut[46:])
    no(tmp_path / "bad.png", "check sum")
    no(png(tmp_path / "odd.png", np.full((3, 3, 1), 1), colour=5), "colour type 5")
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file["mask"], file["pattern"] = np.full((3, 3), 2.0), np.ones((3, 3))
    no(tmp_path / "big.h5", "from 0 to 1")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["mask"], file["pattern"] = np.ones((3, 3)), np.ones((2, 3, 3))
    no(tmp_path / "other.h5", "/pattern")
    no("fedclamp.h5x", "one of:", code=64)


# --- the examples -----------------------------------------------------------------------------------------------------

EXAMPLE_OPTIONS = {"trimmed": ["--defense", "exec:{}:0.2"], "boost": ["--attack", "classic", "--malicious-update", "exec:{}"],
                   "warp": ["--attack", "both", "--trigger", "exec:{}"], "shrink": ["--defense", "exec:{}:0.99"], "mixup": ["--defense", "exec:{}"]}


@pytest.mark.parametrize("name", EXAMPLE_OPTIONS)
def test_examples(six, tmp_path, name):
    path = EXAMPLES / f"{name}.py"
    text = path.read_text()
    assert len(text.splitlines()) < 40
    if "import torch" in text:
        pytest.importorskip("torch")
    runs = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for out, threads in zip(runs, (1, 2), strict=True):
        done = run(*six, *[word.format(path) for word in EXAMPLE_OPTIONS[name]], "--threads", threads, "--out", out)
        assert f"exec:{name}" in done.stderr
    assert differing(contents(runs[0], ("model", "history", "state")), contents(runs[1], ("model", "history", "state"))) == []


def test_every_example_is_tried():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(EXAMPLE_OPTIONS)


# --- data -------------------------------------------------------------------------------------------------------------

def test_natural_clients(tmp_path, fm, data):
    own = tmp_path / "own.h5"
    with h5py.File(data) as source, h5py.File(own, "w") as file:
        for split in ("train", "test"):
            for name in ("images", "labels"):
                file[f"{split}/{name}"] = source[f"{split}/{name}"][()]
        owners = np.repeat([7, 3, 900, 40], [20, 60, 40, 40])
        file["train/clients"] = owners
    options = ["--data", own, "--synthetic", fm, "--partition", "natural", "--rounds", 1, "--batch", 8, "--attack", "classic", "--poison-fraction", 1]
    out = tmp_path / "run.h5"
    fedclamp("run", *options, "--clients", 4, "--malicious", 4, "--out", out)
    with h5py.File(out) as file:
        for client, owner in enumerate([3, 7, 40, 900]):
            assert np.array_equal(file[f"attack/poisoned_client_{client}"][()], np.flatnonzero(owners == owner))
    fedclamp("run", *options, "--clients", 2, "--malicious", 2, "--out", out, "--overwrite")
    with h5py.File(out) as file:
        shares = [tuple(file[f"attack/poisoned_client_{k}"][()]) for k in range(2)]
        assert all(share in {tuple(np.flatnonzero(owners == owner)) for owner in owners} for share in shares) and shares[0] != shares[1]
    refused("run", *options, "--clients", 5, "--out", tmp_path / "x.h5", says=["natural over 5", "--clients 4"], folder=tmp_path)
    refused("run", "--data", data, *options[2:], "--clients", 4, "--out", tmp_path / "x.h5", says="/train/clients", folder=tmp_path)
    with h5py.File(own, "r+") as file:
        del file["train/clients"]
        file["train/clients"] = owners[:-1]
    refused("run", *options, "--out", tmp_path / "x.h5", says=["/train/clients", "shape (160)"], folder=tmp_path)


def test_plain_federated_learning(tmp_path, data):
    """No FM data: FedAvg from random weights, normalised by the clients' own images; the same by steps."""
    options = ["--data", data, "--synthetic", "none", "--clients", 2, "--rounds", 1, "--batch", 8]
    out = tmp_path / "run.h5"
    done = fedclamp("run", *options, "--out", out)
    assert "no FM data" in done.stderr
    with h5py.File(data) as source, h5py.File(out) as file:
        pixels = source["train/images"][()] / 255
        assert file["model/input/mean"][0] == pytest.approx(pixels.mean(), rel=1e-5) and file["model/input/std"][0] == pytest.approx(pixels.std(), rel=1e-5)
        assert "conv1" not in file["initial"]
        assert file["provenance"].attrs["synthetic_digest"] == "none"
    fedclamp("step", "init", *options, "--out", tmp_path / "g0.h5")
    updates = [tmp_path / f"u{k}.h5" for k in range(2)]
    for k, update in enumerate(updates):
        fedclamp("step", "local", tmp_path / "g0.h5", "--client", k, "--share", "--data", data, "--out", update)
    fedclamp("step", "aggregate", tmp_path / "g0.h5", *updates, "--data", data, "--out", tmp_path / "a1.h5")
    fedclamp("step", "fuse", tmp_path / "a1.h5", "--data", data, "--out", tmp_path / "g1.h5")
    assert differing(contents(out, ("model",)), contents(tmp_path / "g1.h5", ("model",))) == []
    run(*options, "--resume", "--out", out)


@pytest.mark.parametrize(("more", "says", "code"), [
    (["--attack", "fm"], "no FM data to poison", 64), (["--defense", "screen"], "--synthetic none", 64), (["--defense", "fltrust"], "fltrust needs the server's FM data", 2),
    (["--defense", "bounds"], "FM images, got 0; bounds needs them", 2), (["--defense", "fine-tuning"], "FM images, got 0", 2),
    (["--save-synthetic", "x.h5"], "no FM data to save", 64)])
def test_what_needs_fm_data_says_so_before_anything_is_trained(tmp_path, data, more, says, code):
    done = fedclamp("run", "--data", data, "--synthetic", "none", "--clients", 4, *more, "--out", tmp_path / "x.h5", code=code, cwd=tmp_path)
    assert says in done.stderr and "initialisation  ACC" not in done.stderr and done.stdout == "" and not list(tmp_path.iterdir())


def idx(path, array):
    import gzip
    header = bytes([0, 0, 8, array.ndim]) + b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_idx_files_of_any_name(tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "gzip"
    folder.mkdir()
    pictures, labels = rng.integers(0, 256, (30, 28, 28)), np.arange(30) % 26 + 1
    for variant in ("emnist-letters", "emnist-digits"):
        for split, part in (("train", slice(0, 26)), ("test", slice(26, 30))):
            idx(folder / f"{variant}-{split}-images-idx3-ubyte.gz", pictures[part])
            idx(folder / f"{variant}-{split}-labels-idx1-ubyte", labels[part])
    call = ["import", "idx", "--from", folder, "--out", tmp_path / "x.h5"]
    refused(*call, says=["--variant", "emnist-digits-train"], folder=tmp_path)
    done = fedclamp(*call, "--variant", "emnist-letters")
    assert "rows and columns" in done.stderr and "numbered from 1" in done.stderr
    with h5py.File(tmp_path / "x.h5") as file:
        assert np.array_equal(file["train/images"][:, 0], pictures[:26].transpose(0, 2, 1)) and file.attrs["name"] == "emnist-letters"
        assert file["train/labels"][()].tolist() == list(range(26)) and list(file.attrs["class_names"])[0] == "1"
    kmnist = tmp_path / "kmnist"
    kmnist.mkdir()
    for split, part in (("train", slice(0, 26)), ("t10k", slice(26, 30))):
        idx(kmnist / f"{split}-images-idx3-ubyte.gz", pictures[part])
        idx(kmnist / f"{split}-labels-idx1-ubyte.gz", labels[part] % 10)
    call = ["import", "idx", "--from", kmnist, "--out", tmp_path / "k.h5"]
    refused(*call, "--name", "mnist", says="not the published files of mnist", folder=tmp_path)
    fedclamp(*call, "--name", "kmnist")
    with h5py.File(tmp_path / "k.h5") as file:
        assert np.array_equal(file["train/images"][:, 0], pictures[:26]) and file.attrs["name"] == "kmnist"
    (kmnist / "t10k-labels-idx1-ubyte.gz").unlink()
    refused(*call, "--overwrite", says="labels-idx1-ubyte", folder=tmp_path)
    refused("import", "mnist", "--from", kmnist, "--out", tmp_path / "m.h5", "--name", "x", code=64, folder=tmp_path)
    refused("import", "--from", kmnist, "--out", tmp_path / "m.h5", code=64, folder=tmp_path)
