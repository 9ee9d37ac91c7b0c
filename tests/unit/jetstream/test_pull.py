import pytest

from mta.jetstream.pull import parse_reply


def test_the_short_form() -> None:
    """Nine tokens, as a server without domains sends them."""
    parsed = parse_reply("$JS.ACK.MTA_PAYLOADS.transactional.2.17.9.1795343355394394717.5")
    assert parsed == ("MTA_PAYLOADS", "transactional", 2, 17, 1795343355394394717, 5)


@pytest.mark.parametrize("tail", ["", ".a1b2c3"])
def test_the_long_form(tail: str) -> None:
    """With domain and account hash in front, and perhaps a random token behind."""
    parsed = parse_reply(f"$JS.ACK.hub.ABCDEF.MTA_RETRY.due-bulk.1.3.4.1795343355394394717.0{tail}")
    assert parsed == ("MTA_RETRY", "due-bulk", 1, 3, 1795343355394394717, 0)


@pytest.mark.parametrize(
    "reply", ["", "_INBOX.x", "$JS.ACK.s.c.1.2.3.4", "$JS.ACK.s.c.1.2.3.4.5.6", "$JS.ACK.s.c.x.2.3.4.5"]
)
def test_anything_else_is_refused(reply: str) -> None:
    """A reply subject that is not the server's is an error, not a message."""
    with pytest.raises(ValueError):
        parse_reply(reply)
