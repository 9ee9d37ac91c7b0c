import pytest

from mta.classify.freetext import named, plain_name, reason
from mta.classify.original import Original
from mta.classify.passage import passage_of

NOBODY: frozenset[str] = frozenset()


def found(
    text: str, original: Original | None = None, others: frozenset[str] = NOBODY
) -> list[tuple[str, int, str]]:
    return [
        (one.address, one.quote.code, one.quote.text)
        for one in named(passage_of(text), original or Original(), others)
    ]


def test_each_recipient_has_the_reply_behind_it() -> None:
    """That of one is never told of another."""
    text = (
        "Not delivered to:\n\n<a@x.test>:\n550 5.1.1 unknown\n\n<b@x.test>:\n552 5.2.2 full\n\n"
        "Also not delivered to:\n\n<c@x.test>\n"
    )
    assert found(text) == [
        ("a@x.test", 550, "550 5.1.1 unknown"),
        ("b@x.test", 552, "552 5.2.2 full"),
        ("c@x.test", 0, "Not delivered to:"),
    ]


def test_a_list_of_recipients_shares_what_is_said_behind_or_before_it() -> None:
    """Where each one stands alone."""
    listed = "<a@x.test>\n<b@x.test>\n"
    both = [("a@x.test", 550, "550 unknown"), ("b@x.test", 550, "550 unknown")]
    assert found(f"Not delivered to:\n{listed}550 unknown\n") == both
    assert found(f"550 unknown\n\nNot delivered to:\n{listed}") == both


def test_a_reply_in_the_transcript_is_found_by_its_address() -> None:
    """Sendmail lists whom it could not reach first, and what was said after."""
    text = (
        "----- The following addresses had permanent fatal errors -----\n<a@x.test>\n<b@x.test>\n\n"
        ">>> RCPT To:<a@x.test>\n<<< 550 unknown\n>>> RCPT To:<b@x.test>\n<<< 552 full\n"
    )
    assert found(text) == [("a@x.test", 550, "550 unknown"), ("b@x.test", 552, "552 full")]


def test_whom_to_contact_is_no_recipient() -> None:
    """Nor are the sender, the reporter, and whom the report went to."""
    text = (
        "Your message could not be delivered to:\n\n  a@x.test\n\nPlease contact postmaster@x.test or help@x.test.\n"
        "Reported by: mx@x.test\nFrom: me@y.test\n"
    )
    assert [one[0] for one in found(text, others=frozenset({"mx@x.test"}))] == ["a@x.test"]


def test_a_repeated_field_names_the_recipient_where_nothing_else_does() -> None:
    """Exchange repeats To, which may be a list."""
    text = "Your message\n  To:      list@y.test\ncould not be delivered to:\n\na@x.test\n"
    assert [one[0] for one in found(text)] == ["a@x.test"]
    assert [one[0] for one in found("could not be delivered.\nTo: a@x.test\n")] == ["a@x.test"]


def test_a_repeated_field_yields_to_a_recipient_that_is_hardly_sure() -> None:
    """However close the two are."""
    assert [one[0] for one in found("could not be delivered.\nTo: list@y.test\n\nRecipient: a@x.test\n")] == [
        "a@x.test"
    ]


def test_the_returned_message_confirms_its_recipient() -> None:
    """An address without any context is one if the message is to it."""
    text = "Something about a@x.test went wrong, ask b@x.test.\n"
    assert [one[0] for one in found(text, Original(to=("a@x.test",)))] == ["a@x.test"]


def test_an_alias_is_told_beside_whom_it_led_to() -> None:
    """The message was sent to the alias."""
    text = "The following address(es) failed:\n\n  b@y.test\n    (generated from a@x.test)\n    550 no\n"
    (one,) = named(passage_of(text), Original(), NOBODY)
    assert (one.address, one.original) == ("b@y.test", "a@x.test")


def test_where_no_reply_is_quoted_the_words_are_the_reason() -> None:
    """In the report's own words, without the address."""
    assert found("could not be delivered to:\n<a@x.test>:\nThis account is over quota.\n") == [
        ("a@x.test", 0, "This account is over quota.")
    ]
    assert reason(passage_of("Hello.\n--- Your mail could not be delivered. ---\n")).text.startswith(
        "Your mail"
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("could not be delivered to these recipients:\n\tscreenname\n", "screenname"),
        ("not delivered to the following recipients:\n\n  userx    No matches\n", "userx"),
        ("could not be delivered to these recipients:\nHello there\n", ""),
        ("nothing\n  userx\n", ""),
    ],
)
def test_a_local_part_alone_is_found(text: str, name: str) -> None:
    """Indented, below what announces it."""
    assert plain_name(passage_of(text)) == name


@pytest.mark.parametrize(
    ("intro", "place", "reason_"),
    [
        ("Su mensaje no pudo ser entregado a:", "<a@x.test>\n\n", "Motivo: el buzón del usuario está lleno"),
        (
            "Wiadomość nie została dostarczona do adresata:",
            "  a@x.test\n\n",
            "Przyczyna: nie ma takiego użytkownika",
        ),
        ("Sua mensagem não pôde ser entregue ao destinatário:", "<a@x.test>\n\n", "Caixa postal cheia."),
        ("Il messaggio non è stato recapitato al destinatario:", "a@x.test\n", "Casella piena."),
        ("İletiniz teslim edilemedi.", "a@x.test: ", "kullanıcı bulunamadı"),
        (
            "Ihre Nachricht konnte nicht zugestellt werden an:",
            "<a@x.test>\n\n",
            "Grund: Das Postfach ist voll",
        ),
        ("Saadetis ei voitu toimittaa vastaanottajalle:", "<a@x.test>:\n", "Qzx wvut srqp."),
    ],
)
def test_a_reason_is_found_by_its_place(intro: str, place: str, reason_: str) -> None:
    """In whatever language: behind the address, labelled below it, or the first sentence there."""
    assert found(f"{intro}\n\n{place}{reason_}\n") == [("a@x.test", 0, reason_)]


@pytest.mark.parametrize(
    "below",
    [
        "Bitte wenden Sie sich an den Betreiber.",
        "Mit freundlichen Grüßen\nIhr Team",
        "Diese Nachricht wurde automatisch erstellt.",
        "Kontakt: siehe Webseite",
        "Kérjük, próbálja később.",
        "Die folgende Nachricht war nicht zustellbar.",
    ],
)
def test_courtesies_and_advice_are_no_reason(below: str) -> None:
    """Nor is another introduction."""
    intro = "Ihre Nachricht konnte nicht zugestellt werden an:"
    assert found(f"{intro}\n\n<a@x.test>\n\n{below}\n") == [("a@x.test", 0, intro)]
