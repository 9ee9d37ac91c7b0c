"""Policies that bind through restarts, on a real file."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from mta.dns.settings import StsLimits
from mta.dns.shelf import Kept, Shelf
from mta.model.tls import StsMode, StsPolicy

NOW = 1_700_000_000.0
DAY_S = 86_400
POLICY = StsPolicy("1", StsMode.ENFORCE, ("mx.acme.test", "*.acme.test"), DAY_S)
NEVER = StsLimits(save_s=1e6)  # written at close only


class Refused(Shelf):
    """Tells when the disk has refused."""

    def __init__(self, path: Path, limits: StsLimits) -> None:
        super().__init__(path, limits)
        self._loop = asyncio.get_running_loop()
        self._refusals = asyncio.Semaphore(0)

    async def wait(self, times: int) -> None:
        for _ in range(times):
            await self._refusals.acquire()

    def _write(self, kept: Iterable[tuple[str, Kept]]) -> None:
        try:
            super()._write(kept)
        except OSError:
            self._loop.call_soon_threadsafe(self._refusals.release)
            raise


@asynccontextmanager
async def running(path: Path, limits: StsLimits = NEVER, *, now: float = NOW) -> AsyncIterator[Shelf]:
    shelf = Shelf(path, limits)
    await shelf.start(now)
    try:
        yield shelf
    finally:
        await shelf.close()


async def test_a_policy_binds_until_its_age_is_over(tmp_path: Path) -> None:
    """T-05: max_age counts from the fetch."""
    async with running(tmp_path / "sts.json") as shelf:
        shelf.put("acme.test", POLICY, NOW, NOW + 300)
        kept = shelf.get("acme.test", NOW + DAY_S - 1)
        assert kept is not None
        assert kept.policy == POLICY
        assert shelf.get("acme.test", NOW + DAY_S) is None
        assert len(shelf) == 0


async def test_an_age_of_nothing_is_a_few_minutes(tmp_path: Path) -> None:
    """A policy with max_age 0 must not cost one fetch a message."""
    async with running(tmp_path / "sts.json") as shelf:
        shelf.put("acme.test", replace(POLICY, max_age_s=0), NOW, NOW + 300)
        assert shelf.get("acme.test", NOW + 299) is not None
        assert shelf.get("acme.test", NOW + 300) is None


@pytest.mark.parametrize(
    ("max_age_s", "refresh_s"), [(600, 300), (7200, 3600), (2 * DAY_S, DAY_S), (31_557_600, DAY_S), (0, 300)]
)
async def test_a_policy_is_refreshed_in_time(tmp_path: Path, max_age_s: int, refresh_s: int) -> None:
    """T-05: at half its life and once a day, and its record is looked at no later than that."""
    async with running(tmp_path / "sts.json") as shelf:
        shelf.put("acme.test", replace(POLICY, max_age_s=max_age_s), NOW, NOW + 1e9)
        kept = shelf.get("acme.test", NOW)
        assert kept is not None
        assert kept.refresh_at == kept.look_at == NOW + refresh_s


async def test_a_look_that_brought_nothing_is_not_repeated_at_once(tmp_path: Path) -> None:
    """When the time to refresh is over the next look is when it was said to be."""
    async with running(tmp_path / "sts.json") as shelf:
        shelf.put("acme.test", POLICY, NOW, NOW + 300)
        late = NOW + DAY_S / 2 + 10
        shelf.look_again("acme.test", late, late + 300)
        kept = shelf.get("acme.test", late)
        assert kept is not None
        assert (kept.looked_at, kept.look_at, kept.fetched_at) == (late, late + 300, NOW)
        shelf.look_again("other.test", late, late + 300)
        assert shelf.get("other.test", late) is None


async def test_a_restart_keeps_policies(tmp_path: Path) -> None:
    """T-05: all modes come back with the rest of their time, due to be looked at; the file is for its owner alone."""
    path = tmp_path / "sts.json"
    none = StsPolicy("2", StsMode.NONE, (), 600)
    async with running(path) as shelf:
        shelf.put("acme.test", POLICY, NOW, NOW + 300)
        shelf.put("none.test", none, NOW, NOW + 300)
    assert os.listdir(tmp_path) == ["sts.json"]
    assert path.stat().st_mode & 0o777 == 0o600
    async with running(path, now=NOW + 599) as shelf:
        kept = shelf.get("acme.test", NOW + DAY_S - 1)
        assert kept is not None
        assert kept.policy == POLICY
        assert kept.look_at <= NOW
        assert shelf.get("acme.test", NOW + DAY_S) is None
        assert (known := shelf.get("none.test", NOW + 599)) is not None
        assert known.policy == none
    async with running(path, now=NOW + 600) as shelf:
        assert len(shelf) == 1


async def test_changes_are_written_meanwhile(tmp_path: Path) -> None:
    """A crash loses no more than the last few seconds: the file comes without a close, and is replaced as a whole."""
    path = tmp_path / "sts.json"
    async with running(path, StsLimits(save_s=0.0)) as shelf:
        for domain in ("a.test", "b.test"):
            shelf.put(domain, POLICY, NOW, NOW + 300)
            assert shelf._saving is not None
            await shelf._saving
            assert domain in json.loads(path.read_bytes())["policies"]


async def test_what_changes_while_it_is_written_is_written_next(tmp_path: Path) -> None:
    """No change is lost to a write that was under way, and many changes are one write."""
    path = tmp_path / "sts.json"
    async with running(path, StsLimits(save_s=0.0)) as shelf:
        shelf.put("a.test", POLICY, NOW, NOW + 300)
        saving = shelf._saving
        for number in range(100):
            shelf.put(f"d{number}.test", POLICY, NOW, NOW + 300)
        assert shelf._saving is saving
        assert saving is not None
        await saving
    assert len(json.loads(path.read_bytes())["policies"]) == 101


async def test_nothing_new_is_not_written(tmp_path: Path) -> None:
    """A look at a record changes nothing that is worth a write."""
    path = tmp_path / "sts.json"
    async with running(path) as shelf:
        shelf.put("acme.test", POLICY, NOW, NOW + 300)
    path.unlink()
    async with running(path) as shelf:
        shelf.look_again("acme.test", NOW, NOW + 300)
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"{}",
        b'{"version": 2, "policies": {}}',
        b'{"version": 1, "policies": {"acme.test": {"id": "1", "fetched_at": "x", "text": ""}}}',
        b'{"version": 1, "policies": {"acme.test": ' + b"[" * 10_000,
        b'{"version": 1, "policies": {"acme.test": {"id": "\\ud800", "fetched_at": 1, "text": ""}}}',
        b'{"version": 1, "policies": {}}' + b" " * 3000,
    ],
)
async def test_a_foreign_file_is_reported_and_read_as_empty(tmp_path: Path, content: bytes) -> None:
    """The daemon starts all the same, and the next policy puts a good file in its place."""
    path = tmp_path / "sts.json"
    path.write_bytes(content)
    with capture_logs() as lines:
        async with running(path, StsLimits(save_s=1e6, most_kept_bytes=1000)) as shelf:
            assert len(shelf) == 0
            shelf.put("acme.test", POLICY, NOW, NOW + 300)
    assert [line["event"] for line in lines] == ["sts_policies_unreadable"]
    async with running(path) as shelf:
        assert len(shelf) == 1


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ("evil.test", "version: STSv1\nmode: enforce\nmax_age: 600"),
        ("evil.test", ""),
        ("not a domain", "version: STSv1\nmode: none\nmax_age: 600"),
    ],
)
async def test_an_unsound_policy_is_left_out(tmp_path: Path, domain: str, text: str) -> None:
    """What is read back passes the parser of what strangers send; the others stay."""
    path = tmp_path / "sts.json"
    good = {"id": "1", "fetched_at": NOW, "text": "version: STSv1\nmode: none\nmax_age: 600"}
    lines = {domain: {**good, "text": text}, "acme.test": good}
    path.write_text(json.dumps({"version": 1, "policies": lines}))
    with capture_logs() as logged:
        async with running(path) as shelf:
            assert shelf.get("acme.test", NOW) is not None
            assert shelf.get(domain, NOW) is None
    assert len(logged) == 1


async def test_a_clock_that_was_ahead_makes_no_policy_eternal(tmp_path: Path) -> None:
    """What seems to come from the future was fetched now at the latest, and is to be looked at."""
    path = tmp_path / "sts.json"
    async with running(path) as shelf:
        shelf.put("acme.test", POLICY, NOW + 1e9, NOW + 1e9)
        shelf.put("other.test", POLICY, NOW + 1e9, NOW + 1e9)
        kept = shelf.get("other.test", NOW)
        assert kept is not None
        assert kept.look_at <= NOW
        assert shelf.get("other.test", NOW + DAY_S - 1) is not None
        assert shelf.get("other.test", NOW + DAY_S) is None
    async with running(path) as shelf:
        assert shelf.get("acme.test", NOW + DAY_S - 1) is not None
        assert shelf.get("acme.test", NOW + DAY_S) is None


async def test_what_cannot_be_written_is_reported_and_kept(tmp_path: Path) -> None:
    """A disk that is full, or a directory that is gone, costs the file and not the policy; it is told once."""
    directory = tmp_path / "gone"
    with capture_logs() as lines:
        shelf = Refused(directory / "sts.json", StsLimits(save_s=0.01))
        await shelf.start(NOW)
        shelf.put("acme.test", POLICY, NOW, NOW + 300)
        saving = shelf._saving
        assert saving is not None
        await shelf.wait(times=2)
        assert shelf.get("acme.test", NOW) is not None
        directory.mkdir()
        await saving
        await shelf.close()
    assert [line["event"] for line in lines] == ["sts_policies_unwritten"]
    async with running(directory / "sts.json") as shelf:
        assert len(shelf) == 1


async def test_closing_does_not_wait_for_a_disk_that_fails(tmp_path: Path) -> None:
    """One try, one line."""
    with capture_logs() as lines:
        async with running(tmp_path / "gone" / "sts.json") as shelf:
            shelf.put("acme.test", POLICY, NOW, NOW + 300)
    assert [line["event"] for line in lines] == ["sts_policies_unwritten"]


async def test_the_number_of_policies_is_bounded(tmp_path: Path) -> None:
    """C15: the one that was looked at longest ago makes room."""
    async with running(tmp_path / "sts.json", StsLimits(save_s=1e6, most_policies=3)) as shelf:
        for number in range(3):
            shelf.put(f"d{number}.test", POLICY, NOW, NOW + 300)
        shelf.look_again("d0.test", NOW, NOW + 300)
        shelf.put("d3.test", POLICY, NOW, NOW + 300)
        known = [f"d{number}.test" for number in range(4) if shelf.get(f"d{number}.test", NOW)]
        assert known == ["d0.test", "d2.test", "d3.test"]


async def test_their_bytes_are_bounded(tmp_path: Path) -> None:
    """A flood of policies as large as can be makes fewer of them stay, and expiry gives room back."""
    large = replace(POLICY, mx=tuple(f"{number:03}.{'a' * 60}.test" for number in range(100)))
    async with running(tmp_path / "sts.json", StsLimits(save_s=1e6, most_kept_bytes=100_000)) as shelf:
        for number in range(50):
            shelf.put(f"d{number}.test", large, NOW, NOW + 300)
        assert 0 < len(shelf) < 10
        for number in range(50):
            shelf.get(f"d{number}.test", NOW + DAY_S)
        for number in range(100):
            shelf.put(f"s{number}.test", POLICY, NOW, NOW + 300)
        assert len(shelf) == 100
