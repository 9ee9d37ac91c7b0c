"""What EHLO offers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.smtp.extensions import NONE, Extensions, parse


def test_the_usual() -> None:
    """Each keyword we know is found, whatever its case, the others are passed over."""
    lines = (
        "mx.test",
        "PIPELINING",
        "size 1000",
        "8BitMime",
        "Chunking",
        "SMTPUTF8",
        "STARTTLS",
        "BINARYMIME",
    )
    assert parse(lines) == Extensions(True, True, True, True, True, True, 1000, 0)
    assert parse(("mx.test", "dsn", "RequireTLS", "ENHANCEDSTATUSCODES")) == Extensions(
        dsn=True, requiretls=True
    )


def test_the_greeting_offers_nothing() -> None:
    """The first line names the host, even a host called PIPELINING."""
    assert parse(("PIPELINING",)) == NONE
    assert parse(()) == NONE


@pytest.mark.parametrize(
    ("line", "limit"),
    [
        ("SIZE", 0),
        ("SIZE 0", 0),
        ("SIZE 10", 10),
        ("SIZE  10 ", 10),
        ("SIZE -1", 0),
        ("SIZE ten", 0),
        ("SIZE ١٠", 0),
        ("SIZE " + "9" * 21, 0),
        ("SIZE " + "9" * 20, int("9" * 20)),
    ],
)
def test_size(line: str, limit: int) -> None:
    """SIZE without a number, or with 0, sets no limit."""
    offer = parse(("mx", line))
    assert offer.size
    assert offer.size_limit == limit


@pytest.mark.parametrize("line", ["SIZE=10", "PIPELINING=1", "X-PIPELINING", "", "  "])
def test_no_keyword(line: str) -> None:
    """A keyword is a word of its own."""
    assert parse(("mx", line)) == NONE


def test_repeated_keywords_keep_the_narrower_limit() -> None:
    """Repeated, contradictory, five hundred times: still one answer (B23)."""
    lines = ("mx", *["SIZE 2000", "SIZE 1000", "SIZE", "LIMITS MAILMAX=5", "LIMITS MAILMAX=3"] * 100)
    offer = parse(lines)
    assert (offer.size_limit, offer.mail_max) == (1000, 3)


def test_limits() -> None:
    """LIMITS (RFC 9422): MAILMAX is read among other limits."""
    assert parse(("mx", "LIMITS RCPTMAX=100 mailmax=20 RCPTDOMAINMAX=1 ODD MAILMAX=")).mail_max == 20


@pytest.mark.parametrize(
    "word", ["MAILMAX=0", "MAILMAX=", "MAILMAX=-1", "MAILMAX=ten", "MAILMAX", "MAILMAX=1e9", "="]
)
def test_limits_that_are_none(word: str) -> None:
    """LIMITS: 0 and garbage announce nothing, and RCPTMAX and RCPTDOMAINMAX never bind one recipient."""
    assert parse(("mx", f"LIMITS {word} RCPTMAX=1 RCPTDOMAINMAX=0")) == NONE


@pytest.mark.parametrize(
    ("lines", "logins"),
    [
        (["AUTH CRAM-MD5 LOGIN PLAIN XOAUTH2"], ("PLAIN", "LOGIN", "CRAM-MD5")),
        (["auth login", "AUTH plain"], ("PLAIN", "LOGIN")),
        (["AUTH CRAM-MD5"], ("CRAM-MD5",)),
        (["AUTH", "AUTH GSSAPI NTLM"], ()),
    ],
)
def test_mechanisms_of_auth(lines: list[str], logins: tuple[str, ...]) -> None:
    """Those we know, ours in order, whatever the peer's (RFC 4954)."""
    assert parse(("mx", *lines)).logins == logins


@given(st.lists(st.text(max_size=40), max_size=20))
def test_any_lines(lines: list[str]) -> None:
    """No line makes it fail."""
    parse(tuple(lines))
