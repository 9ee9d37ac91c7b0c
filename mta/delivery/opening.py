"""Opening a connection to a site: hosts by preference, each of their addresses, TLS as the policy says.

A host that fails before MAIL says nothing about a recipient (S-16): the next address is tried, then the next host,
and only when none is left the last failure is raised.
"""

import time
from collections.abc import Callable, Iterator
from random import Random

from msgspec.structs import replace

from mta.delivery.hosts import HostMemory
from mta.delivery.settings import PathSettings
from mta.dns.mx import shuffled
from mta.model.outcome import Stage
from mta.model.path import EgressSource, MxHost, Site
from mta.smtp.connection import Connection, connect
from mta.smtp.fact import Fact
from mta.smtp.opening import ConnectFailed, Dial, TlsFailed

_LONGEST_TRY_S = 120.0  # C8: after this no further host is begun in one attempt


class Opener:
    def __init__(
        self,
        site: Site,
        source: EgressSource,
        settings: PathSettings,
        tls: str,
        hosts: HostMemory,
        rng: Random,
    ) -> None:
        self._site = site
        self._source = source
        self._settings = settings
        self._tls = tls
        self._hosts = hosts
        self._rng = rng

    async def open(
        self,
        on_fact: Callable[[Connection, Fact], None],
        on_closed: Callable[[Connection], None],
    ) -> Connection:
        """The first connection that comes about. `ConnectFailed` of the last host when none does."""
        started = time.monotonic()
        last: ConnectFailed | None = None
        for host, address in self._targets():
            if last is not None and time.monotonic() - started > _LONGEST_TRY_S:
                break
            try:
                return await self._open_one(host, address, on_fact, on_closed)
            except ConnectFailed as failure:
                last = failure
        if last is None:
            raise ConnectFailed(Stage.CONNECT, f"{self._site.name} has no host to try")
        raise last

    async def _open_one(
        self,
        host: MxHost,
        address: str,
        on_fact: Callable[[Connection, Fact], None],
        on_closed: Callable[[Connection], None],
    ) -> Connection:
        """One address, in clear once more if only TLS failed there (T-02: opportunistic)."""
        key = f"{host.name}:{host.port}"
        dial = Dial(
            host=host.name,
            port=host.port,
            address=address,
            source=self._source,
            tls="none" if self._tls == "none" else "opportunistic",
            tls_broken=self._hosts.is_tls_broken(key, time.time()),
            timeouts=self._settings.timeouts,
            pattern=self._settings.pattern,
            window=self._settings.window,
            messages=self._settings.messages_per_connection,
            c_verdict=self._hosts.c_works(key, time.time()),
        )
        try:
            return await connect(dial, on_fact=on_fact, on_closed=on_closed)
        except TlsFailed:
            self._hosts.learn_tls_broken(key, time.time())
        return await connect(replace(dial, tls_broken=True), on_fact=on_fact, on_closed=on_closed)

    def _targets(self) -> Iterator[tuple[MxHost, str]]:
        """Preferences in order, equal ones shuffled anew for each connection (S-07)."""
        hosts = self._site.hosts if self._site.is_static else shuffled(self._site.hosts, self._rng.random)
        for host in hosts:
            for address in host.addresses or ("",):
                yield host, address
