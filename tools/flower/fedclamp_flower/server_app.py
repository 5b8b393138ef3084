"""The server: sends the global checkpoint to the nodes of a round's clients, and makes the next one of what comes back."""
import json
import time
from logging import INFO, WARNING
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid, ServerApp

from fedclamp_flower.node import NodeError, existing, own, pack, run, setting, unpack

app = ServerApp()
POLL = 0.5                   # seconds between looks at which nodes are online
INTRODUCTION = 100.0         # seconds that a node has to say which client it is


class Server:
    """The executable on the server's files: FEDCLAMP_WORK holds every round's checkpoint."""

    def __init__(self):
        self.executable, self.folder = setting("fedclamp"), Path(setting("work", default="fedclamp-work")).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.globals = Path(existing(setting("global"), "the global checkpoint")).resolve()
        whole = setting("server-data", default="")
        file = existing(whole or setting("synthetic"), "the server's data")
        self.data = ["--data" if whole else "--synthetic", str(Path(file).resolve()), *own()]

    def step(self, *arguments):
        return json.loads(run(self.executable, *arguments, "--json", folder=self.folder))

    def standing(self):
        return self.step("clients", self.globals)

    def advance(self, number, updates):
        """Round `number` from the files of `updates`, by client; what `step aggregate` said."""
        aggregate, fused = self.folder / f"aggregate-{number}.h5", self.folder / f"global-{number}.h5"
        files = [f"{client}={path}" for client, path in sorted(updates.items())]
        said = self.step("aggregate", self.globals, *files, "--skip-refused", "--overwrite", *self.data, "--out", aggregate)
        bounds_are_due = self.step("fuse", aggregate, "--overwrite", *self.data, "--out", fused)["bound_is_due"]
        if bounds_are_due:
            bounded = self.folder / f"bounded-{number}.h5"
            self.step("bound", fused, "--overwrite", *self.data, "--out", bounded)
            fused = bounded
        aggregate.unlink()
        self.globals = fused
        return said


class Nodes:
    """Which node is which client. A node says so once, before its first round."""

    def __init__(self, grid: Grid):
        self.grid, self.clients = grid, {}

    def online(self, wanted, wait):
        """{client: node} of the wanted clients that are online, after at most `wait` seconds for all of them."""
        end = time.monotonic() + wait
        while True:
            nodes = set(self.grid.get_node_ids())
            self.introduce(sorted(nodes - self.clients.keys()))
            found = self.by_client(wanted, nodes)
            if len(found) == len(wanted) or time.monotonic() > end:
                return found
            time.sleep(POLL)

    def introduce(self, nodes):
        messages = [Message(content=RecordDict(), message_type=MessageType.QUERY, dst_node_id=node) for node in nodes]
        for reply in self.grid.send_and_receive(messages, timeout=INTRODUCTION) if messages else []:
            if reply.has_content() and "node" in reply.content:
                self.clients[reply.metadata.src_node_id] = int(reply.content["node"]["client"])

    def by_client(self, wanted, nodes):
        found = {}
        for client in wanted:
            same = [node for node in nodes if self.clients.get(node) == client]
            if len(same) == 1:
                found[client] = same[0]
            elif same:
                log(WARNING, "client %d: %d nodes say that they are it (%s): none is asked", client, len(same), ", ".join(map(str, same)))
        return found


def collect(grid, nodes, server, number, timeout):
    """Sends the global checkpoint to `nodes` ({client: node}); ({client: file}, {client: why there is none})."""
    config, record = ConfigRecord({"number": number, "timeout": timeout}), pack(server.globals)
    messages = {client: Message(content=RecordDict({"global": record, "round": config}), message_type=MessageType.TRAIN, dst_node_id=node)
                for client, node in nodes.items()}
    sent = dict(zip(grid.push_messages(list(messages.values())), messages))
    updates, reasons, end = {}, {}, time.monotonic() + timeout
    while sent and time.monotonic() < end:
        for reply in grid.pull_messages(list(sent)):
            client = sent.pop(reply.metadata.reply_to_message_id, None)
            if client is None:
                continue
            try:
                updates[client] = unpack(content(reply)["update"], server.folder / f"update-{number}-{client}.h5")
            except (NodeError, KeyError) as error:
                reasons[client] = str(error)
        if sent:
            time.sleep(POLL)
    return updates, reasons | {client: f"no update within {timeout:g} s" for client in sent.values()}


def content(reply):
    if reply.has_error():
        raise NodeError(f"Flower says (code {reply.error.code}) {str(reply.error.reason).strip()[-300:]}")
    if "failure" in reply.content:
        raise NodeError(str(reply.content["failure"]["reason"]))
    return reply.content


@app.main()
def main(grid: Grid, context: Context) -> None:
    timeout, wait = float(context.run_config["timeout"]), float(context.run_config["wait"])
    server, nodes = Server(), Nodes(grid)
    while not (standing := server.standing())["finished"]:
        number, begin = standing["finished_rounds"] + 1, time.monotonic()
        online = nodes.online(standing["clients"], wait)
        reasons = {client: "its node is not online" for client in standing["clients"] if client not in online}
        updates, failures = collect(grid, online, server, number, timeout)
        for client, reason in sorted((reasons | failures).items()):
            log(WARNING, "round %d: client %d is missing: %s", number, client, reason)
        if not updates:
            raise RuntimeError(f"round {number}: no client sent an update; the last global checkpoint is {server.globals}")
        said = server.advance(number, updates)
        for refusal in said["refused"]:
            log(WARNING, "round %d: refused: %s", number, refusal)
        for path in updates.values():
            path.unlink()
        log(INFO, "round %d of %d: updates of clients %s; missing: %s; %.1f s", number, standing["rounds"], said["clients"],
            said["missing"] or "none", time.monotonic() - begin)
    log(INFO, "FINISHED %s", server.globals)
