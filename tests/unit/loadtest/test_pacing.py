"""What pacing costs, measured small."""

import json

import pytest

from loadtest import pacing
from loadtest.__main__ import main


def test_it_prints_its_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """As one JSON object, by the name that the other scenarios go by."""
    assert main(["pacing", "--messages", "200", "--sites", "50", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["site_ns"] > 0
    assert found["sites"] == 50


def test_a_message_is_cheap() -> None:
    """3 us for all scopes together; ten times as much would be another order of cost, whatever else runs here."""
    assert max(pacing.per_message(5000).values()) < 30_000


async def test_what_is_not_used_is_forgotten() -> None:
    """G3: no governor is left of paths that are gone."""
    found = await pacing.idle_sites(600)
    assert found["governors"] == 601
    assert found["governors_after"] == 0
