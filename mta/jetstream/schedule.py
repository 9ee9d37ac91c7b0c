"""Message schedules: a retry waits in MTA_RETRY as a schedule and fires as a due payload.

The server keeps one schedule a subject and replaces it by the next one published there, so the subject names
the very set of recipients: the same set, published again after a crash, replaces itself; another set is
another subject. Times are whole seconds, rounded up: finer the server does not fire, and a retry must not
come early.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from math import ceil

from msgspec import Struct

from mta.jetstream.layout import PAYLOADS, RETRY
from mta.jetstream.subjects import due_subject, escape, parse_retry, retry_subject, unescape
from mta.model import times
from mta.model.lane import Lane

SCHEDULE = "Nats-Schedule"
TARGET = "Nats-Schedule-Target"
SCHEDULER = "Nats-Scheduler"
_NUMBER = re.compile(r"([pr])(\d{1,19})-")
PAUSED = "Mta-Paused"
"""Parked for a pause: due again as soon as that is over."""
RECIPIENTS, PROVIDERS, REASON = "Mta-Recipients", "Mta-Providers", "Mta-Reason"
"""What a message holds, for who counts without reading it. The server leaves them on what fires."""
_MOST_PROVIDERS = 32
_MOST_DIGITS = 9


class Held(Struct, frozen=True, gc=False):
    """Of one retry message, waiting or due: how many recipients, how many of them go to which provider (empty name: not
    known yet), and why most of them wait: what they were parked for, or the class of their last refusal."""

    recipients: int
    providers: dict[str, int]
    reason: str = ""


class Retry(Struct, frozen=True):
    """Where a retry message goes and under which id: `subject` is both."""

    subject: str
    headers: dict[str, str]

    @property
    def msg_id(self) -> str:
        return self.subject


def at(due_at: float) -> str:
    """`@at 2026-11-22T07:22:46Z`, the first whole second not before `due_at`."""
    return f"@at {datetime.fromtimestamp(ceil(due_at), UTC):%Y-%m-%dT%H:%M:%SZ}"


def released(subject: str, sequence: int) -> dict[str, str]:
    """Headers that make a schedule due at once, in one step: published to its target with its body, this removes the
    schedule, unless it is no longer the one of that sequence (error 10071)."""
    return {
        "Nats-Msg-Id": f"{subject}.released",
        SCHEDULER: subject,
        "Nats-Schedule-Next": "purge",
        "Nats-Expected-Last-Subject-Sequence": str(sequence),
        "Nats-Expected-Last-Subject-Sequence-Subject": subject,
    }


def retry_number(stream: str, sequence: int, recipients: Iterable[tuple[int, int]]) -> str:
    """`<p or r><source sequence>-<16 hex>` for the (index, attempt) pairs of the recipients deferred from the
    source message `sequence` of `stream`, in whatever order."""
    pairs = ",".join(f"{index}:{attempt}" for index, attempt in sorted(recipients))
    digest = blake2b(pairs.encode(), digest_size=8).hexdigest()
    return f"{'r' if stream == RETRY else 'p'}{sequence}-{digest}"


def source_of(headers: dict[str, str]) -> tuple[str, int] | None:
    """Stream and sequence of the message from which the recipients of one that is due were deferred; None if that
    cannot be told."""
    parsed = parse_retry(headers.get(SCHEDULER, ""))
    found = _NUMBER.match(parsed.number) if parsed is not None else None
    return None if found is None else (RETRY if found[1] == "r" else PAYLOADS, int(found[2]))


def retry(
    lane: Lane,
    tenant: str,
    campaign: str,
    payload_key: bytes,
    number: str,
    due_at: float,
    *,
    is_paused: bool = False,
) -> Retry:
    target = due_subject(lane, tenant, campaign, payload_key)
    headers = {SCHEDULE: at(due_at), TARGET: target} | ({PAUSED: "1"} if is_paused else {})
    return Retry(retry_subject(tenant, campaign, payload_key, number), headers)


def held(waiting: Iterable[tuple[str, str]]) -> Held:
    """Of the (provider, reason) pairs of its recipients. Where they go to many providers the smallest are left out."""
    pairs = list(waiting)
    providers = Counter(provider for provider, _ in pairs)
    reasons = Counter(reason for _, reason in pairs)
    reason = min(reasons, key=lambda name: (-reasons[name], name), default="")
    return Held(len(pairs), dict(providers.most_common(_MOST_PROVIDERS)), reason)


def described(held: Held) -> dict[str, str]:
    """`Mta-Recipients: 322`, `Mta-Providers: google=312,other=10`, `Mta-Reason: greylisted`; names as in subjects."""
    counts = (f"{escape(name)}={count}" for name, count in held.providers.items())
    return {
        RECIPIENTS: str(held.recipients),
        PROVIDERS: ",".join(counts),
        REASON: escape(held.reason),
    }


def description(headers: Mapping[str, str]) -> Held | None:
    """None where the headers do not say it. Whom the providers leave out is of none that is known."""
    recipients = _count(headers.get(RECIPIENTS, ""))
    if recipients is None:
        return None
    providers: dict[str, int] = {}
    left = recipients
    for part in headers.get(PROVIDERS, "").split(",")[:_MOST_PROVIDERS]:
        token, _, digits = part.rpartition("=")
        count = min(_count(digits) or 0, left)
        if token and count:
            name = _spoken(token)
            providers[name] = providers.get(name, 0) + count
            left -= count
    if left:
        providers[""] = providers.get("", 0) + left
    return Held(recipients, providers, _spoken(headers.get(REASON, "")))


def carried(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of them that a message takes along when it is made due early."""
    return {name: headers[name] for name in (RECIPIENTS, PROVIDERS, REASON) if name in headers}


def due_at(headers: Mapping[str, str]) -> float:
    """When a schedule fires, in seconds since the epoch; 0.0: it is due, or nobody can tell."""
    text = headers.get(SCHEDULE, "")
    try:
        return max(0.0, times.moment(text.removeprefix("@at ")))
    except ValueError:
        return 0.0


def _count(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else None


def _spoken(token: str) -> str:
    return token if (name := unescape(token)) is None else name
