"""What the daemon listens with, wired: the page that unsubscribes and the server that reports come to.

Each is imported here where it is configured, and only there: a server for HTTP, one for SMTP and the readers of
reports are a tenth of what a start costs, and many nodes only send.
"""

import socket
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mta.classify.classifier import Classifier
from mta.config.settings import Config
from mta.delivery.lookups import Lookups
from mta.delivery.router import Router
from mta.dns.text import texts
from mta.inbound.recorder import Recorder
from mta.jetstream.connection import Link
from mta.model.token import TokenReader
from mta.suppression.suppressions import Suppressions

if TYPE_CHECKING:
    from mta.inbound.service import Inbound
    from mta.inbound.web import OneClickServer


def one_click(
    config: Config, recorder: Recorder, suppressions: Suppressions, sockets: Sequence[socket.socket]
) -> "OneClickServer | None":
    """None where links lead elsewhere, or there are none."""
    http, keys = config.http, config.keys.tokens
    if not (http.public_url and (http.address or sockets) and keys):
        return None
    from mta.inbound.web import OneClickServer, WebSettings

    settings = WebSettings(http.public_url, http.address, http.port, config.titles)
    return OneClickServer(
        TokenReader(keys), recorder.record, settings, sockets, has_left=suppressions.has_left
    )


class Reports:
    """Where reports come to: the return paths of all tenants, on `sockets`. Without any nothing ever happens."""

    def __init__(self, config: Config, sockets: Sequence[socket.socket]) -> None:
        self._config = config
        self._sockets = sockets
        self._inbound: Inbound | None = None

    async def start(
        self, link: Link, recorder: Recorder, classifier: Classifier, lookups: Lookups, router: Router
    ) -> None:
        """`WorkersBusy` if no worker comes up."""
        if not self._sockets:
            return
        from mta.inbound.service import Asked, Inbound

        config = self._config
        tenants: dict[str, list[str]] = {}
        for tenant in config.tenants.values():
            tenants.setdefault(tenant.return_path, []).append(tenant.name)
        name = next(iter(config.sources.values())).ehlo
        asked = Asked(link, recorder, classifier, partial(texts, lookups.nameservers), router.provider_of)
        self._inbound = Inbound(config.inbound, name, tenants, config.keys.tokens, asked)
        await self._inbound.start(self._sockets)

    async def drain(self, limit_s: float) -> None:
        if self._inbound is not None:
            await self._inbound.drain(limit_s)

    async def stop(self) -> None:
        if self._inbound is not None:
            await self._inbound.stop()
