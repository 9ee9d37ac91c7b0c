"""From the counts of a day and a domain to its report, and to the payload that mails it (RFC 8460 sections 4.4 to 5.3).

The same counts give the same bytes, and the ids depend on node, day, domain and URI only: whoever gets a report twice
can tell, and our own stream does. To, Date, Message-ID and the signature are left to the composer, as for every other
payload.
"""

import binascii
import gzip
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b

import msgspec
from msgspec import Raw, Struct

from mta.jetstream.subjects import payload_subject
from mta.model.ids import base32
from mta.model.lane import Lane
from mta.model.payload import Address, Content, Payload
from mta.model.tls import PolicyType, TlsFailure, TlsOption
from mta.tlsrpt.rua import ByMail
from mta.tlsrpt.settings import TlsRptSettings
from mta.tlsrpt.tally import DAY_S, FailureRow, PolicyCount

CAMPAIGN = "tls-reports"
MEDIA_TYPE = "application/tlsrpt+gzip"

_MOST_POLICY = 4_000
"""Bytes of a policy that are told: a domain may publish 64 kB."""
_CUT = "..."
_LIFE_S = 86_400.0
"""RFC 8460 section 5.5: delivery is tried for up to 24 hours."""
_EPOCH = date(1970, 1, 1)


class Report(Struct, frozen=True):
    """`id` is the Report-ID without its brackets, `submitter` our domain, `body` compressed JSON."""

    id: str
    domain: str
    submitter: str
    day: int
    file_name: str
    body: bytes
    successes: int
    failures: int


class Outgoing(Struct, frozen=True, gc=False):
    """A payload for our own stream."""

    subject: str
    body: bytes
    msg_id: str


class _DateRange(Struct, rename="kebab"):
    start_datetime: str
    end_datetime: str


class _Policy(Struct, rename="kebab", omit_defaults=True):
    policy_type: PolicyType
    policy_domain: str
    policy_string: tuple[str, ...] = ()
    mx_host: tuple[str, ...] = ()


class _Summary(Struct, rename="kebab"):
    total_successful_session_count: int
    total_failure_session_count: int


class _FailureDetails(Struct, rename="kebab", omit_defaults=True):
    result_type: TlsFailure
    failed_session_count: int
    sending_mta_ip: str = ""
    receiving_mx_hostname: str = ""
    receiving_mx_helo: str = ""
    receiving_ip: str = ""
    failure_reason_code: str = ""


class _PolicyReport(Struct, rename="kebab", omit_defaults=True):
    policy: _Policy
    summary: _Summary
    failure_details: tuple[_FailureDetails, ...] = ()


class _Document(Struct, rename="kebab"):
    organization_name: str
    date_range: _DateRange
    contact_info: str
    report_id: str
    policies: tuple[_PolicyReport, ...]


def report(settings: TlsRptSettings, node: str, day: int, counts: Sequence[PolicyCount]) -> Report:
    """`day` is counted from the epoch; all `counts`, at least one, are of one domain."""
    domain = counts[0].domain
    submitter = settings.sender.rpartition("@")[2]
    local = _digest(node, str(day), domain)
    begin, end = day * DAY_S, (day + 1) * DAY_S - 1
    document = _Document(
        organization_name=settings.organization,
        date_range=_DateRange(f"{_iso(day)}T00:00:00Z", f"{_iso(day)}T23:59:59Z"),
        contact_info=settings.contact,
        report_id=f"{local}@{submitter}",
        policies=tuple(map(_policy_report, counts)),
    )
    return Report(
        id=document.report_id,
        domain=domain,
        submitter=submitter,
        day=day,
        file_name=f"{submitter}!{domain}!{begin}!{end}!{local}.json.gz",
        body=gzip.compress(msgspec.json.encode(document), mtime=0),
        successes=sum(count.successes for count in counts),
        failures=sum(count.failed for count in counts),
    )


def mail(made: Report, settings: TlsRptSettings) -> bytes:
    """RFC 8460 section 5.3. TLS-Required (RFC 8689): a report goes out although TLS fails, which may be what it is
    about."""
    boundary = f"=_{made.id.partition('@')[0]}"
    text = (
        f"This is a report on the TLS sessions of {made.submitter} with {made.domain}",
        f"on {_iso(made.day)} (UTC), in the form of RFC 8460.",
        "",
        f"Sessions with TLS: {made.successes}. Failures: {made.failures}.",
        f"A program has made it; {settings.contact} answers questions.",
    )
    lines = (
        f"From: {settings.sender}",
        f"Subject: Report Domain: {made.domain}",
        f" Submitter: {made.submitter}",
        f" Report-ID: <{made.id}>",
        f"TLS-Report-Domain: {made.domain}",
        f"TLS-Report-Submitter: {made.submitter}",
        "TLS-Required: No",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type="tlsrpt";',
        f' boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        *text,
        f"--{boundary}",
        f"Content-Type: {MEDIA_TYPE}",
        "Content-Transfer-Encoding: base64",
        "Content-Disposition: attachment;",
        f' filename="{made.file_name}"',
        "",
        *_base64_lines(made.body),
        f"--{boundary}--",
        "",
    )
    return "\r\n".join(lines).encode("ascii")


def payload(made: Report, settings: TlsRptSettings, node: str, to: ByMail, now: float) -> Outgoing:
    """The same `id` whenever it is made, so that it is sent once."""
    payload_id = f"tlsrpt-{_digest(node, str(made.day), made.domain, to.uri)}"
    wanted = Payload(
        v=1,
        id=payload_id,
        tenant=settings.tenant,
        campaign=CAMPAIGN,
        lane=Lane.TRANSACTIONAL,
        sender=Address(settings.sender),
        content=Content(rfc822=binascii.b2a_base64(mail(made, settings), newline=False).decode("ascii")),
        recipients=[Raw(msgspec.json.encode({"email": to.mailbox.text}))],
        expires_at=datetime.fromtimestamp(now, UTC) + timedelta(seconds=_LIFE_S),
        tls=TlsOption.OPPORTUNISTIC,
    )
    return Outgoing(mail_subject(settings), msgspec.json.encode(wanted), f"{settings.tenant}/{payload_id}")


def mail_subject(settings: TlsRptSettings) -> str:
    """Where in the stream those payloads go."""
    return payload_subject(Lane.TRANSACTIONAL, settings.tenant, CAMPAIGN)


def due_at(settings: TlsRptSettings, node: str, day: int, domain: str) -> float:
    """When the report of `day` goes out: some time after its end, another for each domain and node."""
    digest = blake2b(f"{node}\0{domain}".encode(), digest_size=4).digest()
    share = int.from_bytes(digest, "big") / 2**32
    return (day + 1) * DAY_S + settings.begin_s + share * settings.spread_s


def _policy_report(count: PolicyCount) -> _PolicyReport:
    return _PolicyReport(
        policy=_Policy(count.policy_type, count.domain, _cut(count.policy), _cut(count.mx_patterns)),
        summary=_Summary(count.successes, count.failed),
        failure_details=tuple(map(_failure_details, count.failures)),
    )


def _failure_details(row: FailureRow) -> _FailureDetails:
    return _FailureDetails(
        result_type=row.failure,
        failed_session_count=row.count,
        sending_mta_ip=row.source_ip,
        receiving_mx_hostname=row.mx_host,
        receiving_mx_helo=row.helo,
        receiving_ip=row.mx_ip,
        failure_reason_code=row.detail,
    )


def _cut(lines: tuple[str, ...]) -> tuple[str, ...]:
    room = _MOST_POLICY
    for at, line in enumerate(lines):
        room -= len(line.encode()) + 3
        if room < 0:
            return (*lines[:at], _CUT)
    return lines


def _digest(*parts: str) -> str:
    return base32(blake2b("\0".join(parts).encode(), digest_size=16).digest())


def _iso(day: int) -> str:
    return (_EPOCH + timedelta(days=day)).isoformat()


def _base64_lines(raw: bytes) -> list[str]:
    encoded = binascii.b2a_base64(raw, newline=False).decode("ascii")
    return [encoded[start : start + 76] for start in range(0, len(encoded), 76)]
