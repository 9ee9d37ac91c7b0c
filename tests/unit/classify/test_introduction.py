import pytest

from mta.classify.introduction import introduces, without_introduction

SAYS = "The following message to <a@x.test> was undeliverable."


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        (f"{SAYS} Our server ran out of disk space", "Our server ran out of disk space"),
        (
            f"{SAYS} The reason for the problem: 5.x.0 - Message bounced by administrator",
            "5.x.0 - Message bounced by administrator",
        ),
        (SAYS, ""),
        ("Your message to a@x.test could not be delivered.", ""),
        ("Die folgende Nachricht an <a@x.test> war nicht zustellbar. Postfach voll", "Postfach voll"),
        ("Votre message n'a pas pu être remis à <a@x.test>.", ""),
        ("Zprávu se nepodařilo doručit příjemci <a@x.test>.", ""),
        ("Το μήνυμά σας δεν μπόρεσε να παραδοθεί στον παραλήπτη <a@x.test>.", ""),
        ("Не удалось доставить сообщение адресату <a@x.test>.", ""),
        ("Message bounced by administrator", "Message bounced by administrator"),
        ("", ""),
    ],
)
def test_what_every_notice_says_is_taken_off(text: str, rest: str) -> None:
    """What is behind it is the reason; an address ends no sentence."""
    assert without_introduction(text) == rest


@pytest.mark.parametrize(
    "sentence",
    [
        "Your message to a@x.test could not be delivered because nobody is there.",
        "Your message could not be delivered for 5 days.",
        "Ihre Nachricht an a@x.test konnte nicht zugestellt werden: Postfach voll",
        "Zprávu se nepodařilo doručit, schránka je plná.",
        "Your message has been rejected.",
        "There is no such user here.",
        "Nothing is wrong",
    ],
)
def test_a_sentence_that_says_more_introduces_nothing(sentence: str) -> None:
    """A reason in it, a number, or a second clause: it is the reply."""
    assert not introduces(sentence)


@pytest.mark.parametrize("text", ["a." * 50_000, "could not be delivered. " * 20_000, "x" * 100_000])
def test_what_is_too_long_is_left_alone(text: str) -> None:
    """A few sentences are looked at, and few characters of each."""
    assert len(without_introduction(text)) > len(text) - 100
