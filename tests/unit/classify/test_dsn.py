import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.classify.dsn import MAX_RECIPIENTS, address_of, looks_like_dsn, read_dsn


def fields(**values: str) -> str:
    return "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in values.items())


ONE = fields(Final_Recipient="rfc822; a@x.test", Action="failed", Status="5.1.1")


@pytest.mark.parametrize("between", ["\n", "", "\n\n\n", " \n"])
def test_blank_lines_may_be_missing_or_too_many(between: str) -> None:
    """RFC 3464 section 2.1 asks for one."""
    text = "Reporting-MTA: dns; mx.test\n" + between + ONE + between + ONE.replace("a@", "b@")
    found = read_dsn(text)
    assert [one.recipient for one in found.recipients] == ["a@x.test", "b@x.test"]
    assert found.reporting_mta == "mx.test"


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("failed", "5.1.1", "failed"),
        ("Failed (bounced)", "5.1.1", "failed"),
        ("delayed", "4.4.1", "delayed"),
        ("relayed", "2.0.0", "relayed"),
        ("delivered", "2.0.0", "delivered"),
        ("expanded", "2.0.0", "expanded"),
        ("failed", "4.4.7", "failed"),
        ("", "4.4.1", "delayed"),
        ("", "5.1.1", "failed"),
        ("", "2.1.5", "delivered"),
        ("", "", "failed"),
        ("nonsense", "5.0.0", "failed"),
    ],
)
def test_the_action_is_one_of_five(action: str, status: str, expected: str) -> None:
    """RFC 3464 section 2.3.3; what is missing follows from the class."""
    (one,) = read_dsn(fields(Final_Recipient="rfc822;a@x.test", Action=action, Status=status)).recipients
    assert one.action == expected


@pytest.mark.parametrize(
    ("status", "diagnostic", "expected", "code"),
    [
        ("5.1.1", "smtp; 550 5.7.1 no", "5.1.1", 550),
        ("5.0.0", "smtp; 550 5.1.1 no", "5.1.1", 550),
        ("5.0.0", "smtp; 450 4.2.1 no", "5.0.0", 450),
        ("5.1.1 (bad mailbox)", "", "5.1.1", 0),
        ("", "smtp; 550 5.1.1 no", "5.1.1", 550),
        ("", "X-Postfix; host mx[192.0.2.1] said: 552 5.2.2 full", "5.2.2", 552),
        ("", "smtp; 550 no", "5.0.0", 550),
        ("550", "", "5.0.0", 550),
        ("nonsense", "x-unix; no", "", 0),
    ],
)
def test_the_most_telling_status_is_taken(status: str, diagnostic: str, expected: str, code: int) -> None:
    """That of the field, unless it says nothing but its class."""
    (one,) = read_dsn(
        fields(Final_Recipient="rfc822;a@x.test", Status=status, Diagnostic_Code=diagnostic)
    ).recipients
    assert (one.status, one.code) == (expected, code)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("rfc822; a@x.test", "a@x.test"),
        ("RFC822;<a@x.test>", "a@x.test"),
        ("a@x.test", "a@x.test"),
        (r"utf-8; jos\x{E9}@x.test", "josé@x.test"),
        ("utf-8; josé@x.test", "josé@x.test"),
        ("x400; /RFC-822=a(a)x.test/C=WW/", "a@x.test"),
        ("x400; /S=a/C=WW/", "/S=a/C=WW/"),
        ("rfc822; a+40x.test", "a@x.test"),
        ("unknown; box", "box"),
        ("", ""),
    ],
)
def test_addresses_of_every_type_are_read(value: str, expected: str) -> None:
    """RFC 3464 section 2.3.1, RFC 6533 section 3, and the xtext some leave in."""
    (one,) = read_dsn(fields(Final_Recipient=value, Action="failed")).recipients
    assert one.recipient == expected


def test_the_original_recipient_stands_in_for_what_is_no_address() -> None:
    """And is kept beside one that is."""
    text = fields(Original_Recipient="rfc822;a@x.test", Final_Recipient="x400;/S=a/", Action="failed")
    (one,) = read_dsn(text).recipients
    assert (one.recipient, one.original_recipient) == ("a@x.test", "a@x.test")


def test_folded_fields_are_read_whole() -> None:
    """RFC 5322 section 2.2.3."""
    (one,) = read_dsn(ONE + "Diagnostic-Code: smtp; 550-5.1.1 one\n  550 5.1.1\n\ttwo\n").recipients
    assert one.reply == "550-5.1.1 one 550 5.1.1 two"


def test_unknown_fields_are_nobodys() -> None:
    """X- fields and the like begin no recipient."""
    assert read_dsn("X-Postfix-Queue-ID: 1\nX-Original-Message-ID: <a@x.test>\n").recipients == ()


def test_one_recipient_is_reported_once_and_a_hundred_at_most() -> None:
    """H8."""
    assert len(read_dsn(ONE + "\n" + ONE).recipients) == 1
    many = "\n".join(ONE.replace("a@", f"{n}@") for n in range(500))
    assert len(read_dsn(many).recipients) == MAX_RECIPIENTS


def test_fields_in_a_text_are_known_by_their_names() -> None:
    """Two of them, in lines of their own."""
    assert looks_like_dsn("Your mail failed.\n\n" + ONE)
    assert not looks_like_dsn("The field Final-Recipient: names him, Action: says what became of it.")
    assert not looks_like_dsn("Action: act now!\n")


def test_a_field_may_hold_but_an_address() -> None:
    """As Original-Rcpt-To does."""
    assert address_of("<a@x.test>") == address_of("rfc822; a@x.test") == "a@x.test"
    assert address_of("redacted") == ""


@given(st.text(max_size=1000))
def test_any_text_is_read(text: str) -> None:
    """B-02."""
    read_dsn("Final-Recipient: " + text + "\nStatus: " + text)
