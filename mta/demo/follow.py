"""Follows MTA_EVENTS from its beginning, for whoever watches a run as a sender would: by a consumer of one's
own."""

from collections.abc import Callable

from nats.aio.msg import Msg

from mta.jetstream.connection import Link
from mta.jetstream.layout import EVENTS, NS


async def follow(link: Link, subject: str, on_batch: Callable[[str, bytes], None]) -> None:
    """Hands over subject and NDJSON of each batch on `subject`, past ones first, for as long as the link is
    open."""
    inbox = link.inbox()

    def deliver(message: Msg) -> None:
        on_batch(message.subject, message.data)

    await link.subscribe(inbox, deliver)
    consumer = {
        "deliver_subject": inbox,
        "deliver_policy": "all",
        "ack_policy": "none",
        "replay_policy": "instant",
        "filter_subject": subject,
        "inactive_threshold": 60 * NS,
    }
    await link.api(f"CONSUMER.CREATE.{EVENTS}", {"stream_name": EVENTS, "config": consumer})
