"""From what is known of a payload, a recipient and an attempt to an event, and from an event to its line.

A line holds no line feed: peers' text and senders' metadata are escaped or compacted. `CommonFields` are made once
a payload. The PII switch is applied here and only here: with `hash` or `domain` no field that we write holds the
address, not even a peer's reply that repeats it, or its local part of three characters or more; `metadata`, `tags` and
`recipient_id` are the sender's own words.

Left to others: the subject (`mta.jetstream.subjects`), and when an event counts as kept (`mta.events.publisher`).
"""

import hmac
import re
from functools import lru_cache
from urllib.parse import quote

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import astuple, force_setattr, replace

from mta.events.settings import RecipientForm
from mta.model import ids
from mta.model.event import (
    VERSION,
    WHOLE_PAYLOAD,
    BouncePart,
    CountsPart,
    ErrorPart,
    Event,
    EventType,
    FeedbackPart,
    SmtpPart,
    TlsPart,
)
from mta.model.message import Message
from mta.model.outcome import Attempt, Stage, Verdict
from mta.model.reply import Reply
from mta.model.times import render

MAX_TEXT_BYTES = 1_000
MASK = "<recipient>"

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
_60_BITS = (1 << 60) - 1
# C1 controls drive terminals as ESC does; the others break or reorder lines where a reader is not careful.
_ADDRESSES = re.compile(r"[^\s<>@\"'(),:;\[\]]{1,64}(?:@|%40)[^\s<>@\"'(),:;\[\]]{1,253}", re.IGNORECASE)
_AT = "(?:@|%40|=)"
"""As it is, in a URL, and in a return path of somebody who puts the recipient into his."""
_LEAST_WORD = 3
"""Characters of a local part that is hidden where it stands alone: shorter ones are words of every reply."""
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ENCODER = msgspec.json.Encoder()


class CommonFields(Struct, frozen=True, gc=False):
    """What all events of a payload share. `hash_key` is the tenant's, for `RecipientForm.HASH`."""

    node: str
    tenant: str
    campaign: str
    stream: str
    lane: str
    payload_id: str
    payload_key: bytes
    from_domain: str = ""
    pool: str = ""
    tags: tuple[str, ...] = ()
    metadata: Raw | None = None
    form: RecipientForm = RecipientForm.FULL
    hash_key: bytes = b""
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.metadata is not None:
            force_setattr(self, "metadata", _on_one_line(self.metadata))


class Person(Struct, frozen=True, gc=False):
    """A recipient as events name it: `email` as submitted, `address` and `domain` canonical (empty where the address is
    bad), `message_id` the UUIDv7 of its message."""

    message_id: str
    email: str
    address: str = ""
    domain: str = ""
    recipient_id: str = ""
    queued_at: float = 0.0
    tags: tuple[str, ...] = ()
    metadata: Raw | None = None


def encode(event: Event) -> bytes:
    """One line, without its line end."""
    return _ENCODER.encode(event)


def payload_event(
    kind: EventType,
    common: CommonFields,
    *,
    at: float,
    counts: CountsPart | None = None,
    error: ErrorPart | None = None,
    number: int = 0,
    is_recovered: bool = False,
) -> Event:
    """About the payload as a whole. `number` is 0, or for a `duplicate` its source sequence: that rejection is not
    the end of the payload first accepted and needs another id."""
    return Event(
        v=VERSION,
        id=f"{ids.base32(common.payload_key)}.{kind}.{number}",
        type=kind,
        time=moment(at),
        node=common.node,
        tenant=common.tenant,
        campaign=common.campaign,
        stream=common.stream,
        lane=common.lane,
        payload_id=common.payload_id,
        recovered=is_recovered,
        provider=WHOLE_PAYLOAD,
        from_domain=common.from_domain,
        pool=common.pool,
        counts=counts or UNSET,
        error=error or UNSET,
        dry_run=common.dry_run,
        tags=common.tags,
        metadata=merged_metadata(common.metadata, None),
    )


def recipient_event(
    kind: EventType,
    common: CommonFields,
    person: Person,
    *,
    at: float,
    provider: str = "",
    number: int = 0,
    attempt: Attempt | None = None,
    verdict: Verdict | None = None,
    message: Message | None = None,
    sender: str = "",
    next_attempt_at: float = 0.0,
    last_class: str = "",
    error: ErrorPart | None = None,
    sealed: str = "",
    is_recovered: bool = False,
) -> Event:
    """About one recipient. `number` is the count of attempts made, taken from `attempt` where there is one."""
    if attempt is None:
        attempt = _NO_ATTEMPT
    else:
        number = attempt.number
    queued_at = person.queued_at
    return Event(
        v=VERSION,
        id=f"{short_id(person.message_id)}.{kind}.{number}",
        type=kind,
        time=moment(at),
        node=common.node,
        tenant=common.tenant,
        campaign=common.campaign,
        stream=common.stream,
        lane=common.lane,
        payload_id=common.payload_id,
        message_id=person.message_id,
        recovered=is_recovered,
        rfc_message_id="" if message is None else message.rfc_message_id,
        recipient=recipient_as(common.form, common.hash_key, person),
        recipient_domain=person.domain,
        recipient_id=person.recipient_id,
        sealed_recipient=sealed,
        provider=provider,
        sender=sender,
        from_domain=common.from_domain,
        dkim_domains=() if message is None else message.dkim_domains,
        size_bytes=UNSET if message is None else len(message.wire),
        queued_at=_shared_moment(queued_at) if queued_at else "",
        attempt=number,
        next_attempt_at=moment(next_attempt_at) if next_attempt_at else "",
        queue_ms=max(0, int((at - queued_at) * 1000)) if queued_at else UNSET,
        session_ms=int(attempt.session_s * 1000) if attempt.session_id else UNSET,
        smtp_ms=int(attempt.smtp_s * 1000) if attempt.session_id else UNSET,
        pool=common.pool,
        source=attempt.source,
        source_ip=attempt.source_ip,
        ehlo=attempt.ehlo,
        mx_host=attempt.mx_host,
        mx_ip=attempt.mx_ip,
        site=attempt.site,
        session_id=attempt.session_id,
        session_seq=attempt.session_seq,
        tls=_tls(attempt.tls_version, attempt.tls_cipher, attempt.tls_verified, attempt.tls_policy),
        smtp=UNSET if attempt is _NO_ATTEMPT else _smtp(attempt, verdict, common.form, person),
        bounce=UNSET if verdict is None else bounce_part(verdict, last_class),
        error=UNSET if error is None else _error(error, common.form, person),
        ambiguous=attempt.ambiguous,
        dry_run=common.dry_run,
        tags=_joined(common.tags, person.tags),
        metadata=merged_metadata(common.metadata, person.metadata),
    )


def late_event(
    kind: EventType,
    common: CommonFields,
    person: Person,
    *,
    at: float,
    provider: str,
    verdict: Verdict | None = None,
    smtp: SmtpPart | None = None,
    feedback: FeedbackPart | None = None,
    detail: str = "",
    sealed: str = "",
    number: int = 0,
) -> Event:
    """About one recipient, after its message was delivered; `number` parts the events of one message and kind. What a
    report quotes may name others than the recipient (whom it was forwarded to): those are hidden with it."""
    if common.form is not RecipientForm.FULL:
        detail = without_addresses(detail)
        if smtp is not None:
            smtp = replace(smtp, text=without_addresses(_masked(smtp.text, person, is_reply=True)))
        if feedback is not None:
            feedback = FeedbackPart(*(_masked(text, person) for text in astuple(feedback)))
    return Event(
        v=VERSION,
        id=late_id(kind, person.message_id, number),
        type=kind,
        time=moment(at),
        node=common.node,
        tenant=common.tenant,
        campaign=common.campaign,
        stream=common.stream,
        lane=common.lane,
        payload_id=common.payload_id,
        message_id=person.message_id,
        recipient=recipient_as(common.form, common.hash_key, person) if person.email else "",
        recipient_domain=person.domain,
        recipient_id=person.recipient_id,
        sealed_recipient=sealed,
        provider=provider,
        from_domain=common.from_domain,
        smtp=smtp or UNSET,
        bounce=UNSET if verdict is None else bounce_part(verdict),
        feedback=feedback or UNSET,
        detail=detail,
    )


def late_id(kind: EventType, message_id: str, number: int = 0) -> str:
    """The id of a `late_event`."""
    return f"{short_id(message_id)}.{kind}.{number}"


def bounce_part(verdict: Verdict, last_class: str = "") -> BouncePart:
    return BouncePart(
        bounce_class=verdict.bounce_class,
        category=verdict.category,
        type=verdict.type,
        scope=verdict.accused,
        detail=verdict.detail,
        provider_code=verdict.provider_code,
        rule=verdict.rule,
        confidence=verdict.confidence,
        actions=verdict.actions,
        last_class=last_class,
    )


def recipient_as(form: RecipientForm, hash_key: bytes, person: Person) -> str:
    """The address as it may be told. The hash is over the canonical form, so that it joins with other lists."""
    if form is RecipientForm.FULL:
        return person.email
    if form is RecipientForm.DOMAIN:
        return ""
    address = (person.address or person.email).encode("utf-8", "surrogatepass")
    return ids.base32(hmac.digest(hash_key, address, "sha256")[:16])


def short_id(message_id: str) -> str:
    """`ids.base32` of a UUID's bytes from its text: a tenth of a microsecond counts here, the standard library takes
    five. 128 bits and two of padding are 13 pairs of digits."""
    n, pairs = int(message_id.replace("-", ""), 16) << 2, _PAIRS
    high, low = n >> 60, n & _60_BITS
    return (
        f"{pairs[high >> 60]}{pairs[high >> 50 & 1023]}{pairs[high >> 40 & 1023]}{pairs[high >> 30 & 1023]}"
        f"{pairs[high >> 20 & 1023]}{pairs[high >> 10 & 1023]}{pairs[high & 1023]}"
        f"{pairs[low >> 50]}{pairs[low >> 40 & 1023]}{pairs[low >> 30 & 1023]}"
        f"{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}{pairs[low & 1023]}"
    )


def moment(at: float) -> str:
    """`times.render`, with the second rendered once."""
    whole, micros = divmod(round(at * 1e6), 1_000_000)
    return f"{_second(whole)}{micros:06d}Z"


@lru_cache(maxsize=1024)
def _shared_moment(at: float) -> str:
    """For times that the recipients of a payload have in common."""
    return moment(at)


@lru_cache(maxsize=1024)
def _second(whole: int) -> str:
    return render(whole)[:-7]


def without_addresses(text: str) -> str:
    return _ADDRESSES.sub(MASK, text)


def peer_text(reply: Reply) -> str:
    """What a peer said, at most 1 kB: as UTF-8 if it is that, else byte by byte, and nothing that acts on whoever
    displays it (JSON escapes the C0 controls)."""
    lines = reply.lines
    text = lines[0] if len(lines) == 1 else "\n".join(lines)
    if text.isascii():
        if "\x7f" not in text:
            return text[:MAX_TEXT_BYTES]
    else:
        raw = text.encode("latin-1", "replace")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        text = text.encode()[:MAX_TEXT_BYTES].decode(errors="ignore")
    return _UNSAFE.sub(_escaped, text[:MAX_TEXT_BYTES])


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def merged_metadata(payload: Raw | None, recipient: Raw | None) -> Raw | UnsetType:
    """The recipient's members over the payload's, as with `data`. `payload` is on one line already."""
    if recipient is None:
        return UNSET if payload is None else payload
    if payload is None:
        return _on_one_line(recipient)
    members = msgspec.json.decode(payload, type=dict[str, Raw])
    members |= msgspec.json.decode(recipient, type=dict[str, Raw])
    return Raw(msgspec.json.format(_ENCODER.encode(members), indent=-1))


def _on_one_line(raw: Raw) -> Raw:
    """An end of line can stand between the members only: within a text it is escaped."""
    line = bytes(raw)
    return Raw(msgspec.json.format(line, indent=-1)) if b"\n" in line or b"\r" in line else raw


@lru_cache(maxsize=1024)
def _joined(payload: tuple[str, ...], recipient: tuple[str, ...]) -> tuple[str, ...]:
    """Both, each tag once, in order."""
    return tuple(dict.fromkeys(payload + recipient))


@lru_cache(maxsize=256)
def _tls(version: str, cipher: str, verified: str, policy: str) -> TlsPart | UnsetType:
    return TlsPart(version, cipher, verified, policy) if version else UNSET


def _smtp(attempt: Attempt, verdict: Verdict | None, form: RecipientForm, person: Person) -> SmtpPart:
    reply = attempt.reply
    if reply is None:
        return SmtpPart(
            attempt.stage, attempt.command, enhanced=verdict.status if verdict is not None else ""
        )
    text = peer_text(reply)
    if form is not RecipientForm.FULL:
        text = _masked(text, person, is_reply=True)
    return SmtpPart(attempt.stage, attempt.command, reply.code, reply.enhanced, text)


def _error(error: ErrorPart, form: RecipientForm, person: Person) -> ErrorPart:
    """A template that stumbles over the address says so in its error."""
    if form is RecipientForm.FULL:
        return error
    return ErrorPart(code=error.code, text=_masked(error.text, person))


def _masked(text: str, person: Person, *, is_reply: bool = False) -> str:
    """Without the address, as submitted (also with its characters escaped, as in Python or in a URL) or canonical. In a
    reply, where peers often name the mailbox alone, the local part is hidden too, with and without its tag, where it is
    a word of its own."""
    forms = {form for address in (person.email, person.address) if address for form in _forms(address)}
    locals_ = {form.rpartition("@")[0].strip('"') for form in forms}
    locals_ |= {local.partition("+")[0] for local in locals_}
    folded = text.casefold()
    # Nearly always it is not there, and to compile what finds it costs far more than to see that.
    if not any(local.casefold() in folded for local in locals_):
        return text
    patterns = [
        _AT.join(map(re.escape, form.rsplit("@", 1))) for form in sorted(forms, key=len, reverse=True)
    ]
    if is_reply:
        words = sorted((one for one in locals_ if len(one) >= _LEAST_WORD), key=len, reverse=True)
        patterns += [rf"(?<![\w.+-]){re.escape(word)}(?![\w+-])(?!\.\w)" for word in words]
    return re.sub("|".join(patterns), MASK, text, flags=re.IGNORECASE)


def _forms(address: str) -> tuple[str, str, str]:
    return address, ascii(address)[1:-1], quote(address, safe="@", errors="replace")


_NO_ATTEMPT = Attempt(number=0, at=0.0, stage=Stage.LOCAL)
