"""Whether a payload may be sent as it asks to be: every rule of the payload contract that needs no I/O.

The answer is a value: `Admitted`, with the recipients that are in order and those that are refused, or
`Rejected`, the payload as a whole. It depends on the source message and on the configuration only (an
`expires_at` is held against the time of acceptance, not against the clock), so a redelivery gets the same
answer and the same recipients in the same places. A field whose feature is not built is refused, never ignored.

Left to others: shapes and sizes to `mta.intake.decode`; whether template and attachments exist to the flow;
what templates make of a text to the workers, which check rendered headers again.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from mta.intake.decode import (
    MAX_ID,
    Decoded,
    DecodedDue,
    Malformed,
    Refusal,
    RejectCode,
    Rejected,
)
from mta.intake.rules import (
    International,
    check_address_name,
    check_attachments,
    check_content,
    check_given,
    check_headers,
    check_person,
    check_tags,
    check_token,
    check_unsubscribe,
    has_instruction,
)
from mta.intake.settings import TenantPolicy
from mta.model import ids
from mta.model.address import BadAddress, Mailbox, parse
from mta.model.lane import Lane
from mta.model.payload import Address, LastTry, Payload, Recipient, RetryPart, RetryRecipient
from mta.model.times import from_datetime

MAX_EXPIRES_AFTER_S = 5 * 86_400.0
MAX_SEND_AFTER_S = 30 * 86_400.0
NO_CAMPAIGN = "_"
"""The subject token of no campaign."""


class Arrival(Struct, frozen=True, gc=False):
    """Where a payload came from: tokens of its subject, its place in the source stream, the stream's time of it
    (`accepted_at`; a due payload carries its own), and the time now. `campaign` may be `_`."""

    lane: Lane
    tenant: str
    campaign: str
    stream: str
    sequence: int
    accepted_at: float
    now: float


class Rules(Struct, frozen=True):
    """The part of the configuration that admission needs. `max_age_s` is the life of what sets no `expires_at`;
    an empty `public_url` means that nobody could answer a one-click link. With `takes_mail` every message can name an
    address of ours as its way out."""

    tenants: Mapping[str, TenantPolicy]
    max_age_s: Mapping[Lane, float]
    public_url: str = ""
    takes_mail: bool = False

    @property
    def answers_one_click(self) -> bool:
        """RFC 8058 section 3.1: by https and nothing else."""
        return self.public_url.startswith("https://")


class AdmittedRecipient(Struct, frozen=True, gc=False):
    """One message to send. `index` is the place in the original payload, `mailbox.text` the address on the wire,
    `attempt` the number of attempts made, `source` names the one that must be used again, if any."""

    index: int
    recipient: Recipient
    mailbox: Mailbox
    queued_at: float
    attempt: int = 0
    source: str = ""
    last: LastTry | None = None

    @property
    def domain(self) -> str:
        return self.mailbox.domain

    @property
    def key(self) -> str:
        """The recipient key of message ids."""
        return ids.recipient_key(self.recipient.id, self.index)


class RejectedRecipient(Struct, frozen=True, gc=False):
    """`key` is the recipient key of its message id: that of its index where another recipient had the same `id`
    before it, so that no two recipients share an event id."""

    index: int
    email: str
    recipient_id: str
    key: str
    code: RejectCode
    detail: str


class Admitted(Struct, frozen=True):
    """A payload that may be worked on. `stream` is the kind of mail; the source message is `source_stream` and
    `source_sequence`. No attempt starts before `send_at`, which is the date of its messages; `accepted_at` if the
    sender set none. `pool` and `return_path` are empty only in a due payload whose tenant is gone."""

    payload: Payload
    payload_id: str
    payload_key: bytes
    accepted_at: float
    first_at: float
    send_at: float
    expires_at: float
    lane: Lane
    tenant: str
    campaign: str
    stream: str
    pool: str
    from_mailbox: Mailbox
    return_path: str
    source_stream: str
    source_sequence: int
    recipients_total: int
    recipients: Sequence[AdmittedRecipient]
    reply_to: Sequence[Mailbox] = ()
    rejected: Sequence[RejectedRecipient] = ()
    retry: RetryPart | None = None

    @property
    def from_domain(self) -> str:
        return self.from_mailbox.domain


def admit(decoded: Decoded, arrival: Arrival, rules: Rules) -> Admitted | Rejected:
    """A fresh payload, from a sender."""
    payload = decoded.payload
    try:
        _refuse_unsupported(payload, rules)
        campaign = _identity(payload, arrival)
        policy = rules.tenants.get(payload.tenant)
        if policy is None:
            # No code says it better: the tenant of subject and payload is none that is served here.
            raise Refusal(RejectCode.TENANT_MISMATCH, "there is no such tenant")
        if payload.skip_suppression and not policy.skip_suppression:
            raise Refusal(RejectCode.UNSUPPORTED, "`skip_suppression` is not allowed to this tenant")
        sender = _sender(payload, policy)
        pool = _pool(payload, campaign, policy)
        send_at = _send_at(payload, arrival)
        expires_at = _expires_at(payload, arrival, rules, send_at)
        reply_to = _reply_to(payload)
        check_content(payload.content)
        check_given(payload)
        check_headers(payload.headers)
        check_attachments(payload.attachments)
        check_unsubscribe(payload.unsubscribe, payload.stream, takes_mail=rules.takes_mail)
        check_tags(payload.tags)
    except BadAddress as error:
        return Rejected(_code(error), str(error), _fit_id(payload))
    except Refusal as refusal:
        return Rejected(refusal.code, refusal.detail, _fit_id(payload))
    sorted_out = _recipients(decoded, max(arrival.now, send_at))
    payload_id = payload.id or ids.derived_payload_id(arrival.accepted_at, arrival.stream, arrival.sequence)
    return Admitted(
        payload=payload,
        payload_id=payload_id,
        payload_key=ids.payload_key(payload.tenant, payload_id),
        accepted_at=arrival.accepted_at,
        first_at=arrival.now,
        send_at=send_at,
        expires_at=expires_at,
        lane=arrival.lane,
        tenant=payload.tenant,
        campaign=campaign,
        stream=payload.stream,
        pool=pool,
        from_mailbox=sender,
        return_path=policy.return_path,
        source_stream=arrival.stream,
        source_sequence=arrival.sequence,
        recipients_total=len(decoded.recipients),
        recipients=sorted_out.admitted,
        reply_to=reply_to,
        rejected=sorted_out.rejected,
    )


def admit_due(decoded: DecodedDue, arrival: Arrival, rules: Rules) -> Admitted | Rejected:
    """A payload from MTA_RETRY. It was admitted once and is not judged again; only what cannot be read is
    refused. What is missing by now (tenant, pool, key) is for the flow to defer."""
    payload, retry = decoded.payload, decoded.retry
    policy = rules.tenants.get(payload.tenant)
    campaign = _campaign(payload.campaign or arrival.campaign)
    try:
        recipients = [_returned(recipient) for recipient in decoded.recipients]
        return Admitted(
            payload=payload,
            payload_id=retry.payload_id,
            payload_key=ids.payload_key(payload.tenant, retry.payload_id),
            accepted_at=from_datetime(retry.accepted_at),
            first_at=from_datetime(retry.first_at),
            send_at=from_datetime(payload.send_at or retry.accepted_at),
            expires_at=from_datetime(retry.expires_at),
            lane=arrival.lane,
            tenant=payload.tenant,
            campaign=campaign,
            stream=payload.stream,
            pool=payload.pool or (policy.pool_of(campaign) if policy is not None else ""),
            from_mailbox=parse(payload.sender.email),
            return_path=policy.return_path if policy is not None else payload.return_path,
            source_stream=arrival.stream,
            source_sequence=arrival.sequence,
            recipients_total=retry.recipients_total,
            recipients=recipients,
            reply_to=[parse(address.email) for address in payload.reply_to],
            retry=retry,
        )
    except ValueError as error:  # an address or a time that no daemon writes
        return Rejected(RejectCode.SCHEMA, str(error), retry.payload_id)


def _returned(recipient: RetryRecipient) -> AdmittedRecipient:
    if recipient.index < 0 or recipient.attempt < 0:
        raise ValueError("`index` and `attempt` of a recipient cannot be negative")
    return AdmittedRecipient(
        index=recipient.index,
        recipient=Recipient(
            recipient.email,
            recipient.name,
            recipient.id,
            recipient.data,
            recipient.metadata,
            recipient.tags,
        ),
        mailbox=parse(recipient.email, utf8=True),
        queued_at=from_datetime(recipient.queued_at),
        attempt=recipient.attempt,
        source=recipient.source,
        last=recipient.last,
    )


def _refuse_unsupported(payload: Payload, rules: Rules) -> None:
    """Fields whose feature comes later, or is not configured."""
    one_click = payload.unsubscribe is not None and payload.unsubscribe.one_click
    for is_asked, what in (
        (payload.channel != "email", "no channel but `email` exists"),
        (
            one_click and not rules.answers_one_click,
            "`unsubscribe.one_click` needs an https:// address in `http.public_url`, and none is configured",
        ),
    ):
        if is_asked:
            raise Refusal(RejectCode.UNSUPPORTED, what)


def _identity(payload: Payload, arrival: Arrival) -> str:
    """Who sends, for what campaign: the subject is what the server's permissions bind, so it must agree."""
    check_token("tenant", payload.tenant)
    if payload.tenant != arrival.tenant:
        raise Refusal(RejectCode.TENANT_MISMATCH, "`tenant` is not the one in the subject")
    for name in ("campaign", "stream", "pool"):
        if getattr(payload, name):
            check_token(name, getattr(payload, name))
    if len(payload.id) > MAX_ID:
        raise Refusal(RejectCode.SCHEMA, f"`id` is longer than {MAX_ID} characters")
    if payload.lane is not None and payload.lane != arrival.lane:
        raise Refusal(RejectCode.SCHEMA, "`lane` is not the one in the subject")
    if payload.campaign not in ("", arrival.campaign):
        raise Refusal(RejectCode.SCHEMA, "`campaign` is not the one in the subject")
    # A token of another kind is written in one way by who reads the payload and in another by who reads its events.
    check_token("campaign", arrival.campaign)
    return _campaign(arrival.campaign)


def _fit_id(payload: Payload) -> str:
    return payload.id if len(payload.id) <= MAX_ID else ""


def _campaign(named: str) -> str:
    return "" if named == NO_CAMPAIGN else named


def _sender(payload: Payload, policy: TenantPolicy) -> Mailbox:
    mailbox = _address("from", payload.sender)
    if mailbox.domain not in policy.domains:
        raise Refusal(RejectCode.FROM_NOT_ALLOWED, f"`{mailbox.domain}` is no domain of this tenant")
    if payload.return_path and payload.return_path.lower() != policy.return_path.lower():
        raise Refusal(RejectCode.FROM_NOT_ALLOWED, "`return_path` is not the one of this tenant")
    return mailbox


def _pool(payload: Payload, campaign: str, policy: TenantPolicy) -> str:
    if payload.pool:
        if payload.pool not in policy.pools:
            raise Refusal(RejectCode.POOL_NOT_ALLOWED, f"`{payload.pool}` is no pool of this tenant")
        return payload.pool
    pool = policy.pool_of(campaign)
    if not pool:
        raise Refusal(RejectCode.POOL_NOT_ALLOWED, "this tenant has no pool")
    return pool


def _send_at(payload: Payload, arrival: Arrival) -> float:
    """A time that has passed means now."""
    if payload.send_at is None:
        return arrival.accepted_at
    send_at = max(_moment("send_at", payload.send_at), arrival.accepted_at)
    if send_at > arrival.accepted_at + MAX_SEND_AFTER_S:
        raise Refusal(RejectCode.SCHEMA, "`send_at` is more than 30 days ahead")
    return send_at


def _expires_at(payload: Payload, arrival: Arrival, rules: Rules, send_at: float) -> float:
    if payload.expires_at is None:
        return send_at + rules.max_age_s[arrival.lane]
    expires_at = _moment("expires_at", payload.expires_at)
    if expires_at <= arrival.accepted_at:
        raise Refusal(RejectCode.EXPIRED, "`expires_at` had passed before the payload came")
    if expires_at <= send_at:
        raise Refusal(RejectCode.SCHEMA, "`expires_at` is not after `send_at`")
    if expires_at > send_at + MAX_EXPIRES_AFTER_S:
        start = "after `send_at`" if payload.send_at is not None else "ahead"
        raise Refusal(RejectCode.SCHEMA, f"`expires_at` is more than 5 days {start}")
    return expires_at


def _moment(field: str, given: datetime) -> float:
    try:
        return from_datetime(given)
    except ValueError as error:
        raise Refusal(RejectCode.SCHEMA, f"`{field}`: {error}") from error


def _reply_to(payload: Payload) -> Sequence[Mailbox]:
    if any(has_instruction(address.email) for address in payload.reply_to):
        raise Refusal(RejectCode.UNSUPPORTED, "a templated `reply_to` is not supported")
    return [_address("reply_to", address) for address in payload.reply_to]


def _address(field: str, address: Address) -> Mailbox:
    check_address_name(field, address.name)
    try:
        return parse(address.email)
    except BadAddress as error:
        raise Refusal(_code(error), f"`{field}`: {error}") from error


def _code(error: BadAddress) -> RejectCode:
    return RejectCode(error.code)


class _SortedOut(NamedTuple):
    admitted: Sequence[AdmittedRecipient]
    rejected: Sequence[RejectedRecipient]


def _recipients(decoded: Decoded, now: float) -> _SortedOut:
    """Each recipient by itself, in order: the first of two equal ones is sent to, the second is refused."""
    payload = decoded.payload
    admitted: list[AdmittedRecipient] = []
    rejected: list[RejectedRecipient] = []
    seen: set[str] = set()
    seen_ids: set[str] = set()
    international = International()
    metadata = 0 if payload.metadata is None else len(payload.metadata)
    for index, recipient in enumerate(decoded.recipients):
        try:
            if isinstance(recipient, Malformed):
                raise Refusal(recipient.code, recipient.detail)
            if recipient.id and recipient.id in seen_ids:
                raise Refusal(RejectCode.DUPLICATE, "another recipient of this payload has the same `id`")
            name = recipient.name
            if (
                recipient.tags
                or metadata
                or len(recipient.id) > MAX_ID
                or len(name) > MAX_ID
                or not (name.isascii() and name.isprintable())
            ):
                check_person(recipient, payload.tags, metadata)
            if "--" in recipient.email or not recipient.email.isascii():
                international.note(recipient.email)
            mailbox = parse(recipient.email, utf8=True)
            if mailbox.text in seen:
                raise Refusal(RejectCode.DUPLICATE, "another recipient of this payload has this address")
        except BadAddress as error:
            rejected.append(_rejected(index, decoded.recipients[index], _code(error), str(error), seen_ids))
            continue
        except Refusal as refusal:
            detail = refusal.detail
            rejected.append(_rejected(index, decoded.recipients[index], refusal.code, detail, seen_ids))
            continue
        seen.add(mailbox.text)
        if recipient.id:
            seen_ids.add(recipient.id)
        admitted.append(AdmittedRecipient(index, recipient, mailbox, now))
    return _SortedOut(admitted, rejected)


def _rejected(
    index: int, recipient: Recipient | Malformed, code: RejectCode, detail: str, seen_ids: set[str]
) -> RejectedRecipient:
    own = recipient.recipient_id if isinstance(recipient, Malformed) else recipient.id
    key = ids.recipient_key("" if own in seen_ids else own, index)
    seen_ids.add(own)
    return RejectedRecipient(index, recipient.email[:320], own[:MAX_ID], key, code, detail)
