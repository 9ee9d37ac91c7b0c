"""A recipient whose message cannot be made fails by itself, named down to the line."""

import pytest

from tests.fakes.rig import Rig, check_copies, numbered

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_undefined_variable_names_its_place(rig: Rig) -> None:
    """E9: template, line and variable for the one whose data lacks it; the others are delivered."""
    async with rig.destination() as place:
        people = [{"email": one, "data": {"first_name": "Secretia"}} for one in numbered(place.domain, 9)]
        lacking = place.to("lacking")
        content = {"subject": "Hi", "text": "Hello\n\nDear {{ first_name }}\n"}
        told = await rig.deliver(rig.payload(*people[:5], lacking, *people[5:], content=content))
        check_copies(place, told)
        assert told.counts() == {"delivered": 9, "failed": 1}
        event = told.end(lacking)
        assert event["error"]["code"] == "template"
        for word in ("inline", "text", "line 3", "first_name"):
            assert word in event["error"]["text"]
        assert "Secretia" not in event["error"]["text"]


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}" + "{% endfor %}" * 3,
        "{% set x = namespace(v='ab') %}{% for i in range(60) %}{% set x.v = x.v ~ x.v %}{% endfor %}{{ x.v }}",
    ],
    ids=["loops", "explodes"],
)
async def test_poison_is_killed_and_neighbours_are_not(rig: Rig, bomb: str) -> None:
    """E5: failed after the timeout or at the cap; healthy recipients of the same payload and other payloads go on."""
    async with rig.destination() as place:
        people = [{"email": one, "data": {"n": 0}} for one in numbered(place.domain, 4)]
        content = {"subject": "Hi", "text": "{% if n %}" + bomb + "{% endif %}x\n"}
        poisoned = rig.payload({"email": place.to("guilty"), "data": {"n": 1}}, *people, content=content)
        await rig.publish(poisoned)
        other = await rig.ended(await _published(rig, place.to("bystander")))
        assert other.counts() == {"delivered": 1}
        told = await rig.finished(poisoned, 40)
        assert told.counts() == {"delivered": 4, "failed": 1}
        assert told.end(place.to("guilty"))["error"]["code"] in ("timeout", "memory", "template", "too_large")
        check_copies(place, told, other)


async def _published(rig: Rig, recipient: str) -> dict[str, object]:
    payload = rig.payload(recipient)
    await rig.publish(payload)
    return payload
