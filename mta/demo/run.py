"""`mta demo`: the whole way of a mailing on one machine, with nothing to set up.

Starts a real daemon as a child (which brings its own nats-server), and three scripted destinations in this
process; publishes as a sender would, reads the events as a sender would, and compares them in the end with
what the destinations hold. All it makes lies in a temporary directory that goes away with it.
"""

import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live

from mta.demo import show
from mta.demo.configuration import SELECTOR, Plan, Route, dkim_record, write
from mta.demo.destinations import Destination, Greylists, KnowsItsUsers
from mta.demo.follow import follow
from mta.demo.mailing import CAMPAIGN, DOMAIN, TENANT, payloads
from mta.demo.policy import Features
from mta.demo.process import DaemonFailed, DaemonProcess
from mta.demo.receiver import listen
from mta.demo.report import Verdict, judge, sample, verifies
from mta.demo.tally import Tally
from mta.jetstream.connection import Link, open_link
from mta.jetstream.embedded import read_address
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable
from mta.jetstream.pump import Pump
from mta.jetstream.settings import NatsSettings
from mta.jetstream.subjects import escape

_SAMPLED = 20
_GREYLIST_S = 2.0
_REFRESH_S = 0.125
_LIMIT_S, _SLOWEST = 60.0, 100.0
"""Seconds a run may take, and recipients for each second more."""
_EXIT_NO, _EXIT_INTERNAL, _EXIT_INTERRUPTED = 1, 70, 130
_ENDING = (signal.SIGINT, signal.SIGTERM)

# The destinations are ours and on loopback: nothing to be gentle with.
_SHAPING = """\
[default]
connection_rate = "100000/min"
message_rate = "100000/s"
messages_per_connection = 1000

[providers.google]
mx = [".google.com"]

[providers.yahoo]
mx = [".yahoodns.net"]
"""


def run(recipients: int, as_json: bool) -> int:
    """The exit code: 0 only if every recipient got exactly one terminal event and every sampled signature
    verifies. With `as_json` the one object is all that is said, unless something fails."""
    # As a service manager or a shell in the background starts it, SIGINT is ignored; SIGTERM does what Ctrl-C does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, frame: signal.raise_signal(signal.SIGINT))
    errors = Console(stderr=as_json)
    # Held back until there is somebody to remove the directory: a signal right behind its making would leave it.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    with tempfile.TemporaryDirectory(prefix="mta-demo-") as directory:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
            demo = _Demo(Path(directory), recipients, Console(quiet=as_json))
            asyncio.run(demo.run())
        except (KeyboardInterrupt, asyncio.CancelledError):
            errors.print("\nStopped; what it started has ended.")
            return _EXIT_INTERRUPTED
        except DaemonFailed as error:
            errors.print(show.failure(str(error), error.log))
            return _EXIT_INTERNAL
        verdict = demo.verdict()
        if as_json:
            sys.stdout.write(msgspec.json.encode(verdict.report).decode() + "\n")
            sys.stdout.flush()
        if verdict.faults:
            errors.print(show.failure("Not everything ended as it should.", demo.daemon.log_tail()))
            return _EXIT_NO
    return 0


class _Demo:
    """One run. `run` returns when every recipient has ended or the time is up; `verdict` then judges and
    shows."""

    def __init__(self, directory: Path, number: int, console: Console) -> None:
        self.daemon = DaemonProcess(directory, directory / "mta.toml")
        self._directory = directory
        self._console = console
        self._outgoing = payloads(number)
        self._asked = [recipient for payload in self._outgoing for recipient in payload.recipients]
        self._limit_s = _LIMIT_S + number / _SLOWEST
        self._destinations = (
            KnowsItsUsers("google"),
            Greylists("yahoo", _GREYLIST_S, time.monotonic),
            Destination("other"),
        )
        self._tally = Tally(tuple(destination.name for destination in self._destinations))
        self._done = asyncio.Event()
        self._elapsed_s = 0.0

    async def run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            routes = []
            for destination in self._destinations:
                listener = await listen(destination, Features(hostname=f"mx.{destination.name}.test"))
                stack.push_async_callback(listener.close)
                routes.append(Route(f"*.{destination.name}.test", listener.port, destination.name))
            write(self._directory, _plan(tuple(routes)))
            self._console.print("Starting nats-server and the daemon …")
            # Stopped in order and before the verdict: from then on nothing can arrive twice any more.
            stack.push_async_callback(self.daemon.stop)
            await self.daemon.start()
            try:
                link = await _connect(self.daemon.state_dir)
                stack.push_async_callback(link.close)
                self._console.print(f"Ready. Sending to {len(self._asked)} recipients …")
                await self._mail(link)
            except JetStreamError as error:
                raise DaemonFailed(f"NATS: {error}", self.daemon.log_tail()) from error

    async def _mail(self, link: Link) -> None:
        pump = Pump(link)
        failed: list[Exception] = []
        try:
            async with asyncio.timeout(self._limit_s), asyncio.TaskGroup() as group:
                beside = (
                    group.create_task(self.daemon.watch(), name="demo: watch the daemon"),
                    group.create_task(link.watch(), name="demo: watch the link"),
                    group.create_task(pump.run(), name="demo: publish"),
                )
                await follow(link, f"mta.event.{escape(TENANT)}.*.*.{escape(CAMPAIGN)}", self._on_events)
                started = time.monotonic()
                for payload in self._outgoing:
                    await pump.publish_acked(payload.subject, payload.body, msg_id=payload.msg_id)
                await self._show(started)
                for task in beside:
                    task.cancel()
        except TimeoutError:
            self._console.print(f"Time is up after {self._limit_s:.0f} s.")
        except ExceptionGroup as several:
            failed.extend(several.exceptions)
        if failed:
            raise failed[0]

    def _on_events(self, subject: str, batch: bytes) -> None:
        self._tally.add(batch)
        if self._tally.ended >= len(self._asked):
            self._done.set()

    async def _show(self, started: float) -> None:
        def picture() -> RenderableType:
            self._elapsed_s = time.monotonic() - started
            return show.progress(self._tally.rows(), len(self._asked), self._tally.ended, self._elapsed_s)

        with Live(picture(), console=self._console, auto_refresh=False) as live:
            while not self._done.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_REFRESH_S):
                        await self._done.wait()
                live.update(picture(), refresh=True)
        if not self._console.is_terminal:
            self._console.line()

    def verdict(self) -> Verdict:
        """Compares events with destinations and shows one message and the summary."""
        name = f"{SELECTOR}._domainkey.{DOMAIN}".encode()
        record = dkim_record(self._directory, DOMAIN)
        received = sample([destination.kept for destination in self._destinations], _SAMPLED)
        signatures = [verifies(one.body, name, record) for one in received]
        accepted: Counter[str] = Counter()
        for destination in self._destinations:
            accepted.update(destination.accepted)
        verdict = judge(self._asked, self._tally, accepted, signatures, self._elapsed_s)
        if received:
            self._console.print(show.as_received(received[0], signatures[0]), soft_wrap=True)
        self._console.print(show.summary(verdict, len(signatures)))
        return verdict


def _plan(routes: tuple[Route, ...]) -> Plan:
    return Plan(
        node="demo",
        tenant=TENANT,
        domain=DOMAIN,
        routes=routes,
        shaping=_SHAPING,
        greylist="3s",
        schedule=("2s", "3s", "5s"),
    )


async def _connect(state_dir: Path) -> Link:
    """To the server the daemon has brought along, as any other verb would."""
    address = read_address(state_dir)
    if address is None:
        raise JetStreamUnavailable(f"{state_dir}/nats.json is not there")
    return await open_link(NatsSettings(servers=(address.url,)), name="mta demo", report=lambda text: None)
