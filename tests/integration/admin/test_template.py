import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.output import Output
from mta.admin.template import get, ls, put, render
from mta.compose.templates import StoredTemplate
from mta.config.settings import Config
from mta.intake.settings import TenantPolicy
from mta.jetstream.connection import Link

SPRING = StoredTemplate(subject="Hi {{ name }}", html="<p>{{ name }} in {{ shop }}\n", text="{{ name }}")
Said = pytest.CaptureFixture[bytes]


class Kept(Output):
    """Keeps what `--json` would print."""

    def __init__(self) -> None:
        super().__init__(as_json=True)
        self.said: list[dict[str, Any]] = []

    def result(self, value: Any) -> None:
        self.said.append(value)


async def test_a_template_is_checked_stored_and_found_again(config: Config, link: Link) -> None:
    """Versions count up; the same again is the same version only where it is named."""
    output = Kept()
    assert await put(config, {}, output, "acme", "spring", SPRING) == 0
    assert await put(config, {}, output, "acme", "spring", StoredTemplate(text="two")) == 0
    assert output.said == [
        {"name": "spring", "version": "1", "variables": ["name", "shop"]},
        {"name": "spring", "version": "2", "variables": []},
    ]
    output = Kept()
    await get(config, {}, output, "acme", "spring@1")
    await get(config, {}, output, "acme", "spring")
    assert (output.said[0]["html"], output.said[0]["version"]) == (SPRING.html, "1")
    assert (output.said[1]["text"], output.said[1]["version"]) == ("two", "2")
    output = Kept()
    await ls(config, {}, output, "acme")
    assert output.said == [{"name": "spring", "latest": "2", "versions": ("1", "2")}]


async def test_what_does_not_compile_is_not_stored(config: Config, link: Link) -> None:
    """With field and line."""
    with pytest.raises(WrongInput, match=r"(?s)was not stored:.*html, line 2: "):
        await put(config, {}, Output(), "acme", "spring", StoredTemplate(html="<p>\n{% if %}"))
    output = Kept()
    await ls(config, {}, output, "acme")
    assert output.said == []


async def test_a_version_does_not_change(config: Config, link: Link) -> None:
    """The same content again is no error."""
    for _ in range(2):
        await put(config, {}, Kept(), "acme", "spring", SPRING, "v1")
    with pytest.raises(WrongInput, match="has a version v1 with other content; versions do not change"):
        await put(config, {}, Kept(), "acme", "spring", StoredTemplate(text="x"), "v1")


@pytest.mark.parametrize(
    ("name", "template"), [("Spring!", StoredTemplate(text="x")), ("spring", StoredTemplate(subject="x"))]
)
async def test_what_is_no_template_is_refused(
    config: Config, link: Link, name: str, template: StoredTemplate
) -> None:
    """By name, or for having no part."""
    with pytest.raises(WrongUsage):
        await put(config, {}, Output(), "acme", name, template)


async def test_it_can_be_tried_out(
    config: Config, link: Link, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a recipient with this data would get it, html escaped."""
    await put(config, {}, Kept(), "acme", "spring", SPRING)
    output = Kept()
    data = {"name": "Bäb <x>", "shop": "Berlin"}
    await render(config, {}, output, "acme", "spring", json.dumps(data))
    (said,) = output.said
    assert {key: value.rstrip("\n") for key, value in said.items()} == {
        "name": "spring",
        "version": "1",
        "subject": "Hi Bäb <x>",
        "text": "Bäb <x>",
        "html": "<p>Bäb &lt;x&gt; in Berlin",
    }
    (tmp_path / "data.json").write_text(json.dumps(data))
    await render(config, {}, Output(), "acme", "spring@1", f"@{tmp_path}/data.json")
    assert "--- subject\nHi Bäb <x>\n" in capsys.readouterr().out


async def test_a_variable_that_is_missing_is_named(config: Config, link: Link) -> None:
    """With template, version and line."""
    await put(config, {}, Kept(), "acme", "spring", SPRING)
    with pytest.raises(WrongInput, match=r"template spring/1, .*'name' is undefined"):
        await render(config, {}, Output(), "acme", "spring", "{}")


async def test_a_template_that_is_not_there_is_missing_input(config: Config, link: Link) -> None:
    """As a file would be."""
    with pytest.raises(MissingInput, match="no template spring; there are: mta template ls --tenant acme"):
        await get(config, {}, Output(), "acme", "spring")


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        ("{", WrongUsage, "--data is no JSON: "),
        ("[]", WrongUsage, "--data is no JSON object"),
        ("@/etc/passwd", WrongInput, "/etc/passwd is no JSON: "),
        ("@/nope", MissingInput, "No such file"),
    ],
)
async def test_data_that_is_none_is_refused(
    config: Config, data: str, error: type[Exception], said: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(error, match=said):
        await render(config, {}, Output(), "acme", "spring", data)


async def test_what_will_not_do_is_said(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """A template without subject, an empty part, a tenant that is not served: stored, with a warning."""
    acme = TenantPolicy("acme", ("default",), "b.acme.test", {})
    config = structs.replace(config, tenants={"acme": acme})
    assert await put(config, {}, Kept(), "acme", "spring", SPRING) == 0
    assert capsys.readouterr().err == ""
    assert await put(config, {}, Kept(), "emca", "spring", StoredTemplate(text="x", html=" \n")) == 0
    said = capsys.readouterr().err
    assert "knows no tenant emca, so its payloads are rejected; it knows: acme." in said
    assert "Its html is empty." in said
    assert "no subject, and payloads that name it cannot give one" in said
    await ls(config, {}, Kept(), "emca")
    assert "knows no tenant emca" in capsys.readouterr().err
