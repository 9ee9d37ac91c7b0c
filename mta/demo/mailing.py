"""What the demo sends: the recipients file and the offer that ship in `conf/demo/`, as payloads."""

import csv
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from mta.config.load import shipped
from mta.jetstream.subjects import payload_subject
from mta.model.lane import Lane

TENANT = "demo"
CAMPAIGN = "anniversary"
DOMAIN = "demo.test"
PER_PAYLOAD = 500

_SUBJECT = "{{ first_name }}, your voucher for {{ store }}"


class Outgoing(Struct, frozen=True):
    """A payload ready to be published. `msg_id` is its `Nats-Msg-Id`."""

    subject: str
    msg_id: str
    body: bytes
    recipients: tuple[str, ...]


def read_recipients(path: Path, number: int) -> list[dict[str, str]]:
    """The first `number` rows; when the file ends it begins again, with numbered addresses (`ada+1@…`)."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} holds no recipients")
    return list(islice(_repeated(rows), number))


def _repeated(rows: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    for turn in count():
        for row in rows:
            local, _, domain = row["email"].rpartition("@")
            yield row if not turn else {**row, "email": f"{local}+{turn}@{domain}"}


def payloads(number: int) -> list[Outgoing]:
    """`number` personalised recipients, at most 500 to a payload."""
    rows = read_recipients(shipped("demo/recipients.csv"), number)
    content = {
        "subject": _SUBJECT,
        "text": shipped("demo/offer.txt").read_text(encoding="utf-8"),
        "html": shipped("demo/offer.html").read_text(encoding="utf-8"),
    }
    return [
        _payload(start, rows[start : start + PER_PAYLOAD], content) for start in range(0, number, PER_PAYLOAD)
    ]


def _payload(start: int, rows: list[dict[str, str]], content: dict[str, str]) -> Outgoing:
    name = f"{CAMPAIGN}-{start}"
    payload: dict[str, Any] = {
        "v": 1,
        "id": name,
        "tenant": TENANT,
        "campaign": CAMPAIGN,
        "stream": "marketing",
        "lane": Lane.BULK,
        "from": {"email": f"letter@{DOMAIN}", "name": "Lantern & Loom"},
        "content": content,
        "unsubscribe": {"mailto": f"leave@{DOMAIN}", "list_id": f"letter.{DOMAIN}"},
        "recipients": [
            {
                "email": row["email"],
                "name": row["first_name"],
                "data": {name: row[name] for name in ("first_name", "store", "voucher")},
            }
            for row in rows
        ],
    }
    return Outgoing(
        payload_subject(Lane.BULK, TENANT, CAMPAIGN),
        f"{TENANT}/{name}",
        msgspec.json.encode(payload),
        tuple(row["email"] for row in rows),
    )
