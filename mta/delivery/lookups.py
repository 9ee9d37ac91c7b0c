"""Everybody who is asked on the way to a domain, wired: name servers, the resolver of MX and addresses, MTA-STS."""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from mta.dns.nameservers import Nameservers, StubNameservers
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.dns.sts import StsPolicies
from mta.dns.validating import ValidatingNameserver
from mta.smtp.dane import shows_chain

Through = Callable[[Nameservers, str], Nameservers]


def _itself(nameservers: Nameservers, setting: str) -> Nameservers:
    return nameservers


class Lookups:
    """`start` inside the running loop. `state` is the file that keeps policies. `through` may put somebody in front of
    the name servers that a setting names, to hear what they are asked."""

    def __init__(self, dns: DnsSettings, state: Path, through: Through = _itself) -> None:
        self.nameservers = through(StubNameservers(dns), "dns.servers")
        self._validating = through(ValidatingNameserver(dns), "dns.validating") if dns.validating else None
        settings = replace(dns, takes_anchors=shows_chain())
        self.resolver = Resolver(self.nameservers, settings, validating=self._validating)
        policies = StsPolicies(self.nameservers, self.resolver.addresses, state)
        self.policies = policies if dns.mta_sts else None

    async def start(self) -> None:
        """ValueError if `dns.servers` cannot be read."""
        self.nameservers.start()
        if self._validating is not None:
            self._validating.start()
        self.resolver.start()
        if self.policies is not None:
            await self.policies.start()

    async def run(self) -> None:
        """Keeps policies fresh, until cancelled."""
        if self.policies is not None:
            await self.policies.run()

    async def close(self) -> None:
        """Whoever still waits hears that nothing is known now."""
        if self.policies is not None:
            await self.policies.close()
        await self.nameservers.close()
        if self._validating is not None:
            await self._validating.close()
        await self.resolver.close()
