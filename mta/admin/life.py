"""Whose events are asked for, and what they tell of one message: the pure half of `mta msg`.

A question is one word, and may be any name that a message goes by. Events are searched for its bytes before they are
decoded: most batches hold nothing of it, and a search costs a hundredth.
"""

import base64
import re
from binascii import Error as BadBase32
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct

from mta.events.encode import Person, recipient_as
from mta.events.settings import RecipientForm
from mta.model.address import BadAddress, parse
from mta.model.event import EventType

_EVENT_ID = re.compile(r"([a-z2-7]{26})\.[a-z_]+\.\d+").fullmatch
_DECODER = msgspec.json.Decoder(dict[str, Any])
MOST_COUNTED = 100_000
MOST_EVENTS = 500
"""Of one message: more than any schedule has attempts."""


class Question(Struct, frozen=True):
    """`fields` are what an event must say, any of them, addresses as `canonical` has them; `needles` are bytes in lower
    case, one of which it then holds. `since` is the earliest time it can be of, 0.0 where the name does not tell.
    `payload_id` is set where it may be one."""

    what: str
    fields: Mapping[str, frozenset[str]]
    needles: tuple[bytes, ...]
    since: float = 0.0
    payload_id: str = ""

    def answers(self, body: bytes) -> Iterator[dict[str, Any]]:
        """The events of a batch that are about it."""
        lowered = body.lower()
        if not any(needle in lowered for needle in self.needles):
            return
        for line in body.splitlines():
            low = line.lower()
            if any(needle in low for needle in self.needles):
                try:
                    event = _DECODER.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue
                if self._is_meant(event):
                    yield event

    def _is_meant(self, event: Mapping[str, Any]) -> bool:
        for name, values in self.fields.items():
            value = event.get(name)
            if isinstance(value, str):
                if name == "recipient":
                    value = canonical(value)
                elif name == "id":
                    value = value.partition(".")[0]
                if value in values:
                    return True
        return False


class Life(Struct):
    """One message, or a payload as a whole where it has no message of its own. `events` in the order of their times,
    each id once."""

    tenant: str
    campaign: str
    payload_id: str
    message_id: str
    recipient: str = ""
    events: list[dict[str, Any]] = []

    def add(self, event: dict[str, Any]) -> None:
        if all(known["id"] != event["id"] for known in self.events) and len(self.events) < MOST_EVENTS:
            self.events.append(event)
            self.events.sort(key=lambda one: str(one.get("time", "")))
            self.recipient = str(event.get("recipient") or event.get("recipient_domain") or self.recipient)

    @property
    def kind_of_mail(self) -> tuple[str, str]:
        """Stream and lane, as its events have them."""
        first: dict[str, Any] = self.events[0] if self.events else {}
        return _text(first, "stream"), _text(first, "lane")

    @property
    def end(self) -> str:
        """The type of its terminal event, empty while it has none."""
        for event in self.events:
            if str(event.get("type")) in _TERMINAL:
                return str(event["type"])
        return ""

    @property
    def state(self) -> str:
        """The end, or what became of a delivery afterwards: of several such events the one of most weight."""
        end = self.end
        if end != EventType.DELIVERED:
            return end
        told = {str(event.get("type")) for event in self.events}
        return next((kind for kind in _AFTERWARDS if kind in told), end)


_AFTERWARDS = (EventType.OOB_BOUNCED, EventType.COMPLAINED, EventType.UNSUBSCRIBED)
_TERMINAL = frozenset(kind for kind in EventType if kind.is_terminal)


class Lives:
    """The latest `room` messages of an answer, each whole; `total` counts those that were too many as well, up to
    `MOST_COUNTED`. A payload as a whole is no message and always has room: few have the same id.

    Ids of messages sort by the time they were accepted: so what is dropped is the earliest of too many, and would be
    dropped again: nothing comes back with half of its events.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._payloads: dict[str, Life] = {}
        self._messages: dict[str, Life] = {}
        self._seen: set[str] = set()

    @property
    def total(self) -> int:
        return len(self._seen)

    def add(self, event: dict[str, Any]) -> None:
        message_id, payload_id = _text(event, "message_id"), _text(event, "payload_id")
        if not isinstance(event.get("id"), str):
            return
        if len(self._seen) < MOST_COUNTED and message_id:
            self._seen.add(message_id)
        lives, key = (self._messages, message_id) if message_id else (self._payloads, payload_id)
        if key not in lives:
            lives[key] = Life(_text(event, "tenant"), _text(event, "campaign"), payload_id, message_id)
        lives[key].add(event)
        if len(self._messages) > self._room:
            del self._messages[min(self._messages)]

    def all(self) -> list[Life]:
        """Payloads, then messages in the order in which they were accepted."""
        return [*self._payloads.values(), *(self._messages[key] for key in sorted(self._messages))]


def question(text: str, hash_keys: Mapping[str, bytes]) -> Question:
    """What is meant by `text`: a message id, an event id, a Message-ID, an address, or an id that the sender gave to
    a payload or a recipient. `hash_keys` are of the tenants whose events may be asked for, and may hold only hashes."""
    bare = text.strip().removeprefix("<").removesuffix(">")
    local = bare.partition("@")[0]
    if (uuid := _uuid7(local)) is not None:
        return _of_message(uuid, "" if "@" in bare else str(uuid))
    if (found := _EVENT_ID(text.strip())) is not None and (raw := _unbase32(found[1])) is not None:
        if (uuid := _uuid7(str(UUID(bytes=raw)))) is not None:
            return _of_message(uuid)
        return _question("an event id", {"id": {found[1]}}, [found[1]])
    if text.strip().startswith("<"):
        return _question("a Message-ID", {"rfc_message_id": {f"<{bare}>"}}, [bare])
    if "@" in bare:
        return _of_address(bare, hash_keys)
    fields = {"payload_id": {bare}, "recipient_id": {bare}}
    return msgspec.structs.replace(
        _question("an id of a payload or a recipient", fields, [bare]), payload_id=bare
    )


def canonical(address: str) -> str:
    """As addresses are compared here: whoever asks may not know how it was written."""
    try:
        return parse(address, utf8=True).text.casefold()
    except BadAddress:
        return address.casefold()


def _of_message(uuid: UUID, payload_id: str = "") -> Question:
    """A payload without an id of its own has a UUIDv7, too."""
    text = str(uuid)
    named = _question("a message id", {"message_id": {text}, "payload_id": {text}}, [text])
    return msgspec.structs.replace(named, since=(uuid.int >> 80) / 1000, payload_id=payload_id)


def _of_address(address: str, hash_keys: Mapping[str, bytes]) -> Question:
    """In full, and as each tenant's hash of it."""
    wanted = canonical(address)
    try:
        exact = parse(address, utf8=True).text
    except BadAddress:
        exact = address
    person = Person(message_id="", email=address, address=exact)
    hashes = {recipient_as(RecipientForm.HASH, key, person) for key in hash_keys.values()}
    local = address.rpartition("@")[0]
    return _question("an address", {"recipient": {wanted, *hashes}}, [f"{local}@", *sorted(hashes)])


def _question(what: str, fields: Mapping[str, set[str]], needles: list[str]) -> Question:
    return Question(
        what,
        {name: frozenset(values) for name, values in fields.items()},
        tuple(msgspec.json.encode(needle)[1:-1].lower() for needle in needles),
    )


def _uuid7(text: str) -> UUID | None:
    try:
        uuid = UUID(text)
    except ValueError:
        return None
    return uuid if uuid.version == 7 else None


def _unbase32(text: str) -> bytes | None:
    try:
        return base64.b32decode(text.upper() + "=" * 6)
    except BadBase32:
        return None


def _text(event: Mapping[str, Any], name: str) -> str:
    value = event.get(name)
    return value if isinstance(value, str) else ""
