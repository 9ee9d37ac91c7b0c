"""A daemon in earnest, its destinations, and a sender's view of both: what a scenario is made of.

`Rig` starts `mta run` as a child with a configuration of its own, publishes payloads as a sender would, follows
MTA_EVENTS as a sender would, and compares. It knows the contract and nothing of the daemon's inside. A story takes a
destination of its own (`async with rig.destination(...) as place`), sends, and looks at what was told and what arrived.

Ports are held bound but not listening until a destination takes one over: until then they refuse, as a dead host does.
"""

import asyncio
import itertools
import json
import os
import secrets
import signal
import socket
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import dkim
from cryptography.hazmat.primitives import serialization

from mta.demo.follow import follow
from mta.demo.process import DaemonProcess
from mta.jetstream.connection import open_link
from mta.jetstream.consumers import held_subjects
from mta.jetstream.embedded import read_address
from mta.jetstream.layout import DEAD, OPS, PAYLOADS, RETRY
from mta.jetstream.pump import PubAck, Pump
from mta.jetstream.settings import NatsSettings
from mta.jetstream.subjects import payload_subject
from mta.model.ids import base32, payload_key
from mta.model.lane import Lane
from tests.fakes.contract import Reader
from tests.fakes.keys import rsa_pem
from tests.fakes.nats import eventually
from tests.fakes.smtp_server import CHUNKING, FakeMX, On, Received
from tests.fakes.verbs import verb

Event = dict[str, Any]
Payload = dict[str, Any]

TENANT = "acme"
DOMAIN = "acme.test"
UNSIGNED = "plain.test"
SELECTOR = "s1"
TERMINAL = frozenset({"delivered", "bounced", "expired", "failed", "rejected", "suppressed", "cancelled"})
LIMIT_S = 25.0

_CONFIG = """\
[node]
name = "rig"
state_dir = "{directory}/state"
workers = 2
drain_timeout = "10s"
[nats]
{nats}
[http]
{http}
[inbound]
advertise = {advertise}
listen = "{listen}"
[queue]
hold = "{hold}"
[compose]
timeout = "{timeout}"
[retry]
jitter = 0.0
greylist = "1s"
bulk = {{ schedule = ["{retry}"], max_age = "10m" }}
transactional = {{ schedule = ["{retry}"], max_age = "10m" }}
[dns]
servers = {dns}
validating = "{validating}"
allow = ["127.0.0.0/8"]
[tokens]
keys = {{ k1 = "token-k1" }}
[sources]
one = {{ address = "127.0.0.1", ehlo = "one.acme.test" }}
two = {{ address = "127.0.0.2", ehlo = "two.acme.test"{warmup} }}
[pools]
default = {{ one = 1 }}
pair = {{ one = 1, two = 1 }}
{routes}
{tenants}
"""
TENANTS = f"""\
[tenants.{TENANT}]
pools = ["default", "pair"]
return_path = "b.{DOMAIN}"
domains."{DOMAIN}" = {{ dkim = [{{ selector = "{SELECTOR}", key = "dkim.pem" }}], require_dkim = true }}
domains."{UNSIGNED}" = {{ require_dkim = false }}
"""
SHAPING = """\
[default]
connection_rate = "100000/min"
message_rate = "100000/s"
messages_per_connection = 1000
timeouts = { greeting = "3s", ehlo = "3s", tls = "3s", mail = "3s", rcpt = "3s", data = "3s", dot = "3s" }
"""


class Told:
    """What the stream said of one payload, in order. `of` takes addresses as they were submitted."""

    def __init__(self, payload_id: str, events: Sequence[Event]) -> None:
        self.payload_id = payload_id
        self.events = list(events)

    def of(self, recipient: str) -> list[Event]:
        return [event for event in self.events if event.get("recipient") == recipient]

    def types(self, recipient: str) -> list[str]:
        return [event["type"] for event in self.of(recipient)]

    def end(self, recipient: str) -> Event:
        """The one terminal event."""
        (event,) = (event for event in self.of(recipient) if event["type"] in TERMINAL)
        return event

    @property
    def whole(self) -> list[Event]:
        """About the payload itself."""
        return [event for event in self.events if "recipient" not in event]

    @property
    def ended(self) -> Counter[str]:
        """Terminal events by recipient."""
        return Counter(e["recipient"] for e in self.events if "recipient" in e and e["type"] in TERMINAL)

    def counts(self) -> Counter[str]:
        """How many recipients ended how."""
        return Counter(e["type"] for e in self.events if "recipient" in e and e["type"] in TERMINAL)


class Place:
    """A destination of one story."""

    def __init__(self, mx: FakeMX, domain: str) -> None:
        self.mx = mx
        self.domain = domain

    def to(self, local: str) -> str:
        return f"{local}@{self.domain}"

    @property
    def copies(self) -> Counter[str]:
        """Messages it took, by recipient."""
        return Counter(received.recipient for received in self.mx.accepted)

    def of(self, recipient: str) -> list[Received]:
        """Everything whose end of data came, taken or not."""
        return [received for received in self.mx.received if received.recipient == recipient]

    def mail(self, recipient: str) -> Message:
        """The one message it took for `recipient`, parsed."""
        (received,) = (received for received in self.mx.accepted if received.recipient == recipient)
        return parsed(received)


def parsed(received: Received) -> Message:
    return message_from_bytes(received.body, policy=default)


class _Slot:
    """A routed domain and the port held for it."""

    def __init__(self, number: int) -> None:
        self.domain = f"d{number}.test"
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])

    @property
    def route(self) -> str:
        host = f'host = "127.0.0.1:{self.port}", tls = "opportunistic"'
        return f'[routes]\n"{self.domain}" = {{ {host} }}\n"*.{self.domain}" = {{ {host} }}\n'


class Rig:
    """`start`, then `publish` and look; `close` at the end. `server` is the URL of a nats-server that has its streams;
    without one the daemon brings its own. `events` holds each id once, by payload (empty: it names none); `repeated`
    those that came again; `reader` takes them by `conf/asyncapi.yaml`."""

    def __init__(self, directory: Path, *, server: str = "", slots: int = 4, **settings: Any) -> None:
        self.directory = directory
        self.config = directory / "mta.toml"
        self.daemon = DaemonProcess(directory, self.config)
        self.events: dict[str, list[Event]] = defaultdict(list)
        self._server = server
        self._held = [_Slot(number) for number in range(slots)]
        self._free = iter(self._held)
        self.repeated: list[str] = []
        self.reader = Reader()
        self._ids: set[str] = set()
        self._news = asyncio.Event()
        self._numbers = itertools.count(1)
        self._sequences: dict[str, list[int]] = defaultdict(list)
        self._tasks: list[asyncio.Task[None]] = []
        for name, content in (
            ("dkim.pem", rsa_pem()),
            ("token-k1", secrets.token_hex(32).encode()),
        ):
            path = directory / name
            path.touch(mode=0o600)
            path.write_bytes(content)
        (directory / "bounces.toml").write_text("")
        self.configure(**settings)

    def configure(
        self,
        *,
        dns: str = "127.0.0.1:9",
        validating: str = "",
        retry: str = "1s",
        ack_wait_s: float = 30.0,
        hold: str = "60s",
        timeout: str = "10s",
        tenants: str = TENANTS,
        http: str = 'listen = ""',
        advertise: bool = False,
        listen: str = "",
        warmup: str = "",
        shaping: str = "",
    ) -> None:
        """Writes the configuration; it holds from the next start of the daemon."""
        nats = "embedded = true"
        if self._server:
            nats = f'embedded = false\nservers = ["{self._server}"]\nconnect_timeout = "2s"'
        sixth = f"{ack_wait_s * 1000 / 6:.0f}ms"
        nats += f'\nack_wait = "{ack_wait_s:g}s"\nrenew = "{sixth}"\nmargin = "{sixth}"'
        routes = "[routes]\n" + "".join(slot.route.removeprefix("[routes]\n") for slot in self._held)
        self.config.write_text(
            _CONFIG.format(
                directory=self.directory,
                nats=nats,
                routes=routes,
                dns=json.dumps([dns]),
                validating=validating,
                retry=retry,
                hold=hold,
                timeout=timeout,
                tenants=tenants,
                http=http,
                advertise=json.dumps(advertise),
                listen=listen,
                warmup=f', warmup = "{warmup}"' if warmup else "",
            )
        )
        (self.directory / "shaping.toml").write_text(SHAPING + shaping)

    async def start(self) -> None:
        """The daemon, then a sender and a reader beside it."""
        await self.daemon.start()
        server = self._server
        if not server:
            address = read_address(self.daemon.state_dir)
            assert address is not None
            server = address.url
        self.link = await open_link(NatsSettings(servers=(server,)), name="rig", report=lambda _: None)
        self.pump = Pump(self.link)
        self._tasks = [asyncio.create_task(self.pump.run(), name="rig: publish")]
        await follow(self.link, "mta.event.>", self._on_batch)

    async def restart(self, **settings: Any) -> None:
        """The daemon again, after it has ended; sender and reader go on."""
        if settings:
            self.configure(**settings)
        await self.daemon.start()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self.link.close()
        await self.daemon.stop()
        for slot in self._held:
            slot.socket.close()

    @property
    def log(self) -> str:
        return self.daemon.log_tail(100_000)

    async def until_logged(self, word: str) -> None:
        await eventually(lambda: word in self.log, LIMIT_S)

    # -- destinations -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def destination(
        self, *rules: On, offers: Sequence[str] = CHUNKING, **script: Any
    ) -> AsyncIterator[Place]:
        slot = next(self._free)
        mx = FakeMX(offers=offers, rules=rules, **script)
        async with mx.serving(slot.socket):
            yield Place(mx, slot.domain)

    def bare(self) -> tuple[str, socket.socket]:
        """A routed domain and its bound socket, for a story with a server of its own."""
        slot = next(self._free)
        return slot.domain, slot.socket

    def dead_domain(self) -> str:
        """Routed to a port that refuses."""
        return next(self._free).domain

    # -- sending ------------------------------------------------------------------------------------------------

    def payload(self, *recipients: str | Payload, **changes: Any) -> Payload:
        """Valid, with an id of its own; a change to None takes a field out."""
        whole: Payload = {
            "v": 1,
            "id": f"p{next(self._numbers)}",
            "tenant": TENANT,
            "from": {"email": f"news@{DOMAIN}", "name": "Acme"},
            "content": {"subject": "Hello", "text": "Hello.\n"},
            "recipients": [one if isinstance(one, dict) else {"email": one} for one in recipients],
        } | changes
        return {key: value for key, value in whole.items() if value is not None}

    async def publish(
        self,
        payload: Payload | bytes,
        *,
        lane: Lane = Lane.TRANSACTIONAL,
        campaign: str = "",
        msg_id: str = "",
        tenant: str = TENANT,
    ) -> PubAck:
        """Under the id the contract asks for, unless another is given."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        name = payload.get("id", "") if isinstance(payload, dict) else ""
        tenant = payload.get("tenant", TENANT) if isinstance(payload, dict) else TENANT
        ack = await self.pump.publish_acked(
            payload_subject(lane, tenant, campaign),
            body,
            msg_id=msg_id or (f"{tenant}/{name}" if name else secrets.token_hex(8)),
            deadline_s=LIMIT_S,
        )
        self._sequences[name].append(ack.sequence)
        return ack

    async def deliver(self, payload: Payload, *, lane: Lane = Lane.TRANSACTIONAL, campaign: str = "") -> Told:
        """Publish, wait for the end of every recipient and of the payload, and check what holds for every story."""
        await self.publish(payload, lane=lane, campaign=campaign)
        return await self.finished(payload)

    # -- looking ------------------------------------------------------------------------------------------------

    def _on_batch(self, subject: str, batch: bytes) -> None:
        for line in batch.splitlines():
            event = json.loads(line)
            self.reader.read(event)
            if event["id"] in self._ids:
                self.repeated.append(event["id"])
            else:
                self._ids.add(event["id"])
                self.events[event.get("payload_id", "")].append(event)
        self._news.set()

    def told(self, payload: Payload | str) -> Told:
        name = payload if isinstance(payload, str) else payload["id"]
        return Told(name, self.events[name])

    async def until(self, fact: Callable[[], object], timeout_s: float = LIMIT_S) -> None:
        """Returns once `fact()` holds, looked at after each batch of events."""
        try:
            async with asyncio.timeout(timeout_s):
                while not fact():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            told = {name: [_brief(e) for e in events] for name, events in self.events.items()}
            counts = {name: Counter(str(brief[0]) for brief in briefs) for name, briefs in told.items()}
            raise AssertionError(
                f"not in {timeout_s} s: {counts}\n{json.dumps(told)[-3000:]}\n{self.daemon.log_tail()}"
            ) from None

    async def saw(self, payload: Payload, kind: str, count: int = 1) -> None:
        """That many events of this type came."""
        await self.until(lambda: sum(e["type"] == kind for e in self.told(payload).events) >= count)

    async def ended(self, payload: Payload, timeout_s: float = LIMIT_S) -> Told:
        """Every recipient has an end, or the payload as a whole was rejected."""
        asked = {one["email"] for one in payload["recipients"]}
        await self.until(
            lambda: self.told(payload).ended.keys() >= asked or self._is_rejected(payload), timeout_s
        )
        return self.told(payload)

    async def finished(self, payload: Payload, timeout_s: float = LIMIT_S) -> Told:
        """As `ended`, and nothing of it is left anywhere; one terminal event each, attempts numbered, none after."""
        await self.ended(payload, timeout_s)
        await self.emptied(payload)
        told = self.told(payload)
        check_events(told, [one["email"] for one in payload["recipients"]])
        return told

    def _is_rejected(self, payload: Payload) -> bool:
        return any(event["type"] == "rejected" for event in self.told(payload).whole)

    async def emptied_of_fresh(self, payload: Payload) -> None:
        """Its messages are acknowledged; recipients of it may wait."""

        async def is_gone() -> bool:
            found = [await self.link.stored_message(PAYLOADS, one) for one in self._sequences[payload["id"]]]
            return not any(found)

        await eventually(is_gone, LIMIT_S)

    async def emptied(self, payload: Payload) -> None:
        """Nothing of it waits and nothing is unacknowledged: a work queue forgets at the ack."""
        key = base32(payload_key(payload["tenant"], payload["id"]))

        async def is_gone() -> bool:
            for sequence in self._sequences[payload["id"]]:
                if await self.link.stored_message(PAYLOADS, sequence) is not None:
                    return False
            return not any(key in subject for subject in await held_subjects(self.link, RETRY, ">"))

        await eventually(is_gone, LIMIT_S)

    async def messages(self, stream: str) -> int:
        return int((await self.link.api(f"STREAM.INFO.{stream}"))["state"]["messages"])

    async def dead(self, sequence: int) -> tuple[str, bytes, dict[str, str]]:
        """(subject, body, headers) of what lies in MTA_DEAD of the payload with this sequence."""
        source = f"{PAYLOADS}.{sequence}"
        last = int((await self.link.api(f"STREAM.INFO.{DEAD}"))["state"]["last_seq"])
        for number in range(last, 0, -1):
            stored = await self.link.stored_message(DEAD, number)
            if stored is not None and stored.headers.get("Mta-Source") == source:
                return stored.subject, stored.data, stored.headers
        raise AssertionError(f"nothing in MTA_DEAD of {source}")

    async def operations(self, kind: str) -> list[Event]:
        """What operators were told of this kind, in order."""
        state = (await self.link.api(f"STREAM.INFO.{OPS}"))["state"]
        found = [
            await self.link.stored_message(OPS, number)
            for number in range(max(1, state["first_seq"]), state["last_seq"] + 1)
        ]
        told = [json.loads(one.data) for one in found if one is not None]
        return [event for event in told if event["type"] == kind]

    def verifies(self, received: Received) -> bool:
        """By an independent verifier, with the key of this rig's domain."""
        public = serialization.load_pem_private_key(rsa_pem(), None).public_key()
        lines = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).splitlines()
        record = b"v=DKIM1; k=rsa; p=" + b"".join(lines[1:-1])
        name = f"{SELECTOR}._domainkey.{DOMAIN}.".encode()
        return bool(
            dkim.verify(received.body, dnsfunc=lambda asked, timeout=5: record if asked == name else None)
        )

    async def mta(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        """One verb of the command line against this daemon: exit code, output, errors."""
        return await verb(*arguments, "--config", str(self.config), stdin=stdin)


def check_events(told: Told, recipients: Iterable[str]) -> None:
    """I1 and I4. A recipient that stands twice in a payload has two ends."""
    if any(event["type"] == "rejected" for event in told.whole):
        assert not told.ended
        return
    assert told.ended == Counter(recipients), told.ended - Counter(recipients)
    by_message: dict[str, list[Event]] = defaultdict(list)
    for event in told.events:
        if "message_id" in event:
            by_message[event["message_id"]].append(event)
    for events in by_message.values():
        assert [event["type"] in TERMINAL for event in events] == [False] * (len(events) - 1) + [True], events
        tries = [
            event["attempt"] for event in events if event["type"] in ("deferred", "delivered", "bounced")
        ]
        assert tries == list(range(1, len(tries) + 1)), events


def check_copies(place: Place, *told: Told) -> None:
    """I2 and I3, where nothing was killed: one copy for each `delivered`, none for anybody else."""
    delivered = Counter(
        event["recipient"]
        for one in told
        for event in one.events
        if event["type"] == "delivered" and event["recipient"].endswith(place.domain)
    )
    assert place.copies == delivered


def signalled(daemon: DaemonProcess, number: signal.Signals) -> None:
    os.kill(daemon.pid, number)


def numbered(domain: str, count: int, prefix: str = "r") -> Iterator[str]:
    return (f"{prefix}{number}@{domain}" for number in range(count))


def _brief(event: Event) -> list[str]:
    return [event["type"], event.get("recipient", "_"), str(event.get("error") or event.get("smtp") or "")]
