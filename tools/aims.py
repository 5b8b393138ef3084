"""Compares the tables in data/results with what we want of the bounds, and prints a page in markdown.

    python3 tools/aims.py data/results > data/results/aims.md

Wanted: ASR at most max(0.02, floor + 0.01) under fm and max(0.05, floor + 0.02) under classic and both; ACC at most 0.01 below the
undefended; and ASR at most 0.01 above the best other defence that keeps ACC within 0.02 of it.
"""
import csv
import pathlib
import sys

OURS = ["bounds", "bounds-unlearning", "screen + bounds-unlearning", "multi-krum + screen + bounds-unlearning"]
NO_BASELINES = {"none", "unlearning", "bounds-paper", "bounds-plain", "screen", "vouching", "multi-krum + vouching + bounds-unlearning", *OURS}     # bounds-plain: an earlier fit of ours, in older tables
SECTIONS = {"Fashion-MNIST, scale study, means of three seeds": ["bounds-study"],
            "CIFAR-10, scale study, means of three seeds": ["bounds-cifar-10"],
            "Fashion-MNIST, scale quick, means of three seeds": ["main-quick"],
            "Fashion-MNIST, scale quick, one seed": ["triggers-quick", "distribution-quick", "settings-quick", "strength-quick",
                                                     "adaptive-quick"],
            "CIFAR-10, scale quick, one seed": ["main-cifar-10"]}
ATTACKS = {"classic", "fm", "both"}
# Where the attack hardly works undefended there is nothing to stop.
JUDGED_FROM = 0.5
STRONG = 0.9


def settings(path):
    """{(setting, attack): {defence: (ACC, ASR, floor)}} of one table; defences are in rows, or attacks are."""
    found = {}
    for line in csv.DictReader(path.open()):
        if line["kind"] != "mean" or not line["asr"]:
            continue
        if line["column"] in ATTACKS:
            setting, _, defence = line["row"].rpartition(", ")
            attack = line["column"]
        else:
            attack, setting = line["row"].split(", ", 1)
            defence = line["column"]
        values = tuple(float(line[name] or "nan") for name in ("acc", "asr", "floor"))
        found.setdefault((setting or "IID, patch", attack), {})[defence] = values
    return found


def section(paths):
    """The settings of several tables; what two tables have in common (the same training) is put together."""
    merged = {}
    for path in paths:
        for (setting, attack), results in settings(path).items():
            same = (attack, results["none"])
            name, known = merged.setdefault(same, (f"{setting}, {attack}", {}))
            known.update({defence: values for defence, values in results.items() if defence not in known})
    return [(name, attack, results) for (attack, _), (name, results) in merged.items()]


def wanted(attack, floor):
    return max(0.02, floor + 0.01) if attack == "fm" else max(0.05, floor + 0.02)


def excess(result, plain, attack, best):
    """By how much ACC and ASR are worse than wanted, in words; empty where they are not."""
    acc, asr, _ = result
    over = [("ACC", plain[0] - acc - 0.01), ("ASR", asr - wanted(attack, plain[2]))]
    if best is not None:
        over.append(("other's ASR", asr - best - 0.01))
    return ", ".join(f"{name} {by:.3f}" for name, by in over if by >= 0.0005)


def tally(judgements, least, scale=""):
    """In how many of the settings with an undefended ASR of at least `least` each defence has all that is wanted, in words."""
    met = {x: [ok for defence, title, asr, ok in judgements if defence == x and asr >= least and scale in title] for x in OURS}
    return ", ".join(f"`{x}` in {sum(of)} of {len(of)} settings" for x, of in met.items())


def main(folder):
    _, command, aim = __doc__.strip().split("\n\n")
    print("# What we want of the bounds, and how far they are from it\n")
    print(f"{aim.replace(chr(10), ' ')} *Over*: by how much that is missed, where undefended ASR is {JUDGED_FROM} or more. Each table says with which version it was computed.\n\n{command}\n")
    judgements = []
    for title, names in SECTIONS.items():
        print(f"## {title}\n\nTables: {', '.join(f'[{name}]({name}.md)' for name in names)}.\n")
        print("| setting, attack | none: ACC / ASR | wanted ASR | best other | " + " | ".join(f"{x}: ACC lost / ASR | over" for x in OURS) + " |")
        print("|---" * (4 + 2 * len(OURS)) + "|")
        for name, attack, results in section([folder / f"{name}.csv" for name in names]):
            plain = results["none"]
            best = min((asr for x, (acc, asr, _) in results.items() if NO_BASELINES.isdisjoint(x.split(" + ")) and acc >= plain[0] - 0.02), default=None)
            cells = [name, f"{plain[0]:.3f} / {plain[1]:.3f}", f"{wanted(attack, plain[2]):.3f}", "-" if best is None else f"{best:.3f}"]
            for x in OURS:
                if x not in results:
                    cells += ["-", "-"]
                    continue
                over = excess(results[x], plain, attack, best)
                judged = plain[1] >= JUDGED_FROM
                cells += [f"{plain[0] - results[x][0]:.3f} / {results[x][1]:.3f}", (over or "met") if judged else ""]
                judgements.append((x, title, plain[1], not over))
            print("| " + " | ".join(cells) + " |")
        print()
    print(f"All three are met by {tally(judgements, JUDGED_FROM)}.\n")
    print(f"At scale study where undefended ASR is {STRONG} or more: by {tally(judgements, STRONG, 'scale study')}.")


main(pathlib.Path(sys.argv[1]))
