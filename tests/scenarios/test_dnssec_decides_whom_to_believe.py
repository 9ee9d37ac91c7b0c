"""With a validating resolver its word on MX is the one that counts."""

from tests.fakes.dns_server import Answer, FakeDns, a, mx
from tests.fakes.rig import Rig


async def test_a_bogus_mx_defers(own_rig: Rig) -> None:
    """T-07: what the validating resolver fails on waits, though another would answer; what it denies is bounced."""
    async with FakeDns() as plain, FakeDns() as validating:
        plain.records(mx("bogus.example.test", 10, "mx.evil.test"), a("mx.evil.test", "127.0.0.1"))
        validating.script("bogus.example.test", "MX", Answer(rcode="SERVFAIL"))
        own_rig.configure(dns=plain.address, validating=validating.address, retry="60s")
        await own_rig.start()
        payload = own_rig.payload("a@bogus.example.test", "a@gone.example.test")
        await own_rig.publish(payload)
        await own_rig.saw(payload, "deferred")
        await own_rig.saw(payload, "bounced")
        told = own_rig.told(payload)
        assert told.types("a@gone.example.test") == ["bounced"]
        (waits,) = told.of("a@bogus.example.test")
        assert (waits["type"], waits["bounce"]["class"]) == ("deferred", "dns_failure")
        assert "DNSSEC" in waits["bounce"]["detail"]
        assert not plain.asked
