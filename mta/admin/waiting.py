"""What waits in the streams, counted as cheaply as it can be.

* MTA_RETRY says it in headers: a consumer that is sent nothing else reads them, however large the messages are. A work
  queue lets one such consumer in at a time, so a second reader waits for the first; nothing is acknowledged.
* MTA_PAYLOADS knows how many messages each subject has, not how many recipients: a few of each are read, and the rest
  are taken to be like them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress

import msgspec
from msgspec import Struct

from mta.admin.campaign import spoken
from mta.admin.history import progress
from mta.admin.output import Output
from mta.jetstream.connection import Link, Stored
from mta.jetstream.consumers import delete_consumer, held_subjects
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable, Refused
from mta.jetstream.layout import NS, PAYLOADS, RETRY
from mta.jetstream.pull import End, Pulled, Puller
from mta.jetstream.schedule import TARGET, Held, description, due_at
from mta.jetstream.subjects import escape, parse_due, parse_payload, parse_retry, retry_filter

_BATCH = 2_000
_LONG = 10_000  # messages, about a second
_PATIENCE_S = 10.0
_FORGOTTEN_AFTER_S = 10
_ACK_WAIT_S = 3_600
_TURN_S, _TRIES = 0.5, 40
_NOT_UNIQUE = ("not unique", "multiple non-filtered")
_SAMPLES, _MOST_SAMPLES = 20, 400
"""Of one campaign, and of all of them: payloads may have megabytes."""
_MOST_DUE = 1_000
_AT_ONCE = 8


class Scope(Struct, frozen=True):
    """Whose mail is counted; empty: everybody's."""

    tenant: str = ""
    campaign: str | None = None

    def subjects(self, kind: str) -> str:
        """`mta.<kind>.<lane>.<tenant>.<campaign>`, every lane."""
        return f"mta.{kind}.*.{self._token(self.tenant or None)}.{self._token(self.campaign)}"

    def retries(self) -> str:
        return retry_filter(self.tenant or None, self.campaign)

    @staticmethod
    def _token(name: str | None) -> str:
        return "*" if name is None else escape(name)


class Fresh(Struct, frozen=True):
    """Payloads of one campaign in MTA_PAYLOADS, those in work included; each has about `mean` recipients. `is_exact`:
    all of them were read."""

    lane: str
    tenant: str
    campaign: str
    payloads: int
    mean: float
    is_exact: bool


class Later(Struct, frozen=True):
    """One message of MTA_RETRY. `at` 0.0: it is due."""

    lane: str
    tenant: str
    campaign: str
    at: float
    held: Held


class _Counted(Struct):
    recipients: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(_Counted)


# -- what was never tried ---------------------------------------------------------------------------------------


async def fresh(link: Link, scope: Scope) -> list[Fresh]:
    subjects = await held_subjects(link, PAYLOADS, scope.subjects("payload"))
    state = (await link.api(f"STREAM.INFO.{PAYLOADS}"))["state"]
    wanted = max(1, min(_SAMPLES, _MOST_SAMPLES // max(len(subjects), 1)))
    turns = asyncio.Semaphore(_AT_ONCE)
    span = (int(state.get("first_seq", 0)), int(state.get("last_seq", 0)))
    sampled = sorted(subjects.items())[:_MOST_SAMPLES]
    samples = dict(
        zip(
            (subject for subject, _ in sampled),
            await asyncio.gather(*(_sample(link, one, min(wanted, n), span, turns) for one, n in sampled)),
            strict=True,
        )
    )
    everything = [count for counts in samples.values() for count in counts]
    usual = sum(everything) / len(everything) if everything else 0.0
    found = []
    for subject, payloads in subjects.items():
        parsed = parse_payload(subject)
        if parsed is None:
            continue
        counts = samples.get(subject)
        mean = sum(counts) / len(counts) if counts else usual
        tenant, campaign = spoken(parsed.tenant, parsed.campaign)
        found.append(Fresh(parsed.lane, tenant, campaign, payloads, mean, len(counts or ()) == payloads))
    return found


async def _sample(
    link: Link, subject: str, wanted: int, span: tuple[int, int], turns: asyncio.Semaphore
) -> list[int]:
    """Recipients of payloads from all over the stream; of fewer than wanted where they stand close together."""
    first, last = span
    found: dict[int, int] = {}
    sequence = first
    for place in range(wanted):
        sequence = max(sequence, first + (last - first + 1) * place // wanted)
        async with turns:
            stored = await link.next_message(PAYLOADS, subject, sequence)
        if stored is None:
            break
        sequence = stored.sequence + 1
        try:
            found[stored.sequence] = len(_decoder.decode(stored.data).recipients)
        except msgspec.MsgspecError:
            found[stored.sequence] = 0  # it will be refused
    return list(found.values())


# -- what waits for a later attempt -----------------------------------------------------------------------------


async def later(link: Link, scope: Scope, on_message: Callable[[Later], None], output: Output) -> int:
    """Each message that waits for its time; how many did not say what they hold."""
    unknown = 0

    def note(pulled: Pulled) -> None:
        nonlocal unknown
        parsed, target = parse_retry(pulled.subject), parse_due(pulled.headers.get(TARGET, ""))
        if parsed is None or pulled.num_delivered > 1:
            return
        held = description(pulled.headers)
        unknown += held is None
        tenant, campaign = spoken(parsed.tenant, parsed.campaign)
        lane = target.lane if target is not None else ""
        on_message(Later(lane, tenant, campaign, due_at(pulled.headers), held or Held(1, {"": 1})))

    name, pending = await _create(link, scope.retries(), output)
    puller = Puller(link, RETRY, name, note)
    received = 0
    try:
        await puller.open()
        with progress(output, pending if pending > _LONG else 0, "reading what waits") as advance:
            while received < pending:
                end = await puller.pull(min(_BATCH, pending - received))
                if end.end not in (End.FULL, End.EMPTY):
                    raise JetStreamUnavailable(f"reading {RETRY} broke off: {end.text or end.end}")
                if not end.received:  # the rest has fired meanwhile
                    break
                received += end.received
                for _ in range(end.received):
                    advance()
    finally:
        await puller.close()
        with suppress(JetStreamError):  # the server forgets it by itself
            await delete_consumer(link, RETRY, name)
    return unknown


async def _create(link: Link, subject: str, output: Output) -> tuple[str, int]:
    """Name, and how many wait. A reader that was killed is forgotten by the server after ten seconds."""
    name = f"backlog-{link.inbox().rpartition('.')[2]}"
    config = {
        "name": name,
        "filter_subject": subject,
        "ack_policy": "explicit",
        "ack_wait": _ACK_WAIT_S * NS,
        "max_ack_pending": -1,
        "headers_only": True,
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _FORGOTTEN_AFTER_S * NS,
    }
    query = {"stream_name": RETRY, "config": config, "action": "create"}
    for turn in range(_TRIES):
        try:
            info = await link.api(f"CONSUMER.CREATE.{RETRY}.{name}.{subject}", query, timeout_s=_PATIENCE_S)
        except Refused as error:
            if not any(text in str(error) for text in _NOT_UNIQUE):
                raise
            if not turn:
                output.note("Somebody else is counting what waits: waiting for my turn.", "yellow")
            await asyncio.sleep(_TURN_S)
        else:
            return name, int(info.get("num_pending", 0))
    raise JetStreamUnavailable(f"{RETRY} was being read by others all the time: try again")


async def due(link: Link, scope: Scope, in_work: Collection[int]) -> tuple[list[Later], int]:
    """Those whose time has come and that no node has in hand; and how many messages more than were looked at."""
    subjects = await held_subjects(link, RETRY, scope.subjects("due") + ".*")
    found: list[Later] = []
    seen = Counter[str]()
    left = _MOST_DUE
    for subject, count in subjects.items():
        sequence = 1
        while left > 0 and seen[subject] < count:
            stored = await link.next_message(RETRY, subject, sequence)
            if stored is None:
                seen[subject] = count
                break
            seen[subject] += 1
            left -= 1
            sequence = stored.sequence + 1
            if stored.sequence not in in_work and (one := _due(stored)) is not None:
                found.append(one)
    return found, sum(max(0, count - seen[subject]) for subject, count in subjects.items())


def _due(stored: Stored) -> Later | None:
    parsed = parse_due(stored.subject)
    if parsed is None:
        return None
    held = description(stored.headers)
    if held is None:
        try:
            count = len(_decoder.decode(stored.data).recipients)
        except msgspec.MsgspecError:
            count = 0
        held = Held(count, {"": count})
    tenant, campaign = spoken(parsed.tenant, parsed.campaign)
    return Later(parsed.lane, tenant, campaign, 0.0, held)
