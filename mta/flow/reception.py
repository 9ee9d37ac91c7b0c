"""Receiving a payload: everything that may refuse it, until it is a `Work` or a line in MTA_DEAD."""

import time

import structlog

from mta.compose.spec import SpecBlob
from mta.flow.content import Contents
from mta.flow.index import Index
from mta.flow.settings import FlowSettings
from mta.flow.told import Teller, Told
from mta.flow.work import PayloadRefused, Received
from mta.intake.admission import Admitted, Arrival, admit, admit_due
from mta.intake.decode import RejectCode, Rejected, decode, decode_due
from mta.intake.retry import carried_content
from mta.jetstream.pull import Pulled
from mta.jetstream.pump import Pump
from mta.jetstream.subjects import dead_subject, parse_due, parse_payload, unescape
from mta.model import times
from mta.model.index import IndexEntry
from mta.model.lane import Lane
from mta.model.outcome import Failed
from mta.model.payload import StoredContent

_MOST_DETAIL = 500
_NO_SPEC = SpecBlob(b"", b"")

log = structlog.get_logger()


class Reception:
    """`judge`, then `receive`; either may raise `PayloadRefused`, for `bury`."""

    def __init__(
        self, settings: FlowSettings, contents: Contents, index: Index, pump: Pump, teller: Teller
    ) -> None:
        self._settings = settings
        self._contents = contents
        self._index = index
        self._pump = pump
        self._teller = teller

    def judge(self, pulled: Pulled, lane: Lane, is_due: bool) -> Admitted:
        """What its bytes alone decide."""
        tenant, campaign = _named(pulled)
        taken_at = times.from_ns(pulled.at_ns)
        arrival = Arrival(
            lane=lane,
            tenant=tenant,
            campaign=campaign or "_",
            stream=pulled.stream,
            sequence=pulled.stream_sequence,
            accepted_at=taken_at,
            now=taken_at,
        )
        if is_due:
            due = decode_due(pulled.data)
            admitted = due if isinstance(due, Rejected) else admit_due(due, arrival, self._settings.rules)
        else:
            fresh = decode(pulled.data)
            admitted = fresh if isinstance(fresh, Rejected) else admit(fresh, arrival, self._settings.rules)
        if isinstance(admitted, Rejected):
            raise PayloadRefused(admitted)
        return admitted

    async def receive(self, admitted: Admitted, is_due: bool) -> Received:
        """What has to be asked for: template, attachments, and whether its id is new."""
        if is_due:
            return await self._receive_due(admitted)
        content = await self._contents.find(admitted)
        spec = await self._contents.prepare(admitted, content, self._require_dkim(admitted))
        before = await self._index.claim(admitted)
        if before is not None and not before.is_of(admitted.source_stream, admitted.source_sequence):
            raise PayloadRefused(_duplicate(before))
        return Received(content, spec, is_claimed=before is not None)

    async def _receive_due(self, admitted: Admitted) -> Received:
        """It was accepted once: what cannot be had any more fails its recipients and refuses nothing."""
        payload = admitted.payload
        sha256 = payload.content.sha256
        content = carried_content(payload) if sha256 is None else await self._contents.recall(sha256)
        if content is None:
            nothing = StoredContent(content=payload.content)
            return Received(
                nothing,
                _NO_SPEC,
                Failed(time.time(), "content", "the content of this retry is no longer kept"),
            )
        try:
            spec = await self._contents.prepare(admitted, content, self._require_dkim(admitted))
        except PayloadRefused as refused:
            return Received(
                content, _NO_SPEC, Failed(time.time(), refused.rejected.code, refused.rejected.detail)
            )
        return Received(content, spec)

    async def bury(self, pulled: Pulled, lane: Lane, rejected: Rejected) -> Told:
        """The whole message into MTA_DEAD with the reason; returns the event that is to say so."""
        tenant, campaign = _named(pulled)
        rejected = await self._told_apart(pulled, tenant, rejected)
        source = f"{pulled.stream}.{pulled.stream_sequence}"
        detail = " ".join(rejected.detail.split())[:_MOST_DETAIL]
        headers = {
            "Mta-Reason": str(rejected.code),
            "Mta-Detail": detail.encode("ascii", "backslashreplace").decode(),
            "Mta-Source": source,
            "Mta-Subject": pulled.subject,
        }
        log.info("payload_rejected", code=rejected.code, detail=detail, source=source)
        await self._pump.publish_acked(
            dead_subject(rejected.code), pulled.data, msg_id=f"dead.{source}", headers=headers
        )
        return self._teller.rejected(
            rejected,
            lane=lane,
            tenant=tenant,
            campaign=campaign,
            stream=pulled.stream,
            sequence=pulled.stream_sequence,
            at=times.from_ns(pulled.at_ns),
        )

    async def _told_apart(self, pulled: Pulled, tenant: str, rejected: Rejected) -> Rejected:
        """A fresh message under the id of a payload that was accepted is its duplicate, whatever else is wrong with
        it: the payload's own events stay as true as they were."""
        is_fresh = parse_payload(pulled.subject) is not None
        if not is_fresh or not rejected.payload_id or rejected.code is RejectCode.DUPLICATE:
            return rejected
        before = await self._index.find(tenant, rejected.payload_id)
        if before is None or before.is_of(pulled.stream, pulled.stream_sequence):
            return rejected
        return _duplicate(before, f"; also {rejected.code}: {rejected.detail}")

    def _require_dkim(self, admitted: Admitted) -> bool:
        """Where the configuration no longer knows the domain, nothing leaves unsigned."""
        tenant = self._settings.rules.tenants.get(admitted.tenant)
        domain = tenant.domains.get(admitted.from_domain) if tenant is not None else None
        return domain is None or domain.require_dkim


def _duplicate(before: IndexEntry, also: str = "") -> Rejected:
    text = f"accepted before, as message {before.source_sequence} of {before.source_stream}{also}"
    return Rejected(RejectCode.DUPLICATE, text, before.payload_id)


def _named(pulled: Pulled) -> tuple[str, str]:
    """Tenant and campaign as the subject says, which the server's permissions bind; a token that was cut stays as
    it is and so matches no tenant."""
    parsed = parse_due(pulled.subject) or parse_payload(pulled.subject)
    if parsed is None:
        return "", ""
    tenant, campaign = unescape(parsed.tenant), unescape(parsed.campaign)
    return parsed.tenant if tenant is None else tenant, parsed.campaign if campaign is None else campaign
