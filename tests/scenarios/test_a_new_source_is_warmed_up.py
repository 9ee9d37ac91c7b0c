"""A new source sends what the day allows, and others what it may not."""

import json
from collections import Counter

from tests.fakes.rig import Rig, Told, check_copies

PLAN = """
[warmup.gentle]
steps = [3, 10]
"""


def sources(*told: Told) -> Counter[str]:
    return Counter(event["source"] for one in told for event in one.events if event["type"] == "delivered")


async def test_what_the_day_does_not_allow_leaves_from_the_other_source(own_rig: Rig) -> None:
    """Over several payloads, and over a restart: the cap is that of the day. `explain warmup` says how far it is."""
    own_rig.configure(warmup="gentle", shaping=PLAN)
    await own_rig.start()
    async with own_rig.destination() as place:
        first = await own_rig.deliver(own_rig.payload(*(place.to(f"a{n}") for n in range(10)), pool="pair"))
        await own_rig.daemon.stop()
        await own_rig.restart()
        later = await own_rig.deliver(own_rig.payload(*(place.to(f"b{n}") for n in range(6)), pool="pair"))
        check_copies(place, first, later)
    assert sources(first, later) == {"two": 3, "one": 13}
    code, out, err = await own_rig.mta("explain", "warmup", "--json")
    assert code == 0, err
    (row,) = map(json.loads, out.splitlines())
    assert (row["source"], row["plan"], row["step"], row["steps"]) == ("two", "gentle", 1, 2)
    assert (row["taken"], row["cap"]) == (3, 3)
    code, out, _ = await own_rig.mta("explain", "warmup")
    assert b"1 of 2" in out
    assert b"##########" in out
