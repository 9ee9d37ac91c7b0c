"""Where a domain must be signed for, nothing leaves unsigned, even if its key goes missing while mail waits."""

from datetime import UTC, datetime, timedelta

from tests.fakes.rig import DOMAIN, TENANT, TENANTS, UNSIGNED, Rig
from tests.fakes.smtp_server import On

WITHOUT_THE_DOMAIN = f"""\
[tenants.{TENANT}]
pools = ["default", "pair"]
return_path = "b.{DOMAIN}"
domains."{UNSIGNED}" = {{ require_dkim = false }}
"""


async def test_domain_lost_while_mail_waits(own_rig: Rig) -> None:
    """E16: deferred with class `local`, attempt by attempt; not one octet unsigned; delivered once the key is back."""
    own_rig.configure(retry="2s")
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [b"451 4.3.0 later\r\n"], times=1)) as place:
        ada = place.to("ada")
        payload = own_rig.payload(ada)
        await own_rig.publish(payload)
        await own_rig.saw(payload, "deferred")
        await own_rig.daemon.stop()
        await own_rig.restart(retry="2s", tenants=WITHOUT_THE_DOMAIN)
        await own_rig.saw(payload, "deferred", 2)
        assert own_rig.told(payload).of(ada)[1]["bounce"]["class"] == "local"
        assert not place.mx.received
        await own_rig.daemon.stop()
        await own_rig.restart(retry="2s")
        told = await own_rig.finished(payload)
        assert told.types(ada)[-1] == "delivered"
        (received,) = place.mx.received
        assert own_rig.verifies(received)


async def test_tenant_lost_while_mail_waits(own_rig: Rig) -> None:
    """The same when the whole tenant is gone: it waits until it expires, unsent."""
    await own_rig.start()
    async with own_rig.destination(On("rcpt", [b"451 4.3.0 later\r\n"])) as place:
        expires_at = datetime.now(UTC) + timedelta(seconds=5)
        payload = own_rig.payload(place.to("ada"), expires_at=expires_at.isoformat())
        await own_rig.publish(payload)
        await own_rig.saw(payload, "deferred")
        await own_rig.daemon.stop()
        await own_rig.restart(tenants=TENANTS.replace(TENANT, "other", 1))
        told = await own_rig.finished(payload)
        assert told.end(place.to("ada"))["type"] == "expired"
        assert not place.mx.received


async def test_domain_that_needs_no_signature(own_rig: Rig) -> None:
    """Where the operator said so, and only there, mail goes out without one."""
    await own_rig.start()
    async with own_rig.destination() as place:
        payload = own_rig.payload(place.to("ada"), **{"from": {"email": f"news@{UNSIGNED}"}})
        told = await own_rig.deliver(payload)
        assert "dkim_domains" not in told.end(place.to("ada"))
        assert b"DKIM-Signature" not in place.mx.received[0].body
