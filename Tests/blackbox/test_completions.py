"""The shells' completions, as `make completions` writes them: names complete, files offered where files are meant."""
import json
import re
import shutil
import subprocess

import pytest

from support import fedclamp

# Completes each line of stdin, words separated by tabs, as bash does: a line of candidates for each.
BASH = """
source fedclamp.bash
while IFS=$'\\t' read -ra COMP_WORDS; do
    COMP_WORDS+=(''); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}; COMPREPLY=()
    _fedclamp fedclamp '' "${COMP_WORDS[COMP_CWORD - 1]}"
    echo "${COMPREPLY[@]}"
done
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with the scripts, a file and a folder."""
    place = tmp_path_factory.mktemp("completions")
    for shell in ("bash", "zsh", "fish"):
        (place / f"fedclamp.{shell}").write_text(fedclamp("--generate-completion-script", shell).stdout)
    (place / "images.h5").touch()
    (place / "results").mkdir()
    return place


def by_bash(folder, lines):
    """The candidates for the next word of each line."""
    done = subprocess.run(["bash", "-c", BASH], cwd=folder, input="".join("\t".join(line) + "\n" for line in lines),
                          capture_output=True, text=True, timeout=60)
    assert not done.stderr, done.stderr
    return [set(line.split()) for line in done.stdout.splitlines()]


def by_fish(folder, lines):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = "source fedclamp.fish; while read -l line; echo (complete -C $line | cut -f 1); end"
    done = subprocess.run(["fish", "--no-config", "-c", script], cwd=folder, input="".join(" ".join(line) + " \n" for line in lines),
                          capture_output=True, text=True, timeout=60)
    return [set(line.split()) for line in done.stdout.splitlines()]


def refused_names(*arguments):
    """The names that an error lists, without forms such as "square:N" and "exec:PROGRAM"."""
    listed = fedclamp(*arguments, code=64).stderr.split("one of: ")[1].split(" (see")[0]
    return {name for name in listed.split(", ") if re.fullmatch("[a-z-]+", name)}


def defences_of_help():
    """The defences that the help of `run` lists; it is what an error points to."""
    text = " ".join(fedclamp("run", "--help").stdout.split("--defense <name>")[1].split("--norm-clip-limit")[0].split())
    lists = [re.search(start + r" \(([a-z, -]+)", text)[1] for start in ("before aggregation", "it leaves out", "on the model")]
    alone = re.findall(r"(recommended|vouching|distillation) \(", text)
    return {name for names in lists for name in names.split(", ")} | set(alone)


def commands(node, path=()):
    """(words, definition) of every command."""
    words = (*path, node["commandName"])
    yield words, node
    for below in node.get("subcommands", []):
        if below["commandName"] != "help":
            yield from commands(below, words)


@pytest.mark.parametrize("shell", [by_bash, by_fish])
def test_names_are_complete(folder, shell):
    """All that an error or help would list; no "square:N", which can not be taken as it is."""
    triggers, defenses, in_step, of_file, scales, tables = shell(folder, [
        ["fedclamp", "run", "--trigger"], ["fedclamp", "run", "--defense"], ["fedclamp", "step", "init", "--defense"],
        ["fedclamp", "evaluate", "--trigger"], ["fedclamp", "reproduce", "--scale"], ["fedclamp", "reproduce"]])
    run = ["run", "--data", "images.h5", "--synthetic", "none", "--out", "x.h5"]
    assert triggers == of_file == refused_names(*run, "--trigger", "nobody") >= {"patch", "square"}
    assert defenses == in_step and {name for name in defenses if ":" not in name} == defences_of_help() >= {"recommended", "bounds", "vouching", "scan"}
    assert "bounds:per-layer" in defenses and "bounds-paper:sum" in defenses
    assert scales == {"smoke", "quick", "study", "paper"} and {"main", "ablation", "paper", "all"} <= tables


@pytest.mark.parametrize("shell", [by_bash, by_fish])
def test_files_are_offered_where_files_are_meant(folder, shell):
    """Options and arguments whose value is called a file or a folder in help."""
    lines, expected = [], []
    for words, command in commands(json.loads(fedclamp("--experimental-dump-help").stdout)["command"]):
        position = 0
        for argument in command.get("arguments", []):
            position += argument["kind"] == "positional"
            value = argument.get("valueName", "")
            if argument["kind"] == "flag" or not ("file" in value or value.endswith(".h5") or value == "dir") or position > 1:
                continue
            lines.append([*words, *(["--" + argument["preferredName"]["name"]] if argument["kind"] == "option" else [])])
            expected.append({"results"} if value == "dir" else {"results", "images.h5"})
    assert len(lines) > 40
    for line, wanted, found in zip(lines, expected, shell(folder, lines), strict=True):
        assert wanted <= {name.rstrip("/") for name in found}, f"{' '.join(line)}: {found}"


def test_zsh_reads_its_script(folder):
    if not shutil.which("zsh"):
        pytest.skip("zsh is not installed")
    done = subprocess.run(["zsh", "-n", folder / "fedclamp.zsh"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_man_page_names_every_command_and_option(folder):
    page = fedclamp("manual").stdout.replace("\\-", "-")
    for words, command in commands(json.loads(fedclamp("--experimental-dump-help").stdout)["command"]):
        if not command.get("shouldDisplay", True) or len(words) == 1:
            continue
        assert f'.SH "{" ".join(words).upper()}"' in page, words
        for argument in command.get("arguments", []):
            name = argument.get("preferredName", {}).get("name")
            assert not argument["shouldDisplay"] or name in ("help", "version", None) or f"--{name}" in page, (words, name)
    if shutil.which("groff"):
        shown = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=fedclamp("manual").stdout, capture_output=True, text=True, timeout=30)
        assert shown.returncode == 0 and "warning" not in shown.stderr, shown.stderr[:2000]
