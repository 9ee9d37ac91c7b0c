"""What a report means for the recipient whose token it came with: pure, and the only place where that is decided.

A report is a stranger's word about a recipient that a token of ours names. So it changes something for that recipient
alone, and what it says of anybody else is repeated at most. A bounce that names another address, or none, is told, and
suppresses nobody: the recipient has his mail forwarded, and it is not his address that failed.

Nothing is ever sent in answer. What is refused is refused in the dialogue, so that the peer's server knows.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from mta.classify.report import quoted_reply
from mta.inbound.fact import OTHER, Fact
from mta.inbound.origin import Origin
from mta.model.event import EventType, FeedbackPart, SmtpPart
from mta.model.outcome import GREYLIST, RETRY_LONG, Stage, Verdict
from mta.model.reply import Reply
from mta.model.report import FORWARDED, GENERATED, NO_COMPLAINTS, UNNAMED, Report, Reported, ReportKind
from mta.model.token import AddressToken, Purpose, TokenReader

FAILED = "failed"
"""RFC 3464 section 2.3.3: the one action that is a bounce."""
_AGAIN = frozenset(("retry", RETRY_LONG, GREYLIST, "next_mx"))
"""Actions for what will be tried again, which a message that has failed elsewhere will not."""
_TOKEN = re.compile(r"(?:[buf]\+)?[a-z0-9]{2}[a-z2-7]{55}(?![a-z0-9])", re.IGNORECASE)
_MOST_TOKENS = 20
_AUTHOR = re.compile(
    rb"^(?:from|sender|reply-to)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)", re.IGNORECASE | re.MULTILINE
)
_ADDRESS = re.compile(rb"(?<![^\s<>@\"(),:;\[\]])[^\s<>@\"(),:;\[\]]{1,64}@[^\s<>@\"(),:;\[\]]{1,253}")
_MOST_HEADER = 1 << 16
_MOST_AUTHORS = 10

Classify = Callable[[Reply, str], Verdict]
"""What a reply that a bounce quotes means, from which provider."""


class Tell(Struct, frozen=True, gc=False):
    """An event of this kind is due for `recipient` (empty: nobody knows whom). `reported` is of a bounce; `doubt` says
    why it suppresses nobody."""

    kind: EventType
    recipient: str
    reported: Reported | None = None
    doubt: str = ""


class Drop(Struct, frozen=True, gc=False):
    """Taken, and nothing comes of it. `why` is a word for the counters."""

    why: str


class Refuse(Struct, frozen=True, gc=False):
    why: str
    reply: str


Decision = Tell | Drop | Refuse

NO_REPORT = Refuse("no_report", "554 5.7.1 Only reports on mail that was sent from here are accepted")

_NOBODY = Refuse("nobody", "550 5.7.1 Please write from the address that the mail came to")


def is_complaint(report: Report) -> bool:
    """Whether it would count for one, if it is its author's."""
    return (
        report.kind is ReportKind.FEEDBACK
        and report.complaint is not None
        and report.complaint.feedback_type.lower() not in NO_COMPLAINTS
    )


def tokens_in(report: Report, reader: TokenReader) -> Iterator[AddressToken]:
    """Ours that a feedback report holds: where it gives our id back, or in an address of the message it is about."""
    texts = report.addresses
    if report.complaint is not None:
        texts = (report.complaint.feedback_id, report.complaint.original_mail_from, *texts)
    for text in texts[:_MOST_TOKENS]:
        for match in _TOKEN.findall(text)[:_MOST_TOKENS]:
            for local in (match,) if "+" in match else (f"f+{match}", f"b+{match}"):
                token = reader.address(local)
                if token is not None:
                    yield token


def authors_in(raw: bytes) -> Iterator[str]:
    """The first few addresses its header says it is from, in lower case."""
    header = raw[:_MOST_HEADER].partition(b"\r\n\r\n")[0]
    values = b" ".join(match[1] for match in _AUTHOR.finditer(header))
    for match in islice(_ADDRESS.finditer(values), _MOST_AUTHORS):
        yield match[0].decode("utf-8", "replace").lower()


def judge(
    purpose: Purpose, report: Report, origin: Origin, is_of: Callable[[str], bool], raw: bytes
) -> Decision:
    """`is_of`: whether the token was made for this address. A complaint has been found to be its author's before."""
    match report.kind:
        case ReportKind.BOUNCE if purpose is Purpose.BOUNCE:
            return _bounce(report, origin, is_of)
        case ReportKind.FEEDBACK if purpose is not Purpose.UNSUBSCRIBE:
            if not is_complaint(report):
                return Drop("no_complaint")
            return Tell(EventType.COMPLAINED, _recipient(report, origin, is_of))
        case ReportKind.AUTO_REPLY if purpose is Purpose.BOUNCE:
            return Tell(EventType.AUTO_REPLIED, _recipient(report, origin, is_of))
        case _ if purpose is Purpose.UNSUBSCRIBE and _is_letter(report):
            recipient = _recipient(report, origin, is_of) or next(filter(is_of, authors_in(raw)), "")
            return Tell(EventType.UNSUBSCRIBED, recipient) if recipient else _NOBODY
        case ReportKind.NONE:
            return NO_REPORT
    return Drop("misplaced")


def fact_of(
    tell: Tell, report: Report, origin: Origin, *, at: float, provider: str = OTHER, classify: Classify
) -> Fact:
    """`at` is the time of the report's coming, in seconds since the epoch."""
    fact = Fact(
        kind=tell.kind,
        tenant=origin.tenant,
        message_id=origin.message_id,
        recipient=tell.recipient,
        at=at,
        campaign=origin.campaign,
        stream=origin.stream,
        lane=origin.lane,
        payload_id=origin.payload_id,
        recipient_id=origin.recipient_id,
        from_domain=origin.from_domain,
        provider=provider,
        detail=report.detail,
    )
    if tell.reported is not None:
        reply = quoted_reply(tell.reported)
        smtp = SmtpPart(Stage.OUT_OF_BAND, code=reply.code, enhanced=reply.enhanced, text=reply.text)
        verdict = _verdict(classify(reply, provider), tell.doubt)
        return replace(fact, verdict=verdict, smtp=smtp, detail=tell.doubt or fact.detail)
    if tell.kind is EventType.UNSUBSCRIBED:
        return replace(fact, detail="mailto")
    if tell.kind is EventType.COMPLAINED and report.complaint is not None:
        complaint = report.complaint
        feedback = FeedbackPart(
            feedback_type=complaint.feedback_type,
            arrival_date=complaint.arrival_date,
            reporting_mta=complaint.reporting_mta,
            source_ip=complaint.source_ip,
            original_message_id=report.original_message_id,
        )
        return replace(fact, feedback=feedback)
    return fact


def _is_letter(report: Report) -> bool:
    """A person's, or one that a provider's machine wrote for a person who pressed a button there."""
    is_generated = report.kind is ReportKind.AUTO_REPLY and report.detail == GENERATED
    return report.kind is ReportKind.NONE or is_generated


def _bounce(report: Report, origin: Origin, is_of: Callable[[str], bool]) -> Decision:
    told = report.recipients or (Reported(action=FAILED),)
    ours = [one for one in told if _is_about(one, is_of)]
    unnamed = [one for one in told if not one.recipient and not one.original_recipient]
    doubt = "" if ours else UNNAMED if unnamed else FORWARDED
    failed = [one for one in ours or unnamed or told if one.action.lower() in (FAILED, "")]
    if not failed:
        return Drop("not_failed")
    return Tell(EventType.OOB_BOUNCED, _recipient(report, origin, is_of), failed[0], doubt)


def _is_about(reported: Reported, is_of: Callable[[str], bool]) -> bool:
    """The recipient that failed, where it is named; the one that was asked for else."""
    return is_of(reported.recipient or reported.original_recipient)


def _recipient(report: Report, origin: Origin, is_of: Callable[[str], bool]) -> str:
    """As the index has it; where that keeps no addresses, as the report has it and the token agrees."""
    if origin.recipient:
        return origin.recipient
    named = (name for one in report.recipients for name in (one.recipient, one.original_recipient))
    return next((name for name in named if name and is_of(name)), "")


def _verdict(verdict: Verdict, doubt: str) -> Verdict:
    """It failed, for good: nobody tries again. In doubt nobody is suppressed, at no strike."""
    actions = ["fail", *(one for one in verdict.actions if one != "fail" and one not in _AGAIN)]
    final = replace(verdict, actions=tuple(actions))
    return final.in_doubt(doubt) if doubt else final
