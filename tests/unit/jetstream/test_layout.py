import fnmatch

from mta.jetstream.layout import EVENTS, PAYLOADS, RETRY, Capacity, campaign, fixed_consumers, streams
from mta.jetstream.subjects import (
    campaign_consumer,
    dead_subject,
    due_subject,
    event_subject,
    index_subject,
    ops_subject,
    payload_subject,
    progress_subject,
    retry_subject,
    seen_subject,
)
from mta.model.lane import Lane

KEY = bytes(16)
BY_NAME = {config["name"]: config for config in streams(Capacity(replicas=3, events_max_bytes=1 << 30))}


def covers(subjects: list[str], subject: str) -> bool:
    """Whether one of the stream's subjects matches, `*` being one token."""
    tokens = subject.split(".")
    return any(
        len(tokens) == len(pattern.split("."))
        and all(fnmatch.fnmatchcase(t, p) for t, p in zip(tokens, pattern.split("."), strict=True))
        for pattern in subjects
    )


def test_every_subject_has_its_stream() -> None:
    """What the builders make is stored by exactly one stream."""
    made = {
        payload_subject(Lane.BULK, "acme", ""): PAYLOADS,
        payload_subject(Lane.TRANSACTIONAL, "acme", "x"): PAYLOADS,
        retry_subject("acme", "", KEY, "p1-0"): RETRY,
        due_subject(Lane.BULK, "acme", "", KEY): RETRY,
        event_subject("acme", "bounced", "other", ""): EVENTS,
        ops_subject("mx1", "node_started"): "MTA_OPS",
        progress_subject("mx1"): "MTA_PROGRESS",
        index_subject(KEY): "MTA_INDEX",
        seen_subject("a" * 26, "complained"): "MTA_INDEX",
        dead_subject("schema"): "MTA_DEAD",
    }
    for subject, name in made.items():
        assert [n for n, config in BY_NAME.items() if covers(config["subjects"], subject)] == [name]


def test_a_payload_of_no_lane_has_no_stream() -> None:
    """It is refused to its sender rather than stored where nobody reads."""
    assert not covers(BY_NAME[PAYLOADS]["subjects"], "mta.payload.fast.acme.x")


def test_work_is_never_dropped_by_age_or_size() -> None:
    """Work queues have no age, and refuse instead of discarding: MTA_RETRY by having no limit."""
    for name in (PAYLOADS, RETRY):
        config = BY_NAME[name]
        assert config["retention"] == "workqueue"
        assert "max_age" not in config
        assert config["duplicate_window"] == 600_000_000_000
        assert config["discard"] == "new" or config["max_bytes"] == -1


def test_senders_cannot_schedule() -> None:
    """Schedules and rollup would bypass a sender's permissions: not where senders publish."""
    assert "allow_msg_schedules" not in BY_NAME[PAYLOADS]
    assert "allow_rollup_hdrs" not in BY_NAME[PAYLOADS]
    assert BY_NAME[RETRY]["allow_msg_schedules"] is True


def test_capacity_is_passed_on() -> None:
    """Replicas hold for all; the events stream has its bytes and comes last."""
    assert {config["num_replicas"] for config in BY_NAME.values()} == {3}
    assert BY_NAME[EVENTS]["max_bytes"] == 1 << 30
    assert list(BY_NAME)[-1] == EVENTS


def test_all_buckets_are_there() -> None:
    """The six buckets and the object store of the design."""
    assert {name for name in BY_NAME if name.startswith(("KV_", "OBJ_"))} == {
        "KV_MTA_TEMPLATES",
        "KV_MTA_CONTENT",
        "KV_MTA_SUPPRESSION",
        "KV_MTA_STRIKES",
        "KV_MTA_CONTROL",
        "OBJ_MTA_OBJECTS",
    }


def test_consumers_never_give_up() -> None:
    """Explicit acks, no bound on deliveries, and nothing that deletes a durable by itself."""
    made = [*fixed_consumers(30.0), campaign("mta.payload.bulk.acme.x", 30.0)]
    assert [consumer.name for consumer in made[:4]] == [
        "transactional",
        "due-transactional",
        "due-bulk",
        "suppressor",
    ]
    assert made[4].name == campaign_consumer("mta.payload.bulk.acme.x")
    for consumer in made:
        assert consumer.config["max_deliver"] == -1
        assert consumer.config["ack_policy"] == "explicit"
        assert consumer.config["ack_wait"] == 30_000_000_000
        assert "inactive_threshold" not in consumer.config
