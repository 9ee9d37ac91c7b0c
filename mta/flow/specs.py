"""From an admitted payload and its content to what the workers take. Pure."""

import base64
from collections.abc import Iterator

from mta.compose.header import HeaderRefused
from mta.compose.message import given_message
from mta.compose.mime import ContentRefused
from mta.compose.settings import WaysBack
from mta.compose.spec import AttachmentPart, MessageSpec
from mta.flow.work import PayloadRefused
from mta.intake.admission import Admitted
from mta.intake.decode import RejectCode, Rejected
from mta.intake.rules import MARKETING
from mta.model.address import canonical_domain, parse
from mta.model.payload import Address, Payload, StoredContent, Unsubscribe

_NO_UNSUBSCRIBE = Unsubscribe()


def sources_of(spec: MessageSpec) -> Iterator[tuple[str, str]]:
    """What may be templates, by field name."""
    yield "subject", spec.subject
    yield "text", spec.text or ""
    yield "html", spec.html or ""
    yield "amp", spec.amp or ""
    yield "from.name", spec.from_name
    for name, value in spec.headers.items():
        yield f"headers.{name}", value
    for address in spec.reply_to:
        yield "reply_to", address.name


def message_spec(
    admitted: Admitted,
    stored: StoredContent,
    parts: tuple[AttachmentPart, ...],
    ways_back: WaysBack,
    require_dkim: bool,
) -> MessageSpec:
    """Addresses and domains as admission understood them: what it let pass the composer takes."""
    payload, content = admitted.payload, stored.content
    unsubscribe = payload.unsubscribe or _NO_UNSUBSCRIBE
    names = [address.name for address in payload.reply_to]
    return MessageSpec(
        tenant=admitted.tenant,
        payload_id=admitted.payload_id,
        payload_key=admitted.payload_key,
        accepted_at=admitted.accepted_at,
        date_at=admitted.send_at,
        lane=admitted.lane,
        campaign=admitted.campaign,
        stream=admitted.stream,
        from_email=admitted.from_mailbox.text,
        from_domain=admitted.from_mailbox.domain,
        from_name=payload.sender.name,
        reply_to=tuple(Address(m.text, name) for m, name in zip(admitted.reply_to, names, strict=True)),
        subject=content.subject or "",
        text=content.text,
        html=content.html,
        amp=content.amp,
        rfc822=base64.b64decode(content.rfc822) if content.rfc822 is not None else None,
        headers=payload.headers,
        data=bytes(payload.data),
        engine=content.engine,
        undefined=content.undefined,
        attachments=parts,
        unsubscribe_mailto=parse(unsubscribe.mailto).text if unsubscribe.mailto else "",
        one_click=unsubscribe.one_click,
        own_unsubscribe=ways_back.advertise and _wants_ours(payload),
        advertise=ways_back.advertise,
        list_id=canonical_domain(unsubscribe.list_id) if unsubscribe.list_id else "",
        public_url=ways_back.public_url,
        return_path=admitted.return_path,
        require_dkim=require_dkim,
        template_label=stored.label or "inline",
    )


def _wants_ours(payload: Payload) -> bool:
    """Who asks for a way out, or must have one, and names none by mail."""
    if payload.unsubscribe is None:
        return payload.stream == MARKETING
    return payload.unsubscribe.mailto is None


def check_given(admitted: Admitted, spec: MessageSpec) -> None:
    """What keeps a message its sender has built from being sent, before anybody hears that it was accepted."""
    if spec.rfc822 is None:
        return
    try:
        given = given_message(spec, spec.rfc822)
    except (HeaderRefused, ContentRefused) as error:
        raise refused(RejectCode.SCHEMA, str(error), admitted) from error
    if given.value("message-id") is not None and admitted.recipients_total > 1:
        detail = "rfc822: a Message-ID of its own is for one recipient: each message needs another (F-05)"
        raise refused(RejectCode.SCHEMA, detail, admitted)


def refused(code: RejectCode, detail: str, admitted: Admitted) -> PayloadRefused:
    return PayloadRefused(Rejected(code, detail, admitted.payload_id))
