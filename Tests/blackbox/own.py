"""Programs that are own methods, for the tests of them."""
import os
import pathlib
import sys
import textwrap

from support import ROOT, fedclamp

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
