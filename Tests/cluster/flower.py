"""Flower on the loopback interface: SuperLink, SuperNodes and runs as processes that end with the test."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

from support import BINARY, ROOT

PROGRAMS = pathlib.Path(sys.executable).parent
APP = ROOT / "tools/flower"
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1", "RAY_USAGE_STATS_ENABLED": "0",
         "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1", "RAY_worker_niceness": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=180):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.3)
    return found


class Processes:
    """Children in process groups of their own, ended in the opposite order."""

    def __init__(self, folder):
        self.folder, self.started = folder, []

    def __enter__(self):
        return self

    def start(self, name, program, *arguments, **environment):
        home = self.folder / name
        home.mkdir(parents=True, exist_ok=True)
        log = open(self.folder / f"{name}.log", "wb")
        process = subprocess.Popen([PROGRAMS / program, *map(str, arguments)], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                   env=self.environment(name, environment), cwd=home, start_new_session=True)
        self.started.append(process)
        return process

    def environment(self, name, more):
        return os.environ | QUIET | {"FLWR_HOME": str(self.folder / name), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"} | {k: str(v) for k, v in more.items()}

    def __exit__(self, *_):
        for process in reversed(self.started):
            for number, patience in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
                try:
                    os.killpg(process.pid, number)
                    process.wait(patience)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue


class Deployment(Processes):
    """A SuperLink whose ServerApp goes on from federation.first, and SuperNodes or their simulation. `keys`: a folder of
    certificates.sh; `own`: the own methods that the server and the nodes grant."""

    def __init__(self, folder, federation, keys=None, simulation=False, own=""):
        super().__init__(folder)
        self.own = own
        self.federation, self.keys, self.simulation, self.port = federation, keys, simulation, free_port()
        self.work = folder / "work"

    def __enter__(self):
        secure = ["--insecure"] if not self.keys else [
            "--ssl-ca-certfile", self.keys / "ca.crt", "--ssl-certfile", self.keys / "server.pem", "--ssl-keyfile", self.keys / "server.key",
            "--enable-supernode-auth", "--database", self.folder / "state.db"]
        kind = ["--simulation"] if self.simulation else []
        self.start("link", "flower-superlink", *secure, *kind, "--host", "127.0.0.1", "--port", self.port, "--isolation", "subprocess",
                   "--disable-runtime-dependency-installation", FEDCLAMP=BINARY, FEDCLAMP_GLOBAL=self.federation.first,
                   FEDCLAMP_SYNTHETIC=self.federation.fm, FEDCLAMP_WORK=self.work,
                   FEDCLAMP_DATA=self.federation.folder / "node-{client}.h5", FEDCLAMP_OWN=self.own)
        client = self.folder / "cli"
        client.mkdir(parents=True)
        trust = f'root-certificates = "{self.keys / "ca.crt"}"' if self.keys else "insecure = true"
        (client / "config.toml").write_text(f'[superlink]\ndefault = "loop"\n\n[superlink.loop]\naddress = "127.0.0.1:{self.port}"\n{trust}\n')
        wait_for("SuperLink", lambda: self.cli("supernode", "list", "loop", "--format", "json").returncode == 0)
        return self

    def cli(self, *arguments, timeout=600):
        return subprocess.run([PROGRAMS / "flwr", *map(str, arguments)], env=self.environment("cli", {}), cwd=self.folder, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)

    def register(self, name):
        """Registers the node key of that name, in self.keys. A call may be lost, or its answer, on a busy machine."""
        def done():
            shown = self.cli("supernode", "register", self.keys / f"{name}.key.pub", "loop", "--name", name)
            return shown.returncode == 0 or "already in use" in shown.stdout + shown.stderr
        wait_for(f"registration of {name}", done)

    def node(self, client, name=None, executable=BINARY, data=None, key=None):
        secure = ["--insecure"] if not self.keys else ["--root-certificates", self.keys / "ca.crt", "--auth-supernode-private-key", key]
        settings = f'client={client} fedclamp="{executable}" data="{data or self.federation.node(client)}" own="{self.own}"'
        return self.start(name or f"node{client}", "flower-supernode", *secure, "--superlink", f"127.0.0.1:{self.port}", "--host", "127.0.0.1",
                          "--port", free_port(), "--isolation", "subprocess", "--max-retries", 3, "--node-config", settings)

    def online(self, count):
        def look():
            shown = self.cli("supernode", "list", "loop", "--format", "json").stdout
            return shown.count('"online"') == count
        wait_for(f"{count} SuperNodes online", look)

    def run(self, *options, seconds=500):
        """Submits, waits, returns (succeeded, everything the ServerApp logged)."""
        number, end = wait_for("submission", lambda: self.submitted(options)), []

        def ended():
            end[:] = [r["status"] for r in self.runs() if r["run-id"] == number and r["status"].startswith("finished")]
            return end
        wait_for("end of the run", ended, seconds)
        log = wait_for("log of the run", lambda: self.cli("log", number, "loop", "--show").stdout)
        (self.folder / "run.log").write_text(log)
        return end[0].startswith("finished:completed"), log

    def submitted(self, options):
        """The number of the run, None when the SuperLink could not be reached; never two runs."""
        shown = self.cli("run", APP, "loop", "--format", "json", *options)
        if shown.returncode == 0:
            return json.loads(shown.stdout)["run-id"]
        assert "unavailable" in shown.stdout + shown.stderr or "DEADLINE" in shown.stdout + shown.stderr, shown.stdout + shown.stderr
        return next((run["run-id"] for run in self.runs()), None)

    def runs(self):
        """The SuperLink's runs; none, too, when it could not be reached."""
        shown = self.cli("list", "loop", "--format", "json")
        return json.loads(shown.stdout)["runs"] if shown.returncode == 0 else []
