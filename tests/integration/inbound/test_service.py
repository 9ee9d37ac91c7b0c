"""Reports through sockets, workers, DNS and a real index, up to the fact that is recorded and the reply to the peer."""

import asyncio
import smtplib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.dns.nameservers import StubNameservers
from mta.dns.settings import DnsSettings
from mta.dns.text import texts
from mta.inbound.fact import Fact, Recording
from mta.inbound.service import Asked, Inbound
from mta.inbound.settings import InboundSettings
from mta.jetstream.connection import Link, open_link
from mta.jetstream.errors import JetStreamUnavailable
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from mta.jetstream.subjects import index_subject
from mta.model import ids, times
from mta.model.event import EventType
from mta.model.index import IndexEntry
from mta.model.outcome import BounceClass
from mta.model.token import Purpose, TokenKey, TokenMint
from tests.fakes.dns_server import Answer, FakeDns, txt
from tests.fakes.nats import NatsServer, eventually
from tests.fakes.reports import READER, arf, dsn, mail, signed
from tests.integration.inbound.test_recorder import events, recording

DOMAIN, OTHER_DOMAIN = "b.acme.test", "b.other.test"
SECRET = b"s" * 32
MINT = TokenMint("k1", SECRET)
KEY = ids.payload_key("acme", "order-1")
ACCEPTED_AT = 1_795_000_000.25
ADA, BOB = "ada@example.test", "bob@example.test"
ENTRY = IndexEntry(
    v=1,
    tenant="acme",
    payload_id="order-1",
    source_stream="MTA_PAYLOADS",
    source_sequence=1,
    accepted_at=times.render(ACCEPTED_AT),
    campaign="spring",
    stream="news",
    lane="bulk",
    from_domain="acme.test",
    recipients=(ADA, BOB),
    ids=("", "cust-9"),
)
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = PRIVATE.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
)
RECORD = "v=DKIM1; k=rsa; p=" + "".join(
    PRIVATE.public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
    .splitlines()[1:-1]
)
AUTHOR = "arf.example.test"


class Kept:
    """A recorder that keeps facts by message and kind, and fails or waits as it is told to."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.replays = 0
        self.error: Exception | None = None
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def record(self, fact: Fact) -> bool:
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        if (fact.message_id, fact.kind) in {(one.message_id, one.kind) for one in self.facts}:
            self.replays += 1
            return False
        self.facts.append(fact)
        return True


class Running:
    def __init__(self, inbound: Inbound, port: int, kept: Kept, dns: FakeDns, link: Link) -> None:
        self.inbound = inbound
        self.kept = kept
        self.dns = dns
        self.link = link
        self._port = port

    async def send(self, recipient: str, raw: bytes, sender: str = "") -> tuple[int, str]:
        """The reply that ended it."""
        return await asyncio.to_thread(self._send, recipient, raw, sender)

    def _send(self, recipient: str, raw: bytes, sender: str) -> tuple[int, str]:
        with smtplib.SMTP("127.0.0.1", self._port, timeout=30) as client:
            try:
                client.sendmail(sender, [recipient], raw)
            except smtplib.SMTPRecipientsRefused as error:
                [(code, text)] = error.recipients.values()
                return code, text.decode()
            except smtplib.SMTPDataError as error:
                return error.smtp_code, bytes(error.smtp_error).decode()  # type: ignore[arg-type]
        return 250, ""

    async def index(self, entry: IndexEntry, key: bytes = KEY) -> None:
        await self.link.call(index_subject(key), msgspec.json.encode(entry))


CLASSIFIER = Classifier(shipped_rules())


def token(
    purpose: Purpose = Purpose.BOUNCE,
    index: int = 1,
    recipient: str = BOB,
    domain: str = DOMAIN,
    key: bytes = KEY,
) -> str:
    return f"{purpose}+{MINT.address(purpose, key, index, recipient)}@{domain}"


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    opened = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(opened, Capacity(events_max_bytes=1 << 27), ack_wait_s=2.0)
    yield opened
    await opened.close()


@asynccontextmanager
async def running(link: Link, recorder: Recording | None = None, **settings: Any) -> AsyncIterator[Running]:
    """With the recorder, or with one that keeps facts."""
    async with FakeDns() as dns, asyncio.timeout(60):
        dns.records(txt(f"s1._domainkey.{AUTHOR}", RECORD))
        nameservers = StubNameservers(DnsSettings(servers=(dns.address,), timeout_s=0.5, tries=1))
        nameservers.start()
        kept = Kept()

        async def provider_of(domain: str) -> str:
            return "google" if domain == "example.test" else "other"

        asked = Asked(link, recorder or kept, CLASSIFIER, partial(texts, nameservers), provider_of)
        inbound = Inbound(
            InboundSettings(**settings),
            "mx.acme.test",
            {DOMAIN: ["acme"], OTHER_DOMAIN: ["other"]},
            [TokenKey("k1", SECRET)],
            asked,
            READER,
        )
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        await inbound.start([listening])
        one = Running(inbound, listening.getsockname()[1], kept, dns, link)
        await one.index(ENTRY)
        try:
            yield one
        finally:
            await inbound.drain(1.0)
            await inbound.stop()
            await nameservers.close()


@pytest.fixture
async def reports(link: Link) -> AsyncIterator[Running]:
    async with running(link) as one:
        yield one


async def test_a_bounce_is_recorded(reports: Running) -> None:
    """Everything that is known of the mail comes from the index, everything about the failure from the report."""
    assert (await reports.send(token(), dsn()))[0] == 250
    [fact] = reports.kept.facts
    assert fact.kind is EventType.OOB_BOUNCED
    assert (fact.tenant, fact.campaign, fact.stream, fact.lane) == ("acme", "spring", "news", "bulk")
    assert (fact.payload_id, fact.recipient, fact.recipient_id) == ("order-1", BOB, "cust-9")
    assert fact.message_id == str(ids.message_id(ACCEPTED_AT, "acme", "order-1", "icust-9"))
    assert fact.provider == "google"
    assert fact.smtp is not None
    assert (fact.smtp.stage, fact.smtp.code, fact.smtp.enhanced) == ("out_of_band", 550, "5.1.1")
    assert fact.verdict is not None
    assert fact.verdict.bounce_class is BounceClass.INVALID_RECIPIENT
    assert "suppress" in fact.verdict.actions


@pytest.mark.parametrize("times", [50, pytest.param(1_000, marks=pytest.mark.long)])
async def test_h12_a_report_sent_again_is_taken_and_told_once(link: Link, times: int) -> None:
    """Fifty or a thousand times, some at once, by every part there is."""
    async with recording(link) as recorder, running(link, recorder) as reports:
        replies = await asyncio.gather(*(reports.send(token(), dsn()) for _ in range(10)))
        replies += [await reports.send(token(), dsn()) for _ in range(times - 10)]
        assert {code for code, _ in replies} == {250}
        assert recorder.replays == {EventType.OOB_BOUNCED: times - 1}
        assert reports.inbound.counters.dropped["known"] == times - 1
        assert len(await events(link)) == 1


async def test_h12_what_is_too_old_is_refused(reports: Running) -> None:
    """Its index entry is gone; so is a place the payload does not have."""
    code, text = await reports.send(token(key=ids.payload_key("acme", "long ago")), dsn())
    assert (code, text[:5]) == (550, "5.1.6")
    assert (await reports.send(token(index=2), dsn()))[0] == 550
    assert reports.kept.facts == []
    assert reports.inbound.counters.refused["too_old"] == 2


async def test_a_token_of_another_tenant_is_refused(reports: Running) -> None:
    """It is valid, but the domain is not that tenant's."""
    assert (await reports.send(token(domain=OTHER_DOMAIN), dsn()))[0] == 550
    assert reports.kept.facts == []


async def test_h1_there_is_no_250_before_it_is_stored(reports: Running) -> None:
    """Nor when it cannot be, or takes too long."""
    reports.kept.error = JetStreamUnavailable("down")
    assert (await reports.send(token(), dsn()))[0] == 451
    reports.kept.error = None
    reports.kept.go_on.clear()
    sending = asyncio.create_task(reports.send(token(), dsn()))
    await asyncio.wait((sending,), timeout=0.3)
    assert not sending.done()
    reports.kept.go_on.set()
    assert (await sending)[0] == 250
    assert len(reports.kept.facts) == 1


async def test_h1_storing_has_a_limit(link: Link) -> None:
    async with running(link, record_s=0.2) as reports:
        reports.kept.go_on.clear()
        assert (await reports.send(token(), dsn()))[0] == 451


async def test_h1_without_an_index_nothing_is_refused(reports: Running, nats_server: NatsServer) -> None:
    """NATS is away: the peer comes again."""
    nats_server.kill()
    await eventually(lambda: not reports.link.is_connected)
    assert (await reports.send(token(), dsn()))[0] == 451
    await nats_server.start()
    await eventually(lambda: reports.link.is_connected)
    assert (await reports.send(token(), dsn()))[0] == 250


VACATION = {"Auto_Submitted": "auto-replied"}


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (mail("Out of office", **VACATION), 250),
        (mail("Please confirm that you are no robot", **VACATION), 250),
        (mail("Read: your mail", **VACATION), 250),
        (mail("Cheap pills"), 554),
        (dsn(action="delayed", status="4.4.1"), 250),
        (dsn(action="relayed", status="2.0.0"), 250),
        (arf(kind="not-spam"), 250),
    ],
)
async def test_h14_what_is_no_bounce_makes_none(reports: Running, raw: bytes, code: int) -> None:
    """Vacation, challenge, read receipt, spam, and reports that all is well or not yet lost."""
    assert (await reports.send(token(), raw, "bob@example.test"))[0] == code
    assert EventType.OOB_BOUNCED not in {fact.kind for fact in reports.kept.facts}


async def test_h15_our_own_bounce_to_ourselves(reports: Running) -> None:
    """Taken once; nothing here can send an answer, and the same again is known."""
    own = dsn(token(), reply="smtp; 550 5.7.1 Not accepted here")
    assert (await reports.send(token(), own))[0] == 250
    assert (await reports.send(token(), own))[0] == 250
    [fact] = reports.kept.facts
    assert fact.recipient == BOB
    assert fact.verdict is not None
    assert "suppress" not in fact.verdict.actions


@pytest.mark.parametrize(("named", "doubt"), [("else@private.test", "forwarded"), ("", "unnamed")])
async def test_a_bounce_of_somebody_else_suppresses_nobody(reports: Running, named: str, doubt: str) -> None:
    """It is told of the recipient whose token it is."""
    assert (await reports.send(token(), dsn(named)))[0] == 250
    [fact] = reports.kept.facts
    assert fact.recipient == BOB
    assert fact.verdict is not None
    assert fact.verdict.actions == ("fail",)
    assert (fact.verdict.confidence, fact.detail) == ("low", doubt)


async def test_an_index_without_addresses_believes_what_the_token_confirms(reports: Running) -> None:
    await reports.index(msgspec.structs.replace(ENTRY, form="none", recipients=()))
    await reports.send(token(), dsn())
    assert [fact.recipient for fact in reports.kept.facts] == [BOB]


async def test_l03_an_unsubscribe_by_mail_is_believed_of_its_author(reports: Running) -> None:
    """Where the index keeps no addresses. Who writes from another one hears that it was for nothing."""
    await reports.index(msgspec.structs.replace(ENTRY, form="none", recipients=()))
    address = token(Purpose.UNSUBSCRIBE)
    code, text = await reports.send(address, mail().replace(b"bob@", b"carl@"), "carl@example.test")
    assert (code, text[:5], reports.kept.facts) == (550, "5.7.1", [])
    named = mail().replace(b"bob@example.test", b"Bob <BOB@Example.test>")
    assert (await reports.send(address, named, BOB))[0] == 250
    [fact] = reports.kept.facts
    assert (fact.kind, fact.recipient) == (EventType.UNSUBSCRIBED, BOB)


async def test_h8_a_bomb_is_refused_by_the_listener(reports: Running) -> None:
    """And a good report beside it is not."""
    bad, good = await asyncio.gather(
        reports.send(token(), mail(X_Bomb="spin")), reports.send(token(index=0, recipient=ADA), dsn(ADA))
    )
    assert (bad[0], bad[1][:5]) == (554, "5.6.0")
    assert good[0] == 250


async def test_mail_to_the_unsubscribe_address_unsubscribes(reports: Running) -> None:
    """Whatever a person writes; machines' answers and bounces to it do not."""
    address = token(Purpose.UNSUBSCRIBE)
    for raw in (mail(**VACATION), dsn(), arf()):
        assert (await reports.send(address, raw))[0] == 250
    assert reports.kept.facts == []
    assert (await reports.send(address, mail(), BOB))[0] == 250
    [fact] = reports.kept.facts
    assert (fact.kind, fact.recipient, fact.stream) == (EventType.UNSUBSCRIBED, BOB, "news")


async def test_a_complaint_counts_with_a_signature_of_its_author(reports: Running) -> None:
    """L-06: of a domain that is the author's."""
    raw = signed(arf(), PEM, AUTHOR)
    assert (await reports.send(token(Purpose.FEEDBACK), raw, "feedback@arf.example.test"))[0] == 250
    [fact] = reports.kept.facts
    assert (fact.kind, fact.recipient) == (EventType.COMPLAINED, BOB)
    assert fact.feedback is not None
    assert fact.feedback.feedback_type == "abuse"


FORGED = {
    "unsigned": arf(),
    "of another domain": signed(arf(), PEM, "evil.test"),
    "changed on the way": signed(arf(), PEM, AUTHOR).replace(b"Somebody", b"Nobody"),
    "two authors": b"From: x@arf.example.test\r\n" + signed(arf(), PEM, AUTHOR, include_headers=[b"from"]),
    "appended to": signed(arf(), PEM, AUTHOR, length=True) + b"more\r\n",
    "no such key": signed(arf(), PEM, AUTHOR, "s9"),
    "only in name": b"DKIM-Signature: v=1; a=rsa-sha256; d=arf.example.test; s=s1; h=from; bh=x; b=x\r\n"
    + arf(),
}


@pytest.mark.parametrize("raw", FORGED.values(), ids=FORGED.keys())
async def test_a_complaint_that_anybody_could_have_written(reports: Running, raw: bytes) -> None:
    """No event, no suppression."""
    reports.dns.records(txt("s1._domainkey.evil.test", RECORD))
    code, text = await reports.send(token(Purpose.FEEDBACK), raw)
    assert (code, text[:6]) == (550, "5.7.20")
    assert reports.kept.facts == []


async def test_l06_a_key_that_cannot_be_looked_up_puts_it_off(reports: Running) -> None:
    """Not refused: the complaint may be good."""
    reports.dns.script(f"s1._domainkey.{AUTHOR}", "TXT", Answer(rcode="SERVFAIL"))
    raw = signed(arf(), PEM, AUTHOR)
    code, text = await reports.send(token(Purpose.FEEDBACK), raw)
    assert (code, text[:5]) == (451, "4.7.5")


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure"])
async def test_b03_not_every_feedback_is_a_complaint(reports: Running, kind: str) -> None:
    assert (await reports.send(token(Purpose.FEEDBACK), arf(kind=kind)))[0] == 250
    assert reports.kept.facts == []


async def test_b03_only_feedback_belongs_to_its_address(reports: Running) -> None:
    """Mail of people is refused, a bounce is dropped."""
    assert (await reports.send(token(Purpose.FEEDBACK), mail()))[0] == 554
    assert (await reports.send(token(Purpose.FEEDBACK), dsn()))[0] == 250
    assert reports.kept.facts == []


@pytest.mark.parametrize("place", ["mail_from", "feedback_id"])
async def test_b03_a_feedback_loop_s_own_address(link: Link, place: str) -> None:
    """Yahoo's and Microsoft's way: one address for all. The token is in the report, or it is refused."""
    async with running(link, feedback="fbl") as reports:
        held = token().removeprefix("b+").partition("@")[0] if place == "feedback_id" else token()
        raw = signed(arf(**{place: held}), PEM, AUTHOR)
        assert (await reports.send(f"fbl@{DOMAIN}", raw))[0] == 250
        assert [fact.kind for fact in reports.kept.facts] == [EventType.COMPLAINED]
        assert (await reports.send(f"fbl@{DOMAIN}", signed(arf(), PEM, AUTHOR)))[0] == 550
        assert (await reports.send(f"fbl@{DOMAIN}", signed(arf(**{place: "b+k1" + "a" * 55}), PEM, AUTHOR)))[
            0
        ] == 550
        assert (await reports.send(f"fbl@{DOMAIN}", arf(**{place: held})))[0] == 550
        assert (await reports.send(f"fbl@{DOMAIN}", dsn()))[0] == 554
        assert len(reports.kept.facts) == 1


async def test_h11_a_complaint_without_a_token_costs_no_look_up(link: Link) -> None:
    """Anybody can write to the address of feedback loops, and would choose the names that are asked for."""
    async with running(link, feedback="fbl") as reports:
        code, text = await reports.send(f"fbl@{DOMAIN}", signed(arf(), PEM, AUTHOR))
        assert (code, text[:5]) == (550, "5.7.1")
        assert not reports.dns.asked
