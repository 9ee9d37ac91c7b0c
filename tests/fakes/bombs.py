"""Mails made to break who parses them (H8): each cheap to send, and dear to read for a parser without bounds."""

import base64
from collections.abc import Callable

_MIB = 1 << 20


def _mail(headers: str, body: str | bytes = b"") -> bytes:
    raw = body if isinstance(body, bytes) else body.encode()
    return headers.encode() + b"\r\nFrom: MAILER-DAEMON@a.test\r\nSubject: failure notice\r\n\r\n" + raw


def _nested(depth: int) -> bytes:
    opened = "".join(
        f'Content-Type: multipart/mixed; boundary="b{n}"\r\n\r\n--b{n}\r\n' for n in range(depth)
    )
    return opened.encode() + b"Content-Type: text/plain\r\n\r\nend"


def _messages(depth: int) -> bytes:
    return b"Content-Type: message/rfc822\r\n\r\n" * depth + b"Subject: innermost\r\n\r\nend"


def _base64_in_base64() -> bytes:
    inner = b"Subject: x\r\n\r\nend"
    for _ in range(12):
        inner = (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(inner)
        )
    return inner


def _report(fields: str, kind: str = "message/delivery-status") -> bytes:
    return _mail(
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"',
        f"--b\r\nContent-Type: {kind}\r\n\r\nReporting-MTA: dns; a.test\r\n\r\n{fields}\r\n--b--\r\n",
    )


def _text(body: str, kind: str = "text/plain") -> bytes:
    return _mail(
        f"Content-Type: {kind}", "This message could not be delivered to the following addresses:\r\n" + body
    )


BOMBS: dict[str, Callable[[], bytes]] = {
    "multiparts_in_multiparts": lambda: _nested(10_000),
    "one_boundary_for_all": lambda: _nested(1).replace(b"end", b"--b0\r\n" * 100_000),
    "parts_without_end": lambda: _mail(
        "Content-Type: multipart/mixed; boundary=b", "--b\r\n\r\nx\r\n" * 100_000
    ),
    "boundaries_that_begin_alike": lambda: _mail(
        "Content-Type: multipart/mixed; boundary=b", "--bb\r\n" * 150_000
    ),
    "boundary_of_a_megabyte": lambda: _mail(
        f'Content-Type: multipart/mixed; boundary="{"b" * 900_000}"', "--b\r\n"
    ),
    "boundary_in_pieces": lambda: _mail(
        "Content-Type: multipart/mixed" + "".join(f"; boundary*{n}=b" for n in range(50_000)), "--b\r\n"
    ),
    "headers_without_end": lambda: b"X-A: b\r\n" * 130_000,
    "header_of_a_megabyte": lambda: b"Subject: " + b"a" * _MIB,
    "header_folded_without_end": lambda: b"Subject: a\r\n" + b" a\r\n" * 250_000,
    "header_names_without_colon": lambda: b"a" * _MIB,
    "commas_in_from": lambda: b"From: " + b"," * 1_000_000 + b"\r\n\r\n",
    "parentheses_in_from": lambda: b"From: " + b"(" * 1_000_000 + b"a@b.test\r\n\r\n",
    "quotes_in_from": lambda: b"From: " + b'"\\' * 500_000 + b"\r\n\r\n",
    "encoded_words": lambda: b"Subject: " + b"=?utf-8?q?=41?= " * 60_000 + b"\r\n\r\n",
    "encoded_words_unfinished": lambda: b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\r\n\r\n",
    "encoded_word_of_an_odd_charset": lambda: b"Subject: =?punycode?b?" + b"QUFB" * 200_000 + b"?=\r\n\r\n",
    "parameters_of_content_type": lambda: _mail("Content-Type: text/plain" + ";a*0*=utf-8''%41" * 60_000),
    "semicolons_in_content_type": lambda: _mail("Content-Type: text/plain" + "; " * 400_000),
    "base64_of_nothing": lambda: _mail("Content-Transfer-Encoding: base64", "=" * _MIB),
    "base64_in_base64": _base64_in_base64,
    "quoted_printable_soft_breaks": lambda: _mail(
        "Content-Transfer-Encoding: quoted-printable", "=\r\n" * 340_000
    ),
    "charset_idna": lambda: _text("\u00fc" * 400_000, "text/plain; charset=idna"),
    "charset_utf_7": lambda: _text("+AGEAYQ-" * 120_000, "text/plain; charset=utf-7"),
    "marks_on_one_letter": lambda: _text("a" + "\u0301\u0316" * 200_000),
    "recipients_of_a_report": lambda: _report(
        "".join(f"Final-Recipient: rfc822; {n}@a.test\r\nAction: failed\r\n\r\n" for n in range(20_000))
    ),
    "one_recipient_often": lambda: _report("Final-Recipient: rfc822; a@a.test\r\n" * 30_000),
    "status_without_end": lambda: _report("Status: " + "5." * 400_000),
    "diagnostic_without_end": lambda: _report(
        "Final-Recipient: rfc822; a@a.test\r\nDiagnostic-Code: smtp; " + "550 " * 250_000
    ),
    "messages_in_messages": lambda: _messages(30_000),
    "signs_at": lambda: _text("@" * 1_000_000),
    "addresses_in_lines": lambda: _text("".join(f"<{n}@a.test>:\r\n550 no\r\n" for n in range(40_000))),
    "many_addresses_in_a_line": lambda: _text((" ".join(f"{n}@a.test" for n in range(80)) + "\r\n") * 800),
    "long_lines_between_addresses": lambda: _text(
        "".join(f"<{n % 100}@a.test> {'user unknown ' * 90} <{n * 7 % 100}@a.test>\r\n" for n in range(700))
    ),
    "ideographs": lambda: _text("".join(f"<{n}@a.test> {'漢字仮名' * 70}\r\n" for n in range(700))),
    "signs_at_in_lines": lambda: _text(("a@" * 500 + "\r\n") * 900),
    "codes": lambda: _text("error code 55 code: 550" * 40_000),
    "address_of_a_megabyte": lambda: _text("a" * 500_000 + "@" + "a." * 250_000),
    "tags_unfinished": lambda: _text("<" * 1_000_000, "text/html"),
    "comments_unfinished": lambda: _text("<!--<style" * 100_000, "text/html"),
    "entities": lambda: _text("&#" + "9" * 500_000 + ";&amp" * 100_000, "text/html"),
    "line_ends_of_all_kinds": lambda: b"\r\r\n\n\r" * 200_000,
    "nothing": lambda: b"",
    "nul": lambda: b"\0" * _MIB,
    "feedback_fields": lambda: _report("Feedback-Type: abuse\r\n" * 40_000, "message/feedback-report"),
    "original_headers": lambda: _text("Received: by a\r\nTo: a@b.test\r\n" * 40_000),
    "failed_recipients": lambda: b"X-Failed-Recipients: a@b.test, \r\n" * 30_000 + b"\r\n",
}
