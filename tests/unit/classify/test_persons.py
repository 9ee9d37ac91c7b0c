"""People who pass a bounce on (H14): each mail of the corpus, put into mails of a person in many ways."""

import re
from collections.abc import Callable

import pytest

from mta.classify.report import read_report
from mta.model.report import ReportKind
from tests.unit.classify.reports import EXPECTED, raw

PERSON = b"From: Ada Lovelace <ada@person.test>\nTo: b+x@bounces.sender.test\nMessage-ID: <1@person.test>\n"


def attached(first: bytes, prefix: bytes, headers: bytes, body: bytes) -> bytes:
    return (
        first
        + PERSON
        + b"Subject: "
        + prefix
        + subject(headers)
        + b"\nContent-Type: multipart/mixed; boundary=zzz\n\n"
        b"--zzz\nContent-Type: text/plain\n\nMy mail could not be delivered to bob@x.test, see attached.\n"
        b"--zzz\nContent-Type: message/rfc822\n\n" + headers + b"\n\n" + body + b"\n--zzz--\n"
    )


def subject(headers: bytes) -> bytes:
    match = re.search(rb"(?mi)^subject: *(.*)$", headers)
    return match[1] if match else b""


WAYS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "answered_and_quoted": lambda h, b: (
        PERSON
        + b"Subject: Re: "
        + subject(h)
        + b"\nIn-Reply-To: <x@y.test>\n\nHm?\n\n"
        + re.sub(rb"(?m)^", b"> ", b)
    ),
    "answered_and_not_quoted": lambda h, b: PERSON + b"Subject: Re: " + subject(h) + b"\n\nHm?\n\n" + b,
    "forwarded_in_the_text": lambda h, b: (
        PERSON
        + b"Subject: Fwd: "
        + subject(h)
        + b"\n\nFYI\n\n---------- Forwarded message ---------\n"
        + h
        + b"\n\n"
        + b
    ),
    "forwarded_without_a_word": lambda h, b: (
        PERSON + b"Subject: FW: " + subject(h) + b"\n\n" + h + b"\n\n" + b
    ),
    "forwarded_in_german": lambda h, b: (
        PERSON
        + b"Subject: WG: "
        + subject(h)
        + b"\n\n-----Urspr\xc3\xbcngliche Nachricht-----\n"
        + h
        + b"\n\n"
        + b
    ),
    "attached_and_forwarded": lambda h, b: attached(b"", b"Fwd: ", h, b),
    "attached_under_the_same_subject": lambda h, b: attached(b"", b"", h, b),
    "attached_from_a_null_path": lambda h, b: attached(b"Return-Path: <>\n", b"Fwd: ", h, b),
    "pasted": lambda h, b: PERSON + b"Subject: mail trouble\n\nHi,\nI get this:\n\n" + b + b"\nAda\n",
    "pasted_under_the_same_subject": lambda h, b: (
        PERSON + b"Subject: " + subject(h) + b"\n\nI get this:\n\n" + b
    ),
    "posted_to_a_list": lambda h, b: PERSON + b"Subject: " + subject(h) + b"\nList-Id: <l.test>\n\n" + b,
    "answered_in_html": lambda h, b: (
        PERSON
        + b"Subject: Re: "
        + subject(h)
        + b"\nIn-Reply-To: <x@y.test>\nContent-Type: text/html\n\n<p>Hm?</p>"
        b"<blockquote>" + b.replace(b"<", b"&lt;").replace(b"\n", b"<br>") + b"</blockquote>"
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_who_passes_a_report_on_does_not_report(way: str) -> None:
    """Neither a bounce nor a complaint, whatever is in it."""
    taken = []
    for name in EXPECTED:
        headers, _, body = raw(name).replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip().partition(b"\n\n")
        if read_report(WAYS[way](headers, body)).kind not in (ReportKind.NONE, ReportKind.AUTO_REPLY):
            taken.append(name)
    assert taken == []
