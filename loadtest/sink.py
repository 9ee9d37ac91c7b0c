"""`python -m loadtest.sink`: the receiving end, a process of its own.

Accepts everything but what a recipient's local part asks it to do otherwise (`script`), writes down each recipient
before it answers (`sinklog`), keeps every so many messages whole for whoever checks signatures, and can pretend to be
`--rtt-ms` away. The round trip is made of two delay lines, one for what comes in and one for the replies, half each;
the TCP and TLS handshakes are not delayed, and neither slow start nor a bandwidth is imitated.

With `--connections` it writes down as well when each connection began and ended. With `--addresses` it stands for as
many hosts: 127.0.1.1 and those after it, besides 127.0.0.1, all at one port. Each `--bad` is a further port, of
127.0.0.1 alone. It prints its ports as its first line, the good one first, and stops at SIGTERM.
"""

import argparse
import asyncio
import functools
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import uvloop

from loadtest import sinklog
from loadtest.delay import DelayLine
from loadtest.script import Act, Phase, Script, accepts, act_at, answer
from mta.demo.dialogue import Dialogue
from mta.demo.policy import Answer, Features, Policy, Received
from mta.demo.receiver import Receiver, ReceiverFactory, listen

_MAX_SAMPLES = 40


def host(number: int) -> str:
    """The address of a further host, from 0."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


class Record:
    """Log and samples: one line a recipient, one write for all messages of a read."""

    def __init__(self, log: int, samples: Path, every: int, *, knows_copies: bool) -> None:
        self._log = log
        self._knows_copies = knows_copies
        self._samples = samples
        self._every = every
        self._count = 0
        self._lines: list[bytes] = []

    def note(self, what: bytes, session: int, body: bytes, recipients: Iterable[bytes]) -> None:
        now = time.monotonic_ns()
        known = sinklog.identity(body) if body and self._knows_copies else sinklog.UNKNOWN
        self._lines += [sinklog.render(now, session, what, len(body), known, one) for one in recipients]

    def keep(self, body: bytes) -> None:
        if self._count % self._every == 0 and self._count < self._every * _MAX_SAMPLES:
            (self._samples / f"{self._count}.eml").write_bytes(body)
        self._count += 1

    def flush(self) -> None:
        if self._lines:
            os.write(self._log, b"".join(self._lines))
            self._lines.clear()


class Scripted(Policy):
    """Does what recipients ask for, and what is asked of its port; of several the first decides."""

    def __init__(self, record: Record, script: Script, act: Act | None = None) -> None:
        self._record = record
        self._script = script
        self._act = act

    def on_connect(self) -> Answer:
        return self._of_port(Phase.CONNECT)

    def on_ehlo(self) -> Answer:
        return self._of_port(Phase.EHLO)

    def on_mail(self, sender: bytes) -> Answer:
        return self._of_port(Phase.MAIL)

    def on_rcpt(self, recipient: bytes) -> Answer:
        return self._asked(Phase.RCPT, recipient)

    def on_data(self, recipients: tuple[bytes, ...]) -> Answer:
        return self._asked(Phase.DATA, recipients[0])

    def on_body(self, recipients: tuple[bytes, ...]) -> Answer:
        return self._asked(Phase.BODY, recipients[0])

    def on_message(self, received: Received) -> Answer:
        act = self._script.at(Phase.DOT, received.recipients[0])
        if act is None or accepts(act):
            self._record.note(sinklog.ACCEPTED, received.session, received.body, received.recipients)
            self._record.keep(received.body)
        else:
            self._record.note(act.name.encode(), received.session, received.body, received.recipients)
        return None if act is None else answer(act)

    def behind_message(self, received: Received) -> Answer:
        return self._asked(Phase.AFTER, received.recipients[0])

    def before_replies(self) -> None:
        self._record.flush()

    def _of_port(self, phase: Phase) -> Answer:
        return answer(self._act) if self._act is not None and self._act.phase is phase else None

    def _asked(self, phase: Phase, recipient: bytes) -> Answer:
        act = self._script.at(phase, recipient)
        if act is None:
            return None
        self._record.note(act.name.encode(), 0, b"", (recipient,))
        return answer(act)


class NotedReceiver(Receiver):
    """One whose beginning and end are written down, where there is a log for that."""

    def __init__(
        self,
        dialogue: Dialogue,
        policy: Policy,
        connections: set[Receiver],
        tls: ssl.SSLContext | None,
        *,
        log: int | None = None,
    ) -> None:
        super().__init__(dialogue, policy, connections, tls)
        self._log = log

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._note(1)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._note(-1)
        super().connection_lost(exc)

    def _note(self, change: int) -> None:
        if self._log is not None:
            os.write(self._log, sinklog.render_connection(time.monotonic_ns(), change))


class DelayedReceiver(NotedReceiver):
    """A receiver at the far end of a long wire. None in a line is its end of file."""

    def __init__(
        self,
        dialogue: Dialogue,
        policy: Policy,
        connections: set[Receiver],
        tls: ssl.SSLContext | None,
        *,
        delay_s: float,
        log: int | None = None,
    ) -> None:
        super().__init__(dialogue, policy, connections, tls, log=log)
        self._inward: DelayLine[bytes | None] = DelayLine(delay_s)
        self._outward: DelayLine[bytes | None] = DelayLine(delay_s)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def _take(self, data: bytes) -> None:
        self._inward.push(self._loop.time(), data)
        self._arm()

    def eof_received(self) -> bool:
        self._inward.push(self._loop.time(), None)
        self._arm()
        return self._handshake is None  # a TLS transport cannot stay half open

    def _write(self, data: bytes) -> None:
        self._outward.push(self._loop.time(), data)
        self._arm()

    def _close(self) -> None:
        self._outward.push(self._loop.time(), None)
        self._arm()

    def _arm(self) -> None:
        dues = [due for due in (self._inward.next_due_at, self._outward.next_due_at) if due is not None]
        if self._timer is None and dues:
            self._timer = self._loop.call_at(min(dues), self._advance)

    def _advance(self) -> None:
        self._timer = None
        now = self._loop.time()
        for data in self._inward.due(now):
            if data is None:
                self._close()
            else:
                super()._take(data)
        for replies in self._outward.due(now):
            if replies is None:
                super()._close()
            else:
                super()._write(replies)
        self._arm()


async def serve(record: Record, arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.certificate)
    log = None if arguments.connections is None else _open_log(arguments.connections)
    receiver: ReceiverFactory = functools.partial(NotedReceiver, log=log)
    if arguments.rtt_ms:
        receiver = functools.partial(DelayedReceiver, log=log, delay_s=arguments.rtt_ms / 2000)
    features = Features(hostname="sink.test", tls=tls is not None)
    script = Script()
    ports = arguments.ports or [0] * (1 + len(arguments.bad))
    listeners = []
    for port, act in zip(ports, (None, *arguments.bad), strict=True):
        policy = Scripted(record, script, act)
        listeners.append(await listen(policy, features, port=port, tls=tls, receiver=receiver))
        if act is None and arguments.addresses:
            further = [host(number) for number in range(arguments.addresses)]
            good = listeners[0].port
            listeners.append(
                await listen(policy, features, host=further, port=good, tls=tls, receiver=receiver)
            )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(" ".join(str(port) for port in dict.fromkeys(one.port for one in listeners)) + "\n")
    sys.stdout.flush()
    await stop.wait()
    for listener in listeners:
        await listener.close()


def _open_log(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def main() -> None:
    parser = argparse.ArgumentParser(prog="loadtest.sink", description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--samples", type=Path, required=True, help="directory for the messages kept whole")
    parser.add_argument("--connections", type=Path, help="write down their beginnings and ends there")
    parser.add_argument("--copies", action="store_true", help="tell copies of one message apart from others")
    parser.add_argument("--sample-every", type=int, default=1000)
    parser.add_argument("--rtt-ms", type=float, default=0.0)
    parser.add_argument("--addresses", type=int, default=0, help="so many hosts besides 127.0.0.1")
    parser.add_argument("--bad", type=act_at, action="append", default=[], help="<phase>:<verb>[:<seconds>]")
    parser.add_argument(
        "--ports", type=int, nargs="+", help="the good one, and that of each --bad; else free"
    )
    parser.add_argument("--certificate", type=Path, help="PEM with key and certificate; offers STARTTLS")
    arguments = parser.parse_args()
    # It stands for a machine elsewhere: it may use our cores, but not interrupt whom it receives from.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    log = _open_log(arguments.log)
    try:
        uvloop.run(
            serve(
                Record(log, arguments.samples, arguments.sample_every, knows_copies=arguments.copies),
                arguments,
            )
        )
    finally:
        os.close(log)


if __name__ == "__main__":
    main()
