"""`retry` and `max_age` of shaping.toml take the place of the lane's where they are set for the way that mail takes."""

from datetime import datetime, timedelta

from tests.fakes.rig import Rig
from tests.fakes.smtp_server import On

_HERE = """
[sites.here]
mx = ["127.0.0.1"]
retry = ["2s"]
max_age = "7s"
"""


async def test_a_site_has_a_schedule_and_an_end_of_its_own(own_rig: Rig) -> None:
    """The lane says one hour and 120 hours; tried every 2 s and expired, once, 7 s after it was queued, never after."""
    own_rig.configure(retry="1h")
    shaping = own_rig.config.parent / "shaping.toml"
    shaping.write_text(shaping.read_text() + _HERE)
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [b"451 4.3.0 not today\r\n"])) as place:
        told = await own_rig.finished(await sent(own_rig, place.to("ada")))
        types = told.types(place.to("ada"))
        assert types[-1] == "expired"
        assert set(types[:-1]) == {"deferred"}
        assert 2 <= len(types) - 1 <= 4
        *deferred, end = told.of(place.to("ada"))
        first = datetime.fromisoformat(deferred[0]["time"])
        due = datetime.fromisoformat(deferred[0]["next_attempt_at"])
        assert timedelta(seconds=1.5) <= due - first <= timedelta(seconds=2.5)
        assert "next_attempt_at" not in deferred[-1]
        assert end["bounce"]["last_class"] == "remote_temporary"
        life = datetime.fromisoformat(end["time"]) - first
        assert timedelta(seconds=6) <= life <= timedelta(seconds=11)
        assert not place.copies


async def sent(rig: Rig, recipient: str) -> dict[str, object]:
    payload = rig.payload(recipient)
    await rig.publish(payload)
    return payload
