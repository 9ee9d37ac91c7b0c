"""The streams, buckets and fixed consumers, as values: what `mta setup` creates and the daemon looks for.

Configurations are the JSON objects of the JetStream API, durations in nanoseconds there. Only what differs
from the server's defaults is named, so that an operator's other settings (placement, compression) survive an
update.

MTA_PAYLOADS has no schedules and no rollup: a sender who may publish there could else aim a schedule at
another tenant's subject. Both lanes are named in its subjects, so that a payload nobody would ever read is
refused to its sender. Work queues have no age: what waits is never dropped in silence. The server refuses
`discard=new` beside schedules (10052, seen with 2.15.1), and `discard=old` drops the oldest at a limit: so
MTA_RETRY has no limit at all, and only its disk refuses.
"""

from typing import Any

from msgspec import Struct

from mta.jetstream.subjects import DUE_OF_LANE, PAYLOADS_OF_LANE, campaign_consumer
from mta.model.event import EventType
from mta.model.lane import Lane

PAYLOADS = "MTA_PAYLOADS"
RETRY = "MTA_RETRY"
EVENTS = "MTA_EVENTS"
OPS = "MTA_OPS"
PROGRESS = "MTA_PROGRESS"
INDEX = "MTA_INDEX"
DEAD = "MTA_DEAD"
TEMPLATES = "MTA_TEMPLATES"
CONTENT = "MTA_CONTENT"
SUPPRESSION = "MTA_SUPPRESSION"
STRIKES = "MTA_STRIKES"
CONTROL = "MTA_CONTROL"
OBJECTS = "MTA_OBJECTS"

NS = 1_000_000_000
DAY_NS = 86_400 * NS
DEDUPE_NS = 600 * NS
"""Longer than any outage over which a publish is repeated under its id. The server's default is 2 minutes."""

TRANSACTIONAL_CONSUMER = "transactional"
SUPPRESSOR_CONSUMER = "suppressor"
SUPPRESSING = (
    EventType.BOUNCED,
    EventType.EXPIRED,
    EventType.OOB_BOUNCED,
    EventType.COMPLAINED,
    EventType.UNSUBSCRIBED,
)
"""Types of events after which an address may get no more mail."""
DUE_CONSUMERS = {Lane.TRANSACTIONAL: "due-transactional", Lane.BULK: "due-bulk"}

Config = dict[str, Any]


class Capacity(Struct, frozen=True, gc=False):
    """Replicas, and bytes after which a stream refuses (payloads) or forgets (events); -1 is no limit."""

    replicas: int = 1
    payloads_max_bytes: int = -1
    events_max_bytes: int = 8 << 30


class Consumer(Struct, frozen=True):
    """A durable of one stream."""

    stream: str
    config: Config

    @property
    def name(self) -> str:
        return str(self.config["durable_name"])


def _stream(name: str, subjects: list[str], **more: Any) -> Config:
    return {
        "name": name,
        "subjects": subjects,
        "storage": "file",
        "num_replicas": 1,
        "allow_direct": True,
    } | more


def _queue(name: str, subjects: list[str], **more: Any) -> Config:
    return _stream(name, subjects, retention="workqueue", duplicate_window=DEDUPE_NS, **more)


def _bucket(name: str, **more: Any) -> Config:
    """A key-value bucket is a stream of this shape (ADR-8); markers of deletion stay, so that watchers learn
    of them."""
    return _stream(
        f"KV_{name}",
        [f"$KV.{name}.>"],
        max_msgs_per_subject=1,
        discard="new",
        allow_rollup_hdrs=True,
        deny_delete=True,
        **more,
    )


def streams(capacity: Capacity) -> tuple[Config, ...]:
    """All streams, those of buckets and of the object store included. MTA_EVENTS reserves its bytes and comes
    last: the others must not find everything taken."""
    lanes = [f"mta.payload.{lane}.*.*" for lane in Lane]
    due = [f"mta.due.{lane}.*.*.*" for lane in Lane]
    found = (
        _queue(PAYLOADS, lanes, discard="new", max_bytes=capacity.payloads_max_bytes),
        _queue(RETRY, ["mta.retry.*.*.*.*", *due], discard="old", max_bytes=-1, allow_msg_schedules=True),
        _stream(OPS, ["mta.ops.*.*"], max_age=30 * DAY_NS, duplicate_window=DEDUPE_NS),
        _stream(PROGRESS, ["mta.progress.*"], max_msgs_per_subject=1),
        _stream(INDEX, ["mta.index.*", "mta.seen.*.*"], max_age=45 * DAY_NS, max_msgs_per_subject=1),
        _stream(DEAD, ["mta.dead.*"], max_age=30 * DAY_NS, duplicate_window=DEDUPE_NS),
        _bucket(TEMPLATES),
        _bucket(CONTENT, max_age=8 * DAY_NS),
        _bucket(SUPPRESSION, allow_msg_ttl=True, allow_atomic=True),
        _bucket(STRIKES, max_age=45 * DAY_NS),
        _bucket(CONTROL, allow_msg_ttl=True),
        _stream(
            f"OBJ_{OBJECTS}",
            [f"$O.{OBJECTS}.C.>", f"$O.{OBJECTS}.M.>"],
            discard="new",
            allow_rollup_hdrs=True,
            max_age=30 * DAY_NS,
        ),
        _stream(
            EVENTS,
            ["mta.event.*.*.*.*"],
            max_age=7 * DAY_NS,
            max_bytes=capacity.events_max_bytes,
            duplicate_window=DEDUPE_NS,
        ),
    )
    return tuple(config | {"num_replicas": capacity.replicas} for config in found)


def _durable(name: str, filter_subject: str | list[str], ack_wait_s: float, max_ack_pending: int) -> Config:
    """`max_deliver` -1: a message given up by the server would stay in the work queue unseen; we count
    ourselves. `max_ack_pending` bounds what the whole fleet holds: hosts x payloads in work x 2, with room to
    grow."""
    filters = "filter_subject" if isinstance(filter_subject, str) else "filter_subjects"
    return {
        "durable_name": name,
        filters: filter_subject,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "ack_wait": int(ack_wait_s * NS),
        "max_deliver": -1,
        "max_ack_pending": max_ack_pending,
        "max_waiting": 512,
    }


def fixed_consumers(ack_wait_s: float) -> tuple[Consumer, ...]:
    """Those of intake, and the one for events that suppress."""
    filters = [f"mta.event.*.{kind}.*.*" for kind in SUPPRESSING]
    suppressor = Consumer(EVENTS, _durable(SUPPRESSOR_CONSUMER, filters, ack_wait_s, 1_000))
    return (*intake_consumers(ack_wait_s), suppressor)


def intake_consumers(ack_wait_s: float) -> tuple[Consumer, ...]:
    """One for the transactional lane, and one a lane for what is due again."""
    transactional = PAYLOADS_OF_LANE[Lane.TRANSACTIONAL]
    return (
        Consumer(PAYLOADS, _durable(TRANSACTIONAL_CONSUMER, transactional, ack_wait_s, 100_000)),
        *(
            Consumer(RETRY, _durable(DUE_CONSUMERS[lane], DUE_OF_LANE[lane], ack_wait_s, 50_000))
            for lane in Lane
        ),
    )


def campaign(subject: str, ack_wait_s: float) -> Consumer:
    """The durable of one bulk campaign. No `inactive_threshold`: deleted with messages in work, it would hand
    them out again as if for the first time."""
    return Consumer(PAYLOADS, _durable(campaign_consumer(subject), subject, ack_wait_s, 10_000))
