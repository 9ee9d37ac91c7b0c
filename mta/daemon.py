"""The daemon: builds the parts, wires them, runs them, stops them in order. Read this first.

    jetstream   two links: work and acks on one, events and progress on the other
    intake      pulls payloads            -> flow.on_message
    flow        the life of a payload     -> channel.submit
    channel     composing and delivery    -> flow.on_settled
    publisher   events into the stream    -> flow.on_kept

`serve` is start up, serve, shut down. Every long-lived task is in one group: whichever fails ends the daemon, loudly,
and the service manager starts it again.
"""

import asyncio
import faulthandler
import gc
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from functools import partial

import structlog
import uvloop
from msgspec.structs import replace

from mta import log as logs
from mta.admin.control import NodeControl
from mta.admin.machine import unbindable
from mta.admin.notify import Notifier
from mta.admin.slowed import Pacing
from mta.admin.sockets import bound, inherited
from mta.admin.version import version
from mta.classify.classifier import Classifier
from mta.compose.settings import WaysBack
from mta.compose.templates import Templates
from mta.compose.workers import Composer
from mta.config.settings import Config
from mta.config.state import prepare
from mta.delivery.egress import Egress
from mta.delivery.email import EmailChannel
from mta.delivery.lookups import Lookups
from mta.delivery.router import Router
from mta.dns.text import texts
from mta.events.operations import Operations
from mta.events.publisher import EventPublisher
from mta.flow.books import Books
from mta.flow.content import Contents
from mta.flow.life import Flow
from mta.inbound.recorder import Recorder
from mta.intake.consumer import Intake
from mta.intake.orders import Orders
from mta.jetstream.connection import Link, open_link
from mta.jetstream.embedded import EmbeddedServer
from mta.jetstream.errors import NotFound, PermissionMissing
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTENT, CONTROL, OBJECTS, STRIKES, SUPPRESSION, TEMPLATES, Capacity
from mta.jetstream.objects import ObjectStore
from mta.jetstream.pump import PubAck, Pump
from mta.jetstream.rights import missing_rights
from mta.jetstream.settings import NatsSettings
from mta.jetstream.setup import setup, too_small, verify
from mta.lag import Lag, watch
from mta.listening import Reports, one_click
from mta.model.lane import Lane
from mta.pacing.actions import Actions
from mta.pacing.automation import Automation
from mta.pacing.breaking import CampaignBreaker
from mta.pacing.control import Control
from mta.pacing.fleet import Fleet
from mta.pacing.governors import Governors
from mta.pacing.share import Shares
from mta.pacing.sharing import Sharing
from mta.pacing.warming import Warming
from mta.pacing.warmup import Warmups
from mta.suppression.seal import Seal
from mta.suppression.strikes import Strikes
from mta.suppression.suppressions import Suppressions
from mta.suppression.suppressor import Suppressor
from mta.tlsrpt.post import HttpsPost
from mta.tlsrpt.report import mail_subject
from mta.tlsrpt.reporter import Reporter
from mta.wiring import flow_settings, recorder_settings, tell_guarded

_STATUS_EVERY_S = 5.0
_PATIENCE_S = 60.0
_SWITCH_S = 0.001
"""The pool's threads hand chunks to and fro: at Python's 5 ms a busy loop would let the workers run dry."""
_GC_THRESHOLDS = (50_000, 20, 100)
"""What lives long here is counted in tens of thousands and holds no cycles: looking at it often finds nothing."""
_BULK_NICENESS = 10
"""Two workers that never rest would make the loop wait for its turn at every message: a transactional message took
four times as long."""
_LEAST_STOP_S = 2.0
"""To store and tell what has happened, when the wire took all the time there was."""
_MOST_LAG_S = 5.0
"""A loop this late has no right to say that it is alive."""

_REMARKABLE_LAG_S = 0.5
_LAST_REPORTS_S = 20.0
"""For reports that are coming in when the daemon stops; their senders come again."""
_PUBLISH_S = 30.0
"""For a TLS report to be stored; it is tried again later."""

EXIT_ABORTED = 1

log = structlog.get_logger()


class NotSetUp(NotFound):
    """Streams or consumers are missing on a server that is not ours to change."""


def run(config: Config) -> int:
    """Until a signal; the exit code. What ends it otherwise is raised as the one error that it is."""
    faulthandler.enable()
    sys.setswitchinterval(_SWITCH_S)
    lines = logs.configure(config.node.name)
    try:
        return uvloop.run(Daemon(config).serve())
    except BaseExceptionGroup as group:
        raise _root(group) from group
    finally:
        lines.close()


class Daemon:
    def __init__(self, config: Config) -> None:
        self._config = config
        self._notifier = Notifier.from_environ(os.environ)
        self._stop_asked = asyncio.Event()
        self._serving = False
        self._main: asyncio.Task[None] | None = None
        self._orders_known = asyncio.Event()
        self._lag = Lag()
        self._sockets: dict[str, list[socket.socket]] = {}

    async def serve(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop, number)
        loop.add_signal_handler(signal.SIGHUP, log.info, "reload_ignored")
        self._notifier.status("connecting to NATS")
        self._main = asyncio.create_task(self._run(), name="daemon")
        try:
            await self._main
        except asyncio.CancelledError:
            if not self._serving:
                return 0
            log.warning("node_aborted")
            return EXIT_ABORTED
        finally:
            self._notifier.close()
        return 0

    def _on_stop(self, number: int) -> None:
        """The first signal drains, the second ends it here and now: what is unacknowledged is delivered again. Before
        anything was pulled the first one does, too: connecting may take its time."""
        if self._main is not None and (self._stop_asked.is_set() or not self._serving):
            self._main.cancel()
        log.info("node_draining", signal=signal.Signals(number).name)
        self._stop_asked.set()

    # -- start up -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        settings = self._config.nats
        state_dir = self._config.node.state_dir
        prepare(state_dir, self._config.origin)
        self._sockets = inherited(os.environ)
        if not self._sockets.get("smtp") and self._config.inbound.listen:
            place = bound(self._config.inbound.listen, "inbound.listen", self._config.origin)
            self._sockets["smtp"] = [place]
        self._look_for_sources()
        if not settings.embedded:
            await self._connected(settings)
            return
        server = EmbeddedServer(state_dir, port=settings.port, report=_report)
        address = await server.start()
        async with asyncio.TaskGroup() as group:
            group.create_task(server.run(), name="embedded nats-server")
            try:
                await self._connected(replace(settings, servers=(address.url,)))
            finally:
                await server.stop()

    def _look_for_sources(self) -> None:
        """Only a warning: an address may come later, and the others do without it."""
        for source in self._config.sources.values():
            if source.address and (reason := unbindable(source.address)):
                log.warning("source_not_here", source=source.name, address=source.address, reason=reason)

    async def _connected(self, settings: NatsSettings) -> None:
        """Both links, and everything that must be there."""
        name = f"mta {self._config.node.name}"
        async with AsyncExitStack() as stack:
            work = await open_link(settings, name=f"{name} work", report=_report)
            stack.push_async_callback(work.close)
            side = await open_link(settings, name=f"{name} side", report=_report)
            stack.push_async_callback(side.close)
            if settings.embedded:
                capacity = Capacity(settings.replicas, settings.payloads_max_bytes, settings.events_max_bytes)
                await setup(side, capacity, ack_wait_s=settings.ack_wait_s)
            if warning := too_small(side.max_payload):
                _report(warning)
            missing = await verify(side, ack_wait_s=settings.ack_wait_s)
            if missing:
                raise NotSetUp("; ".join(missing))
            tenant = next(iter(self._config.tenants), "_")
            tlsrpt = self._config.tlsrpt
            also = (mail_subject(tlsrpt),) if tlsrpt.is_on else ()
            if forbidden := await missing_rights(side, node=self._config.node.name, tenant=tenant, also=also):
                raise PermissionMissing(f"this user may not publish to {', '.join(forbidden)}")
            await self._serve(work, side)

    async def _serve(self, work: Link, side: Link) -> None:
        config = self._config
        lookups = Lookups(config.dns, config.node.state_dir / "mta-sts.json")
        composer = Composer(replace(config.compose, niceness=_BULK_NICENESS), config.keys)
        express = Composer(
            replace(config.compose, workers=max(1, composer.workers // 4)),
            config.keys,
            quarantine=composer.quarantine,
        )
        rng = random.Random()
        pump = Pump(side)
        operations = Operations(pump, config.node.name)
        contents = Contents(
            Templates(Bucket(work, TEMPLATES)),
            {Lane.BULK: composer, Lane.TRANSACTIONAL: express},
            Bucket(work, CONTENT),
            ObjectStore(work, OBJECTS),
            ways_back=WaysBack(config.http.public_url, config.advertise),
            max_attachment_bytes=config.compose.max_message_bytes,
        )
        books = Books(config.node.state_dir / "ledger", work, pump, config.node.name, config.nats)
        orders = Orders()
        suppressions = Suppressions(
            Bucket(side, SUPPRESSION),
            config.suppression,
            config.node.state_dir / "suppression.bin",
            on_guarded=partial(tell_guarded, operations),
        )
        suppressor = Suppressor(side, suppressions, Strikes(Bucket(side, STRIKES)), Seal(config.keys.tokens))
        actions = Actions()
        flow = Flow(flow_settings(config), work, pump, contents, books, orders, suppressions, rng=rng)
        automation = Automation(config.shaping.automation, actions, f"automation@{config.node.name}")
        control = Control(side, actions, automation, operations, flow.on_action)
        breaker = CampaignBreaker(side, config.shaping, operations, config.node.name)
        governors, shares = Governors(actions, time.time, born_at=time.monotonic()), Shares()
        desk = NodeControl(
            side, config.node.name, Pacing(config.node.name, governors, flow.releases.begin_of_paths)
        )
        publisher = EventPublisher(pump, config.events, flow.on_kept)
        recorder = Recorder(pump, side, suppressions, recorder_settings(config))
        web = one_click(config, recorder, suppressions, self._sockets.get("http", ()))
        reporter = self._reporter(lookups, pump) if config.tlsrpt.is_on else None
        router = Router(config.routes, config.shaping, lookups.resolver, lookups.policies)
        classifier = Classifier(config.bounces)
        sharing = Sharing(governors, shares, time.monotonic)
        fleet = Fleet(side, Bucket(side, CONTROL), config.node.name, sharing, shares, version=version())
        warmups = Warmups(config.shaping.warmups)
        warming = Warming(Bucket(side, CONTROL), warmups, time.time, lambda *of: channel.on_units(*of))
        egress = Egress(config.pools, actions, warmups, warming.want, time.time)
        reports = Reports(config, self._sockets.get("smtp", ()))
        channel = EmailChannel(
            composer,
            express,
            router,
            egress,
            config.compose,
            config.hold,
            classifier,
            in_hand_s=config.intake.in_hand_s,
            rng=rng,
            may_send=lambda: flow.gate.is_open,
            on_settled=desk.hearing(flow.on_settled),
            tell_operators=operations.tell,
            governors=governors,
            on_refused=control.note,
            on_tls_session=reporter.note if reporter is not None else None,
            fair=config.fair,
        )
        intake = Intake(
            work,
            config.intake,
            orders,
            on_message=flow.on_message,
            room=flow.hand.room,
            payload_room=flow.hand.payload_room,
            held=flow.hand.held,
            weight=config.fair.weight,
            report=_report,
        )
        try:
            await books.open()
            await lookups.start()
            await asyncio.gather(composer.start(), express.start())
            async with asyncio.TaskGroup() as group:
                flow.attach(channel, publisher, group)
                tasks = [
                    group.create_task(pump.run(), name="pump"),
                    group.create_task(work.watch(), name="watch the work link"),
                    group.create_task(side.watch(), name="watch the side link"),
                    group.create_task(flow.run(), name="flow"),
                    group.create_task(channel.run(), name="channel"),
                    group.create_task(lookups.run(), name="keep policies fresh"),
                    group.create_task(
                        control.follow(
                            work, orders, flow.on_order, self._orders_known.set, warmups.apply, fleet.apply
                        ),
                        name="follow orders",
                    ),
                    group.create_task(control.run(), name="actions"),
                    group.create_task(breaker.run(), name="breaker"),
                    group.create_task(warming.run(), name="draw on warm-ups"),
                    group.create_task(suppressions.run(), name="suppressions"),
                    group.create_task(suppressor.run(), name="suppressor"),
                    group.create_task(self._beat(flow), name="watchdog and status"),
                    group.create_task(watch(self._lag, _lagged, _REMARKABLE_LAG_S), name="watch the loop"),
                ]
                if reporter is not None:
                    reporter.open()
                    tasks.append(group.create_task(reporter.run(), name="TLS reports"))
                if web is not None:
                    await web.start()
                await desk.open(flow, channel)
                await reports.start(side, recorder, classifier, lookups, router)
                await self._orders_known.wait()
                await fleet.start()
                tasks.append(group.create_task(fleet.run(), name="fleet"))
                await self._until_known(suppressions)
                group.create_task(intake.run(), name="intake")
                gc.collect()
                gc.freeze()
                gc.set_threshold(*_GC_THRESHOLDS)
                self._serving = True
                self._notifier.ready("ready")
                log.info("node_ready", workers=composer.workers + express.workers)
                await self._stop_asked.wait()
                self._notifier.stopping("draining")
                await asyncio.gather(self._drain(intake, channel, flow), reports.drain(_LAST_REPORTS_S))
                await asyncio.gather(warming.give_back(), fleet.leave())
                if web is not None:
                    await web.close()
                for task in tasks:
                    task.cancel()
        finally:
            await asyncio.gather(composer.stop(), express.stop(), reports.stop(), desk.close())
            if reporter is not None:
                await reporter.close()
            if web is not None:
                await web.close()
            await recorder.close()
            await lookups.close()
            await suppressions.close()
            books.close()
        lag = self._lag
        p99_ms, max_ms = round(lag.quantile_ms(0.99), 1), round(lag.max_ms, 1)
        log.info("node_stopped", loop_lag_p99_ms=p99_ms, loop_lag_max_ms=max_ms)

    def _reporter(self, lookups: Lookups, pump: Pump) -> Reporter:
        """Its mail is published as anybody's, and comes back through intake."""

        def publish(subject: str, body: bytes, msg_id: str) -> Awaitable[PubAck]:
            return pump.publish_acked(subject, body, msg_id=msg_id, deadline_s=_PUBLISH_S)

        return Reporter(
            self._config.tlsrpt,
            self._config.node.name,
            self._config.node.state_dir,
            texts=partial(texts, lookups.nameservers),
            post=HttpsPost(lookups.resolver.addresses),
            publish=publish,
        )

    async def _until_known(self, suppressions: Suppressions) -> None:
        """Millions of them take minutes to be read for the first time: the service manager is asked for patience."""
        while True:
            self._notifier.extend_timeout(_PATIENCE_S)
            try:
                async with asyncio.timeout(_STATUS_EVERY_S):
                    return await suppressions.until_known()
            except TimeoutError:
                self._notifier.status(f"{len(suppressions)} suppressions read")

    # -- serve --------------------------------------------------------------------------------------------------

    async def _beat(self, flow: Flow) -> None:
        """Tells the service manager that the loop turns, and how it goes."""
        loop = asyncio.get_running_loop()
        every_s = self._notifier.watchdog_s / 2 or _STATUS_EVERY_S
        while True:
            due = loop.time() + every_s
            await asyncio.sleep(every_s)
            if loop.time() - due < _MOST_LAG_S:
                self._notifier.watchdog()
            self._notifier.status(f"{flow.works} payloads in work, {flow.hand.rate:.0f} recipients/s")

    # -- shut down ----------------------------------------------------------------------------------------------

    async def _drain(self, intake: Intake, channel: EmailChannel, flow: Flow) -> None:
        """Pull nothing more, finish what is on the wire, hand the rest back at once."""
        limit_s = self._config.node.drain_timeout_s
        self._notifier.extend_timeout(limit_s)
        loop = asyncio.get_running_loop()
        end_at = loop.time() + limit_s
        await intake.stop()
        await channel.drain(limit_s)
        await flow.stop(max(_LEAST_STOP_S, end_at - loop.time()))


def _lagged(late_s: float) -> None:
    log.warning("loop_lagged", late_ms=round(late_s * 1000))


def _report(text: str) -> None:
    log.warning("nats", text=text)


def _root(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group that is one: what the operator has to know."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
