"""Header fields, judged by the stdlib's parsers."""

import email
import email.policy
import email.utils
from email.header import decode_header, make_header

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta.compose import header
from mta.compose.header import HeaderRefused

SEPARATORS = [
    "\r", "\n", "\r\n", "\0", "\t", "\v", "\f", "\x1b", "\x1c", "\x1d", "\x1e", "\x1f", "\x7f", "\x85",
    "\u2028", "\u2029",
]  # fmt: skip
LOOKALIKES = [
    "=?utf-8?q?=0D=0ABcc:_evil=40x.example?=",
    "=?utf-8?b?DQpCY2M6IGV2aWw=?=",
    "a =?us-ascii?q?b?= c",
    "=?",
]
texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=300)


def decoded(name: str, value: str) -> str:
    message = email.message_from_string(f"{name}: {value}\r\n\r\n", policy=email.policy.compat32)
    assert message.keys() == [name]
    unfolded = message[name].replace("\r\n", "")
    return str(make_header(decode_header(unfolded)))


def lines_of(name: str, value: str) -> list[str]:
    return f"{name}: {value}".split("\r\n")


@given(texts)
def test_unstructured_reads_back(text: str) -> None:
    """Any text comes back as it was, but for white space at its ends; all lines are short and ASCII (F-03,
    F-07)."""
    value = header.unstructured("Subject", text)
    assert decoded("Subject", value) == text.strip(" ")
    lines = lines_of("Subject", value)
    assert value.isascii()
    assert value.replace("\r\n ", "").isprintable()
    assert all(line.strip() for line in lines[1:])
    if "=?" in value:
        assert all(len(line) <= 76 for line in lines)
        words = value.split("\r\n ")
        assert all(len(word) <= 75 for word in words)
    else:
        assert all(len(line) <= 998 for line in lines)


@given(texts)
def test_every_word_holds_whole_characters(text: str) -> None:
    """Each encoded word decodes by itself (F-07)."""
    for word in header.unstructured("X-Long-Name-Of-A-Field", "é" + text).split("\r\n "):
        ((raw, charset),) = decode_header(word)
        assert isinstance(raw, bytes)
        assert raw.decode(charset or "ascii")


@given(texts)
def test_display_name_reads_back(name: str) -> None:
    """The stdlib's parser sees one mailbox with that name (its newer one puts spaces between encoded
    words)."""
    value = header.mailbox("To", name, "bob@example.test")
    ((phrase, address),) = email.utils.getaddresses([value.replace("\r\n", "")])
    assert address == "bob@example.test"
    assert " ".join(str(make_header(decode_header(phrase))).split()) == " ".join(name.split())
    assert all(len(line) <= 998 for line in lines_of("To", value))


@pytest.mark.parametrize("separator", SEPARATORS)
def test_separator(separator: str) -> None:
    """No separator of lines and no control gets into any field (F-06)."""
    hostile = f"a{separator}Bcc: evil@x.test"
    with pytest.raises(HeaderRefused, match="not allowed"):
        header.unstructured("Subject", hostile)
    with pytest.raises(HeaderRefused, match="not allowed"):
        header.mailbox("To", hostile, "bob@example.test")
    with pytest.raises(HeaderRefused, match="not allowed"):
        header.parameter("filename", hostile)
    with pytest.raises(HeaderRefused):
        header.uris("List-Unsubscribe", [f"mailto:{hostile}"])
    with pytest.raises(HeaderRefused):
        header.checked_address("To", f"bob{separator}@example.test")
    with pytest.raises(HeaderRefused):
        header.checked_name(f"X-A{separator}")


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_lookalike(lookalike: str) -> None:
    """An encoded word in the input is text: it is read back as it was written, and decodes to nothing
    else."""
    assert decoded("Subject", header.unstructured("Subject", lookalike)) == lookalike
    value = header.mailbox("To", lookalike, "bob@example.test")
    message = email.message_from_string(f"To: {value}\r\n\r\n", policy=email.policy.default)
    assert message["To"].addresses[0].display_name == lookalike
    assert len(message.keys()) == 1


@pytest.mark.parametrize("name", ["=?utf-8?q?=0D=0ABcc:_evil=40x.test?=.pdf", "=?utf-8?b?YQ==?=", "a =?x"])
def test_F_07_a_parameter_that_looks_encoded_is_text(name: str) -> None:
    """Many readers decode encoded words there, though RFC 2047 section 5 forbids them."""
    value = header.parameter("filename", name)
    assert "=?" not in value
    message = email.message_from_string(f"Content-Disposition: attachment{value}\r\n\r\n")
    assert message.get_filename() == name


def test_half_a_surrogate_pair_is_refused() -> None:
    """It has no UTF-8."""
    with pytest.raises(HeaderRefused, match="U\\+D800"):
        header.unstructured("Subject", "a\ud800")


def test_refusal_does_not_quote_the_value() -> None:
    """The text goes into an event."""
    with pytest.raises(HeaderRefused) as refusal:
        header.unstructured("Subject", "secret\n")
    assert str(refusal.value) == "Subject: the character U+000A is not allowed"


def test_long_text_is_folded_at_words() -> None:
    """At most 76 columns where words allow it, and nothing is lost."""
    text = "word " * 50 + "end"
    value = header.unstructured("Subject", text)
    assert all(len(line) <= 76 for line in lines_of("Subject", value))
    assert value.replace("\r\n", "") == text


@pytest.mark.parametrize(("length", "is_encoded"), [(987, False), (988, False), (990, True), (5000, True)])
def test_word_too_long_for_a_line_is_encoded(length: int, is_encoded: bool) -> None:
    """998 octets with the name; beyond that only encoded words can hold it."""
    value = header.unstructured("Subject", "x" * length)
    assert ("=?" in value) is is_encoded
    assert max(map(len, lines_of("Subject", value))) <= 998


def test_text_is_capped() -> None:
    """A subject of 200 kB is refused (E14)."""
    with pytest.raises(HeaderRefused, match="longer than"):
        header.unstructured("Subject", "x" * 200_000)
    with pytest.raises(HeaderRefused, match="longer than"):
        header.mailbox("To", "x" * 200_000, "bob@example.test")


def test_plain_names_stand_plain() -> None:
    """Quoted only where needed."""
    assert header.mailbox("To", "", "b@x.test") == "b@x.test"
    assert header.mailbox("To", "Bob Miller", "b@x.test") == "Bob Miller <b@x.test>"
    assert header.mailbox("To", 'O"Neil, Bob', "b@x.test") == '"O\\"Neil, Bob" <b@x.test>'
    assert header.mailbox("To", "Jürgen", "b@x.test") == "=?utf-8?Q?J=C3=BCrgen?= <b@x.test>"


def test_several_mailboxes() -> None:
    """One a line."""
    assert header.mailboxes("Reply-To", [("A", "a@x.test"), ("", "b@x.test")]) == "A <a@x.test>,\r\n b@x.test"


@pytest.mark.parametrize(
    "address",
    [
        "bob@example.test",
        "a.b+c@x-1.test",
        '"a b"@x.test',
        '"a@evil"@x.test',
        '"\\""@x.test',
        "b+t@_x.test.test",
    ],
)
def test_good_address(address: str) -> None:
    """By the grammar of RFC 5321, ASCII."""
    if "_x" in address:
        with pytest.raises(HeaderRefused):
            header.checked_address("To", address)
    else:
        assert header.checked_address("To", address) == address


@pytest.mark.parametrize(
    "address",
    [
        "", "bob", "@x.test", "bob@", "a@b@c.test", "a b@x.test", "bob@x.test>", "<bob@x.test>", "bob@x.test, e@y.test",
        "bob@x..test", ".bob@x.test", "bob.@x.test", "bob@-x.test", "bob@x.test\n", '"a"b@x.test', "a,b@x.test",
        "bob(comment)@x.test", "grp:bob@x.test;", "δ@x.test", "bob@straße.test", "bob@[127.0.0.1]",
        "a" * 400 + "@x.test",
    ],
)  # fmt: skip
def test_bad_address(address: str) -> None:
    """Not between angle brackets, ever."""
    with pytest.raises(HeaderRefused):
        header.checked_address("To", address)


def test_uris_fold_only_between_them() -> None:
    """F-03: never inside the brackets, however long."""
    https, mailto = "https://x.test/o/" + "a" * 500, "mailto:u@x.test?subject=unsubscribe"
    value = header.uris("List-Unsubscribe", [https, mailto])
    assert value == f"<{https}>,\r\n <{mailto}>"


@pytest.mark.parametrize(
    "uri", ["", "https://x.test/a b", "https://x.test/<a>", 'a"b', "a" * 901, "https://ü.test"]
)
def test_bad_uri(uri: str) -> None:
    """What could end the brackets or the line is refused."""
    with pytest.raises(HeaderRefused):
        header.uris("List-Unsubscribe", [uri])


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=120))
@example("<>")
def test_file_name_reads_back(name: str) -> None:
    """RFC 2231 where needed, on lines that are short."""
    value = "attachment" + header.parameter("filename", name)
    message = email.message_from_string(f"Content-Disposition: {value}\r\n\r\n", policy=email.policy.compat32)
    # `get_filename` unquotes twice, and takes angle brackets for quotes.
    read = message.get_param("filename", header="content-disposition")
    assert (
        read if isinstance(read, str) else email.utils.collapse_rfc2231_value(read)
    ).strip() == name.strip()
    assert all(len(line) <= 78 for line in value.split("\r\n"))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (0.0, "Thu, 01 Jan 1970 00:00:00 +0000"),
        (1_795_000_000.9, "Wed, 18 Nov 2026 11:06:40 +0000"),
        (951_827_696.0, "Tue, 29 Feb 2000 12:34:56 +0000"),
    ],
)
def test_date(at: float, text: str) -> None:
    """RFC 5322 with a numeric zone (F-04)."""
    assert header.date(at) == text
