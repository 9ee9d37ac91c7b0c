from pathlib import Path
from typing import Any

import pytest

from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.send import lane_of, mailing_of, read_text
from mta.config.load import load
from mta.model.lane import Lane


def test_lanes_are_named() -> None:
    """Or left to the payload."""
    assert lane_of("") is None
    assert lane_of("bulk") is Lane.BULK
    with pytest.raises(WrongUsage, match="--lane fast: expected transactional or bulk"):
        lane_of("fast")


def test_a_mailing_needs_a_tenant_and_a_sender(tmp_path: Path) -> None:
    """Both are said before anything is read from NATS."""
    (tmp_path / "t.html").write_text("<p>")
    options: dict[str, Any] = {
        "template": tmp_path / "t.html",
        "text": None,
        "subject": "s",
        "campaign": "",
        "stream": "",
        "lane": None,
    }
    made = mailing_of(None, sender="a@acme.test", tenant="acme", **options)
    assert (made.html, made.text, made.lane) == ("<p>", "", Lane.BULK)
    with pytest.raises(WrongUsage, match="--tenant is needed: no tenant is configured here"):
        mailing_of(None, sender="a@acme.test", tenant="", **options)
    with pytest.raises(WrongUsage, match="--from: 'acme' is no sender"):
        mailing_of(None, sender="acme", tenant="acme", **options)


def test_a_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not there, or no text."""
    with pytest.raises(MissingInput, match=r"t.html: No such file"):
        read_text(tmp_path / "t.html")
    (tmp_path / "t.html").write_bytes(b"\xff")
    with pytest.raises(WrongInput, match=r"t.html: is not UTF-8"):
        read_text(tmp_path / "t.html")


def test_marketing_needs_a_way_out_of_its_own_or_ours(tmp_path: Path) -> None:
    """L-01: with `inbound.advertise` every message names an address to unsubscribe at."""
    (tmp_path / "t.html").write_text("<p>")
    options: dict[str, Any] = {
        **{"template": tmp_path / "t.html", "text": None, "subject": "s", "campaign": "", "lane": None},
        **{"sender": "a@acme.test", "tenant": "acme", "stream": "marketing"},
    }
    with pytest.raises(WrongUsage, match="marketing needs a way out"):
        mailing_of(None, **options)
    (tmp_path / "token-k1").touch(mode=0o600)
    (tmp_path / "token-k1").write_bytes(b"k" * 32)
    (tmp_path / "mta.toml").write_text(
        "[inbound]\nadvertise = true\n[tokens]\nkeys = { k1 = 'token-k1' }\n"
        "[tenants.acme]\nreturn_path = 'b.acme.test'\n"
    )
    assert mailing_of(load(tmp_path / "mta.toml", {}), **options).stream == "marketing"


def test_one_click_needs_somebody_who_answers(tmp_path: Path) -> None:
    """L-02: without an https address of the daemon it is refused, and the key named; with one it is a way out."""
    (tmp_path / "t.txt").write_text("hello")
    (tmp_path / "token-k1").touch(mode=0o600)
    (tmp_path / "token-k1").write_bytes(b"k" * 32)
    common = "[tokens]\nkeys = { k1 = 'token-k1' }\n[tenants.acme]\nreturn_path = 'b.acme.test'\n"
    (tmp_path / "without.toml").write_text(common)
    (tmp_path / "with.toml").write_text(f"[http]\npublic_url = 'https://u.acme.test'\n{common}")
    options: dict[str, Any] = {
        **{"template": None, "text": tmp_path / "t.txt", "subject": "s", "campaign": "", "lane": None},
        **{"sender": "a@acme.test", "tenant": "acme", "stream": "marketing", "one_click": True},
    }
    with pytest.raises(WrongUsage, match=r"--one-click: .* `public_url` in \[http\]"):
        mailing_of(load(tmp_path / "without.toml", {}), **options)
    made = mailing_of(load(tmp_path / "with.toml", {}), list_id="letter.acme.test", **options)
    assert made.shared()["unsubscribe"] == {"one_click": True, "list_id": "letter.acme.test"}
    assert mailing_of(None, **options).one_click  # elsewhere, whose configuration is not at hand
