"""What TLS came to, for the domains it was tried for: TLS reports count each session once for each domain it serves
(RFC 8460 section 4), and a policy that kept mail back is to be looked at again (T-06)."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from mta.delivery.opening import TlsTrouble
from mta.delivery.reference import Reference
from mta.delivery.security import reported
from mta.model.path import EgressSource, MxHost, Site
from mta.model.tls import Demand, PolicyType, TlsDoubt, TlsFailure, TlsSession
from mta.smtp.connection import Connection


class TlsReports:
    """Of one path. `on_session` None: nobody counts."""

    __slots__ = ("_on_policy_failed", "_on_session", "_source", "_told")

    def __init__(
        self,
        source: EgressSource,
        on_policy_failed: Callable[[str], None],
        on_session: Callable[[TlsSession], None] | None,
    ) -> None:
        self._source = source
        self._on_policy_failed = on_policy_failed
        self._on_session = on_session
        self._told: dict[Connection, set[str]] | None = None

    def note_session(self, connection: Connection, site: Site, ref: Reference[Any]) -> None:
        """The connection serves mail of a domain; counted when it does so first. `site` is where it goes to now."""
        if self._on_session is None:
            return
        if self._told is None:
            self._told = {}
        told = self._told.setdefault(connection, set())
        if ref.domain in told or site.is_static or connection.tls_demand is Demand.NONE:
            return
        told.add(ref.domain)
        host = next((host for host in site.hosts if host.name == connection.host), MxHost(connection.host))
        at_peer = (host, connection.peer_ip, connection.local_ip)
        self._tell(ref, at_peer, _shortcoming(connection), connection.banner.text.partition(" ")[0])

    def note_troubles(self, troubles: Sequence[TlsTrouble], refs: Iterable[Reference[Any]]) -> None:
        """Sessions that did not come about, of one try to connect, count for every domain whose mail it was for."""
        if not troubles:
            return
        for ref in {ref.domain: ref for ref in refs}.values():
            for trouble in troubles:
                if not trouble.is_static:
                    at_peer = (trouble.host, trouble.address, self._source.address)
                    self._tell(ref, at_peer, trouble.doubt)
            if ref.sts.policy is not None:
                self._on_policy_failed(ref.domain)

    def forget(self, connection: Connection) -> None:
        if self._told is not None:
            self._told.pop(connection, None)
            self._told = self._told or None

    def _tell(
        self,
        ref: Reference[Any],
        at_peer: tuple[MxHost, str, str],
        doubt: TlsDoubt | None,
        greeting: str = "",
    ) -> None:
        if self._on_session is None:
            return
        host, peer_ip, local_ip = at_peer
        sts = ref.sts
        policy = reported(host, sts)
        if sts.fault is not None and doubt is None and policy.type is PolicyType.STS:
            doubt = TlsDoubt(sts.fault, sts.detail)
        self._on_session(
            TlsSession(
                domain=ref.domain,
                at=time.time(),
                policy_type=policy.type,
                policy=policy.lines,
                mx_patterns=policy.mx_patterns,
                failure=doubt.failure if doubt is not None else None,
                detail=doubt.detail if doubt is not None else "",
                mx_host=host.name,
                mx_ip=peer_ip,
                source_ip=local_ip,
                mx_helo=greeting,
            )
        )


def _shortcoming(connection: Connection) -> TlsDoubt | None:
    """What an open session lacks, seen by the policy of the domain."""
    if connection.tls_doubt is not None:
        return connection.tls_doubt
    if connection.tls_version:
        return None
    if connection.offer.starttls:
        return TlsDoubt(TlsFailure.VALIDATION_FAILURE, "STARTTLS is offered, and fails")
    return TlsDoubt(TlsFailure.STARTTLS_NOT_SUPPORTED, "STARTTLS is not offered")
