"""Opening a connection to a site: hosts by preference, each of their addresses, TLS as policy demands.

A host that fails before MAIL says nothing about a recipient (S-16): the next address is tried, then the next host,
and only when none is left the last failure is raised. So is a host that lacks the REQUIRETLS its mail needs left for
the next one (RFC 8689 section 4.2.1). What failed is remembered where it belongs: an address that does not answer is
tried last for a while, a host whose TLS is broken is spoken to in clear, where that is allowed.
"""

import time
from collections.abc import Callable, Iterable

import structlog
from msgspec import Struct
from msgspec.structs import replace

from mta.delivery.around import Around
from mta.delivery.hosts import Target
from mta.delivery.security import Barred, Terms, terms
from mta.dns.mx import shuffled
from mta.model.outcome import Stage
from mta.model.path import EgressSource, MxHost, Security, Site
from mta.model.tls import Demand, TlsDoubt, TlsFailure, TlsOption
from mta.pacing.settings import PathSettings
from mta.smtp.connection import Connection, connect
from mta.smtp.fact import Fact
from mta.smtp.opening import (
    ConnectFailed,
    Dial,
    LacksRequireTls,
    NoMailHere,
    NoRequireTls,
    TlsFailed,
    Unreachable,
    Unserved,
)

_NO_MAIL = 521  # RFC 7504 section 3
_TELL_AGAIN_S = 600.0
log = structlog.get_logger()
_LONGEST_TRY_S = 120.0  # C8: after this no further host is begun in one attempt


class TlsTrouble(Struct, frozen=True):
    """A session that did not come about, because TLS failed there and policy does not do without."""

    host: MxHost
    address: str
    doubt: TlsDoubt
    is_static: bool


class HostsFull(Exception):
    """Every host that is left has as many of our connections as we want it to have: nothing was tried there."""

    def __init__(self, host: MxHost) -> None:
        super().__init__(host.name)
        self.host = host


def _all(host: MxHost) -> bool:
    return True


def _nobody(host: MxHost, failure: ConnectFailed) -> None:
    pass


class Opener:
    """For one path. `site` may be replaced at any time: hosts and addresses move, the path stays."""

    __slots__ = ("_around", "_hosts", "_login_told_at", "_security", "_settings", "_source", "site")

    def __init__(
        self,
        site: Site,
        source: EgressSource,
        settings: PathSettings,
        security: Security,
        around: Around,
    ) -> None:
        self.site = site
        self._source = source
        self._settings = settings
        self._security = security
        self._around = around
        self._hosts = around.hosts
        self._login_told_at = float("-inf")

    async def open(
        self,
        on_fact: Callable[[Connection, Fact], None],
        on_closed: Callable[[Connection], None],
        on_trouble: Callable[[TlsTrouble], None],
        takes_host: Callable[[MxHost], bool] = _all,
        on_failed: Callable[[MxHost, ConnectFailed], None] = _nobody,
    ) -> Connection:
        """The first connection that comes about. `ConnectFailed` of the last host when none does, or what all of them
        said; `HostsFull` where some were left out because `takes_host` said no. `on_failed` is told of each failure."""
        started = time.monotonic()
        full: list[MxHost] = []
        failures: list[tuple[MxHost, ConnectFailed]] = []
        for target in self._targets():
            if failures and time.monotonic() - started > _LONGEST_TRY_S:
                break
            host, address = target
            if not takes_host(host):
                full.append(host)
                continue
            try:
                allowed = terms(host, self._security)
                if isinstance(allowed, Barred):
                    raise TlsFailed(Stage.TLS, allowed.detail, failure=allowed.failure)
                connection = await self._open_one(host, address, allowed, on_fact, on_closed)
            except TlsFailed as failure:
                doubt = TlsDoubt(failure.failure, failure.detail)
                on_trouble(TlsTrouble(host, address, doubt, self.site.is_static))
                failures.append((host, failure))
                on_failed(host, failure)
            except ConnectFailed as failure:
                if failure.stage is Stage.AUTH:
                    self._tell_of_login(host, failure)
                elif not _is_busy(failure):
                    self._hosts.note_dead(self._source.name, target, time.time())
                failures.append((host, failure))
                on_failed(host, failure)
            else:
                self._hosts.note_alive(self._source.name, target, time.time())
                self._note_offer(connection, host)
                if self._security.option is not TlsOption.REQUIRETLS or connection.offer.requiretls:
                    return connection
                connection.quit()
                lack = f"5.7.30 {host.name} does not offer REQUIRETLS"
                failures.append((host, LacksRequireTls(Stage.TLS, lack)))
        if full:
            raise HostsFull(full[0])
        if not failures:
            raise ConnectFailed(Stage.CONNECT, f"{self.site.name} has no host to try")
        raise _unserved(self.site, failures) or _last(failures)

    def _tell_of_login(self, host: MxHost, failure: ConnectFailed) -> None:
        """Our configuration is at fault: nothing goes this way until somebody has looked at it."""
        now = time.monotonic()
        if now - self._login_told_at >= _TELL_AGAIN_S:
            self._login_told_at = now
            log.error("login_failed", site=self.site.name, host=host.name, detail=failure.detail)

    async def _open_one(
        self,
        host: MxHost,
        address: str,
        allowed: Terms,
        on_fact: Callable[[Connection, Fact], None],
        on_closed: Callable[[Connection], None],
    ) -> Connection:
        """One address. Where nothing demands TLS, in clear once more if only TLS failed there (T-02); where a policy
        tests, first as if it bound."""
        key = f"{host.name}:{host.port}"
        now = time.time()
        is_optional = allowed.demand is Demand.OPPORTUNISTIC
        doubt = self._known_doubt(allowed, key, now)
        dial = Dial(
            host=host.name,
            port=host.port,
            address=address,
            source=self._source,
            tls=allowed.demand,
            tls_name=host.dane.base if allowed.demand is Demand.DANE else "",
            tls_policy=allowed.policy,
            tls_broken=is_optional and self._hosts.is_tls_broken(key, now),
            tls_doubt=doubt,
            tlsa=allowed.tlsa,
            timeouts=self._settings.timeouts,
            pattern=self._settings.pattern,
            window=self._settings.window,
            messages=self._settings.messages_per_connection,
            c_verdict=self._hosts.c_works(key, now),
            dsn=self._settings.dsn,
            login=self.site.login if allowed.demand is Demand.VERIFIED else None,
        )
        if allowed.is_testing and doubt is None:
            try:
                strict = replace(dial, tls=Demand.VERIFIED, tls_policy="sts", tls_broken=False)
                return await connect(strict, on_fact=on_fact, on_closed=on_closed)
            except TlsFailed as failure:
                doubt = TlsDoubt(failure.failure, failure.detail)
                self._hosts.learn_tls_doubt(key, doubt, time.time())
                dial = replace(dial, tls_doubt=doubt)
        try:
            return await connect(dial, on_fact=on_fact, on_closed=on_closed)
        except TlsFailed:
            if not is_optional:
                raise
            self._hosts.learn_tls_broken(key, time.time())
        return await connect(replace(dial, tls_broken=True), on_fact=on_fact, on_closed=on_closed)

    def _known_doubt(self, allowed: Terms, key: str, now: float) -> TlsDoubt | None:
        if not allowed.is_testing:
            return None
        if allowed.doubt:
            return TlsDoubt(TlsFailure.VALIDATION_FAILURE, allowed.doubt)
        return self._hosts.tls_doubt(key, now)

    def _note_offer(self, connection: Connection, host: MxHost) -> None:
        """D4: STARTTLS that was there before and is not now may have been taken out on the way."""
        is_offered = bool(connection.tls_version) or connection.offer.starttls
        if self._hosts.note_offer(f"{host.name}:{host.port}", is_offered, time.time()):
            self._around.tell_operators(
                "tls_downgrade", mx_host=host.name, mx_ip=connection.peer_ip, site=self.site.name
            )

    def _targets(self) -> list[Target]:
        """Preferences in order, equal ones shuffled anew for each connection (S-07); what did not answer lately comes
        last."""
        site = self.site
        hosts = site.hosts if site.is_static else shuffled(site.hosts, self._around.rng.random)
        targets = [(host, address) for host in hosts for address in host.addresses or ("",)]
        return self._hosts.ranked(self._source.name, targets, time.time())


def _is_busy(failure: ConnectFailed) -> bool:
    """It answers, and will take mail another time: no reason to prefer another host for longer than this try."""
    return failure.reply is not None and failure.reply.is_transient


def _unserved(site: Site, failures: list[tuple[MxHost, ConnectFailed]]) -> Unserved | None:
    """Each host of the site has said the same: that it takes no mail, or promises nothing (RFC 8689 section 4.2.1);
    and whoever could be reached said nothing else. A host that is only down, or that DNS did not find, may serve us
    tomorrow."""
    reached = [(host, failure) for host, failure in failures if not isinstance(failure, Unreachable)]
    if not site.is_whole or _named(host for host, _ in reached) != _named(site.hosts):
        return None
    last = reached[-1][1]
    if all(isinstance(failure, LacksRequireTls) for _, failure in reached):
        return NoRequireTls(last.stage, last.detail)
    if all(_takes_no_mail(failure) for _, failure in reached):
        return NoMailHere(last.stage, last.detail, last.reply)
    return None


def _takes_no_mail(failure: ConnectFailed) -> bool:
    reply = failure.reply
    return failure.stage is Stage.CONNECT and reply is not None and reply.code == _NO_MAIL


def _last(failures: list[tuple[MxHost, ConnectFailed]]) -> ConnectFailed:
    """Of those that may pass, where there are any: what a host lacks is not why its neighbour is tried again."""
    passing = [failure for _, failure in failures if not isinstance(failure, LacksRequireTls)]
    return passing[-1] if passing else failures[-1][1]


def _named(hosts: Iterable[MxHost]) -> set[tuple[str, int]]:
    """Without their addresses, whose order changes from try to try."""
    return {(host.name, host.port) for host in hosts}
