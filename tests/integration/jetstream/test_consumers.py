import time

import pytest

from mta.jetstream.connection import Link
from mta.jetstream.consumers import (
    consumer_state,
    create_consumer,
    delete_consumer,
    held_subjects,
    list_consumers,
    pause_consumer,
)
from mta.jetstream.errors import Refused
from mta.jetstream.layout import PAYLOADS, Consumer, campaign
from mta.jetstream.pull import End, Pulled, Puller

SUBJECT = "mta.payload.bulk.acme.spring"


async def test_a_campaign_is_a_consumer_made_as_often_as_one_likes(link: Link) -> None:
    """The second time is nothing; another setting is taken over."""
    await link.call(SUBJECT, b"x")
    made = campaign(SUBJECT, 30.0)
    await create_consumer(link, made)
    await create_consumer(link, made)
    state = await consumer_state(link, PAYLOADS, made.name)
    assert state is not None
    assert (state.filter_subject, state.pending, state.ack_pending, state.is_paused) == (SUBJECT, 1, 0, False)
    await create_consumer(link, campaign(SUBJECT, 10.0))
    config = (await link.api(f"CONSUMER.INFO.{PAYLOADS}.{made.name}"))["config"]
    assert config["ack_wait"] == 10_000_000_000


async def test_overlapping_filters_are_refused(link: Link) -> None:
    """A work queue gives each message to one consumer: lanes and campaigns are a partition."""
    await create_consumer(link, campaign(SUBJECT, 30.0))
    for subject in (
        SUBJECT,
        "mta.payload.bulk.>",
        "mta.payload.*.acme.spring",
        "mta.payload.transactional.acme.x",
    ):
        config = campaign(SUBJECT, 30.0).config | {"durable_name": "other", "filter_subject": subject}
        with pytest.raises(Refused) as caught:
            await create_consumer(link, Consumer(PAYLOADS, config))
        assert caught.value.code == 10100
    await create_consumer(link, campaign("mta.payload.bulk.acme.other", 30.0))


async def test_a_paused_consumer_gives_nothing_until_resumed(link: Link) -> None:
    """Neither to a pull that waits nor to one that does not; a time in the past resumes."""
    made = campaign(SUBJECT, 30.0)
    await create_consumer(link, made)
    await link.call(SUBJECT, b"x")
    got: list[Pulled] = []
    puller = Puller(link, PAYLOADS, made.name, got.append)
    await puller.open()
    await pause_consumer(link, PAYLOADS, made.name, time.time() + 60)
    state = await consumer_state(link, PAYLOADS, made.name)
    assert state is not None
    assert state.is_paused
    assert (await puller.pull(1, expires_s=0.1)).end is End.EMPTY
    assert (await puller.pull(1)).end is End.EMPTY
    await pause_consumer(link, PAYLOADS, made.name, 0.0)
    assert (await puller.pull(1, expires_s=2.0)).end is End.FULL
    await puller.close()


async def test_deleted_and_listed(link: Link) -> None:
    """Deleting what is gone is no error; the list shows what is there."""
    made = campaign(SUBJECT, 30.0)
    await create_consumer(link, made)
    assert {state.name for state in await list_consumers(link, PAYLOADS)} == {"transactional", made.name}
    await delete_consumer(link, PAYLOADS, made.name)
    await delete_consumer(link, PAYLOADS, made.name)
    assert await consumer_state(link, PAYLOADS, made.name) is None
    assert [state.name for state in await list_consumers(link, PAYLOADS)] == ["transactional"]


async def test_more_consumers_than_a_page(link: Link) -> None:
    """The list goes on where the server cut it."""
    await link.api("STREAM.CREATE.MANY", {"name": "MANY", "subjects": ["many.*"], "storage": "memory"})
    for number in range(300):
        config = {"durable_name": f"c{number}", "filter_subject": f"many.{number}", "mem_storage": True}
        await create_consumer(link, Consumer("MANY", config | {"ack_policy": "explicit"}))
    assert len({state.name for state in await list_consumers(link, "MANY")}) == 300


async def test_held_subjects_count_what_is_there_and_in_work(link: Link) -> None:
    """A pulled message is held until its ack."""
    assert await held_subjects(link, PAYLOADS, "mta.payload.bulk.>") == {}
    for subject in (SUBJECT, SUBJECT, "mta.payload.bulk.acme.other", "mta.payload.transactional.acme._"):
        await link.call(subject, b"x")
    assert await held_subjects(link, PAYLOADS, "mta.payload.bulk.>") == {
        SUBJECT: 2,
        "mta.payload.bulk.acme.other": 1,
    }
    made = campaign(SUBJECT, 30.0)
    await create_consumer(link, made)
    got: list[Pulled] = []
    puller = Puller(link, PAYLOADS, made.name, got.append)
    await puller.open()
    await puller.pull(2, expires_s=2.0)
    assert (await held_subjects(link, PAYLOADS, SUBJECT))[SUBJECT] == 2
    for pulled in got:
        await link.ack_sync(pulled.reply)
    assert await held_subjects(link, PAYLOADS, SUBJECT) == {}
    await puller.close()
