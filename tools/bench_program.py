"""Calls of FedClamp with their time and memory."""
import json
import subprocess
import sys
import tempfile

# A small process of its own starts the program: the largest memory that Linux reports for a process counts that of
# whoever started it, and bench.py itself is larger than FedClamp.
LAUNCHER = """
import json, os, sys, time
report, *command = sys.argv[1:]
start = time.perf_counter()
_, status, usage = os.wait4(os.spawnv(os.P_NOWAIT, command[0], command), 0)
with open(report, "w") as file:
    json.dump([os.waitstatus_to_exitcode(status), time.perf_counter() - start, usage.ru_maxrss * 1024], file)
"""


class Program:
    def __init__(self, path):
        self.path = str(path)

    def __call__(self, *arguments):
        """(standard output, seconds from start to end, peak bytes)."""
        command = [self.path, *map(str, arguments)]
        with tempfile.NamedTemporaryFile("r") as report:
            done = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, report.name, *command], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, check=True)
            code, seconds, peak = json.load(report)
        if code:
            sys.exit(f"bench: {' '.join(command)}: exit code {code}\n{done.stderr}")
        return done.stdout, seconds, peak
