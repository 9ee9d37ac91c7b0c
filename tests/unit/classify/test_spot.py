import pytest

from mta.classify.spot import MAX_LOOKED_AT, addresses, first_address, spotted, unwrapped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<ada@b.test>:", "ada@b.test"),
        ("'ada@b.test'", "ada@b.test"),
        ("to ada@b.test.", "ada@b.test"),
        ("mailto:ada@b.test?x", "ada@b.test"),
        ("[SMTP:ada@b.test]", "ada@b.test"),
        ("rfc822;ada@b.test", "ada@b.test"),
        ("c=US;a= ;p=X;dda:SMTP=ada@b.test; on", "ada@b.test"),
        ("IMCEASMTP-ada+40b+2Etest@gw.test", "ada@b.test"),
        ('"a b"@c.test', '"a b"@c.test'),
        ("ada+tag_1@b-c.d.test,", "ada+tag_1@b-c.d.test"),
        ("收件人ada@b.test的", "ada@b.test"),
        ("<josé@b.test>", "josé@b.test"),
        ("ada@üben.test", "ada@üben.test"),
        ("<a\x00\x80@b.test>", ""),
        ("<é\u202e@b.test>", ""),
        ("a@é\u202eb.test", ""),
        ("ada@localhost", ""),
        ("ada@[192.0.2.1]", ""),
        ("ada@10.0.0.1", ""),
        ("@b.test", ""),
        ("no address", ""),
        ("a" * 65 + "@b.test", ""),
    ],
)
def test_an_address_is_found_in_what_is_around_it(text: str, expected: str) -> None:
    """Brackets, quotation marks, labels and the notation of gateways are not of it."""
    assert first_address(text) == expected


def test_where_it_stands_is_known() -> None:
    """For the words before and behind it."""
    text = "x <ada@b.test>: no"
    (found,) = spotted(text)
    assert text[found.start : found.end] == "ada@b.test"


def test_each_is_listed_once_and_no_more_than_asked_for() -> None:
    """In order."""
    assert addresses("b@x.test a@x.test b@x.test c@x.test", 2) == ["b@x.test", "a@x.test"]


def test_no_more_signs_are_looked_at_than_the_cap() -> None:
    """H8: an @ that is none costs as much as one that is."""
    assert first_address("@ " * MAX_LOOKED_AT + "a@b.test") == ""


def test_x400_holds_an_address_of_the_internet() -> None:
    """RFC 2156 writes the @ as (a)."""
    assert unwrapped("/RFC-822=ada(a)b.test/ADMD= /C=WW/") == "ada@b.test"
    assert unwrapped("/S=ada/C=WW/") == ""
