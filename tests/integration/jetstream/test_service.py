"""`mta.jetstream.service`: asked by our own functions."""

import pytest

from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.service import NodeService, answer, ask, nodes
from mta.jetstream.subjects import control_subject


async def echo(body: bytes) -> bytes:
    return body.upper()


async def fail(body: bytes) -> bytes:
    raise ValueError("no such thing")


async def test_nodes_are_found_and_asked(link: Link) -> None:
    """By the protocol of NATS services; a name may hold anything a host's may."""
    services = [NodeService(link, name, {"echo": echo, "fail": fail}) for name in ("b", "a.example.test")]
    for service in services:
        await service.open()
    assert await nodes(link) == ["a.example.test", "b"]
    assert await ask(link, "a.example.test", "echo", b"x") == b"X"
    with pytest.raises(JetStreamError, match="b: ValueError: no such thing"):
        await ask(link, "b", "fail")
    assert await ask(link, "b", "echo", b"still there") == b"STILL THERE"
    await services[0].close()
    assert await nodes(link) == ["a.example.test"]
    with pytest.raises(JetStreamError):
        await ask(link, "b", "echo", timeout_s=0.5)


async def test_nobody_is_there(link: Link) -> None:
    """An empty list, and soon."""
    assert await nodes(link, 0.05) == []


async def test_who_knows_answers(link: Link) -> None:
    """Of several who hear a question."""
    subject = control_subject("any", "who")
    await answer(link, subject, lambda body: None)
    await answer(link, subject, lambda body: b"me")
    assert bytes((await link.request(subject, b"?")).data) == b"me"
