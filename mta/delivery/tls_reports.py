"""What TLS reports are to count: each session once for each domain it serves (RFC 8460 section 4)."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from mta.delivery.opening import TlsTrouble
from mta.delivery.reference import Reference
from mta.delivery.security import reported
from mta.model.path import EgressSource, MxHost, Site
from mta.model.tls import Demand, PolicyType, TlsDoubt, TlsFailure, TlsSession
from mta.smtp.connection import Connection


class TlsReports:
    """Of one path."""

    def __init__(self, source: EgressSource, on_session: Callable[[TlsSession], None]) -> None:
        self._source = source
        self._on_session = on_session
        self._told: dict[Connection, set[str]] = {}

    def note_session(self, connection: Connection, site: Site, ref: Reference[Any]) -> None:
        """The connection serves mail of a domain; counted when it does so first. `site` is where it goes to now."""
        told = self._told.setdefault(connection, set())
        if ref.domain in told or site.is_static or connection.tls_demand is Demand.NONE:
            return
        told.add(ref.domain)
        host = next((host for host in site.hosts if host.name == connection.host), MxHost(connection.host))
        at_peer = (host, connection.peer_ip, connection.local_ip)
        self._tell(ref, at_peer, _shortcoming(connection), connection.banner.text.partition(" ")[0])

    def note_trouble(self, trouble: TlsTrouble, waiting: Iterable[Reference[Any]]) -> None:
        """A session that did not come about counts for every domain whose mail was ready for it."""
        if trouble.is_static:
            return
        at_peer = (trouble.host, trouble.address, self._source.address)
        for ref in {ref.domain: ref for ref in waiting}.values():
            self._tell(ref, at_peer, trouble.doubt)

    def forget(self, connection: Connection) -> None:
        self._told.pop(connection, None)

    def _tell(
        self,
        ref: Reference[Any],
        at_peer: tuple[MxHost, str, str],
        doubt: TlsDoubt | None,
        greeting: str = "",
    ) -> None:
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
