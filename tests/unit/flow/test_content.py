from typing import cast

import pytest

from mta.compose.settings import WaysBack
from mta.compose.spec import decode_spec
from mta.compose.templates import StoredTemplate, Templates
from mta.flow.content import Contents
from mta.flow.work import PayloadRefused
from mta.jetstream.errors import NotFound, TooLarge
from mta.jetstream.kv import Bucket
from mta.jetstream.objects import ObjectStore
from tests.fakes.kv import FakeBucket
from tests.unit.flow.works import admitted


class Objects:
    """One object, of the size its name says."""

    async def get(self, name: str, *, max_bytes: int) -> bytes:
        if not name.isdigit():
            raise NotFound(name)
        if int(name) > max_bytes:
            raise TooLarge(name)
        return bytes(int(name))


def contents(most: int = 0, templates: Templates | None = None) -> Contents:
    kept = cast(Bucket, FakeBucket())
    objects = cast(ObjectStore, Objects())
    templates = templates or Templates(FakeBucket())
    return Contents(templates, {}, kept, objects, ways_back=WaysBack(), max_attachment_bytes=most)


async def sizes(most: int, *names: str) -> list[int]:
    files = [{"name": "a.bin", "type": "image/png", "ref": f"obj://{name}"} for name in names]
    one = admitted(content={"text": "x"}, attachments=files)
    made = contents(most)
    blob = await made.prepare(one, await made.find(one), True)
    return [len(part.data) for part in decode_spec(blob.blob).attachments]


async def test_attachments_are_measured_as_they_are_sent() -> None:
    """78 octets of base64 for 57 of a file, all attachments together."""
    assert await sizes(7800, "5700") == [5700]
    assert await sizes(7800, "5000", "600") == [5000, 600]
    for names in (("5701",), ("5000", "701")):
        with pytest.raises(PayloadRefused) as caught:
            await sizes(7800, *names)
        assert caught.value.rejected.code == "too_large"


async def test_an_attachment_that_is_not_there() -> None:
    """Said before anything is sent."""
    with pytest.raises(PayloadRefused) as caught:
        await sizes(7800, "nowhere")
    assert caught.value.rejected.code == "attachment_missing"


@pytest.mark.parametrize(
    ("template", "code"),
    [
        (StoredTemplate(subject="a\nb", text="x"), "template_error"),
        (StoredTemplate(text="x\0"), "template_error"),
        (StoredTemplate(subject="a"), "template_missing"),
    ],
)
async def test_a_template_no_message_can_be_made_of(template: StoredTemplate, code: str) -> None:
    """However it got into the bucket, its payloads are refused and not each of their recipients."""
    templates = Templates(FakeBucket())
    await templates.put("acme", "spring", template)
    with pytest.raises(PayloadRefused) as caught:
        await contents(templates=templates).find(admitted(content={"template": {"name": "spring"}}))
    assert caught.value.rejected.code == code
