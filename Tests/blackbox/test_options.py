"""Every option of a run has one name: on the command line, in configuration files, help, completions and the man page, in
/config of a run file and in what `inspect` shows. The list comes from the program itself."""
import json
import re
import shutil
import subprocess

import h5py
import numpy as np
import pytest

from support import BINARY, contents, differing, fedclamp, refused

# What each command names in its own way; the rest is made from one list.
OF_THE_COMMAND = {"data", "synthetic", "isa"}
NOT_OF_THE_RUN = {"out", "save-synthetic", "resume", "overwrite", "threads", "config", "json", "log", "own", "exec-seconds", "exec-log", "version", "help"}

# As in files that were written before options had one name.
FORMER = {"lr": "rate", "initial-lr": "initialRate", "fusion-lr": "fusionRate", "malicious-lr": "maliciousRate",
          "model-replacement": "attackBoost", "defense": "defenses"}


def definition(*command):
    """The options of a command, by name, as the parser describes them."""
    dump = json.loads(fedclamp(*command, "--experimental-dump-help").stdout)["command"]
    found = {a["preferredName"]["name"]: a for a in dump["arguments"] if a["kind"] != "positional"}
    return {name: a for name, a in found.items() if a["kind"] != "flag" or not name.startswith("no-") or name[3:] not in found}


@pytest.fixture(scope="module")
def options():
    return definition("run")


@pytest.fixture(scope="module")
def stored(clean_run):
    with h5py.File(clean_run) as file:
        return json.loads(file["config/json"][()]), dict(file["config"].attrs)


def former(name):
    return FORMER.get(name) or re.sub("-(.)", lambda m: m[1].upper(), name)


def test_one_name_everywhere(options, stored, clean_run):
    values, attributes = stored
    names = set(options) - NOT_OF_THE_RUN | {"isa"}
    assert set(values) == names and set(attributes) - {"hash"} == names and len(names) >= 43
    shown = json.loads(fedclamp("inspect", clean_run, "--json").stdout)["configuration"]
    assert set(shown) == names
    text = fedclamp("run", "--help").stdout
    assert all(re.search(rf"^  --{name}\b", text, re.M) for name in names)
    assert list(values) == sorted(values)


def test_step_init_has_the_same(options):
    assert set(definition("step", "init")) | {"save-synthetic", "resume", "log", "own"} == set(options)


def test_help_says_range_and_default(options):
    for name, option in options.items():
        if option["kind"] == "option" and name not in NOT_OF_THE_RUN | OF_THE_COMMAND:
            assert "default: " in option["abstract"] and option["sectionTitle"], name


def example(name, option):
    choices = option.get("completionKind", {}).get("list", {}).get("values")
    # from 0 to 1 or above, of classes and clients: 1 is in all ranges but those below 1
    special = {"partition": "shards:2", "seed": "7", "trigger-place": "1,1", "malicious-update": "none", "heads": "1x128,none", "defense": "vouching",
               "poison-label": "target"}                     # clean does not go with all-to-all, a cover and a draw of the other classes
    if name in special or not choices:
        return special.get(name, "0.25" if "below 1" in option["abstract"] or "fraction" in name else "1")
    return choices[-1]


def test_configuration_file_has_them_all(tmp_path, options, tiny):
    """Each option in a file: what follows is refused for the file of FM data that is not there, and for nothing else."""
    lines = []
    for name, option in options.items():
        if name not in NOT_OF_THE_RUN | OF_THE_COMMAND:
            lines.append(f"{name} = {'true' if option['kind'] == 'flag' else example(name, option)}")
    assert len(lines) >= 40
    (tmp_path / "all.conf").write_text("\n".join(lines))
    refused("run", *tiny, "--synthetic", tmp_path / "none.h5", "--config", tmp_path / "all.conf", "--out", tmp_path / "out.h5",
            says="none.h5", folder=tmp_path)


@pytest.mark.parametrize("text", ["much", "-1", "nan"])
def test_bad_values_on_the_line_and_in_a_file(tmp_path, options, tiny, text):
    """64 on the command line, 2 in a file; the name, what was given, what was expected."""
    checked = 0
    for name, option in options.items():
        if option["kind"] == "flag" or name in NOT_OF_THE_RUN | OF_THE_COMMAND:
            continue
        done = refused("run", *tiny, f"--{name}", text, "--out", tmp_path / "out.h5", code=64, folder=tmp_path)
        assert f"--{name} {text}: expected " in done.stderr, done.stderr
        (tmp_path / "run.conf").write_text(f"# a comment\n{name} = {text}\n")
        done = refused("run", *tiny, "--config", tmp_path / "run.conf", "--out", tmp_path / "out.h5", says="run.conf:2", folder=tmp_path)
        assert f"--{name} {text}: expected " in done.stderr, done.stderr
        checked += 1
    assert checked >= 39


def test_unknown_names(tmp_path, tiny):
    refused("run", *tiny, "--local-epoch", 1, "--out", tmp_path / "out.h5", code=64, says="--local-epochs", folder=tmp_path)
    for given, near in (("local-epoch", "local-epochs"), ("deepsight-image", "deepsight-images")):
        (tmp_path / "run.conf").write_text(f"{given} = 1\n")
        refused("run", *tiny, "--config", tmp_path / "run.conf", "--out", tmp_path / "out.h5", says=["run.conf:1", near], folder=tmp_path)


@pytest.mark.parametrize("text", ['out = "{}"\nattack = \'fm\'', "out = '{}'\nattack = \"fm\"", "out = {}\nattack = fm"])
def test_quotation_marks_are_not_part_of_a_value(tmp_path, tiny, text):
    out = tmp_path / "with space.h5"
    (tmp_path / "run.conf").write_text(text.format(out))
    fedclamp("run", *tiny, "--config", tmp_path / "run.conf")
    with h5py.File(out) as file:
        assert file["attack"].attrs["attack"] in (b"fm", "fm")


@pytest.mark.parametrize("line", ['out = "{}"', "out = '{}'  # not this", 'out="{}" # "nor this" #'])
def test_number_signs_between_quotation_marks(tmp_path, tiny, line):
    out = tmp_path / "set #2 of #3.h5"
    (tmp_path / "run.conf").write_text(line.format(out) + "\n")
    fedclamp("run", *tiny, "--config", tmp_path / "run.conf")
    assert {path.name for path in tmp_path.iterdir()} == {out.name, "run.conf"}


# Options that commands declare themselves, beside those of a run.
OF_COMMANDS = {
    "run": ["threads", "exec-seconds"], "sweep": ["threads", "seeds", "first-seed", "shard"], "reproduce": ["threads", "seeds", "first-seed", "shard", "exec-seconds"],
    "evaluate": ["target", "threads"], "bound": ["seed", "threads"], "bench": ["updates", "threads"], "import": ["classes"], "step local": ["client", "threads"],
}
REQUIRED = {"sweep": ["none.conf", "--out=x"], "reproduce": ["--out=x"], "evaluate": ["none.h5", "--data=none.h5"], "bound": ["none.h5", "--synthetic=none.h5", "--out=x.h5"],
            "import": ["idx", "--from=none", "--out=x.h5"], "step local": ["none.h5", "--data=none.h5", "--out=x.h5"], "run": ["--out=x.h5"], "bench": []}


@pytest.mark.parametrize("command", OF_COMMANDS)
def test_numbers_that_cannot_be(tmp_path, command):
    """A number below zero, words and a fraction: the option, what was given, and what was expected, not that a value is missing."""
    (tmp_path / "none.conf").write_text("rounds = 1\n")
    for option in OF_COMMANDS[command]:
        for text in ("-1", "-.5", "much"):
            given = [] if option == "client" else ["--client=0"] * (command == "step local")
            done = refused(*command.split(), *REQUIRED[command], *given, f"--{option}", text, code=64, folder=tmp_path, cwd=tmp_path)
            assert re.search(rf"^fedclamp {command}: --{option} {re.escape(text.replace('-.5', '-'))}[.05]*: expected ", done.stderr), done.stderr
    (tmp_path / "run.conf").write_text("threads = much\n")
    if command == "run":
        refused("run", "--config", tmp_path / "run.conf", "--out", tmp_path / "x.h5", says="run.conf:1: threads = much: --threads much: expected a whole number")


def test_configuration_file_and_command_line(tmp_path, tiny):
    """The line wins; a list in a file adds up."""
    (tmp_path / "run.conf").write_text("rounds = 1\nseed = 5\ndefense = clp\ndefense = fine-tuning\nall-to-all = true\n")
    fedclamp("run", *tiny, "--rounds", 1, "--seed", 6, "--config", tmp_path / "run.conf", "--out", tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        values = json.loads(file["config/json"][()])
    assert values["seed"] == 6 and values["defense"] == ["clp", "fine-tuning"] and values["all-to-all"] is True


def flags(*command):
    return [name for name, option in definition(*command).items() if option["kind"] == "flag" and name not in {"help", "version"}]


def test_a_flag_of_a_file_is_taken_back(tmp_path, tiny):
    """--no-NAME for every flag, of every command that reads such files; help and the man page say so."""
    config, out = tmp_path / "run.conf", tmp_path / "out.h5"
    config.write_text("rounds = 1\nall-to-all = true\nevaluate-clients = true\nresume = true\njson = true\noverwrite = false\n")
    done = fedclamp("run", *tiny, "--config", config, "--no-all-to-all", "--no-evaluate-clients", "--no-json", "--out", out)
    with h5py.File(out) as file:
        values = json.loads(file["config/json"][()])
    assert values["all-to-all"] is False and values["evaluate-clients"] is False and not done.stdout.startswith("{")
    refused("run", *tiny, "--config", config, "--no-resume", "--out", out, says="exists already", folder=tmp_path)
    refused("run", *tiny, "--config", config, "--no-json", "--out", out, says="all-to-all was false, is true", folder=tmp_path)
    config.write_text("no-json = true\n")
    refused("run", *tiny, "--config", config, "--out", out, says=["run.conf:1", "no-json", "json = false"], folder=tmp_path)
    page = fedclamp("manual").stdout.replace("\\-", "-")
    for command in (["run"], ["step", "init"], ["reproduce"]):
        assert len(flags(*command)) >= 2 and "takes back" in fedclamp("run", "--help").stdout
        for name in flags(*command):
            assert f"--no-{name}" in fedclamp(*command, "--help").stdout and f"\\fB--{name}\\fR, \\fB--no-{name}\\fR" in page


ATTACKED = ["--attack", "both", "--malicious", 1, "--model-replacement", "auto", "--malicious-lr", 0.03, "--cover-fraction", 0.1,
            "--defense", "norm-clip", "--norm-clip-limit", 2, "--rounds", 2, "--seed", 2 ** 64 - 1]


def test_files_of_before_resume_to_the_same_bits(tmp_path, tiny):
    """A run file as version 0.1.0 wrote it: former names, nothing where an option was not set."""
    fedclamp("run", *tiny, *ATTACKED, "--out", tmp_path / "whole.h5")
    shutil.copy(tmp_path / "whole.h5", tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        values = json.loads(file["config/json"][()])
        old = json.dumps({former(k): v for k, v in values.items() if v is not None}, sort_keys=True, separators=(",", ":"))
        assert '"rate":' in old and '"attackBoost":"auto"' in old and '"seed":18446744073709551615' in old and "-lr" not in old
        del file["config/json"]
        file["config/json"] = np.bytes_(old)
    shown = fedclamp("inspect", tmp_path / "old.h5").stdout
    assert re.search(r"^  model-replacement +auto$", shown, re.M) and "attackBoost" not in shown
    plain = fedclamp("evaluate", tmp_path / "whole.h5", "--data", tiny[1], "--json").stdout
    assert fedclamp("evaluate", tmp_path / "old.h5", "--data", tiny[1], "--json").stdout == plain
    for name in ("old.h5", "whole.h5"):
        fedclamp("run", *tiny, *ATTACKED, "--defense", "fine-tuning", "--resume", "--out", tmp_path / name)
    assert not differing(contents(tmp_path / "old.h5", ["model", "state", "history", "defended"]),
                         contents(tmp_path / "whole.h5", ["model", "state", "history", "defended"]))
    with h5py.File(tmp_path / "old.h5") as file:
        assert "lr" in json.loads(file["config/json"][()]), "written with the names of today"


@pytest.mark.parametrize("change, says", [
    (("--lr", 0.03), "lr was 0.02, is 0.03"), (("--norm-clip-limit", 3), "norm-clip-limit was 2, is 3"),
    (("--model-replacement", 2.5), "model-replacement was auto, is 2.5"), (("--defense", "vouching"), "defense was norm-clip, is")])
def test_what_may_not_change_on_resume(tmp_path, tiny, change, says):
    fedclamp("run", *tiny, *ATTACKED, "--rounds", 1, "--out", tmp_path / "run.h5")
    refused("run", *tiny, *ATTACKED, "--rounds", 1, *change, "--resume", "--out", tmp_path / "run.h5", says=says, folder=tmp_path)
    # an option of a rule that has no part in the run
    fedclamp("run", *tiny, *ATTACKED, "--rounds", 1, "--deepsight-images", 7, "--resume", "--out", tmp_path / "run.h5")


@pytest.mark.parametrize("json_text, says", [('"lr":0', "lr: expected a number above 0, got 0"), ('"lr":"fast"', "lr: expected a number above 0"),
                                             ('"lrr":0.1', "did you mean"), ('"rate":0.1,"lr":0.1', "lr"), ('"trigger":"patsh"', "patch")])
def test_bad_configuration_in_a_file(tmp_path, clean_run, json_text, says):
    shutil.copy(clean_run, tmp_path / "run.h5")
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["config/json"]
        file["config/json"] = np.bytes_("{" + json_text + "}")
    refused("inspect", tmp_path / "run.h5", says=["run.h5", "/config/json", says])


def test_man_page(options):
    page = fedclamp("manual").stdout
    for name in options:
        assert name in {"version", "help"} or f"\\-\\-{name.replace('-', chr(92) + '-')}\\fR" in page, name
    assert page.startswith(".TH FEDCLAMP 1")
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, check=True)
        assert not done.stderr and "--deepsight-images n" in re.sub(".\x08", "", done.stdout)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completions(options, shell):
    script = fedclamp("--generate-completion-script", shell).stdout
    for word in ("multi-krum", "bounds-unlearning", "chessboard", "deepsight-images"):
        assert word in script, word
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
