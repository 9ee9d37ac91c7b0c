"""Stands in for the pool: opens connections one after another and sends transactions until each is
settled."""

import asyncio
from collections.abc import Iterable
from typing import Literal

from mta.model.message import Envelope, Message
from mta.model.path import EgressSource
from mta.model.tls import Demand
from mta.smtp.connection import Connection, connect
from mta.smtp.fact import Ended, Fact, Impossible, Learned, Transaction, Unsent, Vacant
from mta.smtp.opening import Dial
from mta.smtp.settings import Pattern, Timeouts
from tests.fakes.smtp_server import FakeMX

SOURCE = EgressSource("a1", "client.test")
WIRE = b"Subject: x\r\n\r\n.dot\r\n..\r\n.\r\nend\r\n"
QUICK = Timeouts(5, 5, 5, 5, 5, 5, 5, 5, 5, 1)


def transactions(count: int, wire: bytes = WIRE) -> list[Transaction]:
    message = Message(wire, "m", "<m@a.test>")
    return [
        Transaction(Envelope("s@a.test", f"r{number}@b.test", message), number) for number in range(count)
    ]


class Later(asyncio.Event):
    """Is set so many seconds after it is first waited for."""

    def __init__(self, after_s: float = 0.001) -> None:
        super().__init__()
        self._after_s = after_s

    async def wait(self) -> Literal[True]:
        asyncio.get_running_loop().call_later(self._after_s, self.set)
        return await super().wait()


class Owner:
    """What is `Unsent` is sent again on the next connection; everything else is settled by its one fact."""

    def __init__(self, mx: FakeMX, waiting: Iterable[Transaction], pattern: Pattern, **dial: object) -> None:
        self._mx = mx
        self.waiting = list(waiting)
        self.facts: list[Fact] = []
        self.connections: list[Connection] = []
        self._closed = asyncio.Event()
        self._told = asyncio.Event()
        self._options = {
            "tls": Demand.NONE if mx.context is None else Demand.OPPORTUNISTIC,
            "timeouts": QUICK,
            "pattern": pattern,
            "c_verdict": True,
            **dial,
        }
        self.host = "mx.test"
        self.is_staying = False
        """Keep connections open when there is nothing more to send."""

    def dial(self) -> Dial:
        return Dial(
            host=self.host,
            address=self._mx.host,
            port=self._mx.port,
            source=SOURCE,
            **self._options,  # type: ignore
        )

    def _fill(self, connection: Connection) -> None:
        while self.waiting and connection.room:
            connection.submit(self.waiting.pop(0))

    def _on_fact(self, connection: Connection, fact: Fact) -> None:
        if not isinstance(fact, Vacant):
            self.facts.append(fact)
            self._told.set()
        if isinstance(fact, Unsent):
            self.waiting.append(fact.transaction)
        elif isinstance(fact, Learned):
            self._options["c_verdict"] = fact.c_works
        self._fill(connection)
        if not self.waiting and connection.is_idle and connection.is_usable and not self.is_staying:
            connection.quit()

    def _on_closed(self, connection: Connection) -> None:
        self._closed.set()

    async def open(self) -> Connection:
        self._closed.clear()
        connection = await connect(self.dial(), on_fact=self._on_fact, on_closed=self._on_closed)
        self.connections.append(connection)
        return connection

    async def run_one(self) -> None:
        """One connection until it is closed."""
        connection = await self.open()
        self._fill(connection)
        await self.closed()

    async def closed(self) -> None:
        async with asyncio.timeout(20):
            await self._closed.wait()

    async def told(self) -> None:
        """Until there is any fact."""
        async with asyncio.timeout(20):
            await self._told.wait()

    async def run(self, connections: int = 20) -> None:
        """Until everything is settled."""
        while self.waiting:
            assert len(self.connections) < connections
            await self.run_one()

    def of(self, number: int) -> list[Fact]:
        """The facts about one transaction, without those that sent it back."""
        return [
            fact
            for fact in self.facts
            if not isinstance(fact, Learned | Ended | Unsent | Vacant) and fact.transaction.tag == number
        ]

    def kinds(self) -> list[type]:
        return [type(fact) for fact in self.facts]

    @property
    def impossible(self) -> list[Impossible]:
        return [fact for fact in self.facts if isinstance(fact, Impossible)]

    @property
    def ended(self) -> list[Ended]:
        return [fact for fact in self.facts if isinstance(fact, Ended)]

    @property
    def learned(self) -> list[bool]:
        return [fact.c_works for fact in self.facts if isinstance(fact, Learned)]
