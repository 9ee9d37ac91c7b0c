"""The reporter with a DNS server, somebody who takes reports, and a clock that a test turns."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme
from msgspec.structs import replace
from structlog.testing import capture_logs

from mta.dns.nameservers import StubNameservers
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.dns.text import texts
from mta.jetstream.errors import StreamFull
from mta.model.tls import PolicyType, TlsFailure, TlsSession
from mta.tlsrpt.post import HttpsPost
from mta.tlsrpt.report import due_at
from mta.tlsrpt.reporter import FILE_NAME, Reporter
from mta.tlsrpt.settings import TlsRptSettings
from mta.tlsrpt.tally import DAY_S, MOST_POLICIES
from tests.fakes.dns_server import Answer, FakeDns, a, txt
from tests.fakes.nats import eventually, running
from tests.fakes.trust import trusting
from tests.integration.tlsrpt.receiver import HOST, Receiver, receiving

AUTHORITY = trustme.CA()
SETTINGS = TlsRptSettings(True, "Acme", "postmaster@acme.test", "acme", "tls-reports@acme.test")
DAY = 20_413
NOON = DAY * DAY_S + DAY_S / 2
END = (DAY + 1) * DAY_S
EVENING = END + 5 * 3600.0
"""Everything of DAY is due."""


class World:
    """What surrounds a reporter. `published` is what reached the stream, by message id; `is_full` refuses more."""

    def __init__(self, dns: FakeDns, receiver: Receiver, directory: Path) -> None:
        self.dns = dns
        self.receiver = receiver
        self.directory = directory
        self.settings = SETTINGS
        self.now = NOON
        self.published: dict[str, tuple[str, Any]] = {}
        self.tries = 0
        self.is_full = False
        self.allow: tuple[str, ...] = ("127.0.0.0/8",)

    async def publish(self, subject: str, body: bytes, msg_id: str) -> None:
        self.tries += 1
        if self.is_full:
            raise StreamFull("no room")
        assert msg_id not in self.published
        self.published[msg_id] = (subject, json.loads(body))

    def wants(self, domain: str, *uris: str) -> None:
        self.dns.records(txt(f"_smtp._tls.{domain}", f"v=TLSRPTv1;rua={','.join(uris)}"))

    @asynccontextmanager
    async def reporter(self) -> AsyncIterator[Reporter]:
        """From start to stop."""
        dns = DnsSettings(servers=(self.dns.address,), allow=self.allow, timeout_s=0.25, tries=1)
        nameservers = StubNameservers(dns)
        nameservers.start()
        resolver = Resolver(nameservers, dns, ipv6=False)
        resolver.start()
        one = Reporter(
            self.settings,
            "n1",
            self.directory,
            texts=partial(texts, nameservers),
            post=HttpsPost(resolver.addresses, context=trusting(AUTHORITY), port=self.receiver.port),
            publish=self.publish,
            clock=lambda: self.now,
        )
        one.open()
        try:
            yield one
        finally:
            await one.close()
            await nameservers.close()
            await resolver.close()

    @property
    def posted(self) -> list[Any]:
        return [json.loads(gzip.decompress(got.body)) for got in self.receiver.got]

    @property
    def mailed(self) -> list[tuple[str, Any]]:
        """(recipient, report) of each mail."""
        found = []
        for subject, payload in self.published.values():
            assert subject == "mta.payload.transactional.acme.tls-reports"
            message = message_from_bytes(base64.b64decode(payload["content"]["rfc822"]))
            content = message.get_payload(1).get_payload(decode=True)  # type: ignore[union-attr]
            assert isinstance(content, bytes)
            found.append((payload["recipients"][0]["email"], json.loads(gzip.decompress(content))))
        return found

    @property
    def kept(self) -> Any:
        return json.loads((self.directory / FILE_NAME).read_bytes())


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with FakeDns() as dns, receiving(AUTHORITY) as receiver:
        dns.records(a(HOST, "127.0.0.1"))
        yield World(dns, receiver, tmp_path)


def session(domain: str = "one.test", at: float = NOON, failure: TlsFailure | None = None) -> TlsSession:
    return TlsSession(domain, at, PolicyType.NONE, failure=failure)


def summary(report: Any) -> tuple[int, int]:
    (policy,) = report["policies"]
    return tuple(policy["summary"].values())


async def test_t11_a_report_is_sent_once_per_day_and_domain(world: World) -> None:
    """T-11: by POST and by mail, when it is due, with the counts of that day, and not again."""
    world.wants("one.test", f"https://{HOST}/v1")
    world.wants("two.test", "mailto:tls@two.test")
    async with world.reporter() as reporter:
        for one in (session(), session(), session(failure=TlsFailure.CERTIFICATE_EXPIRED)):
            reporter.note(one)
        reporter.note(session("two.test"))
        reporter.note(session(at=END + 1.0))
        await reporter.turn()
        assert not world.dns.asked
        for domain, first, second in sorted(
            [("one.test", (0, 0), (1, 0)), ("two.test", (0, 0), (0, 1))],
            key=lambda row: due_at(SETTINGS, "n1", DAY, row[0]),
        ):
            world.now = due_at(SETTINGS, "n1", DAY, domain) - 1.0
            before = (len(world.posted), len(world.mailed))
            await reporter.turn()
            assert (len(world.posted), len(world.mailed)) == before
            world.now += 1.0
            await reporter.turn()
            after = (len(world.posted), len(world.mailed))
            assert (after[0] - before[0], after[1] - before[1]) == second, (domain, first)
        world.now = EVENING
        await reporter.turn()
        await reporter.turn()
    (posted,) = world.posted
    assert summary(posted) == (2, 1)
    assert posted["date-range"]["start-datetime"] == "2025-11-21T00:00:00Z"
    ((recipient, mailed),) = world.mailed
    assert (recipient, summary(mailed)) == ("tls@two.test", (1, 0))


async def test_the_next_day_has_a_report_of_its_own(world: World) -> None:
    """With what was counted in it, under another id."""
    world.wants("one.test", f"https://{HOST}/")
    async with world.reporter() as reporter:
        reporter.note(session())
        reporter.note(session(at=END + 1.0))
        reporter.note(session(at=END + 2.0))
        for world.now in (EVENING, EVENING + DAY_S):
            await reporter.turn()
    first, second = world.posted
    assert (summary(first), summary(second)) == ((1, 0), (2, 0))
    assert first["report-id"] != second["report-id"]


async def test_a_restart_keeps_the_counts_and_tells_nobody_twice(world: World) -> None:
    """What was noted before it is reported after it; what was reported before it is not."""
    world.wants("one.test", f"https://{HOST}/", "mailto:tls@one.test")
    async with world.reporter() as reporter:
        reporter.note(session())
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        await reporter.turn()
        assert [summary(one) for one in world.posted] == [(2, 0)]
        assert [summary(one) for _, one in world.mailed] == [(2, 0)]
        kept = world.kept
        reporter.note(session())
    assert kept["days"] == [{"day": DAY, "policies": [], "told": {}, "ended": ["one.test"], "uncounted": 0}]
    async with world.reporter() as reporter:
        await reporter.turn()
    assert (len(world.posted), len(world.mailed)) == (1, 1)


async def test_who_has_the_report_is_known_although_another_waits_for_it(world: World) -> None:
    """Two URIs: the second fails, a restart comes between, and only the second is tried again."""
    world.wants("one.test", "mailto:tls@one.test", f"https://{HOST}/")
    world.receiver.answers = [503]
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        await reporter.turn()
        assert (len(world.posted), len(world.mailed)) == (1, 1)
    async with world.reporter() as reporter:
        await reporter.turn()
    assert (len(world.posted), len(world.mailed)) == (2, 1)
    assert world.posted[0] == world.posted[1]


async def test_without_a_record_the_counts_are_dropped(world: World) -> None:
    """Nobody asked for them. So it is with a record that names nobody whom one could send to."""
    world.wants("two.test", "http://two.test/")
    async with world.reporter() as reporter:
        reporter.note(session())
        reporter.note(session("two.test"))
        world.now = EVENING
        with capture_logs() as lines:
            await reporter.turn()
    assert world.dns.asked["_smtp._tls.one.test", "TXT"] == 1
    assert world.posted == world.mailed == []
    (day,) = world.kept["days"]
    assert (day["policies"], sorted(day["ended"])) == ([], ["one.test", "two.test"])
    assert [(line["event"], line["domain"]) for line in lines] == [("tls_report_refused", "two.test")]


async def test_a_failed_post_is_tried_again_later(world: World) -> None:
    """Each time after twice as long, until it is taken."""
    world.wants("one.test", f"https://{HOST}/")
    world.receiver.answers = [500, 404]
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        for wait_s in (SETTINGS.retry_s, 2 * SETTINGS.retry_s):
            await reporter.turn()
            tries = len(world.posted)
            world.now += wait_s - 1.0
            await reporter.turn()
            assert len(world.posted) == tries
            world.now += 1.0
        await reporter.turn()
        world.now += 12 * 3600.0
        await reporter.turn()
    assert len(world.posted) == 3


async def test_what_cannot_be_sent_within_the_day_is_dropped(world: World) -> None:
    """With one line that says why; no try comes later than 24 hours after the first."""
    world.wants("one.test", f"https://{HOST}/")
    world.receiver.answers = [500] * 100
    async with world.reporter() as reporter:
        reporter.note(session())
        with capture_logs() as lines:
            for hour in range(60):
                world.now = END + hour * 3600.0
                await reporter.turn()
    (dropped,) = [line for line in lines if line["event"] == "tls_report_dropped"]
    assert (dropped["domain"], dropped["faults"]) == ("one.test", [f"https://{HOST}/: status 500"])
    assert 5 <= len(world.posted) == dropped["tries"] <= 10
    assert [line["event"] for line in lines] == ["tls_report_dropped"]


async def test_trouble_in_dns_is_no_missing_record(world: World) -> None:
    """It is asked again, and the report goes out."""
    world.dns.script("_smtp._tls.one.test", "TXT", Answer(rcode="SERVFAIL"))
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        await reporter.turn()
        world.dns.forget("_smtp._tls.one.test")
        world.wants("one.test", "mailto:tls@one.test")
        world.now += SETTINGS.retry_s
        await reporter.turn()
    assert len(world.mailed) == 1


async def test_a_stream_that_takes_nothing_is_tried_again(world: World) -> None:
    """A failed publish is as a failed POST."""
    world.wants("one.test", "mailto:tls@one.test")
    world.is_full = True
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        await reporter.turn()
        world.is_full = False
        world.now += SETTINGS.retry_s
        await reporter.turn()
    assert (world.tries, len(world.mailed)) == (2, 1)


async def test_s09_a_post_to_a_private_address_is_refused(world: World) -> None:
    """S-09: nobody is connected to because a stranger's zone says so; his other URI gets its report."""
    world.allow = ()
    world.wants("one.test", f"https://{HOST}/", "mailto:tls@one.test")
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        await reporter.turn()
        with capture_logs() as lines:
            for hour in range(48):
                world.now = EVENING + hour * 3600.0
                await reporter.turn()
    assert world.posted == []
    assert len(world.mailed) == 1
    (dropped,) = [line for line in lines if line["event"] == "tls_report_dropped"]
    assert "127.0.0.1 (loopback) may not be connected to" in dropped["faults"][0]


async def test_two_uris_both_get_it(world: World) -> None:
    """The same report."""
    world.wants("one.test", f"https://{HOST}/a", f"https://{HOST}/b")
    async with world.reporter() as reporter:
        reporter.note(session())
        world.now = EVENING
        await reporter.turn()
    assert sorted(got.path for got in world.receiver.got) == ["/a", "/b"]
    assert world.posted[0] == world.posted[1]


async def test_what_was_missed_while_it_was_down_goes_out_late(world: World) -> None:
    """As long as the day lasts; what is older is dropped, with a line."""
    world.wants("one.test", f"https://{HOST}/")
    async with world.reporter() as reporter:
        reporter.note(session())
        reporter.note(session(at=END + 1.0))
    world.now = END + 2 * DAY_S - 60.0
    with capture_logs() as lines:
        async with world.reporter() as reporter:
            await reporter.turn()
    assert [(line["event"], line.get("day")) for line in lines] == [
        ("tls_counts_dropped", DAY),
        ("tls_report_sent", DAY + 1),
    ]
    assert len(world.posted) == 1


async def test_many_are_told_at_once(world: World) -> None:
    """More than are told at a time; each gets its own."""
    domains = [f"d{number}.test" for number in range(30)]
    async with world.reporter() as reporter:
        for domain in domains:
            world.wants(domain, f"https://{HOST}/{domain}")
            reporter.note(session(domain))
        world.now = EVENING
        await reporter.turn()
    assert sorted(got.path for got in world.receiver.got) == sorted(f"/{domain}" for domain in domains)


@pytest.mark.parametrize("content", [b"", b"{", b'{"v":1}', b"\xff" * 100, b'{"v":9,"days":[]}'])
async def test_a_file_that_cannot_be_read_is_told_and_replaced(world: World, content: bytes) -> None:
    """It starts empty, as it does without a file, of which nothing is said."""
    with capture_logs() as lines:
        async with world.reporter():
            pass
    assert (lines, list(world.directory.iterdir())) == ([], [])
    (world.directory / FILE_NAME).write_bytes(content)
    with capture_logs() as lines:
        async with world.reporter() as reporter:
            reporter.note(session())
    assert [line["event"] for line in lines] == ["tls_counts_unreadable"]
    assert world.kept["days"][0]["policies"][0]["successes"] == 1


async def test_a_file_that_is_too_large_is_not_read(world: World) -> None:
    """Whatever is in it."""
    with (world.directory / FILE_NAME).open("wb") as file:
        file.truncate(100_000_001)
    with capture_logs() as lines:
        async with world.reporter():
            pass
    assert [(line["event"], line["reason"]) for line in lines] == [
        ("tls_counts_unreadable", "is larger than 100000000 bytes")
    ]


async def test_what_had_no_room_is_told(world: World) -> None:
    """Once, with the day it is missing from."""
    async with world.reporter() as reporter:
        for number in range(MOST_POLICIES + 3):
            reporter.note(TlsSession("one.test", NOON, PolicyType.TLSA, (str(number),)))
        world.now = EVENING
        with capture_logs() as lines:
            await reporter.turn()
            await reporter.turn()
    assert [(line["event"], line["day"], line["sessions"]) for line in lines] == [
        ("tls_sessions_uncounted", DAY, 3)
    ]


async def test_what_waits_at_midnight_is_no_report_of_the_next_day(world: World) -> None:
    """A repetition that is due by then goes with its day; the next one is reported when its time has come."""
    world.wants("one.test", f"https://{HOST}/")
    world.receiver.answers = [500]
    async with world.reporter() as reporter:
        reporter.note(session())
        reporter.note(session(at=END + 1.0))
        reporter.note(session(at=END + 2.0))
        for world.now in (EVENING, END + DAY_S + 1.0):
            await reporter.turn()
        assert len(world.posted) == 1
        world.now = EVENING + DAY_S
        await reporter.turn()
    assert [summary(one) for one in world.posted] == [(1, 0), (2, 0)]


async def test_only_what_has_changed_is_written(world: World) -> None:
    """A quiet daemon leaves the disk alone."""
    async with world.reporter() as reporter:
        reporter.note(session())
        await reporter.save()
        (world.directory / FILE_NAME).unlink()
        await reporter.save()
        assert list(world.directory.iterdir()) == []
        reporter.note(session())
        await reporter.save()
        assert world.kept["days"][0]["policies"][0]["successes"] == 2


async def test_a_disk_that_takes_nothing_is_told(world: World) -> None:
    """And made good as soon as it takes something; nobody else can read the file, and no other is left."""
    place = world.directory / "gone"
    world.directory = place
    async with world.reporter() as reporter:
        reporter.note(session())
        with capture_logs() as lines:
            await reporter.save()
        assert [line["event"] for line in lines] == ["tls_counts_not_kept"]
        place.mkdir()
    (file,) = place.iterdir()
    assert (file.name, file.stat().st_mode & 0o777) == (FILE_NAME, 0o600)


async def test_it_runs_by_itself(world: World) -> None:
    """Counts are kept, reports go out as time goes by."""
    world.settings = replace(SETTINGS, look_s=0.01)
    world.wants("one.test", f"https://{HOST}/")
    async with world.reporter() as reporter, running(reporter.run()):
        reporter.note(session())
        await eventually((world.directory / FILE_NAME).exists)
        world.now = EVENING
        await eventually(lambda: len(world.posted) == 1)
