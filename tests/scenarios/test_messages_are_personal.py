"""What a recipient gets is rendered for it alone, by a template of the payload or one put before."""

from email.message import Message

import pytest

from tests.fakes.rig import Rig, check_copies

pytestmark = pytest.mark.asyncio(loop_scope="session")


HTML = "<p>Dear {{ first_name }}, {{ shop }} has {{ voucher }} for you.</p>\n"
TEXT = "Dear {{ first_name }}, {{ shop }} has {{ voucher }} for you.\n"
PEOPLE = {"ada": ("Ada <3", "AB1"), "bob": ("Bö", "{{ 7 * 7 }}")}


def people(domain: str) -> list[dict[str, object]]:
    return [
        {"email": f"{local}@{domain}", "name": name, "data": {"first_name": name, "voucher": voucher}}
        for local, (name, voucher) in PEOPLE.items()
    ]


def texts(mail: Message) -> dict[str, str]:
    parts = [part for part in mail.walk() if not part.is_multipart()]
    return {part.get_content_type(): part.get_content().replace("\r\n", "\n") for part in parts}  # type: ignore[attr-defined]


async def test_inline_content_is_rendered_for_each(rig: Rig) -> None:
    """Both parts and the subject show this recipient's data, escaped in HTML; data is never a template."""
    async with rig.destination() as place:
        content = {"subject": "{{ first_name }}'s voucher", "text": TEXT, "html": HTML}
        told = await rig.deliver(rig.payload(*people(place.domain), content=content, data={"shop": "Berlin"}))
        check_copies(place, told)
        ada, bob = (place.mail(place.to(local)) for local in PEOPLE)
        assert (ada["Subject"], bob["Subject"]) == ("Ada <3's voucher", "Bö's voucher")
        assert ada["To"].addresses[0].display_name == "Ada <3"
        assert texts(ada) == {
            "text/plain": "Dear Ada <3, Berlin has AB1 for you.\n",
            "text/html": "<p>Dear Ada &lt;3, Berlin has AB1 for you.</p>\n",
        }
        assert texts(bob)["text/plain"] == "Dear Bö, Berlin has {{ 7 * 7 }} for you.\n"
        assert all(rig.verifies(received) for received in place.mx.received)


async def test_template_by_reference(rig: Rig) -> None:
    """`mta template put` makes it known; a payload names it, and a version stays what it was."""
    html, text = rig.directory / "offer.html", rig.directory / "offer.txt"
    html.write_text(HTML)
    text.write_text(TEXT)
    put = (
        "template",
        "put",
        "offer",
        "--html",
        str(html),
        "--text",
        str(text),
        "--subject",
        "For {{ first_name }}",
    )
    code, _, errors = await rig.mta(*put)
    assert code == 0, errors
    text.write_text("Another text.\n")
    code, _, errors = await rig.mta(*put)
    assert code == 0, errors
    async with rig.destination() as place:
        for version, expected in (
            ("1", "Dear Ada <3, Rome has AB1 for you.\n"),
            ("latest", "Another text.\n"),
        ):
            content = {"template": {"name": "offer", "version": version}}
            told = await rig.deliver(
                rig.payload(
                    people(place.domain)[0], content=content, data={"shop": "Rome"}, id=f"ref-{version}"
                )
            )
            assert told.counts() == {"delivered": 1}
            last = place.mx.accepted[-1]
            assert expected.strip().encode() in last.body
            assert b"Subject: For Ada <3\r\n" in last.body
