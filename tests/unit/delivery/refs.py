"""References and messages to send, and a pool's owner that keeps what it is told."""

import asyncio
import time
from collections.abc import Coroutine
from random import Random
from typing import Any

from mta.classify.classifier import Classifier
from mta.compose.spec import Addressee, SpecBlob
from mta.config.load import shipped_rules
from mta.delivery.around import Around
from mta.delivery.hosts import HostMemory
from mta.delivery.pool import PathPool
from mta.delivery.reference import Reference, Settlement
from mta.model.lane import Lane
from mta.model.message import Envelope, Message
from mta.model.path import OPEN, EgressPath, EgressSource, MxHost, Security, Site
from mta.model.sender import Sender
from mta.model.tls import TlsOption, TlsSession
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.settings import PathSettings
from mta.queue.settings import HoldSettings
from mta.smtp.settings import Timeouts

SOURCE = EgressSource("one", "one.acme.test", "127.0.0.1")
CLASSIFIER = Classifier(shipped_rules())
QUICK = PathSettings(timeouts=Timeouts(*[5.0] * 9, 1.0))
WIRE = b"Subject: x\r\n\r\nx\r\n"


class Sending:
    """Whose references they are; permits everything unless told otherwise."""

    def __init__(self) -> None:
        self.may_send = True

    def permit(self, position: int) -> bool:
        return self.may_send


def ref(local: str = "r", **changes: Any) -> Reference[Sending]:
    fields: dict[str, Any] = {
        "spec": SpecBlob(b"k", b"b"),
        "addressee": Addressee(0, "n0", f"{local}@d.test"),
        "domain": "d.test",
        "lane": Lane.BULK,
        "sender": Sender("acme"),
        "pool": "default",
        "tls": TlsOption.OPPORTUNISTIC,
        "expires_at": 2e9,
    }
    return Reference(changes.pop("owner", Sending()), 0, **(fields | changes))


def envelope(one: Reference[Sending]) -> Envelope:
    return Envelope("b@acme.test", one.addressee.email, Message(WIRE, "m", "<m@acme.test>"))


class Owner:
    """Composes at once what a pool asks for, and waits for what becomes of it."""

    def __init__(self, *ports: int, settings: PathSettings = QUICK, hold: HoldSettings | None = None) -> None:
        hosts = tuple(MxHost("127.0.0.1", port) for port in ports)
        site = Site("site", "other", hosts, is_static=True)
        self.settled: list[tuple[Reference[Any], Settlement]] = []
        self.doubted: list[str] = []
        self.sessions: list[TlsSession] = []
        self.told: list[tuple[str, dict[str, str]]] = []
        self.late: list[Reference[Any]] = []
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.hosts = HostMemory()
        self.may_send = True
        self.is_busy = False
        """Composes nothing for now."""
        self._settings = settings
        self.actions = Actions()
        self.governors = Governors(self.actions, time.time)
        self._hold = hold or HoldSettings()
        self._around = Around(
            hosts=self.hosts,
            classifier=CLASSIFIER,
            rng=Random(1),
            spawn=self._spawn,
            may_send=lambda: self.may_send,
            on_settled=self._on_settled,
            on_hungry=self._on_hungry,
            is_moved=lambda path, provider, refs: False,
            on_policy_failed=self.doubted.append,
            tell_operators=lambda kind, **fields: self.told.append((kind, fields)),
            governors=self.governors,
            on_tls_session=self.sessions.append,
        )
        self.pool = self.another(site)

    def another(self, site: Site, security: Security = OPEN) -> PathPool:
        """Beside its own."""
        return PathPool(
            EgressPath("one", site.name, security),
            site,
            SOURCE,
            self._settings,
            self._hold,
            self._around,
        )

    def put(self, *refs: Reference[Sending]) -> None:
        for one in refs:
            self.pool.put(one)
        self.pool.turn()

    async def until_settled(self, count: int) -> list[Settlement]:
        async with asyncio.timeout(15):
            while len(self.settled) < count:
                self._news.clear()
                await self._news.wait()
        return [settlement for _, settlement in self.settled]

    async def close(self) -> None:
        self.pool.drain()
        async with asyncio.timeout(15):
            await self.pool.closed()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_settled(self, one: Reference[Any], settlement: Settlement) -> None:
        self.settled.append((one, settlement))
        self._news.set()

    def _on_hungry(self, pool: PathPool) -> None:
        for lane in () if self.is_busy else Lane:
            for one in pool.take_to_compose(pool.wants(lane), lane):
                if one.addressee.email.startswith("late"):
                    self.late.append(one)
                else:
                    pool.composed(one, envelope(one))

    def compose_late(self) -> None:
        """What was held up until now: references whose address begins with `late`."""
        for one in self.late:
            self.pool.composed(one, envelope(one))
        self.pool.turn()
