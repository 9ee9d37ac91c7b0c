"""Reports as RFC 8460 wants them, read back by others than who wrote them."""

import base64
import gzip
import json
import random
import string
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from mta.compose.rfc822 import parse_rfc822
from mta.intake.admission import Admitted, Arrival, Rules, admit
from mta.intake.decode import MAX_PAYLOAD_BYTES, Decoded, decode
from mta.intake.settings import DomainPolicy, TenantPolicy
from mta.jetstream.subjects import PayloadSubject, parse_payload
from mta.model.address import parse
from mta.model.lane import Lane
from mta.model.tls import PolicyType, TlsFailure, TlsSession
from mta.tlsrpt.report import Outgoing, due_at, mail, mail_subject, payload, report
from mta.tlsrpt.rua import ByMail
from mta.tlsrpt.settings import TlsRptSettings
from mta.tlsrpt.tally import (
    DAY_S,
    MOST_POLICIES,
    MOST_ROWS,
    OTHER,
    FailureRow,
    PolicyCount,
    Tally,
)

SETTINGS = TlsRptSettings(True, "Acme & Töchter", "postmaster@acme.test", "acme", "tls-reports@acme.test")
DAY = 20_413  # 2025-11-21
MIDNIGHT = DAY * DAY_S
TO = ByMail("mailto:a@one.test", parse("a@one.test"))
STS = ("version: STSv1", "mode: testing", "mx: *.one.test", "max_age: 86400")


def counts() -> list[PolicyCount]:
    """As a tally counts them: two policies, two kinds of failure."""
    tally = Tally()
    good = TlsSession("one.test", MIDNIGHT + 5.0, PolicyType.STS, STS, ("*.one.test",))
    for _ in range(3):
        tally.note(good)
    bad = TlsSession(
        "one.test",
        MIDNIGHT + 6.0,
        PolicyType.STS,
        STS,
        ("*.one.test",),
        TlsFailure.CERTIFICATE_EXPIRED,
        "certificate has expired",
        "mx1.one.test",
        "203.0.113.1",
        "192.0.2.1",
        "mx1.one.test ESMTP",
    )
    for _ in range(2):
        tally.note(bad)
    tally.note(
        TlsSession("one.test", MIDNIGHT + 7.0, PolicyType.NONE, failure=TlsFailure.STARTTLS_NOT_SUPPORTED)
    )
    return tally.counts(DAY, "one.test")


def document(made: list[PolicyCount]) -> Any:
    return json.loads(gzip.decompress(report(SETTINGS, "n1", DAY, made).body))


def mailed(outgoing: Outgoing) -> tuple[EmailMessage, Admitted]:
    """The message, after the payload passed the same door as everybody's."""
    decoded = decode(outgoing.body)
    assert isinstance(decoded, Decoded)
    tenant = TenantPolicy("acme", ("default",), "b.acme.test", {"acme.test": DomainPolicy("acme.test")})
    subject = parse_payload(outgoing.subject)
    assert isinstance(subject, PayloadSubject)
    at = MIDNIGHT + DAY_S + 5000.0
    arrival = Arrival(subject.lane, subject.tenant, subject.campaign, "MTA_PAYLOADS", 1, at, at)
    admitted = admit(decoded, arrival, Rules({"acme": tenant}, dict.fromkeys(Lane, 1e5)))
    assert isinstance(admitted, Admitted)
    raw = base64.b64decode(admitted.payload.content.rfc822 or "")
    given = parse_rfc822(raw, admitted.from_domain)
    assert b"\r\n".join(f"{name}: {value}".encode() for name, value in given.fields) in raw
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    return message, admitted


def test_t11_the_document_has_the_fields_of_the_rfc() -> None:
    """T-11, RFC 8460 section 4.4: each name and the type of each value."""
    made = document(counts())
    assert made.pop("report-id").endswith("@acme.test")
    assert made == {
        "organization-name": "Acme & Töchter",
        "date-range": {"start-datetime": "2025-11-21T00:00:00Z", "end-datetime": "2025-11-21T23:59:59Z"},
        "contact-info": "postmaster@acme.test",
        "policies": [
            {
                "policy": {
                    "policy-type": "sts",
                    "policy-string": list(STS),
                    "policy-domain": "one.test",
                    "mx-host": ["*.one.test"],
                },
                "summary": {"total-successful-session-count": 3, "total-failure-session-count": 2},
                "failure-details": [
                    {
                        "result-type": "certificate-expired",
                        "sending-mta-ip": "192.0.2.1",
                        "receiving-mx-hostname": "mx1.one.test",
                        "receiving-mx-helo": "mx1.one.test ESMTP",
                        "receiving-ip": "203.0.113.1",
                        "failed-session-count": 2,
                        "failure-reason-code": "certificate has expired",
                    }
                ],
            },
            {
                "policy": {"policy-type": "no-policy-found", "policy-domain": "one.test"},
                "summary": {"total-successful-session-count": 0, "total-failure-session-count": 1},
                "failure-details": [{"result-type": "starttls-not-supported", "failed-session-count": 1}],
            },
        ],
    }


def test_what_went_well_has_no_failure_details() -> None:
    """Nothing is written that is not known."""
    (policy,) = document([PolicyCount("one.test", PolicyType.TLSA, ("3 1 1 ab",), successes=4)])["policies"]
    assert policy == {
        "policy": {"policy-type": "tlsa", "policy-string": ["3 1 1 ab"], "policy-domain": "one.test"},
        "summary": {"total-successful-session-count": 4, "total-failure-session-count": 0},
    }


def test_a_long_policy_is_cut_and_says_so() -> None:
    """64 kB of a policy, also of nothing but ends of lines, do not go into each report."""
    for policy in (tuple(f"mx: {n}.one.test" for n in range(5000)), ("",) * 60_000):
        (made,) = document([PolicyCount("one.test", PolicyType.STS, policy, policy)])["policies"]
        for told in (made["policy"]["policy-string"], made["policy"]["mx-host"]):
            assert (tuple(told[:-1]), told[-1]) == (policy[: len(told) - 1], "...")
            assert 3_900 < sum(len(line) + 3 for line in told[:-1]) <= 4_000


def test_the_file_is_named_by_the_rfc() -> None:
    """RFC 8460 section 5.1: sender, domain, first and last second, and an id of letters and digits."""
    name = report(SETTINGS, "n1", DAY, counts()).file_name
    sender, domain, begin, end, rest = name.split("!")
    assert (sender, domain, int(begin), int(end)) == ("acme.test", "one.test", MIDNIGHT, MIDNIGHT + DAY_S - 1)
    unique, _, extension = rest.partition(".")
    assert unique.isalnum()
    assert extension == "json.gz"


def test_the_same_counts_make_the_same_bytes() -> None:
    """No time of making is in it, nor in the compressed file; a repetition is one."""
    assert report(SETTINGS, "n1", DAY, counts()) == report(SETTINGS, "n1", DAY, counts())
    assert report(SETTINGS, "n1", DAY, counts()).body[4:8] == bytes(4)  # RFC 1952: MTIME


def test_ids_are_one_of_their_kind() -> None:
    """By node, day and domain; a payload's by URI besides."""
    other = [PolicyCount("two.test", PolicyType.NONE, successes=1)]
    made = [
        report(SETTINGS, node, day, one)
        for node, day, one in (
            ("n1", DAY, counts()),
            ("n2", DAY, counts()),
            ("n1", DAY + 1, counts()),
            ("n1", DAY, other),
        )
    ]
    assert len({one.id for one in made}) == 4
    tos = (TO, ByMail("mailto:b@one.test", parse("b@one.test")))
    sent = {
        payload(one, SETTINGS, node, to, 0.0).msg_id
        for one, node in zip(made, ("n1", "n2", "n1", "n1"), strict=True)
        for to in tos
    }
    assert len(sent) == 8


def test_t10_the_mail_is_a_report_of_tlsrpt() -> None:
    """T-10, RFC 8460 section 5.3: header fields and parts, as the stdlib's parser finds them."""
    made = report(SETTINGS, "n1", DAY, counts())
    message, _ = mailed(payload(made, SETTINGS, "n1", TO, MIDNIGHT + DAY_S + 5000.0))
    assert message["From"] == "tls-reports@acme.test"
    assert message["Subject"] == f"Report Domain: one.test Submitter: acme.test Report-ID: <{made.id}>"
    assert message["TLS-Report-Domain"] == "one.test"
    assert message["TLS-Report-Submitter"] == "acme.test"
    assert message["TLS-Required"] == "No"
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "tlsrpt"
    text, file = message.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert "Sessions with TLS: 3. Failures: 3." in text.get_content()
    assert file.get_content_type() == "application/tlsrpt+gzip"
    assert file.get_filename() == made.file_name
    content = file.get_content()
    assert content == made.body
    assert json.loads(gzip.decompress(content))["report-id"] == made.id
    assert message.defects == text.defects == file.defects == []


def test_the_payload_is_a_transactional_one_of_the_tenant() -> None:
    """To the one address, opportunistic, with an id of its own, and not after a day."""
    outgoing = payload(report(SETTINGS, "n1", DAY, counts()), SETTINGS, "n1", TO, MIDNIGHT + DAY_S + 5000.0)
    _, admitted = mailed(outgoing)
    assert outgoing.subject == mail_subject(SETTINGS) == "mta.payload.transactional.acme.tls-reports"
    assert outgoing.msg_id == f"acme/{admitted.payload_id}"
    assert [one.mailbox.text for one in admitted.recipients] == ["a@one.test"]
    assert list(admitted.rejected) == []
    assert admitted.payload.tls == "opportunistic"
    assert admitted.expires_at == MIDNIGHT + 2 * DAY_S + 5000.0


def test_the_largest_report_is_a_payload() -> None:
    """As many policies and rows as are kept, of names as long as they get, and nothing to compress."""
    rng = random.Random(1)

    def noise(size: int) -> str:
        return "".join(rng.choices(string.ascii_lowercase + string.digits + "-", k=size))

    def words() -> str:
        return "".join(chr(rng.randrange(0x10000, 0x110000)) for _ in range(120))

    domain = ".".join((noise(63), noise(63), noise(63), noise(55), "test"))
    worst = [
        PolicyCount(
            domain,
            PolicyType.STS,
            tuple(noise(200) for _ in range(100)),
            tuple(noise(200) for _ in range(100)),
            failures=[
                *(
                    FailureRow(rng.choice(list(TlsFailure)), *whose, words(), words(), 10**9)
                    for whose in [(noise(39), noise(253), noise(39)) for _ in range(MOST_ROWS)]
                ),
                *(FailureRow(failure, detail=OTHER, count=10**9) for failure in TlsFailure),
            ],
        )
        for _ in range(MOST_POLICIES)
    ]
    outgoing = payload(report(SETTINGS, "n1", DAY, worst), SETTINGS, "n1", TO, 0.0)
    assert 800_000 < len(outgoing.body) < MAX_PAYLOAD_BYTES


def test_reports_are_spread_over_hours() -> None:
    """RFC 8460 section 4.1: each domain and node at a time of its own, the same whenever it is asked."""
    times = [due_at(SETTINGS, node, DAY, f"d{n}.test") for n in range(500) for node in ("n1", "n2")]
    after = [at - (DAY + 1) * DAY_S - SETTINGS.begin_s for at in times]
    assert min(after) >= 0
    assert max(after) < SETTINGS.spread_s
    assert len({round(at // 900) for at in after}) == 16
    assert times[0] == due_at(SETTINGS, "n1", DAY, "d0.test")


@pytest.mark.parametrize("length", [1, 20, 60])
def test_no_line_is_too_long(length: int) -> None:
    """F-03: 998 octets, whatever the names."""
    domain = ".".join(["x" * length] * (250 // (length + 1)) + ["tt"])
    made = report(SETTINGS, "n1", DAY, [PolicyCount(domain, PolicyType.NONE, successes=1)])
    assert max(map(len, mail(made, SETTINGS).split(b"\r\n"))) <= 998
