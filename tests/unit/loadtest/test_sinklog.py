import pytest

from loadtest.sinklog import (
    ACCEPTED,
    UNKNOWN,
    Entry,
    identity,
    most_connections,
    parse,
    render,
    render_connection,
)

HEAD = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=load.test; bh=AbC\r\n dE=; b=xyz\r\n"
    b"From: a@load.test\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\nMessage-ID: <1@load.test>\r\n\r\nbody\r\n"
)


def test_round_trip() -> None:
    """What is written is read again, recipient last whatever it contains."""
    log = render(123, 3, ACCEPTED, 4096, b"0a", b"a@d.test") + render(
        124, 4, b"cut-rcpt", 0, UNKNOWN, b'"b c"@d.test'
    )
    accepted, cut = parse(log)
    assert accepted == Entry(123, 3, "ok", 4096, "0a", "a@d.test")
    assert cut == Entry(124, 4, "cut-rcpt", 0, "-", '"b c"@d.test')
    assert (accepted.is_acceptance, cut.is_acceptance) == (True, False)


def test_cut_off_line_is_no_acceptance() -> None:
    """A sink that died while writing had not answered yet."""
    log = render(1, 1, ACCEPTED, 10, b"0a", b"a@d.test") + render(2, 1, ACCEPTED, 10, b"0a", b"b@d.test")[:-3]
    assert [entry.recipient for entry in parse(log)] == ["a@d.test"]


def test_empty() -> None:
    """No log, no acceptance."""
    assert list(parse(b"")) == []


@pytest.mark.parametrize(
    ("change", "by"),
    [
        (b"<1@load.test>", b"<2@load.test>"),
        (b"00:00:00", b"00:00:01"),
        (b"AbC", b"AbD"),
        (b"dE=", b"dF="),
        (b"Date:", b"X-Date:"),
    ],
)
def test_identity_tells_messages_apart(change: bytes, by: bytes) -> None:
    """Message-ID, Date and body hash each make another message of it, folded or not."""
    assert identity(HEAD.replace(change, by)) != identity(HEAD)


@pytest.mark.parametrize(
    ("change", "by"), [(b"b=xyz", b"b=zyx"), (b"AbC\r\n dE=", b"AbCdE="), (b"body", b"other")]
)
def test_identity_is_that_of_all_copies(change: bytes, by: bytes) -> None:
    """Another signature over the same headers, or another folding, is the same message."""
    assert identity(HEAD.replace(change, by)) == identity(HEAD)


def test_identity_of_anything() -> None:
    """What is no message has an identity too."""
    assert identity(b"") == identity(b"x\r\n") != identity(HEAD)


def test_most_connections_at_once() -> None:
    """Between beginnings and ends; a line that was cut off does not count."""
    log = b"".join(render_connection(at, change) for at, change in enumerate((1, 1, -1, 1, -1, -1)))
    assert most_connections(log) == 2
    assert most_connections(log + render_connection(9, 5)[:-1]) == 2
    assert most_connections(b"") == 0
