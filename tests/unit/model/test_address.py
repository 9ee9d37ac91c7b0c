import unicodedata

import idna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.compose.header import checked_address
from mta.model.address import BadAddress, UnsupportedAddress, canonical_domain, parse
from mta.smtp.command import rcpt

LABEL_63 = "a" * 63

NEVER_ON_THE_WIRE = [
    "",
    "@",
    "a",
    "a@",
    "@good.test",
    "a b@good.test",
    " a@good.test",
    "a@good.test ",
    "a@good.test\n",
    "a@good.test\r\nRCPT TO:<b@evil.test>",
    "a\r\nRSET@good.test",
    "a\x00@good.test",
    "a@good.test\x00.evil",
    "a@ok.test\x00.evil.test",
    "x@y.test> SIZE=1",
    "x@y.test> AUTH=<",
    "<a@good.test>",
    "A <a@good.test>",
    "a@good.test (comment)",
    "(comment)a@good.test",
    "a@(comment)good.test",
    "a@good.test,b@evil.test",
    "a@good.test;b@evil.test",
    "group:a@good.test;",
    "@relay.test:a@good.test",
    "a@b@good.test",
    "a.@good.test",
    ".a@good.test",
    "a..b@good.test",
    '"a@good.test',
    'a"b"@good.test',
    '"a"b@good.test',
    '"a"@"b"@good.test',
    '"a> SIZE=1"@good.test',
    '"a\r\nRSET"@good.test',
    '"a\tb"@good.test',
    '"a\\"@good.test',
    '""@good.test',
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "a@192.0.2.1",
    "a@localhost",
    "a@good.test.",
    "a@.good.test",
    "a@good..test",
    "a@-good.test",
    "a@good-.test",
    "a@good_bad.test",
    "a@good.123",
    "a@good.test:25",
    "a@good.test/../x",
    "a@good%2etest",
    "a@x.test\u2028",
    "a\u202eb@good.test",
    "a@☃.net",
    "a@exa\u00admple.test",
    "a@exam\u200dple.test",
    "a@exam\u200bple.test",
    "a@good\uff20evil.test",
    "a@xn--.test",
    "a@xn--a.test",
    "a@xn--ls8h.test",
    "a@bücher.xn--a.test",
    "a@💩.test",
    "a@👩\u200d💻.test",
    "a@\u200dक्ष.test",
    "a@bücher.test.",
    "a@ok.test\u2215good.test",
    "a@\ud800.test",
    "\ud800@good.test",
    "=?utf-8?q?=0D=0ABcc:_evil=40x.test?=@good.test",
    "=?utf-8?q?a?=@straße.test",
    '"=?utf-8?q?a?="@good.test',
    "a@=?utf-8?q?good?=.test",
    f"{'a' * 65}@good.test",
    f"a@{LABEL_63}a.test",
    f"a@{'.'.join([LABEL_63] * 4)}.test",
    f"{'a' * 64}@{'b' * 60}.{'c' * 63}.{'d' * 60}.test",
    "a" * 100_000,
    f"a@{'b.' * 50_000}test",
]


@pytest.mark.parametrize("text", NEVER_ON_THE_WIRE)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Nothing is stripped, guessed or repaired."""
    with pytest.raises(BadAddress) as caught:
        parse(text)
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize(
    ("text", "local", "domain"),
    [
        ("bob@example.test", "bob", "example.test"),
        ("Bob.Smith+tag@EXAMPLE.Test", "Bob.Smith+tag", "example.test"),
        ("!#$%&'*+/=?^_`{|}~-@x.test", "!#$%&'*+/=?^_`{|}~-", "x.test"),
        ('"a@evil x"@good.test', '"a@evil x"', "good.test"),
        ('"a\\"b"@good.test', '"a\\"b"', "good.test"),
        ('"bob"@good.test', "bob", "good.test"),
        ('"b\\ob.x"@good.test', "bob.x", "good.test"),
        ('"bob."@good.test', '"bob."', "good.test"),
        ('"a\\ b"@good.test', '"a b"', "good.test"),
        ('"a\\\\b"@good.test', '"a\\\\b"', "good.test"),
        ("user@straße.de", "user", "xn--strae-oqa.de"),
        ("user@Straße.DE", "user", "xn--strae-oqa.de"),
        ("user@strasse。test", "user", "strasse.test"),
        ("user@XN--STRAE-OQA.de", "user", "xn--strae-oqa.de"),
        ("user@faß.de", "user", "xn--fa-hia.de"),
        ("user@क्\u200dष.test", "user", "xn--11b2ezcw70k.test"),
        ("user@نامه\u200cای.test", "user", "xn--mgba3gch31f060k.test"),
        ("user@r3---sn-abc.example.test", "user", "r3---sn-abc.example.test"),
        ("user@1.2.3.4.test", "user", "1.2.3.4.test"),
    ],
)
def test_addresses_and_their_canonical_form(text: str, local: str, domain: str) -> None:
    """IDNA2008: the local part to the letter, the domain as lower-case A-labels, and the text is both."""
    mailbox = parse(text)
    assert (mailbox.local, mailbox.domain) == (local, domain)
    assert mailbox.text == f"{local}@{domain}"
    assert parse(mailbox.text) == mailbox


@pytest.mark.parametrize("text", ["δοκιμή@x.test", "zoë@example.test", "用户@例子.test"])
def test_a_local_part_beyond_ascii_is_good_but_unsupported(text: str) -> None:
    """It needs SMTPUTF8: told apart from what is no address at all."""
    with pytest.raises(UnsupportedAddress) as caught:
        parse(text)
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize("text", ["δοκιμή@x.test", "zoë.B+1@example.test", "用户@例子.test", "é😀@x.test"])
def test_a_local_part_beyond_ascii_is_kept_to_the_letter(text: str) -> None:
    """RFC 6531: where the caller can send to it, with the domain in A-labels all the same."""
    mailbox = parse(text, utf8=True)
    assert mailbox.local == text.partition("@")[0]
    assert mailbox.domain.isascii()
    assert mailbox.text == f"{mailbox.local}@{mailbox.domain}"
    assert parse(mailbox.text, utf8=True) == mailbox


@pytest.mark.parametrize("text", NEVER_ON_THE_WIRE)
def test_what_is_no_address_is_none_with_utf8_either(text: str) -> None:
    """The same grammar, a wider alphabet."""
    with pytest.raises(BadAddress) as caught:
        parse(text, utf8=True)
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize(
    "local",
    [
        "zoe\u0308",
        "\u212b",
        "a\u0300",
        "zoë\u00a0b",
        "zoë\u200b",
        "\u202ezoë",
        "zoë\x85",
        "ë..a",
        "ë ",
        '"ë"',
        "\ue000",
        "ë\u2028",
    ],
)
def test_F_12_what_another_reader_would_read_otherwise_is_refused(local: str) -> None:
    """NFC, or it is another mailbox on the next host; nothing that cannot be seen."""
    for utf8 in (False, True):
        with pytest.raises(BadAddress) as caught:
            parse(f"{local}@x.test", utf8=utf8)
        assert caught.value.code == "bad_address"


@pytest.mark.parametrize(("local", "fits"), [("é" * 32, True), ("é" * 32 + "a", False), ("😀" * 17, False)])
def test_S_02_a_local_part_is_measured_in_octets(local: str, fits: bool) -> None:
    """RFC 6531 section 3.3 keeps the limits of RFC 5321."""
    if fits:
        assert parse(f"{local}@x.test", utf8=True).local == local
    else:
        with pytest.raises(BadAddress, match="longer than 64 octets"):
            parse(f"{local}@x.test", utf8=True)


def test_a_local_part_beyond_ascii_does_not_hide_a_bad_domain() -> None:
    """The worse fault is told."""
    with pytest.raises(BadAddress) as caught:
        parse("zoë@localhost")
    assert caught.value.code == "bad_address"


@pytest.mark.parametrize(
    ("fits", "is_too_long"),
    [
        (f"{'a' * 64}@good.test", f"{'a' * 65}@good.test"),
        (f"a@{LABEL_63}.test", f"a@{LABEL_63}a.test"),
        (
            f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 62}.test",
            f"{'a' * 64}@{'b' * 60}.{'c' * 60}.{'d' * 63}.test",
        ),
    ],
)
def test_S_02_limits(fits: str, is_too_long: str) -> None:
    """S-02: at the limit and one octet above it: local part, label, whole address."""
    assert parse(fits).text == fits
    with pytest.raises(BadAddress):
        parse(is_too_long)


def test_equal_texts_are_one_mailbox() -> None:
    """The domain in any case or script, the local part exactly."""
    assert parse("a@Straße.de").text == parse("a@xn--STRAE-oqa.DE").text
    assert parse("A@x.test").text != parse("a@x.test").text


def test_reasons_do_not_quote_the_address() -> None:
    """They travel in events in which it may have to be hidden."""
    for text in NEVER_ON_THE_WIRE:
        with pytest.raises(BadAddress) as caught:
            parse(text)
        assert "good" not in str(caught.value)
        assert len(str(caught.value)) < 100


@given(
    st.text(max_size=40)
    | st.from_regex(r"[^@]{0,8}@[^@]{0,12}(\.test)?", fullmatch=True)
    | st.text(st.characters(codec="utf-8"), min_size=1, max_size=9).map(lambda local: f"{local}@x.test"),
    st.booleans(),
)
def test_any_text_is_an_address_that_survives_the_wire_or_is_refused(text: str, utf8: bool) -> None:
    """No text raises anything else; what passes has nothing that could end a command or a path, and the composer and
    the session take it as well."""
    try:
        mailbox = parse(text, utf8=utf8)
    except BadAddress:
        return
    assert mailbox.text.isascii() or utf8
    assert mailbox.text.isprintable()
    assert not set("<>") & set(mailbox.text)
    assert mailbox.local[0] == '"' or " " not in mailbox.text
    assert parse(mailbox.text, utf8=utf8) == mailbox
    assert rcpt(mailbox.text, utf8=utf8) == f"RCPT TO:<{mailbox.text}>\r\n".encode()
    assert checked_address("To", mailbox.text, utf8=utf8) == mailbox.text


@given(st.text(st.characters(min_codepoint=0x80), min_size=1, max_size=10))
def test_any_domain_becomes_letters_digits_and_hyphens(label: str) -> None:
    """Whatever UTS-46 makes of it, what comes out is LDH and stable."""
    try:
        domain = canonical_domain(f"{label}.test")
    except BadAddress:
        return
    assert set(domain) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")
    assert canonical_domain(domain) == domain
    assert canonical_domain(unicodedata.normalize("NFD", f"{label}.test")) == domain


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_C16_a_domain_is_never_another_one(label: str) -> None:
    """C16: what comes out, decoded again, is what UTS-46 says of what went in, and of ASCII the letters themselves."""
    name = f"{label}.test"
    try:
        domain = canonical_domain(name)
    except BadAddress:
        return
    if name.isascii():
        assert domain == name.lower()
    elif "xn--" not in idna.uts46_remap(name):
        assert idna.decode(domain) == idna.uts46_remap(name)
