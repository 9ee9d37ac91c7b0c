"""The mail of the load test: a template with ten variables, html and text, and as much filler as a size asks
for."""

from collections.abc import Iterable
from typing import Any

import msgspec

from mta.jetstream.subjects import payload_subject
from mta.model.lane import Lane

TENANT = "load"
DOMAIN = "load.test"
CAMPAIGNS = {Lane.BULK: "load", Lane.TRANSACTIONAL: "probe"}
"""One for each lane, so that the subject of an event tells them apart."""
PER_PAYLOAD = 500
VARIABLES = (
    "first_name",
    "last_name",
    "city",
    "store",
    "voucher",
    "discount",
    "points",
    "valid_until",
    "order_no",
    "adviser",
)

_SUBJECT = "{{ first_name }}, {{ discount }} off in {{ store }}"
_TEXT = """\
Hello {{ first_name }} {{ last_name }},

your shop {{ store }} in {{ city }} has something for you: {{ discount }} off
until {{ valid_until }}, with the code {{ voucher }}.

You have {{ points }} points. Your last order was {{ order_no }}.

{{ adviser }}
"""
_HTML = """\
<!doctype html>
<html><body>
<h1>Hello {{ first_name }} {{ last_name }},</h1>
<p>your shop <b>{{ store }}</b> in {{ city }} has something for you:
{{ discount }} off until {{ valid_until }}.</p>
<p style="letter-spacing:3px">{{ voucher }}</p>
<p>You have {{ points }} points. Your last order was
<a href="https://shop.load.test/orders/{{ order_no }}">{{ order_no }}</a>.</p>
<p>{{ adviser }}</p>
"""
_HTML_END = "</body></html>\n"
_LINE = "The quick brown fox jumps over the lazy dog, and nobody is surprised.\n"
_ON_WIRE = len(_LINE) + 1
"""Octets of a filler line: its line feed goes out as CRLF."""


def filler(octets: int) -> str:
    """ASCII lines that are `octets` long on the wire, or one less where a line end does not fit."""
    whole, rest = divmod(max(0, octets), _ON_WIRE)
    return _LINE * whole + ("x" * (rest - 2) + "\n" if rest >= 2 else "")


def content(filler_octets: int) -> dict[str, str]:
    """Text and html, the filler in equal parts in both."""
    half = filler_octets // 2
    return {
        "subject": _SUBJECT,
        "text": _TEXT + filler(half),
        "html": _HTML + filler(filler_octets - half) + _HTML_END,
    }


def addresses(tag: str, number: int, start: int = 0) -> list[str]:
    """Each is used once in a run: the tag says in which part of it."""
    return [f"{tag}-{at:07d}@d{at % 20}.test" for at in range(start, start + number)]


def recipient(address: str) -> dict[str, Any]:
    local = address.partition("@")[0]
    values = (
        "Ada",
        f"Example-{local}",
        "Berlin",
        "Lantern Lane 7",
        local.upper(),
        "10%",
        "1240",
        "31 December",
    )
    data = dict(zip(VARIABLES, (*values, f"A-{local}", "Your team"), strict=True))
    return {"email": address, "data": data}


def payload(
    name: str,
    lane: Lane,
    mail: dict[str, str],
    to: Iterable[str],
    campaign: str = "",
    tenant: str = TENANT,
) -> bytes:
    return msgspec.json.encode(
        {
            "v": 1,
            "id": name,
            "tenant": tenant,
            "campaign": campaign or CAMPAIGNS[lane],
            "stream": "marketing",
            "lane": lane,
            "from": {"email": f"news@{DOMAIN}", "name": "Load test"},
            "content": mail,
            "unsubscribe": {"mailto": f"leave@{DOMAIN}"},
            "recipients": [recipient(address) for address in to],
        }
    )


def subject(lane: Lane, campaign: str = "", tenant: str = TENANT) -> str:
    return payload_subject(lane, tenant, campaign or CAMPAIGNS[lane])
