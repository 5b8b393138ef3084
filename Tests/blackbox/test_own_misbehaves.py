"""Own methods that misbehave, files that name what they may not start, and signals."""
import hashlib
import pathlib
import signal
import subprocess
import textwrap
import time

import h5py
import numpy as np
import pytest

from own import ENVIRONMENT, KRUM, method, run
from support import BINARY, fedclamp, refused


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
    "leaves a child behind": ("import subprocess; subprocess.Popen(['sleep', '60']); sys.exit(4)", ["exit code 4"]),
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
    "makes a folder": ("os.mkdir(question['output']); os.symlink('/', question['output'] + '/root'); say()", ["a regular file", "a folder"]),
    "says what it printed": ("print('no idea', file=sys.stderr, flush=True); time.sleep(0.3); say(error='no idea')", ["it says: no idea"]),
    "overflows single precision": ("give(aggregate=np.full(h5py.File(question['input'])['global'].shape, 1e300)); say()", ["finite", "inf"]),
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_a_misbehaving_rule_ends_the_round_with_one_line(seven, tmp_path, name):
    answer, says = MISBEHAVIOURS[name]
    program, out = bare(tmp_path / "mine.py", answer), tmp_path / "run.h5"
    done = fedclamp("run", *seven, "--defense", f"exec:{program}", "--exec-seconds", 3, "--out", out, code=2, env=ENVIRONMENT)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("fedclamp run: exec:mine, asked for rule, round 1:"), done.stderr
    for word in says:
        assert word in line, f"{word!r} is not in: {line}"
    assert len(line) < 700 and line.count("no idea") <= 1
    with h5py.File(out) as file:                        # the last good file stays
        assert file["state/finished_rounds"][()] == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.py", "run.h5"]


def test_start_and_kinds(seven, tmp_path):
    out = ["--out", tmp_path / "run.h5"]

    def no(request, *says, option="--defense"):
        refused("run", *seven, option, request, *out, says=says, env=ENVIRONMENT, folder=tmp_path)

    no("exec:./nowhere.py", "nowhere.py")
    plain = tmp_path / "plain"
    plain.write_text("no program")
    no(f"exec:{plain}", "expected an executable file")
    no(f"exec:{tmp_path}", "expected a program")
    odd = method(tmp_path / "odd é.py", KRUM)
    no(f"exec:{odd}", "its name appears in tables")
    no(f"exec:{bare(tmp_path / 'other.py', '', hello=HELLO % 'trigger')}", "expected a program with one of: rule, model-defense", "trigger")
    no(f"exec:{bare(tmp_path / 'none.py', '', hello=HELLO % 'law')}", "kinds")
    no(f"exec:{bare(tmp_path / 'new.py', '', hello=HELLO.replace('1', '2') % 'rule')}", "protocol")
    silent = tmp_path / "silent.py"
    silent.write_text("import sys\nsys.exit(0)\n")
    no(f"exec:{silent}", "exit code 0", "its last line is fedclamp.serve()")
    both = bare(tmp_path / "both.py", "", hello=HELLO % 'rule", "model-defense')
    no(f"exec:{both}", "just one of: rule, model-defense; it offers rule, model-defense")
    krum, twin = method(tmp_path / "krum.py", KRUM), tmp_path / "a"
    twin.mkdir()
    method(twin / "krum.py", "@fedclamp.malicious_update\ndef f(p, c):\n    return p\n")
    refused("run", *seven, "--defense", f"exec:{krum}", "--malicious-update", f"exec:{twin / 'krum.py'}", *out, says="is called exec:krum too", env=ENVIRONMENT)


HELLO = '{"protocol": 1, "kinds": ["%s"]}'


def test_what_a_file_names_is_not_started(seven, tmp_path):
    """A checkpoint of a stranger that names a program: no step starts it, each says what it would need."""
    krum = method(tmp_path / "krum.py", KRUM)
    g0 = tmp_path / "g0.h5"
    data = seven[1]
    fedclamp("step", "init", *seven, "--defense", f"exec:{krum}", "--out", g0, env=ENVIRONMENT)
    krum.write_text(krum.read_text().replace("    n, f", f"    open({str(tmp_path / 'started')!r}, 'w')\n    n, f"))
    updates = []
    for client in range(7):
        updates.append(tmp_path / f"u{client}.h5")
        fedclamp("step", "local", g0, "--client", client, "--share", "--data", data, "--out", updates[-1])
    aggregate = ["step", "aggregate", g0, *updates, "--synthetic", seven[3], "--out", tmp_path / "a1.h5"]
    refused(*aggregate, says=["exec:krum", "--own exec:PROGRAM"], env=ENVIRONMENT)
    refused(*aggregate, "--own", f"exec:{krum}", says=["exec:krum", "is needed"], env=ENVIRONMENT)        # another version is another program
    assert not (tmp_path / "started").exists()
    method(krum, KRUM)
    fedclamp(*aggregate, "--own", f"exec:{krum}", env=ENVIRONMENT)
    fedclamp("step", "fuse", tmp_path / "a1.h5", "--synthetic", seven[3], "--out", tmp_path / "g1.h5")
    run(*seven, "--defense", "multi-krum", "--out", tmp_path / "run.h5")
    with h5py.File(tmp_path / "g1.h5") as steps, h5py.File(tmp_path / "run.h5") as whole:
        assert steps["history/acc"].shape == (1,) and np.isfinite(steps["model/fc2/weight"][()]).all()
        assert whole["history/acc"].shape == (2,)


def test_a_configuration_with_a_path_is_refused(seven, tmp_path):
    """In a run file only identities may stand, never a path."""
    out = tmp_path / "run.h5"
    run(*seven, "--out", out)
    with h5py.File(out, "r+") as file:
        text = file["config/json"][()].decode().replace('"defense":[]', '"defense":["exec:/bin/true"]')
        assert "/bin/true" in text
        del file["config/json"]
        file["config/json"] = text
        file["config"].attrs["hash"] = hashlib.sha256(text.encode()).hexdigest()
    refused("step", "clients", out, says="name@kind:digest")


def test_ctrl_c_ends_the_program_too(seven, tmp_path):
    hangs = bare(tmp_path / "mine.py", f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(300)")
    process = subprocess.Popen([BINARY, *map(str, ["run", *seven, "--defense", f"exec:{hangs}", "--out", tmp_path / "run.h5"])],
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
    fedclamp("run", *seven, "--out", tmp_path / "run.h5", "--overwrite")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine.py", "pid", "run.h5"], "what was exchanged is removed by the next run"


def test_what_it_writes_to_stderr_can_be_kept(seven, tmp_path):
    talks = method(tmp_path / "talks.py", """
        @fedclamp.rule
        def talks(updates, context):
            print("round", context.round)               # stdout is the protocol's: the package sends this to stderr
            return np.ones(len(updates))
        """)
    run(*seven, "--defense", f"exec:{talks}", "--exec-log", tmp_path / "log", "--out", tmp_path / "run.h5")
    assert (tmp_path / "log").read_text() == "round 1\nround 2\n"


WITH_THE_PACKAGE = {
    "a trigger of NaN": ("@fedclamp.trigger\ndef f(images, context):\n    return images * np.nan\n", ["--attack", "classic", "--trigger"], "finite numbers, got nan"),
    "a defence without return": ("@fedclamp.model_defense\ndef f(parameters, context):\n    parameters * 2\n", ["--defense"],
                                 "f returned None: expected parameters (flat, or a state_dict)"),
    "a defence with a typo": ("@fedclamp.model_defense\ndef f(parameters, context):\n    return {'parameter': parameters}\n", ["--defense"],
                              "parameters, bounds, suspects (its keys: conv1.weight, conv1.bias"),
    "an error of two lines": ("@fedclamp.rule\ndef f(updates, context):\n    raise ValueError('one\\ntwo')\n", ["--defense"], "ValueError: one"),
}


@pytest.mark.parametrize("name", WITH_THE_PACKAGE)
def test_with_the_package_a_wrong_result_says_what_is_expected(seven, tmp_path, name):
    body, option, says = WITH_THE_PACKAGE[name]
    program = method(tmp_path / "mine.py", body)
    done = fedclamp("run", *seven, *option, f"exec:{program}", "--out", tmp_path / "run.h5", code=2, env=ENVIRONMENT)
    line = done.stderr.splitlines()[-1]
    assert line.startswith("fedclamp run: exec:mine, asked for") and says in line and "KeyError" not in line, done.stderr
