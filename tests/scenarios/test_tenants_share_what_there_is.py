"""Who has much to send, or sends to whom takes his time, keeps nothing from anybody else."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mta.model.lane import Lane
from tests.fakes.rig import DOMAIN, SELECTOR, Payload, Place, Rig, numbered
from tests.fakes.smtp_server import Hold, On

pytestmark = pytest.mark.begun_first

SMALL, LARGE = "small", "large"
_TENANT = """\
[tenants.{name}]
pools = ["default"]
return_path = "b.{domain}"
domains."{domain}" = {{ dkim = [{{ selector = "{selector}", key = "dkim.pem" }}] }}
"""
TENANTS = "".join(_TENANT.format(name=name, domain=DOMAIN, selector=SELECTOR) for name in (SMALL, LARGE))
_AT_ONCE = 500  # recipients a payload of the large tenant
_ALREADY_ON_ITS_WAY = 25  # in half a second, in which the first of the small tenant are composed


@asynccontextmanager
async def running(directory: Path, *, message_rate: str) -> AsyncIterator[Rig]:
    """A daemon with two tenants and one rate for every site, whose peers may take their time."""
    rig = Rig(directory, tenants=TENANTS, slots=8)
    shaping = directory / "shaping.toml"
    text = shaping.read_text().replace('message_rate = "100000/s"', f'message_rate = "{message_rate}"')
    shaping.write_text(text.replace('"3s"', '"60s"'))
    try:
        await rig.start()
        yield rig
    finally:
        await rig.close()
    assert not rig.reader.mistakes
    assert "Traceback" not in rig.log


async def send(
    rig: Rig, tenant: str, recipients: list[str], campaign: str, lane: Lane = Lane.BULK
) -> Payload:
    payload = rig.payload(*recipients, tenant=tenant, lane=lane, campaign=campaign)
    await rig.publish(payload, lane=lane, campaign=campaign, tenant=tenant)
    return payload


async def time_of(rig: Rig, place: Place, name: str, lane: Lane = Lane.BULK) -> float:
    """Seconds until a hundred messages of the small tenant are delivered."""
    begun = time.monotonic()
    payload = await send(rig, SMALL, list(numbered(place.domain, 100, name)), name, lane)
    await rig.saw(payload, "delivered", 100)
    return time.monotonic() - begun


async def flood(rig: Rig, place: Place, count: int, campaigns: int) -> None:
    """So many recipients of the large tenant, and its first message has been taken."""
    for start in range(0, count, _AT_ONCE):
        to = list(numbered(place.domain, min(_AT_ONCE, count - start), f"x{start}-"))
        await send(rig, LARGE, to, f"c{start // _AT_ONCE % campaigns}")
    before = len(place.mx.accepted)
    await place.mx.until(lambda: len(place.mx.accepted) > before)


class Trickle(asyncio.Event):
    """Lets one who waits go on in each `every_s`."""

    def __init__(self, every_s: float) -> None:
        super().__init__()
        self._every_s = every_s
        self._free = asyncio.Semaphore(0)
        self._timer: asyncio.TimerHandle | None = None
        self._tick()

    async def wait(self) -> bool:
        await self._free.acquire()
        return True

    def _tick(self) -> None:
        self._free.release()
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._tick)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


@pytest.mark.parametrize(
    ("count", "campaigns"),
    [
        (5_000, 1),
        pytest.param(20_000, 40, marks=pytest.mark.long),
        pytest.param(1_000_000, 100, marks=pytest.mark.long),
    ],
)
async def test_a_hundred_messages_beside_very_many(tmp_path: Path, count: int, campaigns: int) -> None:
    """G4: at a site that binds, a small tenant takes at most twice the time it takes alone, however much another has
    and in however many campaigns. Time is told by what the site took meanwhile, at its even rate: that of a machine
    that others use is not the same twice."""
    async with running(tmp_path, message_rate="50/s") as rig, rig.destination() as place:
        await time_of(rig, place, "warm")
        await flood(rig, place, count, campaigns)
        payload = await send(rig, SMALL, list(numbered(place.domain, 100, "beside")), "beside")
        await rig.saw(payload, "accepted")
        before = len(place.mx.accepted)
        await rig.saw(payload, "delivered", 100)
        after = max(at for at, one in enumerate(place.mx.accepted) if one.recipient.startswith("beside"))
        assert after - before <= 2 * 100 + _ALREADY_ON_ITS_WAY


async def test_transactional_mail_is_not_parked_for_bulk(tmp_path: Path) -> None:
    """A minute's worth of bulk waits for a slow site: transactional mail of the same site goes ahead of it."""
    async with running(tmp_path, message_rate="20/s") as rig, rig.destination() as place:
        await flood(rig, place, 2000, 1)
        assert await time_of(rig, place, "urgent", Lane.TRANSACTIONAL) < 10


async def test_a_slow_site_leaves_room_for_others(tmp_path: Path) -> None:
    """It takes a message a second: what waits for it is not what intake waits for, and other tenants are served."""
    gate = Trickle(1.0)
    async with (
        running(tmp_path, message_rate="100000/s") as rig,
        rig.destination(On("dot", [Hold(gate), b"250 2.0.0 queued\r\n"])) as slow,
        rig.destination() as quick,
    ):
        await flood(rig, slow, 10_000, 1)
        assert await time_of(rig, quick, "beside") < 10
        gate.stop()


async def test_a_slow_site_does_not_keep_the_payloads_it_is_in(tmp_path: Path) -> None:
    """One in ten of a campaign goes to it, in a payload each: the other nine are sent all the same."""
    gate = Trickle(1.0)
    async with (
        running(tmp_path, message_rate="100000/s") as rig,
        rig.destination(On("dot", [Hold(gate), b"250 2.0.0 queued\r\n"])) as slow,
        rig.destination() as quick,
    ):
        payloads = [
            await send(rig, LARGE, [slow.to(f"s{at}"), *numbered(quick.domain, 9, f"q{at}-")], "mixed")
            for at in range(260)  # more than are in work at once
        ]
        await rig.until(lambda: len(quick.mx.accepted) == 9 * len(payloads))
        gate.stop()
