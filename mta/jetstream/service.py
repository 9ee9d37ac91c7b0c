"""This node as a service that can be asked (NATS micro services, ADR-32): `nats micro ls` and `mta` find it, and each
verb is a request to `mta.control.<node>.<verb>`, or to `any` of the nodes.

What an endpoint answers is its owner's business. A failure there is an error of the protocol to who asked, and a line
in the log; it ends nothing.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog
from nats.aio.msg import Msg
from nats.micro import add_service
from nats.micro.request import Request
from nats.micro.service import EndpointConfig, Service, ServiceConfig

from mta.jetstream.answers import is_forbidden
from mta.jetstream.client import border
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, PermissionMissing
from mta.jetstream.subjects import control_subject, escape

SERVICE = "mta"
ANY = "any"
_VERSION = "0.1.0"
_FAILED = "500"
_GATHER_S = 0.5
_LONGEST_GATHER_S = 3.0

Endpoint = Callable[[bytes], Awaitable[bytes]]
log = structlog.get_logger()


class NodeService:
    """`open` after the link is; the endpoints of one node, by verb."""

    def __init__(self, link: Link, node: str, endpoints: Mapping[str, Endpoint]) -> None:
        self._link = link
        self._node = node
        self._endpoints = endpoints
        self._service: Service | None = None

    async def open(self) -> None:
        config = ServiceConfig(
            name=SERVICE, version=_VERSION, description="a sending node", metadata={"node": self._node}
        )
        self._service = await self._link.serve(add_service, config)
        for verb, endpoint in self._endpoints.items():
            await self._service.add_endpoint(
                EndpointConfig(
                    name=verb,
                    subject=control_subject(self._node, verb),
                    queue_group=escape(self._node),
                    handler=_handler(verb, endpoint),
                )
            )

    async def close(self) -> None:
        service, self._service = self._service, None
        if service is not None and self._link.is_connected:
            with suppress(JetStreamError), border("stop the service"):  # its end of the link ends it, too
                await service.stop()


def _handler(verb: str, endpoint: Endpoint) -> Callable[[Request], Awaitable[None]]:
    async def handle(request: Request) -> None:
        try:
            answer = await endpoint(request.data)
        except Exception as error:
            log.exception("control_failed", verb=verb)
            await request.respond_error(_FAILED, f"{type(error).__name__}: {error}"[:200])
        else:
            await request.respond(answer)

    return handle


async def answer(link: Link, subject: str, answerer: Callable[[bytes], bytes | None]) -> None:
    """Everybody who calls this hears each question there; who has something to say answers it."""

    async def hear(message: Msg) -> None:
        said = answerer(message.data)
        if said is not None and message.reply:
            with suppress(JetStreamError):  # who asked will ask again
                await link.publish(message.reply, said)

    await link.subscribe(subject, hear)


async def nodes(link: Link, patience_s: float = _GATHER_S) -> list[str]:
    """The names of all nodes that answer, sorted. Waits until none has for so long. PermissionMissing where our user
    may not ask."""
    found: set[str] = set()
    heard = asyncio.Event()
    refused: list[str] = []
    question = f"$SRV.PING.{SERVICE}"
    forget = link.on_forbidden(lambda text: refused.append(text) if is_forbidden(question, text) else None)

    def note(message: Msg) -> None:
        with suppress(ValueError, KeyError, TypeError):
            found.add(str(json.loads(message.data)["metadata"]["node"]))
            heard.set()

    inbox = link.inbox()
    subscription = await link.subscribe(inbox, note)
    try:
        await link.publish(question, reply=inbox)
        async with asyncio.timeout(_LONGEST_GATHER_S):
            while True:
                heard.clear()
                async with asyncio.timeout(patience_s):
                    await heard.wait()
    except TimeoutError:
        pass
    finally:
        forget()
        with suppress(JetStreamError):
            await link.unsubscribe(subscription)
    if refused and not found:
        raise PermissionMissing(f"this user may not publish to {question}")
    return sorted(found)


async def ask(link: Link, node: str, verb: str, body: bytes = b"", *, timeout_s: float = 5.0) -> bytes:
    """What a node answers; JetStreamError if it does not, or says that it could not."""
    message = await link.request(control_subject(node, verb), body, timeout_s=timeout_s)
    headers = message.headers or {}
    if "Nats-Service-Error-Code" in headers:
        raise JetStreamError(f"{node}: {headers.get('Nats-Service-Error', 'failed')}")
    return bytes(message.data)
