"""MTA_INDEX: one message a payload, written before its first dot, so that a payload is sent once whoever asks twice.

It is also what a token in a bounce or a complaint is resolved through: `recipients` holds the addresses by their
place in the payload, in full, hashed, or not at all.
"""

import hmac

import msgspec

from mta.flow.settings import FlowSettings
from mta.intake.admission import Admitted
from mta.jetstream.connection import Link
from mta.jetstream.errors import Conflict
from mta.jetstream.layout import INDEX
from mta.jetstream.pump import Pump
from mta.jetstream.subjects import index_subject
from mta.model import ids, index, times
from mta.model.index import IndexEntry

_CREATE_ONLY = {"Nats-Expected-Last-Subject-Sequence": "0"}


class Index:
    def __init__(self, link: Link, pump: Pump, settings: FlowSettings) -> None:
        self._link = link
        self._pump = pump
        self._settings = settings

    async def claim(self, admitted: Admitted) -> IndexEntry | None:
        """None: the payload was not known, and is now. Else the entry of the message that came with its id before,
        which may be the same one."""
        subject = index_subject(admitted.payload_key)
        body = msgspec.json.encode(self._entry(admitted))
        source = f"{admitted.source_stream}.{admitted.source_sequence}"
        try:
            await self._pump.publish_acked(subject, body, msg_id=f"{subject}.{source}", headers=_CREATE_ONLY)
        except Conflict:
            there = await self._link.last_message(INDEX, subject, leader=True)
            if there is None:  # it aged out in between
                return await self.claim(admitted)
            return index.decode(there.data)
        return None

    async def find(self, tenant: str, payload_id: str) -> IndexEntry | None:
        """Of what was accepted under this id, whoever wrote it."""
        key = ids.payload_key(tenant, payload_id)
        there = await self._link.last_message(INDEX, index_subject(key), leader=True)
        return None if there is None else index.decode(there.data)

    def _entry(self, admitted: Admitted) -> IndexEntry:
        return IndexEntry(
            v=1,
            tenant=admitted.tenant,
            payload_id=admitted.payload_id,
            source_stream=admitted.source_stream,
            source_sequence=admitted.source_sequence,
            accepted_at=times.render(admitted.accepted_at),
            campaign=admitted.campaign,
            stream=admitted.stream,
            lane=admitted.lane,
            from_domain=admitted.from_domain,
            form=self._settings.index_recipients,
            recipients=self._recipients(admitted),
            ids=_ids(admitted),
        )

    def _recipients(self, admitted: Admitted) -> tuple[str, ...]:
        form = self._settings.index_recipients
        if form == "none":
            return ()
        addresses = [""] * admitted.recipients_total
        key = self._settings.hash_keys.get(admitted.tenant, b"")
        for recipient in admitted.recipients:
            text = recipient.mailbox.text
            if form == "hash":
                text = ids.base32(hmac.digest(key, text.encode(), "sha256")[:16])
            addresses[recipient.index] = text
        return tuple(addresses)


def _ids(admitted: Admitted) -> tuple[str, ...]:
    """Without them nobody could tell the message id of a recipient that has one."""
    found = [""] * admitted.recipients_total
    for recipient in admitted.recipients:
        found[recipient.index] = recipient.recipient.id
    return tuple(found) if any(found) else ()
