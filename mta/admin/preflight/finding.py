"""What preflight found out about one thing, and how bad it is.

Invariant: what DNS did not answer is `UNKNOWN` and never `PASS`; whatever is not `PASS` says what to do.
"""

from enum import StrEnum

from msgspec import Struct

from mta.admin.grade import Grade

_LONGEST_SHOWN = 120


class Check(StrEnum):
    """What is looked at, in the order it is told."""

    SPF_RECORD = "spf-record"
    SPF_SOURCE = "spf-source"
    DKIM_RECORD = "dkim-record"
    DKIM_KEY = "dkim-key"
    DKIM_BITS = "dkim-bits"
    DKIM_SIGNATURE = "dkim-signature"
    DMARC_POLICY = "dmarc-policy"
    DMARC_REPORTS = "dmarc-reports"
    DMARC_TAGS = "dmarc-tags"
    DKIM_ALIGNMENT = "dkim-alignment"
    SPF_ALIGNMENT = "spf-alignment"
    PTR = "ptr"
    PTR_NAME = "ptr-name"
    EHLO = "ehlo"
    RETURN_PATH_MX = "return-path-mx"
    RETURN_PATH_SOA = "return-path-soa"
    FROM_MX = "from-mx"
    FROM_SOA = "from-soa"
    ONE_CLICK = "one-click"
    TLS = "tls"
    MTA_STS = "mta-sts"
    TLS_REPORTS = "tls-reports"


class Finding(Struct, frozen=True, gc=False):
    """`subject` is what was looked at: a name in DNS, a source with its address. `todo` is empty only with PASS."""

    check: Check
    subject: str
    result: Grade
    detail: str
    todo: str = ""


def passed(check: Check, subject: str, detail: str) -> Finding:
    return Finding(check, subject, Grade.PASS, detail)


def warned(check: Check, subject: str, detail: str, todo: str) -> Finding:
    return Finding(check, subject, Grade.WARN, detail, todo)


def failed(check: Check, subject: str, detail: str, todo: str) -> Finding:
    return Finding(check, subject, Grade.FAIL, detail, todo)


def unknown(
    check: Check, subject: str, detail: str, todo: str = "try again; if it stays, look at your nameservers"
) -> Finding:
    return Finding(check, subject, Grade.UNKNOWN, detail, todo)


def shown(text: str) -> str:
    """What others wrote, at a length that can be read."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
