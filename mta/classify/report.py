"""What a mail that came back is: a bounce, a complaint, an answer of a machine, or none of these.

The order of the questions is the order of trust: what is written for programs (ARF, RFC 3464) before words, and words
only where a mail system wrote them. Words of failure are in ordinary mail as well, so they are never enough: somebody
who quotes a bounce, forwards one or asks about one is a person, by who wrote and how the mail is built.

`bounce` is the kind of every report on the way of a message to a recipient that failed or is late. What counts as
a bounce is a recipient whose `action` is `failed`: one that is `delayed` is still being tried. A notice that all went
well (`delivered`, `relayed`, `expanded`) is of kind `none`, with detail `delivered`, and names its recipients. A
report may name nobody (`recipient` is ""): then `addresses` and the address it came to say whose it is.

Pure, never an exception, and linear in the at most 1 MiB it reads.
"""

import re

from msgspec.structs import replace

from mta.classify import arf, autoreply
from mta.classify.author import Author, author_of
from mta.classify.dsn import DELAYED_ACTION, FAILED, Dsn, address_of, looks_like_dsn, read_dsn
from mta.classify.freetext import Named, bracketed, named, plain_name, reason
from mta.classify.introduction import without_introduction
from mta.classify.mail import Part, own_parts, parse, text_of, words
from mta.classify.markup import visible
from mta.classify.original import (
    Original,
    answered,
    attached,
    in_text,
    message_id,
    original_of,
    texts_before_original,
)
from mta.classify.passage import Passage, passage_of
from mta.classify.quote import with_status
from mta.classify.spot import addresses, first_address
from mta.classify.vocabulary import DELAYED, DELIVERED, GIVEN_UP, has
from mta.classify.vocabulary import FAILED as SAYS_FAILED
from mta.model.reply import Reply
from mta.model.report import Report, Reported, ReportKind

_CODE = re.compile(r"\A[45][0-9]{2}(?:[ -]|\Z)")
_DSN_KINDS = ("message/delivery-status", "message/global-delivery-status")
_NOT_OK = (FAILED, DELAYED_ACTION)
_REJECTED = ("automatically rejected", "was rejected", "automatisch abgelehnt", "automatiquement rejete")


def read_report(raw: bytes) -> Report:
    """Of a whole message, as it came."""
    root = _unpacked(parse(raw))
    headers = attached(root)
    author = author_of(root)
    report = _complaint(root, headers, author) or _bounce(root, headers, author) or _answer(root, headers)
    return replace(report or Report(ReportKind.NONE), from_domain=author.domain)


def quoted_reply(reported: Reported) -> Reply:
    """The refusal a report tells of, as a session would have met it: the code is not in the text. Where it quotes no
    reply, one of the class of its status or of its action, with a code of no other meaning, and no words that say no
    more than that it failed."""
    code = reported.code if 400 <= reported.code < 600 else 0
    text = _CODE.sub("", reported.reply, count=1) if code else without_introduction(reported.reply)
    is_transient = reported.status.startswith("4") or (
        not reported.status and reported.action == DELAYED_ACTION
    )
    lines = (text,) if text else ()
    return Reply(code or (450 if is_transient else 550), lines, reported.status)


def _unpacked(root: Part) -> Part:
    """Gateways that inspect mail pass a report on as the attachment of an empty message of their own."""
    if root.kind == "multipart/mixed" and (author := author_of(root)).is_role and not author.is_person:
        parts = list(own_parts(root))
        inner = parts[0].parts[0] if parts[0].is_message and parts[0].parts else None
        if inner is not None and inner.kind == "multipart/report":
            return inner
    return root


def _complaint(root: Part, headers: tuple[tuple[str, str], ...], author: Author) -> Report | None:
    fields = arf.fields_of(root)
    if root.is_message and root.parts:  # the message sent back is all there is
        headers = headers or root.parts[0].headers
    if fields is None and arf.is_forwarded_complaint(root, headers):
        fields = {}
        headers = headers or root.headers
    # Of the message itself, sent back, the author is its own: a list, often, and no person who passes something on.
    is_persons = author.is_person and root.kind != "multipart/report" and not arf.is_sent_back(root)
    if fields is None or is_persons:
        return None
    return arf.read_feedback(fields, headers, original_of(headers))


def _bounce(root: Part, headers: tuple[tuple[str, str], ...], author: Author) -> Report | None:
    """A report on delivery, by its fields, by its words, or by both: each supplies what the other leaves out."""
    receipt = autoreply.receipt(root)
    passage = _passage(root)
    if receipt is not None and not has(passage.told, _REJECTED):
        return None
    dsn = _dsn(root, author)
    if not headers and passage.is_returned:
        headers = in_text(passage.rest)
    original = original_of(headers)
    if dsn is not None and any("@" in one.recipient for one in dsn.recipients):
        return _report(root, _completed(dsn, passage, original, author), original, dsn)
    found = named(passage, original, _others(root, author)) if author.is_system else []
    is_returned = bool(headers) or any(part.is_message for part in own_parts(root) if part is not root)
    is_addressed = bool(bracketed(passage, original, _others(root, author)))
    if dsn is None and not author.reports_failure(
        root, passage, named=len(found), is_returned=is_returned, is_addressed=is_addressed
    ):
        return None
    recipients = _in_words(root, passage, original, author, found)
    if dsn is not None and dsn.recipients:  # it has a status for whom it does not name as an address
        recipients = _merged(dsn.recipients, recipients)
    if not recipients:
        if dsn is None and not (headers or passage.is_returned or author.has_subject):
            return None
        recipients = (_unnamed(passage),)
    return _report(root, recipients, original, dsn)


def _report(root: Part, recipients: tuple[Reported, ...], original: Original, dsn: Dsn | None) -> Report:
    is_bad = any(one.action in _NOT_OK for one in recipients)
    return Report(
        ReportKind.BOUNCE if is_bad else ReportKind.NONE,
        recipients=recipients,
        detail="" if is_bad else "delivered",
        reporting_mta=dsn.reporting_mta if dsn else "",
        arrival_date=dsn.arrival_date if dsn else "",
        original_message_id=original.message_id or answered(root),
        addresses=original.addresses,
    )


def _answer(root: Part, headers: tuple[tuple[str, str], ...]) -> Report | None:
    receipt = autoreply.receipt(root)
    if receipt is None and not autoreply.answers(root):
        return None
    original = original_of(headers)
    recipients: tuple[Reported, ...] = ()
    about = original.message_id or answered(root)
    if receipt is not None:
        found = {
            line.partition(":")[0].strip().lower(): line.partition(":")[2]
            for line in receipt.split("\n")[:100]
        }
        address = address_of(found.get("final-recipient", "") or found.get("original-recipient", ""))
        recipients = (Reported(recipient=address),) if address else ()
        about = message_id(found.get("original-message-id", "")) or about
    return Report(
        ReportKind.AUTO_REPLY,
        recipients=recipients,
        detail="read_receipt" if receipt is not None else autoreply.detail_of(root),
        original_message_id=about,
        addresses=original.addresses,
    )


def _dsn(root: Part, author: Author) -> Dsn | None:
    """Of the part made for it; of a text part where a mail system wrote it. A person who passes one on in a mail of
    his own reports nothing."""
    if not author.is_system and root.kind != "multipart/report":
        return None
    parts = [part for part in own_parts(root) if part is not root or not part.is_message]
    fields = [text_of(part) for part in parts if part.kind in _DSN_KINDS]
    if fields:
        return read_dsn("\n\n".join(fields))
    if not (author.is_role or (author.is_technical and author.has_subject)):
        return None
    for part in parts:
        if part.kind.startswith(("text/", "application/")) and looks_like_dsn(text := text_of(part)):
            return read_dsn(text)
    return None


def _passage(root: Part) -> Passage:
    texts = [visible(text) if kind == "text/html" else text for kind, text in texts_before_original(root)]
    return passage_of("\n".join(texts))


def _others(root: Part, author: Author) -> frozenset[str]:
    told = [
        root.header(name) for name in ("from", "to", "reply-to", "sender", "cc", "x-loop", "delivered-to")
    ]
    return frozenset(one.lower() for value in told for one in addresses(value, 10)) | {author.address.lower()}


def _in_words(
    root: Part, passage: Passage, original: Original, author: Author, found: list[Named]
) -> tuple[Reported, ...]:
    """`found` are those whom the passage names."""
    listed = addresses(" ".join(root.all("x-failed-recipients")[:100]), 100)
    if not found and passage.is_returned:
        longer = passage_of("\n".join((*passage.lines, passage.rest)), to_the_headers=True)
        found = named(longer, original, _others(root, author))
    if listed:
        known = {one.address.lower(): one for one in found}
        of_all = reason(passage)
        found = [
            known.get(address.lower())
            or next((one for one in found if one.original.lower() == address.lower()), None)
            or Named(address, of_all)
            for address in listed
        ]
    if not found:
        address = _by_evidence(root, passage, original, author)
        found = (
            [Named(address, reason(passage))]
            if address
            else bracketed(passage, original, _others(root, author))
        )
    action = _action(passage)
    return tuple(
        Reported(
            recipient=one.address,
            original_recipient=one.original,
            action=action,
            status=with_status(one.quote),
            code=one.quote.code,
            reply=one.quote.text,
        )
        for one in found
    )


def _by_evidence(root: Part, passage: Passage, original: Original, author: Author) -> str:
    """Where the text names no address: the subject's, the local part it names, the one recipient of the message."""
    address = first_address(words(root.header("subject")))
    if address and address.lower() not in _others(root, author):
        return address
    if len(original.recipients) == 1:
        return original.recipients[0]
    name = plain_name(passage)
    for known in original.to:
        if name and known.lower().startswith(name.lower() + "@"):
            return known
    if name and author.is_role and author.domain:
        return f"{name}@{author.domain}"
    return original.to[0] if len(original.to) == 1 else ""


def _unnamed(passage: Passage) -> Reported:
    quote = reason(passage)
    return Reported(action=_action(passage), status=with_status(quote), code=quote.code, reply=quote.text)


def _action(passage: Passage) -> str:
    told = passage.told
    if has(told, DELAYED) and not has(told, GIVEN_UP):
        return DELAYED_ACTION
    if has(told, DELIVERED) and not has(told, SAYS_FAILED):
        return "delivered"
    return FAILED


def _completed(dsn: Dsn, passage: Passage, original: Original, author: Author) -> tuple[Reported, ...]:
    """With the reply the text quotes, where the fields quote none."""
    if all(one.reply for one in dsn.recipients):
        return dsn.recipients
    found = {
        one.address.lower(): one.quote
        for one in named(passage, original, frozenset({author.address.lower()}))
    }
    alone = reason(passage) if len(dsn.recipients) == 1 else None
    completed = []
    for one in dsn.recipients:
        quote = found.get(one.recipient.lower()) or found.get(one.original_recipient.lower()) or alone
        if one.reply or quote is None:
            completed.append(one)
        else:
            status = with_status(quote, one.status)
            completed.append(replace(one, reply=quote.text, code=one.code or quote.code, status=status))
    return tuple(completed)


def _merged(fields: tuple[Reported, ...], words_: tuple[Reported, ...]) -> tuple[Reported, ...]:
    """The fields name no address: they supply action and status to those the words name, in order."""
    if not words_:
        return fields
    merged = []
    for at, one in enumerate(words_):
        field = fields[at] if len(fields) == len(words_) else fields[0]
        merged.append(
            replace(
                one,
                action=field.action or one.action,
                status=field.status or one.status,
                code=field.code or one.code,
                reply=field.reply or one.reply,
                remote_mta=field.remote_mta,
            )
        )
    return tuple(merged)
