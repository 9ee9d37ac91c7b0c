"""Storing recipients that wait: one message in MTA_RETRY for each set that is due together."""

from mta.flow.content import Contents
from mta.flow.work import Waiting, Work
from mta.intake.retry import encode_retry, waiting_recipient
from mta.jetstream.pump import Pump
from mta.jetstream.schedule import retry, retry_number


async def store(work: Work, due_at: float, waiting: list[Waiting], contents: Contents, pump: Pump) -> None:
    """Returns when the stream has it. Content first, so that what fires later finds it."""
    admitted = work.admitted
    sha256 = await contents.keep(work.content)
    recipients = [
        waiting_recipient(
            admitted.recipients[one.ref.position], attempt=one.attempt, source=one.source, last=one.last
        )
        for one in waiting
    ]
    number = retry_number(
        work.pulled.stream, work.pulled.stream_sequence, [(r.index, r.attempt) for r in recipients]
    )
    message = retry(admitted.lane, admitted.tenant, admitted.campaign, admitted.payload_key, number, due_at)
    await pump.publish_acked(
        message.subject,
        encode_retry(admitted, sha256, recipients),
        msg_id=message.msg_id,
        headers=message.headers,
    )
