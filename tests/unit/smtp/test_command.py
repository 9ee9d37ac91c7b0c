"""Commands: exact bytes or a refusal."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.smtp import command
from mta.smtp.command import Ungrammatical
from mta.smtp.settings import Dsn

FINE = [
    "a@b.test",
    "a.b+c@d-e.test",
    "!#$%&'*+/=?^_`{|}~-@b.test",
    '"a b"@c.test',
    '"a@b"@c.test',
    r'"a\"b\\c"@d.test',
    '""@b.test',
    "a@[192.0.2.1]",
    "a@[IPv6:2001:db8::1]",
    "a@b",
    "a@xn--strae-oqa.test",
    "x" * 64 + "@b.test",
    "a@" + ".".join(["d" * 63] * 3) + ".test",
]

NEVER = [
    "",
    "a",
    "@",
    "@b.test",
    "a@",
    "a@@b.test",
    "a@b@c.test",
    "x@y.test\r\nRSET",
    "x@y.test\nRSET",
    "x@y.test\r",
    "x@y.test\n",
    "x@y.test> SIZE=1",
    "x@y.test>",
    "<x@y.test>",
    "<x@y.test",
    "x@y.test,w@v.test",
    "x@y.test, w@v.test",
    "x@y.test w@v.test",
    " x@y.test",
    "x@y.test ",
    "x y@z.test",
    "x\t@y.test",
    "x\0@y.test",
    "x\x7f@y.test",
    "x\x80@y.test",
    ".x@y.test",
    "x.@y.test",
    "x..y@z.test",
    "x@.y.test",
    "x@y..test",
    "x@y.test.",
    "x@-y.test",
    "x@y-.test",
    "x@y_z.test",
    "x@y.test:25",
    "x@y/z.test",
    "x@straße.test",
    "x(comment)@y.test",
    "x@y.test(comment)",
    "Name <x@y.test>",
    "group:x@y.test;",
    "@a.test:x@y.test",
    "x%y.test",
    '"x@y.test',
    'x"y@z.test',
    '"x"y@z.test',
    '"x\r\ny"@z.test',
    '"x\\"@z.test',
    '"x\\\n"@z.test',
    "x@[1.2.3.4",
    "x@1.2.3.4]",
    "x@[]",
    "x@[IPv6:]",
    "x@[1.2.3.4> SIZE=1]",
    "x@[evil.test]",
    "x@y.te\u017ft",
    "x\u2028@y.test",
    "x\ud800@y.test",
    "x" * 65 + "@b.test",
    "a@" + "d" * 64 + ".test",
    "a@" + ".".join(["d" * 63] * 4),
    "x" * 64 + "@" + ".".join(["d" * 63] * 3) + ".t",
]


@pytest.mark.parametrize("address", FINE)
def test_an_address_goes_out_as_asked(address: str) -> None:
    """The bytes between the angle brackets are those of the address, nothing more and nothing less."""
    octets = address.encode()
    assert command.rcpt(address) == b"RCPT TO:<" + octets + b">\r\n"
    assert command.mail(address, 7) == b"MAIL FROM:<" + octets + b"> SIZE=7\r\n"


@pytest.mark.parametrize("address", NEVER)
@pytest.mark.parametrize("utf8", [False, True])
def test_never_on_the_wire(address: str, utf8: bool) -> None:
    """What is not an address by grammar is refused, with SMTPUTF8 or without."""
    with pytest.raises(Ungrammatical):
        command.rcpt(address, utf8=utf8)
    if address:
        with pytest.raises(Ungrammatical):
            command.mail(address, utf8=utf8)


@pytest.mark.parametrize(("size", "is_fine"), [(64, True), (65, False)])
def test_s02_local_part(size: int, is_fine: bool) -> None:
    """S-02: a local part may have 64 octets, of UTF-8 too."""
    for local, utf8 in (("x" * size, False), ("é" * (size // 2) + "x" * (size % 2), True)):
        if is_fine:
            command.rcpt(f"{local}@b.test", utf8=utf8)
        else:
            with pytest.raises(Ungrammatical):
                command.rcpt(f"{local}@b.test", utf8=utf8)


def test_mail_parameters() -> None:
    """S-12: parameters come from typed values only, and the null reverse-path is `<>`."""
    assert command.mail("") == b"MAIL FROM:<>\r\n"
    eight = b"MAIL FROM:<a@b.test> SIZE=12 BODY=8BITMIME\r\n"
    assert command.mail("a@b.test", 12, is_eight_bit=True) == eight
    utf8 = "MAIL FROM:<δοκιμή@b.test> SMTPUTF8\r\n".encode()
    assert command.mail("δοκιμή@b.test", utf8=True) == utf8


@pytest.mark.parametrize("name", ["", "a b", "a\r\nQUIT", "-a", "a_b.test", "a.test.", "[x]", "ä.test"])
def test_bad_host_name(name: str) -> None:
    """The name behind EHLO is a domain or an address literal."""
    with pytest.raises(Ungrammatical):
        command.host_name(name)


@pytest.mark.parametrize("name", ["mx.test", "localhost", "[192.0.2.1]", "[IPv6:::1]"])
def test_good_host_name(name: str) -> None:
    """It goes out as it is."""
    assert command.host_name(name) == name


@pytest.mark.parametrize(
    ("dsn", "words"),
    [
        (Dsn.OFF, b""),
        (Dsn.FAILURE, b" NOTIFY=FAILURE ORCPT=rfc822;a+2Bb@c.test"),
        (Dsn.NEVER, b" NOTIFY=NEVER"),
    ],
)
def test_dsn_of_rcpt(dsn: Dsn, words: bytes) -> None:
    """DSN: when to report, and the address as it was asked for, in xtext."""
    assert command.rcpt("a+b@c.test", dsn=dsn).startswith(b"RCPT TO:<a+b@c.test>" + words)
    assert (b" ORCPT=" in command.rcpt("a+b@c.test", dsn=dsn)) == (dsn is not Dsn.OFF)


def test_dsn_of_an_internationalised_address() -> None:
    """DSN: its ORCPT is left out, as few know the type of RFC 6533; NOTIFY holds all the same."""
    line = command.rcpt("δοκιμή@b.test", utf8=True, dsn=Dsn.FAILURE)
    assert line == "RCPT TO:<δοκιμή@b.test> NOTIFY=FAILURE\r\n".encode()


@pytest.mark.parametrize(
    ("envelope_id", "words"),
    [
        ("019a8b0f-7a4e", b" RET=HDRS ENVID=019a8b0f-7a4e"),
        ("a=b", b" RET=HDRS ENVID=a+3Db"),
        ("x" * 100, b" RET=HDRS ENVID=" + b"x" * 100),
        ("x" * 101, b" RET=HDRS"),
        ("=" * 34, b" RET=HDRS"),
        ("", b" RET=HDRS"),
        ("é", b" RET=HDRS"),
        ("a\r\nRSET", b" RET=HDRS"),
    ],
)
def test_dsn_of_mail(envelope_id: str, words: bytes) -> None:
    """DSN: an ENVID goes out whole and within its 100 octets, or not at all."""
    assert command.mail("a@b.test", envelope_id=envelope_id) == b"MAIL FROM:<a@b.test>%b\r\n" % words


def test_requiretls_of_mail() -> None:
    """REQUIRETLS (RFC 8689): a word of its own behind the others."""
    line = command.mail("a@b.test", 7, requiretls=True, envelope_id="m")
    assert line == b"MAIL FROM:<a@b.test> SIZE=7 REQUIRETLS RET=HDRS ENVID=m\r\n"


def sized(local: str, size: int) -> str:
    """An address with that local part and of that many octets."""
    domain = ".".join(["d" * 63] * 2 + ["d" * (size - len(local) - 129)])
    assert len(f"{local}@{domain}") == size
    return f"{local}@{domain}"


def test_s02_lines_within_their_limits() -> None:
    """S-02: with the longest addresses and every parameter MAIL keeps to 512 octets, and RCPT to the 500 more that
    ORCPT may have."""
    longest = sized("x" * 64, command.MAX_PATH - 2)
    mail = command.mail(
        longest, 10**20 - 1, is_eight_bit=True, utf8=True, requiretls=True, envelope_id="x" * 100
    )
    assert b" ENVID=" in mail
    assert len(mail) <= 512
    rcpt = command.rcpt(sized("=" * 64, command.MAX_PATH - 2), dsn=Dsn.FAILURE)
    assert b" ORCPT=" in rcpt
    assert 512 < len(rcpt) <= 512 + command.MAX_ORCPT


def test_s02_path() -> None:
    """S-02: a path may have 256 octets with its angle brackets, and not one more."""
    assert command.rcpt(sized("x" * 64, command.MAX_PATH - 2))
    with pytest.raises(Ungrammatical, match="too long"):
        command.rcpt(sized("x" * 64, command.MAX_PATH - 1))


def test_bdat() -> None:
    """CHUNKING (RFC 3030): one chunk, the last."""
    assert command.bdat_last(4096) == b"BDAT 4096 LAST\r\n"


@given(st.text(max_size=40), st.booleans())
def test_nothing_but_one_command(address: str, utf8: bool) -> None:
    """Whatever is asked for, either it is refused or exactly one line with exactly that path comes out."""
    try:
        line = command.rcpt(address, utf8=utf8)
    except Ungrammatical:
        return
    assert line == b"RCPT TO:<" + address.encode() + b">\r\n"
    assert not re.search(rb"[\x00-\x1f\x7f]", line[:-2])
