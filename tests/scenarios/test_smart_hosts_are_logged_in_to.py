"""A route to a relay that wants a login: shown to the relay, to nobody in its place, and to no log."""

import base64
from pathlib import Path

from tests.fakes.rig import Rig
from tests.fakes.smtp_server import CHUNKING, FakeMX, On
from tests.fakes.trust import of_nobody, trusted_server

OFFERS = (*CHUNKING, "AUTH PLAIN")
SECRET = "s3cret-of-the-relay"
SHOWN = base64.b64encode(f"\0mta\0{SECRET}".encode())


async def test_the_login_is_for_the_relay_alone(own_rig: Rig, tmp_path: Path) -> None:
    """D13: accepted: delivered. Refused: deferred as our own fault, told once. Not the relay: it gets nothing."""
    credentials = own_rig.directory / "relay"
    credentials.touch(mode=0o600)
    credentials.write_text(f"mta:{SECRET}\n")
    with trusted_server(tmp_path, "127.0.0.1") as context:
        refusing = On("auth", [b"535 5.7.8 not with %b\r\n" % SHOWN])
        async with (
            FakeMX(CHUNKING, OFFERS, context=context).serving() as relay,
            FakeMX(CHUNKING, OFFERS, [refusing], context=context).serving() as closed,
            FakeMX(CHUNKING, OFFERS, context=of_nobody()).serving() as impostor,
        ):
            places = {"good.test": relay, "closed.test": closed, "impostor.test": impostor}
            routes = "".join(
                f'"{domain}" = {{ host = "127.0.0.1:{mx.port}", tls = "verify", auth = "relay" }}\n'
                for domain, mx in places.items()
            )
            own_rig.config.write_text(own_rig.config.read_text().replace("[routes]\n", "[routes]\n" + routes))
            await own_rig.start()
            payload = own_rig.payload(*(f"ada@{domain}" for domain in places), tls="none")
            await own_rig.publish(payload)
            await own_rig.until(lambda: _deferred(own_rig, payload) >= 3)
            told = own_rig.told(payload)
            assert told.types("ada@good.test") == ["delivered"]
            assert b"AUTH PLAIN " + SHOWN in bytes(b"".join(line for _, line in relay.lines))
            first = told.of("ada@closed.test")[0]
            assert (first["type"], first["bounce"]["class"]) == ("deferred", "local")
            assert (first["smtp"]["stage"], first["smtp"]["code"]) == ("auth", 535)
            false = told.of("ada@impostor.test")[0]
            assert (false["type"], false["smtp"]["stage"]) == ("deferred", "tls")
            assert not any(line.startswith((b"AUTH", b"MAIL")) for _, line in impostor.lines)
            assert own_rig.log.count("login_failed") == 1
            for text in (own_rig.log, str(own_rig.events)):
                assert SECRET not in text
                assert SHOWN.decode() not in text


def _deferred(rig: Rig, payload: dict[str, object]) -> int:
    """Three say that one of the two is at its second attempt."""
    return sum(event["type"] == "deferred" for event in rig.told(payload).events)
