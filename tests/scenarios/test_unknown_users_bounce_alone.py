"""550 to RCPT in the middle of a pipelined connection ends that recipient and no other."""

import pytest

from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import CHUNKING, PIPELINING, On

pytestmark = pytest.mark.asyncio(loop_scope="session")


UNKNOWN = b"550 5.1.1 <%s>: no such user here\r\n"


async def test_a_refusal_is_not_asked_for_again(rig: Rig) -> None:
    """S-11: 550 once, and it would be taken the second time: there is none, the recipient has bounced."""
    async with rig.destination(On("rcpt", [b"550 5.7.1 not today\r\n"], times=1)) as place:
        told = await rig.deliver(rig.payload(place.to("ada")))
        assert told.types(place.to("ada")) == ["bounced"]
        later = await rig.deliver(rig.payload(place.to("bob")))
        assert later.types(place.to("bob")) == ["delivered"]
        assert sum(line.startswith(b"RCPT TO:<ada@") for _, line in place.mx.lines) == 1


@pytest.mark.parametrize("offers", [CHUNKING, PIPELINING, ()], ids=["chunking", "pipelining", "lock-step"])
async def test_neighbours_are_delivered(rig: Rig, offers: tuple[str, ...]) -> None:
    """B19: of sixty on few connections, those unknown bounce with class and reply, the rest arrive, none twice."""
    rules: list[On] = []
    async with rig.destination(offers=offers) as place:
        asked = list(numbered(place.domain, 60))
        unknown = asked[::7]
        rules += [On("rcpt", [UNKNOWN % one.encode()], recipient=one) for one in unknown]
        place.mx.rules = rules
        told = await rig.deliver(rig.payload(*asked))
        check_copies(place, told)
        assert told.counts() == {"delivered": 60 - len(unknown), "bounced": len(unknown)}
        event = told.end(unknown[1])
        assert event["smtp"]["stage"] == "rcpt"
        assert (event["smtp"]["code"], event["smtp"]["enhanced"]) == (550, "5.1.1")
        assert event["bounce"]["class"] == "invalid_recipient"
        assert event["bounce"]["type"] == "hard"
        assert told.types(unknown[1]) == ["bounced"]
