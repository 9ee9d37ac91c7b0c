"""A bounce that comes by mail is an event of the very message whose return path it came to."""

import asyncio
import smtplib
import sys

import pytest

from tests.fakes.nats import NatsServer, eventually, free_port
from tests.fakes.reports import dsn, mail
from tests.fakes.rig import DOMAIN, TENANTS, Place, Rig
from tests.fakes.verbs import program


class Reporting:
    """Whoever sends reports to the daemon of a rig."""

    def __init__(self, rig: Rig, port: int = 0) -> None:
        """At a port that the service manager holds, or else the daemon's own."""
        self._port = port or free_port()
        if not port:
            rig.configure(listen=f"127.0.0.1:{self._port}")

    async def send(self, recipient: str, raw: bytes) -> int:
        """The code that ended it; 0 for none."""
        return await asyncio.to_thread(self._send, recipient, raw)

    def _send(self, recipient: str, raw: bytes) -> int:
        try:
            with smtplib.SMTP("127.0.0.1", self._port, timeout=30) as client:
                client.sendmail("", [recipient], raw)
        except smtplib.SMTPRecipientsRefused as error:
            [(code, _)] = error.recipients.values()
            return code
        except smtplib.SMTPDataError as error:
            return error.smtp_code
        except (smtplib.SMTPServerDisconnected, ConnectionError):
            return 0
        return 250


def return_path(place: Place, recipient: str) -> str:
    [received] = place.of(recipient)
    return received.sender


async def test_a_late_bounce_is_told(own_rig: Rig) -> None:
    """From the return path as the peer saw it to the event: same message, class and text of the report; the second one
    is taken and not told. What came to no return path of ours is refused. The drain says what came."""
    rig = own_rig
    reporting = Reporting(rig)
    await rig.start()
    async with rig.destination() as place:
        payload = rig.payload({"email": place.to("ada"), "id": "cust-1"}, place.to("bob"), stream="news")
        told = await rig.deliver(payload, campaign="spring")
        path = return_path(place, place.to("bob"))
        assert await reporting.send(path, dsn(place.to("bob"))) == 250
        await rig.saw(payload, "oob_bounced")
        event = rig.told(payload).of(place.to("bob"))[-1]
        assert event["message_id"] == told.end(place.to("bob"))["message_id"]
        assert (event["campaign"], event["stream"], event["tenant"]) == ("spring", "news", "acme")
        assert event["bounce"]["class"] == "invalid_recipient"
        assert event["smtp"] == {
            "stage": "out_of_band",
            "code": 550,
            "enhanced": "5.1.1",
            "text": "5.1.1 no such user",
        }
        assert await reporting.send(path, dsn(place.to("bob"))) == 250
        assert await reporting.send(path.replace("b+", "f+"), dsn(place.to("bob"))) == 550
        assert await reporting.send(place.to("bob"), mail()) == 550
        answer = mail("Out of office", Auto_Submitted="auto-replied")
        assert await reporting.send(return_path(place, place.to("ada")), answer) == 250
        await rig.saw(payload, "auto_replied")
        events = rig.told(payload).of(place.to("ada"))
        assert [one["type"] for one in events] == ["delivered", "auto_replied"]
        assert events[1]["recipient_id"] == "cust-1"
        assert rig.told(payload).types(place.to("bob")) == ["delivered", "oob_bounced"]
    await rig.daemon.stop()
    assert "inbound_closed" in rig.log


_ACTIVATED = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="smtp")
os.execv(sys.executable, [sys.executable, "-m", "mta.cli", "run", *sys.argv[2:]])
"""


async def test_systemd_hands_over_its_socket(own_rig: Rig) -> None:
    """As `mta-smtp.socket` does: nothing is configured, and the daemon listens."""
    rig = own_rig
    port = free_port()
    reporting = Reporting(rig, port)
    rig.daemon.command = (sys.executable, "-c", _ACTIVATED, str(port))
    await rig.start()
    async with rig.destination() as place:
        payload = rig.payload(place.to("bob"))
        await rig.deliver(payload)
        assert await reporting.send(return_path(place, place.to("bob")), dsn(place.to("bob"))) == 250
        await rig.saw(payload, "oob_bounced")


async def test_h15_our_own_mail_to_our_own_return_path(own_rig: Rig) -> None:
    """A message of ours that is sent to a return path of ours is no report: refused in the dialogue, one `bounced`, and
    nothing goes round. A bounce of ours to ourselves is taken once."""
    rig = own_rig
    domain, held = rig.bare()
    port = held.getsockname()[1]
    held.close()
    rig.configure(listen=f"127.0.0.1:{port}", tenants=TENANTS.replace(f"b.{DOMAIN}", domain))
    reporting = Reporting(rig, port)
    await rig.start()
    async with rig.destination() as place:
        first = rig.payload(place.to("bob"))
        await rig.deliver(first)
        path = return_path(place, place.to("bob"))
        assert path.endswith(f"@{domain}")
        told = await rig.deliver(rig.payload(path))
        assert told.types(path) == ["bounced"]
        assert told.end(path)["smtp"]["code"] == 554
        assert await reporting.send(path, dsn(path, reply="smtp; 554 5.7.1 Only reports are accepted")) == 250
        await rig.saw(first, "oob_bounced")
        assert rig.told(first).types(place.to("bob")) == ["delivered", "oob_bounced"]
        assert "suppress" not in rig.told(first).of(place.to("bob"))[-1]["bounce"]["actions"]
        assert len(place.mx.received) == 1


async def test_h1_a_report_that_was_answered_is_told(own_rig: Rig, nats_server: NatsServer) -> None:
    """kill -9 between the end of data and its answer: the peer hears nothing and comes again. kill -9 after 250: the
    event is there."""
    rig = own_rig
    reporting = Reporting(rig)
    await rig.start()
    async with rig.destination() as place:
        payload = rig.payload(place.to("ada"), place.to("bob"))
        await rig.deliver(payload)
        paths = {name: return_path(place, place.to(name)) for name in ("ada", "bob")}
        nats_server.freeze()
        sending = asyncio.create_task(reporting.send(paths["ada"], dsn(place.to("ada"))))
        await asyncio.wait((sending,), timeout=1.0)
        assert not sending.done()
        await rig.daemon.kill()
        assert await sending == 0
        nats_server.thaw()
        await rig.daemon.start()
        await eventually(lambda: rig.link.is_connected)
        assert await reporting.send(paths["ada"], dsn(place.to("ada"))) == 250
        assert await reporting.send(paths["bob"], dsn(place.to("bob"))) == 250
        await rig.daemon.kill()
        await rig.saw(payload, "oob_bounced", 2)
        for name in ("ada", "bob"):
            assert rig.told(payload).types(place.to(name)) == ["delivered", "oob_bounced"]


@pytest.mark.parametrize("listen", ["192.0.2.1:25"])
async def test_an_address_that_is_not_ours_stops_the_start(own_rig: Rig, listen: str) -> None:
    """Exit code 78: it will not get better by itself."""
    own_rig.configure(listen=listen)
    code, _, errors = await program("run", "--config", str(own_rig.config))
    assert code == 78
    assert b"inbound.listen" in errors
