"""`mta.admin.campaign` beyond what the stories tell: what it says."""

import pytest

from mta.admin.campaign import give
from mta.admin.output import Output
from mta.config.settings import Config
from mta.intake.orders import OrderVerb, Target
from mta.jetstream.connection import Link


async def test_what_waits_is_counted_in_english(
    link: Link, config: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where nothing does."""
    assert await give(config, {}, Output(), OrderVerb.PAUSE, Target("acme", "spring"), "why", "1h") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert said.endswith("0 payloads in the stream, 0 more waiting for a later attempt.")
