"""What a person has done, told on MTA_OPS under the name of this host."""

import getpass
import socket

import msgspec

from mta.jetstream.connection import Link
from mta.jetstream.subjects import ops_subject
from mta.model import times


def who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


async def tell(opened: Link, kind: str, fields: dict[str, str], at: float, msg_id: str) -> None:
    """`kind` is a type of the contract; empty fields are left out. The stream keeps one of each `msg_id`."""
    node = socket.gethostname()
    event = {"v": 1, "type": kind, "time": times.render(at), "node": node, **fields}
    body = msgspec.json.encode({name: value for name, value in event.items() if value})
    await opened.call(ops_subject(node, kind), body, headers={"Nats-Msg-Id": msg_id})
