"""Templates by reference."""

import pytest

from mta.compose.templates import StoredTemplate, TemplateExists, TemplateMissing, Templates, TemplateVersions
from mta.model.payload import Content, TemplateRef
from tests.fakes.kv import FakeBucket


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


FIRST = StoredTemplate(subject="Hi {{ name }}", html="<p>1</p>", undefined="empty")
SECOND = StoredTemplate(subject="Ho", text="2", engine="static")


async def test_put_and_get() -> None:
    """Versions count up, `latest` points at the last, and each can be had by name."""
    templates = Templates(FakeBucket())
    assert await templates.put("acme", "spring", FIRST) == "1"
    assert await templates.put("acme", "spring", SECOND) == "2"
    latest = await templates.get("acme", "spring")
    assert (latest.version, latest.text) == ("2", "2")
    assert (await templates.get("acme", "spring", "1")).html == "<p>1</p>"


async def test_another_process_reads_it() -> None:
    """What stands in the bucket is all there is."""
    bucket = FakeBucket()
    await Templates(bucket).put("acme", "spring", FIRST)
    found = await Templates(bucket).get("acme", "spring")
    assert found == StoredTemplate(subject="Hi {{ name }}", html="<p>1</p>", undefined="empty", version="1")


async def test_versions_are_read_once() -> None:
    """They never change; `latest` is asked for again after some seconds."""
    bucket, clock = FakeBucket(), Clock()
    await Templates(bucket).put("acme", "spring", FIRST)
    templates = Templates(bucket, clock=clock)
    bucket.gets.clear()
    for _ in range(3):
        await templates.get("acme", "spring")
    assert bucket.gets == ["acme.spring.latest", "acme.spring.1"]
    await Templates(bucket).put("acme", "spring", SECOND)
    assert (await templates.get("acme", "spring")).version == "1"
    clock.now += 6
    assert (await templates.get("acme", "spring")).version == "2"


async def test_versions_are_immutable() -> None:
    """The same content again is no error, other content is."""
    templates = Templates(FakeBucket())
    assert await templates.put("acme", "spring", FIRST, "v-2026") == "v-2026"
    assert await templates.put("acme", "spring", FIRST, "v-2026") == "v-2026"
    with pytest.raises(TemplateExists, match="v-2026"):
        await templates.put("acme", "spring", SECOND, "v-2026")
    assert (await templates.get("acme", "spring")).subject == "Hi {{ name }}"


async def test_a_replica_that_lags_is_passed_over() -> None:
    """`latest` may be known before the version it names."""
    bucket = FakeBucket()
    await Templates(bucket).put("acme", "spring", FIRST)
    bucket.stale.add("acme.spring.1")
    assert (await Templates(bucket).get("acme", "spring")).version == "1"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("none", "latest"),
        ("spring", "9"),
        ("a.b", "latest"),
        ("*", "latest"),
        ("spring", ">"),
        ("", "1"),
        ("Spring", "1"),
    ],
)
async def test_missing(name: str, version: str) -> None:
    """Absent and impossible names alike."""
    templates = Templates(FakeBucket())
    await templates.put("acme", "spring", FIRST)
    with pytest.raises(TemplateMissing):
        await templates.get("acme", name, version)
    with pytest.raises(TemplateMissing):
        await templates.get("other", "spring")


@pytest.mark.parametrize("name", ["", "a.b", "*", "A", "x" * 65, "latest"])
async def test_names_that_cannot_be(name: str) -> None:
    """Nothing that would be another key, or a pointer."""
    with pytest.raises(ValueError):
        await Templates(FakeBucket()).put("acme", name, FIRST)
    with pytest.raises(ValueError):
        await Templates(FakeBucket()).put("acme", "spring", FIRST, name or ".")


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b'{"html": 1}', b'{"engine": "mako"}'])
async def test_unreadable(value: bytes) -> None:
    """Written by something else: missing, with the reason."""
    bucket = FakeBucket()
    await bucket.put("acme.spring.1", value)
    with pytest.raises(TemplateMissing, match="not readable"):
        await Templates(bucket).get("acme", "spring", "1")


@pytest.mark.parametrize("pointer", [b"", b"latest", b"a.b", b"\xff"])
async def test_bad_pointer(pointer: bytes) -> None:
    """Never followed into another key or into itself."""
    bucket = FakeBucket()
    await bucket.put("acme.spring.latest", pointer)
    with pytest.raises(TemplateMissing):
        await Templates(bucket).get("acme", "spring")


async def test_ls() -> None:
    """Versions in their order; of this tenant only."""
    bucket = FakeBucket()
    templates = Templates(bucket)
    for _ in range(10):
        await templates.put("acme", "spring", FIRST)
    await templates.put("acme", "autumn", FIRST, "v1")
    await templates.put("acmes", "other", FIRST)
    assert await templates.ls("acme") == [
        TemplateVersions("autumn", ("v1",), "v1"),
        TemplateVersions("spring", tuple(str(number) for number in range(1, 11)), "10"),
    ]


def test_content() -> None:
    """A payload's own subject wins; the rest is the template's."""
    asked = Content(template=TemplateRef("spring"), undefined="error")
    assert FIRST.content(asked) == Content(subject="Hi {{ name }}", html="<p>1</p>", undefined="empty")
    own = Content(template=TemplateRef("spring"), subject="Mine")
    assert FIRST.content(own).subject == "Mine"


def test_undefined_names_are_empty_where_either_says_so() -> None:
    """The template for all its payloads, or a payload for itself."""
    for template, undefined, means in (
        (FIRST, "error", "empty"),
        (SECOND, "error", "error"),
        (SECOND, "empty", "empty"),
    ):
        asked = Content(template=TemplateRef("spring"), undefined=undefined)  # type: ignore[arg-type]
        assert template.content(asked).undefined == means


async def test_a_template_of_nothing_is_missing() -> None:
    """Rather than an empty mail."""
    templates = Templates(FakeBucket())
    await templates.put("acme", "spring", StoredTemplate(subject="Hi", amp="x"))
    with pytest.raises(TemplateMissing, match="neither text nor html"):
        await templates.get("acme", "spring")
