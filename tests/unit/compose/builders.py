"""Specs, addressees and keys for the tests of composing; and an oracle that shares no code with what it
judges."""

import email
import email.policy
import functools
import json
import time
from email.message import EmailMessage
from typing import Any

import dkim

from mta.compose.dkim import SigningKey, load_keys
from mta.compose.job import Job
from mta.compose.settings import ComposeSettings, DkimKey, SigningKeys
from mta.compose.spec import (
    Addressee,
    Composed,
    ComposeFailed,
    Group,
    MessageSpec,
    Result,
    decode_results,
    encode_chunk,
    encode_spec,
)
from mta.model.ids import payload_key
from mta.model.lane import Lane
from mta.model.token import TokenKey
from tests.fakes.keys import rsa_key

AT = 1_795_000_000.0
NOW = AT + 60
SECRET = b"0123456789abcdef0123456789abcdef"


def signing_keys(*keys: DkimKey, tokens: bool = True) -> SigningKeys:
    return SigningKeys(
        dkim={("acme", "acme.test"): keys or (rsa_key(),)},
        tokens=(TokenKey("k2", SECRET),) if tokens else (),
    )


def spec(**changes: Any) -> MessageSpec:
    fields: dict[str, Any] = {
        "tenant": "acme",
        "payload_id": "p1",
        "payload_key": payload_key("acme", "p1"),
        "accepted_at": AT,
        "date_at": AT,
        "lane": Lane.BULK,
        "campaign": "spring",
        "from_email": "news@acme.test",
        "from_domain": "acme.test",
        "subject": "Hello",
        "text": "Hi {{ name }}\n",
        "return_path": "b.acme.test",
        "template_label": "spring/7",
    }
    return MessageSpec(**(fields | changes))


def addressee(index: int = 0, **changes: Any) -> Addressee:
    data = changes.pop("data", {"name": f"Bob {index}"})
    fields: dict[str, Any] = {"index": index, "key": f"n{index}", "email": f"bob{index}@example.test"}
    fields["data"] = data if isinstance(data, bytes) else json.dumps(data).encode()
    return Addressee(**(fields | changes))


def group(message_spec: MessageSpec, *people: Addressee) -> Group:
    return Group(encode_spec(message_spec), people or (addressee(),))


def job(keys: SigningKeys | None = None, **settings: Any) -> Job:
    return Job(ComposeSettings(**settings), keys if keys is not None else signing_keys())


@functools.cache
def shared_job() -> Job:
    return job()


def compose(groups: list[Group], worker: Job | None = None, now: float | None = None) -> list[Result]:
    worker = worker or shared_job()
    return decode_results(worker.compose(encode_chunk(groups, time.time() if now is None else now)))


def composed(message_spec: MessageSpec, *people: Addressee, worker: Job | None = None) -> Composed:
    (result,) = compose([group(message_spec, *people)], worker)
    assert isinstance(result, Composed), repr(result)[:300]
    return result


def failed(message_spec: MessageSpec, *people: Addressee, worker: Job | None = None) -> ComposeFailed:
    (result,) = compose([group(message_spec, *people)], worker)
    assert isinstance(result, ComposeFailed), repr(result)[:300]
    return result


def parsed(wire: bytes) -> EmailMessage:
    message = email.message_from_bytes(wire, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


@functools.cache
def loaded(*keys: DkimKey) -> tuple[SigningKey, ...]:
    """Loading a key proves its primes, which takes longer than all else here."""
    return load_keys(keys)[0]


def dkimpy_accepts(wire: bytes, key: DkimKey, place: int = 0) -> bool:
    record = loaded(key)[0].dns_record().encode()
    try:
        return bool(dkim.DKIM(wire).verify(place, dnsfunc=lambda name, timeout=5: record))
    except dkim.DKIMException:
        return False
