"""A node: answers which client it is, and trains that client with `fedclamp step local` on its own file."""
import tempfile
from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from fedclamp_flower.node import NodeError, existing, own, pack, run, setting, unpack

app = ClientApp()


def client_of(context: Context) -> int:
    config = dict(context.node_config)
    return int(config.get("client", config.get("partition-id", -1)))


@app.query()
def who(message: Message, context: Context) -> Message:
    return Message(RecordDict({"node": ConfigRecord({"client": client_of(context)})}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    try:
        return Message(RecordDict({"update": update(message, context)}), reply_to=message)
    except Exception as error:  # noqa: BLE001 - whatever went wrong here, the server is told and goes on
        reason = str(error) if isinstance(error, NodeError) else f"{type(error).__name__}: {error}"
        return Message(RecordDict({"failure": ConfigRecord({"reason": reason[-600:]})}), reply_to=message)


def update(message: Message, context: Context):
    config, client = dict(context.node_config), client_of(context)
    executable = setting("fedclamp", config)
    data = existing(setting("data", config).replace("{client}", str(client)), "the data file")
    with tempfile.TemporaryDirectory(prefix=f"fedclamp-{client}-") as folder:
        received, out = unpack(message.content["global"], Path(folder, "global.h5")), Path(folder, "update.h5")
        run(executable, "local", received, "--client", client, "--data", data, "--out", out, "--threads", setting("threads", config, 1), *own(config),
            folder=folder, timeout=float(message.content["round"]["timeout"]))
        return pack(out)
