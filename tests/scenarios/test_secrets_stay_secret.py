"""What must not be told stands nowhere that others read: log, events, command lines."""

import json
import os
from pathlib import Path

import pytest

from tests.fakes.rig import Rig, check_copies
from tests.fakes.smtp_server import Cut, On

pytestmark = pytest.mark.asyncio(loop_scope="session")

VOUCHER, BODY, PERSON = "v0ucher-canary", "b0dy-canary", "perss0n-canary"


def secrets_of(rig: Rig) -> dict[str, str]:
    """By what they are. A line is enough of a key."""
    key = (rig.directory / "dkim.pem").read_text().splitlines()
    address = json.loads((rig.daemon.state_dir / "nats.json").read_bytes())
    return {
        "the DKIM key": key[len(key) // 2],
        "the key of the tokens": (rig.directory / "token-k1").read_text(),
        "the password of NATS": address["password"],
    }


def command_lines(session: int) -> dict[int, bytes]:
    """Of all processes of a session, by process."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(place.name)) == session:
                found[int(place.name)] = (place / "cmdline").read_bytes()
        except (ProcessLookupError, FileNotFoundError):
            continue
    return found


async def test_secrets_and_data_are_told_to_nobody(rig: Rig) -> None:
    """Mail that is delivered, refused with its own words in the reply, cut off, or cannot be rendered: no key, no
    password, no data of a recipient and no body in log and events, no address in the log, no secret on a command
    line."""
    echo = On("rcpt", [f"550 5.1.1 <{PERSON}@bad> unknown\r\n".encode()], recipient=f"{PERSON}-no")
    cut = On("dot", [Cut.CLOSE], times=1)
    content = {"subject": "Hi", "text": f"{BODY} {{{{ voucher }}}} {{{{ 1 // n }}}}\n"}
    async with rig.destination(echo, cut) as place:
        echo.recipient = place.to(f"{PERSON}-no")
        people = [
            {"email": place.to(f"{PERSON}-{name}"), "data": {"voucher": VOUCHER, "n": name != "zero"}}
            for name in ("yes", "no", "zero")
        ]
        told = await rig.deliver(rig.payload(*people, content=content))
        check_copies(place, told)
        assert told.counts() == {"delivered": 1, "bounced": 1, "failed": 1}
        assert VOUCHER in place.mail(place.to(f"{PERSON}-yes")).get_content()  # type: ignore[attr-defined]
    secrets = secrets_of(rig)
    for where, text in {"log": rig.log, "events": json.dumps(told.events)}.items():
        for what, secret in {**secrets, "data": VOUCHER, "a body": BODY}.items():
            assert secret not in text, f"{what} in the {where}"
    assert "node_ready" in rig.log
    assert PERSON not in rig.log
    lines = command_lines(rig.daemon.pid)
    assert len(lines) > 2  # the daemon, its server, its workers
    for what, secret in secrets.items():
        assert not any(secret.encode() in line for line in lines.values()), what
