"""A recipient whose message cannot be made fails by itself, named down to the line."""

from typing import Any

import pytest

from mta.model.lane import Lane
from tests.fakes.rig import Place, Rig, check_copies, numbered

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


ENDLESS = {
    "subject": "Hi",
    "text": "{% if n %}" + "{% for a in range(9999) %}" * 4 + "{% endfor %}" * 4 + "{% endif %}x\n",
}


def _people(place: Place, number: int, tag: str, n: int) -> list[dict[str, Any]]:
    return [{"email": one, "data": {"n": n}} for one in numbered(place.domain, number, tag)]


@pytest.mark.parametrize("lane", Lane)
async def test_many_guilty_take_no_innocent_with_them(rig: Rig, lane: Lane) -> None:
    """E4, I6: those of the same payload, of another with the same template, and of others are delivered, before the
    guilty have had their time."""
    async with rig.destination() as place:
        guilty = _people(place, 8, "guilty", 1)
        same = rig.payload(*guilty, *_people(place, 60, "same", 0), content=ENDLESS)
        again = rig.payload(*_people(place, 60, "again", 0), content=ENDLESS)
        others = [rig.payload(place.to(f"other{number}")) for number in range(20)]
        for payload in (same, again, *others):
            await rig.publish(payload, lane=lane)
        for payload in others:
            assert (await rig.ended(payload)).counts() == {"delivered": 1}
        assert (await rig.ended(again)).counts() == {"delivered": 60}
        await rig.saw(same, "delivered", 60)
        told = await rig.finished(same, 40)
        assert told.counts() == {"delivered": 60, "failed": 8}
        assert {told.end(one["email"])["error"]["code"] for one in guilty} == {"timeout"}
        check_copies(place, told, *map(rig.told, (again, *others)))


async def _published(rig: Rig, recipient: str) -> dict[str, object]:
    payload = rig.payload(recipient)
    await rig.publish(payload)
    return payload
