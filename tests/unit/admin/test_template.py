from email.message import EmailMessage

from mta.admin.template import read_back


def test_parts_are_read_back_from_a_message() -> None:
    """Decoded, whatever their encoding and order."""
    message = EmailMessage()
    message["Subject"] = "Grüße"
    message.set_content("text ü\n", cte="base64")
    message.add_alternative("<p>html ü\n", subtype="html", cte="quoted-printable")
    parts = read_back(message.as_bytes())
    assert parts == {"subject": "Grüße", "text": "text ü\n", "html": "<p>html ü\n"}


def test_a_message_of_one_part_has_one_part() -> None:
    """And a subject even where there is none."""
    message = EmailMessage()
    message.set_content("only\n")
    assert read_back(message.as_bytes()) == {"subject": "", "text": "only\n"}
