"""A policy binds until its time is over, whoever can stop what is asked about it."""

from pathlib import Path

from tests.fakes.dns_server import Answer, txt
from tests.fakes.rig import Event
from tests.fakes.smtp_server import Cut, On
from tests.fakes.trust import of_nobody
from tests.fakes.world import for_any_name, sts, world

LAST = On("dot", [b"250 2.0.0 queued\r\n", Cut.CLOSE])
"""The next message needs a new connection."""
NAMES = ("failing.test", "withdrawn.test", "changed.test")


async def test_enforce_goes_on_without_dns_and_host(tmp_path: Path) -> None:
    """D10, T-05: the record cannot be asked for, or is gone, or names a policy whose host is down: mail still goes to
    nobody but whom the policy named, before and after a restart, and arrives when it is him again."""
    async with world(tmp_path) as one:
        host = await one.host("mx.kept.test", context=for_any_name(one.ca), rules=[LAST])
        for name in NAMES:
            one.domain(name, "mx.kept.test", policy=sts("enforce", "mx.kept.test"))
        await one.start()
        told = await one.all_sent(*(f"ada@{name}" for name in NAMES))
        assert {told.end(f"ada@{name}")["tls"]["verified"] for name in NAMES} == {"sts"}

        await one.stop_policies()
        one.zones.script("_mta-sts.failing.test", "TXT", Answer(rcode="SERVFAIL"))
        one.zones.forget("_mta-sts.withdrawn.test")
        changed = "_mta-sts.changed.test"
        one.zones.script(changed, "TXT", Answer((txt(changed, "v=STSv1; id=2;"),)))
        good, host.context = host.context, of_nobody("mx.kept.test")
        mail = one.rig.payload(*(f"bob@{name}" for name in NAMES))
        recipients = [f"bob@{name}" for name in NAMES]
        await one.rig.publish(mail)
        await one.rig.until(lambda: all(one.rig.told(mail).of(who) for who in recipients))

        await one.rig.daemon.stop()
        seen = {who: len(one.rig.told(mail).of(who)) for who in recipients}
        await one.start()
        await one.rig.until(lambda: all(len(one.rig.told(mail).of(who)) > seen[who] for who in recipients))
        for who in recipients:
            assert {_brief(event) for event in one.rig.told(mail).of(who)} == {"deferred tls_required"}
        assert len(host.received) == len(NAMES)

        host.context = good
        told = await one.rig.finished(mail)
        assert [told.end(who)["tls"]["verified"] for who in recipients] == ["sts"] * len(NAMES)


def _brief(event: Event) -> str:
    return f"{event['type']} {event['bounce']['class']}"
