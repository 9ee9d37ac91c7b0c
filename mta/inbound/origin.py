"""From a token to the mail it was made for, through MTA_INDEX."""

from datetime import datetime

from msgspec import Struct

from mta.jetstream.connection import Link
from mta.jetstream.layout import INDEX
from mta.jetstream.subjects import index_subject
from mta.model import ids, index, times
from mta.model.index import IndexEntry
from mta.model.token import AddressToken


class Origin(Struct, frozen=True, gc=False):
    """`recipient` is empty where the index keeps no addresses; `message_id` is the text of the UUID."""

    tenant: str
    campaign: str
    stream: str
    lane: str
    payload_id: str
    message_id: str
    recipient: str
    recipient_id: str
    from_domain: str


class Origins:
    def __init__(self, link: Link) -> None:
        self._link = link

    async def find(self, token: AddressToken, tenants: frozenset[str]) -> Origin | None:
        """None: its entry has aged out, or it is none of these tenants' (H12). JetStreamError when nobody can tell."""
        stored = await self._link.last_message(INDEX, index_subject(token.payload_key), leader=True)
        if stored is None:
            return None
        entry = index.decode(stored.data)
        return origin_of(entry, token.index) if entry.tenant in tenants else None


def origin_of(entry: IndexEntry, place: int) -> Origin | None:
    """None for a place that the payload does not have, as far as the entry says how many it has."""
    size = len(entry.recipients) or len(entry.ids)
    if size and place >= size:
        return None
    recipient = entry.recipients[place] if entry.form == "full" and entry.recipients else ""
    recipient_id = entry.ids[place] if entry.ids else ""
    accepted_at = times.from_datetime(datetime.fromisoformat(entry.accepted_at))
    key = ids.recipient_key(recipient_id, place)
    return Origin(
        tenant=entry.tenant,
        campaign=entry.campaign,
        stream=entry.stream,
        lane=entry.lane,
        payload_id=entry.payload_id,
        message_id=str(ids.message_id(accepted_at, entry.tenant, entry.payload_id, key)),
        recipient=recipient,
        recipient_id=recipient_id,
        from_domain=entry.from_domain,
    )
