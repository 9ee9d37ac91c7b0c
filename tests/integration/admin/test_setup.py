import json

import pytest

from mta.admin.output import Output
from mta.admin.setup import setup
from mta.config.settings import Config


async def test_what_is_missing_is_made_and_what_is_there_is_left_alone(
    config: Config, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Idempotent, and says what it did."""
    assert await setup(config, {}, Output(as_json=True)) == 0
    first = json.loads(capsysbinary.readouterr().out)
    assert await setup(config, {}, Output(as_json=True)) == 0
    second = json.loads(capsysbinary.readouterr().out)
    assert {"MTA_PAYLOADS", "MTA_EVENTS", "KV_MTA_TEMPLATES", "MTA_PAYLOADS/transactional"} <= set(
        first["created"]
    )
    assert (first["updated"], first["unchanged"]) == ([], [])
    assert (second["created"], second["updated"]) == ([], [])
    assert sorted(second["unchanged"]) == sorted(first["created"])
    assert second["server_version"].startswith("2.")


async def test_people_get_a_table(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each thing, named as operators know it."""
    await setup(config, {}, Output())
    out = capsys.readouterr().out
    assert "MTA_TEMPLATES (key-value)" in out
    assert "MTA_PAYLOADS consumer transactional" in out
    assert "created" in out
