import pytest

from mta.classify.passage import MAX_LINES, passage_of

HEADERS = "Received: from a by b\nFrom: a@b.test\nSubject: hello\n\nbody c@d.test\n"


@pytest.mark.parametrize(
    "line",
    [
        "--- Below this line is a copy of the message.",
        "------ This is a copy of the message, including all the headers. ------",
        "   ----- Original message follows -----",
        "Original message follows.",
        "Message headers follow:",
        "|------------------------- Message text follows: ------------------------|",
        "--- Der Header der ursprünglichen Nachricht. ---",
        "--- Mensaje original adjunto.",
        "-- Исходное сообщение --",
        "",
    ],
)
def test_the_returned_message_is_no_part_of_the_failure(line: str) -> None:
    """What announces it, or its header fields alone, end what the report says."""
    found = passage_of(f"a@b.test: no\n\n{line}\n\n{HEADERS}")
    assert [text for text in found.lines if text] == ["a@b.test: no"]
    assert found.is_returned
    assert "c@d.test" in found.rest


@pytest.mark.parametrize(
    "line",
    [
        "The original message was received at noon",
        "the message returned below could not be delivered",
        "Please do not resend your original message.",
        "Your message",
        "  To:      a@b.test",
        "Reporting-MTA: dns; mx.test",
        "Subject: hello",
    ],
)
def test_a_sentence_about_the_message_is_of_the_failure(line: str) -> None:
    """So are the fields a notice repeats."""
    found = passage_of(f"no\n{line}\na@b.test\n")
    assert "a@b.test" in found.lines
    assert not found.is_returned


def test_the_announcement_can_be_passed_over() -> None:
    """Where nobody is named before it; the header fields still end the failure."""
    text = f"no\n--- original message ---\nto a@b.test\n\n{HEADERS}"
    assert "to a@b.test" not in passage_of(text).lines
    assert "to a@b.test" in passage_of(text, to_the_headers=True).lines
    assert "c@d.test" not in "".join(passage_of(text, to_the_headers=True).lines)


def test_a_text_without_end_is_cut() -> None:
    """H8."""
    assert len(passage_of("a\n" * 100_000).lines) == MAX_LINES
    assert len(passage_of("a" * 1_000_000).lines[0]) < 2000
