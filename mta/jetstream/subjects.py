"""Subjects, keys and names on the wire, built and read in one place.

A token is `[a-z0-9_-]{1,64}`. Any other byte of the UTF-8 form is written `=XX`; the empty string is `_` and
a lone `_` therefore `=5F`; what is longer than 64 characters after escaping is its first 40, `==` and 16 hex
digits of a hash of the whole. So two different values never share a token (but for a collision of the hash),
and `unescape` gives back every value that was not cut. Subject and KV key allow `=`.

The parsers return tokens, not values: they are compared with the token of what a payload claims.
"""

import re
from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct

from mta.model.ids import base32
from mta.model.lane import Lane

EMPTY = "_"
MAX_TOKEN = 64
_KEPT = 40
_PLAIN = re.compile(r"[a-z0-9_-]{1,64}")
_SAFE = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789_-")
_ESCAPED = re.compile(r"=([0-9A-F]{2})")

PAYLOADS_OF_LANE = {lane: f"mta.payload.{lane}.>" for lane in Lane}
DUE_OF_LANE = {lane: f"mta.due.{lane}.>" for lane in Lane}


class PayloadSubject(Struct, frozen=True, gc=False):
    lane: Lane
    tenant: str
    campaign: str


class DueSubject(Struct, frozen=True, gc=False):
    lane: Lane
    tenant: str
    campaign: str
    payload_key: str


class RetrySubject(Struct, frozen=True, gc=False):
    tenant: str
    campaign: str
    payload_key: str
    number: str


class EventSubject(Struct, frozen=True, gc=False):
    tenant: str
    type: str
    provider: str
    campaign: str


def escape(value: str) -> str:
    """The token that stands for `value`."""
    if value != EMPTY and _PLAIN.fullmatch(value):
        return value
    if not value:
        return EMPTY
    raw = value.encode("utf-8", "surrogatepass")
    token = "=5F" if value == EMPTY else "".join(chr(b) if b in _SAFE else f"={b:02X}" for b in raw)
    if len(token) <= MAX_TOKEN:
        return token
    return f"{token[:_KEPT]}=={blake2b(raw, digest_size=8).hexdigest()}"


def unescape(token: str) -> str | None:
    """The value that `token` stands for; None if the token was cut or is none of ours."""
    if token == EMPTY:
        return ""
    try:
        value = (
            _ESCAPED.sub(lambda m: chr(int(m[1], 16)), token)
            .encode("latin-1")
            .decode("utf-8", "surrogatepass")
        )
    except UnicodeError:
        return None
    return value if escape(value) == token else None


def payload_subject(lane: Lane, tenant: str, campaign: str) -> str:
    return f"mta.payload.{lane}.{escape(tenant)}.{escape(campaign)}"


def due_subject(lane: Lane, tenant: str, campaign: str, payload_key: bytes) -> str:
    return f"mta.due.{lane}.{escape(tenant)}.{escape(campaign)}.{base32(payload_key)}"


def retry_subject(tenant: str, campaign: str, payload_key: bytes, number: str) -> str:
    """`number` is `mta.jetstream.schedule.retry_number` of the recipients it carries."""
    return f"mta.retry.{escape(tenant)}.{escape(campaign)}.{base32(payload_key)}.{number}"


def retry_filter(tenant: str | None, campaign: str | None) -> str:
    """All schedules of a campaign, of a tenant (`campaign` None), or of everybody."""
    tokens = ("*" if name is None else escape(name) for name in (tenant, campaign))
    return f"mta.retry.{'.'.join(tokens)}.*.*"


def event_subject(tenant: str, kind: str, provider: str, campaign: str) -> str:
    return f"mta.event.{escape(tenant)}.{escape(kind)}.{escape(provider)}.{escape(campaign)}"


def index_subject(payload_key: bytes) -> str:
    return f"mta.index.{base32(payload_key)}"


def seen_subject(message: str, kind: str) -> str:
    """The mark that what came back of a message was recorded: `message` is the short id of its events."""
    return f"mta.seen.{escape(message)}.{escape(kind)}"


def progress_subject(node: str) -> str:
    return f"mta.progress.{escape(node)}"


def dead_subject(reason: str) -> str:
    return f"mta.dead.{escape(reason)}"


def ops_subject(node: str, kind: str) -> str:
    return f"mta.ops.{escape(node)}.{escape(kind)}"


def control_subject(node: str, verb: str) -> str:
    """What a node, or `any` one, is asked by request and reply."""
    return f"mta.control.{escape(node)}.{escape(verb)}"


def _tokens(subject: str, kind: str, count: int) -> list[str] | None:
    tokens = subject.split(".")
    return tokens[2:] if tokens[:2] == ["mta", kind] and len(tokens) == count + 2 and all(tokens) else None


def _lane(token: str) -> Lane | None:
    return Lane(token) if token in Lane.__members__.values() else None


def parse_payload(subject: str) -> PayloadSubject | None:
    """None for a subject that is no payload's."""
    tokens = _tokens(subject, "payload", 3)
    lane = _lane(tokens[0]) if tokens else None
    return PayloadSubject(lane, tokens[1], tokens[2]) if tokens and lane else None


def parse_due(subject: str) -> DueSubject | None:
    tokens = _tokens(subject, "due", 4)
    lane = _lane(tokens[0]) if tokens else None
    return DueSubject(lane, tokens[1], tokens[2], tokens[3]) if tokens and lane else None


def parse_retry(subject: str) -> RetrySubject | None:
    tokens = _tokens(subject, "retry", 4)
    return RetrySubject(*tokens) if tokens else None


def parse_event(subject: str) -> EventSubject | None:
    tokens = _tokens(subject, "event", 4)
    return EventSubject(*tokens) if tokens else None


def kv_key(*parts: str) -> str:
    """`<part>.<part>…`, each part one token."""
    return ".".join(map(escape, parts))


def subject_hash(subject: str) -> str:
    return blake2b(subject.encode(), digest_size=10).hexdigest()


def campaign_consumer(subject: str) -> str:
    """The durable of one bulk campaign, named from the hash of its payload subject."""
    return f"bulk-{subject_hash(subject)}"


def is_campaign_consumer(name: str) -> bool:
    return name.startswith("bulk-")


def window(subjects: Sequence[str], size: int, turn: int) -> list[str]:
    """The `size` payload subjects whose turn it is: the same on every daemon that sees the same subjects. Tenants
    share the window, and where one has more campaigns than his share they take turns in it: so nobody waits because
    another has many."""
    ranked = sorted(subjects, key=subject_hash)
    if len(ranked) <= size:
        return ranked
    lines: dict[str, list[str]] = {}
    for subject in ranked:
        parsed = parse_payload(subject)
        lines.setdefault(parsed.tenant if parsed is not None else "", []).append(subject)
    tenants = sorted(lines)
    if len(tenants) > size:
        rounds = (divmod(turn * size + place, len(tenants)) for place in range(size))
        return [lines[tenants[at]][done % len(lines[tenants[at]])] for done, at in rounds]
    chosen: list[str] = []
    for at, tenant in enumerate(sorted(tenants, key=lambda tenant: len(lines[tenant]))):
        line = lines[tenant]
        share = min(len(line), (size - len(chosen)) // (len(tenants) - at))
        chosen += [line[(turn * share + place) % len(line)] for place in range(share)]
    return chosen
