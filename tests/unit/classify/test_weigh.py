import pytest

from mta.classify.original import Original
from mta.classify.passage import passage_of
from mta.classify.weigh import LEAST, MAX_SIGNS, SURE, lines_of, weighed

A = "a@x.test"


def weight(text: str, original: Original | None = None, others: frozenset[str] = frozenset()) -> int:
    """Of the address `A`, at its heaviest."""
    found = weighed(lines_of(passage_of(text)), original or Original(), others)
    return max((one.weight for one in found if one.address == A), default=-99)


@pytest.mark.parametrize(
    "text",
    [
        f"Could not be delivered to:\n\n  {A}\n",
        f"<{A}>:\n550 unknown\n",
        f"Recipient: {A}\nunknown user\n",
        f"Unknown user: {A}\n",
        f"RCPT TO:<{A}>\n550 no\n",
        f"{A}: 550 user unknown\n",
    ],
)
def test_an_address_in_the_place_of_a_recipient_is_sure(text: str) -> None:
    """Announced, alone or labelled, with a reason beside it."""
    assert weight(text) >= SURE


@pytest.mark.parametrize(
    "text",
    [
        f"For assistance contact {A}.\n",
        f"From: {A}\n",
        f"a message sent by {A} was received\n",
        f"see mailto:{A} for help\n",
        f"We met {A} at lunch.\n",
    ],
)
def test_an_address_in_another_place_is_no_recipient(text: str) -> None:
    """Somebody to contact, a sender, or nobody."""
    assert weight(text) < LEAST


@pytest.mark.parametrize(
    "line",
    [
        "Échec de la remise pour ces destinataires ou groupes :",
        "Error de entrega a estos destinatarios o grupos:",
        "Falha na entrega a estes destinatários ou grupos:",
        "Recapito non riuscito ai seguenti destinatari o gruppi:",
        "De bezorging aan de volgende geadresseerden of groepen is mislukt:",
        "Сбой доставки следующим получателям или группам:",
        "次の受信者またはグループへの配信に失敗しました:",
        "以下收件人或组的邮件传递失败：",
        "Dostarczenie do tych adresatów lub grup nie powiodło się:",
        "Leverans till följande mottagare eller grupper misslyckades:",
        "다음 받는 사람 또는 그룹에 배달하지 못했습니다:",
        "Xyzzy plugh frobozz:",
    ],
)
def test_an_announcement_is_known_in_many_languages(line: str) -> None:
    """By its words, and by its colon where nobody knows them."""
    assert weight(f"{line}\n\n{A}\n") >= SURE


def test_the_returned_message_speaks_for_its_recipient_and_against_its_sender() -> None:
    """An address that was weighed alike without it."""
    text = f"{A}\n"
    assert weight(text, Original(to=(A,))) > weight(text) > weight(text, Original(senders=(A,)))


def test_an_announcement_holds_for_the_next_lines_only() -> None:
    """What comes later is about something else."""
    near, far = ("Not delivered to the following address:\n" + "blah\n" * lines + A for lines in (1, 9))
    assert weight(near) > weight(far)


def test_the_reporter_is_no_recipient() -> None:
    """Wherever its address stands."""
    assert weight(f"Could not be delivered to:\n{A}\n", others=frozenset({A})) < SURE


def test_no_more_signs_are_looked_at_than_the_cap() -> None:
    """H8."""
    assert weight("x@y.test " * 100 + "\n") == -99
    assert weight(("@" * 500 + "\n") * (MAX_SIGNS // 500 + 1) + f"<{A}>: 550 no\n") == -99
