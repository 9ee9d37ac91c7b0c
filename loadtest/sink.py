"""`python -m loadtest.sink`: the receiving end, a process of its own.

Accepts everything, writes down each accepted recipient before it answers (`sinklog`), keeps every so many
messages whole for whoever checks signatures, and can pretend to be `--rtt-ms` away. The round trip is made of
two delay lines, one for what comes in and one for the replies, half each; the TCP and TLS handshakes are not
delayed, and neither slow start nor a bandwidth is imitated. It prints its port as its first line and stops at
SIGTERM.
"""

import argparse
import asyncio
import functools
import os
import signal
import ssl
import sys
import time
from pathlib import Path

import uvloop

from loadtest import sinklog
from loadtest.delay import DelayLine
from mta.demo.dialogue import Dialogue
from mta.demo.policy import Features, Policy, Received
from mta.demo.receiver import Receiver, ReceiverFactory, listen

_MAX_SAMPLES = 40


class Recording(Policy):
    """Accepts all; one line a recipient, one write for all messages of a read."""

    def __init__(self, log: int, samples: Path, every: int) -> None:
        self._log = log
        self._samples = samples
        self._every = every
        self._count = 0
        self._lines: list[bytes] = []

    def on_mail(self, sender: bytes) -> bytes | None:
        return None

    def on_rcpt(self, recipient: bytes) -> bytes | None:
        return None

    def on_message(self, received: Received) -> bytes | None:
        now = time.monotonic_ns()
        for recipient in received.recipients:
            self._lines.append(sinklog.render(now, received.session, len(received.body), recipient))
        if self._count % self._every == 0 and self._count < self._every * _MAX_SAMPLES:
            (self._samples / f"{self._count}.eml").write_bytes(received.body)
        self._count += 1
        return None

    def before_replies(self) -> None:
        if self._lines:
            os.write(self._log, b"".join(self._lines))
            self._lines.clear()


class DelayedReceiver(Receiver):
    """A receiver at the far end of a long wire. None in a line is its end of file."""

    def __init__(
        self,
        dialogue: Dialogue,
        policy: Policy,
        connections: set[Receiver],
        tls: ssl.SSLContext | None,
        *,
        delay_s: float,
    ) -> None:
        super().__init__(dialogue, policy, connections, tls)
        self._inward: DelayLine[bytes | None] = DelayLine(delay_s)
        self._outward: DelayLine[bytes | None] = DelayLine(delay_s)
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
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
                super().data_received(data)
        for replies in self._outward.due(now):
            if replies is None:
                super()._close()
            else:
                super()._write(replies)
        self._arm()


async def serve(policy: Policy, arguments: argparse.Namespace) -> None:
    tls = None
    if arguments.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.certificate)
    receiver: ReceiverFactory = Receiver
    if arguments.rtt_ms:
        receiver = functools.partial(DelayedReceiver, delay_s=arguments.rtt_ms / 2000)
    features = Features(hostname="sink.test", tls=tls is not None)
    listener = await listen(policy, features, port=arguments.port, tls=tls, receiver=receiver)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sys.stdout.write(f"{listener.port}\n")
    sys.stdout.flush()
    await stop.wait()
    await listener.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="loadtest.sink", description=__doc__)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--samples", type=Path, required=True, help="directory for the messages kept whole")
    parser.add_argument("--sample-every", type=int, default=1000)
    parser.add_argument("--rtt-ms", type=float, default=0.0)
    parser.add_argument("--port", type=int, default=0, help="any free one unless given")
    parser.add_argument("--certificate", type=Path, help="PEM with key and certificate; offers STARTTLS")
    arguments = parser.parse_args()
    # It stands for a machine elsewhere: it may use our cores, but not interrupt whom it receives from.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    log = os.open(arguments.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        uvloop.run(serve(Recording(log, arguments.samples, arguments.sample_every), arguments))
    finally:
        os.close(log)


if __name__ == "__main__":
    main()
