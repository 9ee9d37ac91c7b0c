"""Findings about DKIM: each configured key beside its record, and a message signed by us and verified by dkimpy (K-11).

The verifier is independent of our signer; it reads the clock itself, for `t=` and `x=`.
"""

from collections.abc import Sequence

import dkim

from mta.admin.preflight.dkim import DkimRecord, mismatch, read_record, record_name, usage_fault
from mta.admin.preflight.finding import Check, Finding, failed, passed, shown, unknown, warned
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.question import Question, Steps
from mta.compose.dkim import GOOD_RSA_BITS, MIN_RSA_BITS, Draft, Signer, SigningKey, body_hash
from mta.compose.header import Field, date

_BODY = b"Does this signature verify with the key in DNS?\r\n"


def keys(identity: Identity, now: float) -> Steps[list[Finding]]:
    """`now` in seconds since the epoch."""
    if identity.refusal:
        todo = "configure a key that can sign"
        return [failed(Check.DKIM_KEY, identity.domain, identity.refusal, todo)]
    if not identity.keys:
        said = "no DKIM key is configured: mail goes out unsigned"
        todo = "make a key, configure it in [tenants] and publish its record"
        return [failed(Check.DKIM_KEY, identity.domain, said, todo)]
    found: list[Finding] = []
    for place, key in enumerate(identity.keys):
        found += yield from _key(place, key, identity, now)
    return found


def _key(place: int, key: SigningKey, identity: Identity, now: float) -> Steps[list[Finding]]:
    name = record_name(key)
    publish = f"publish at {name}: {key.dns_record()}"
    reply = yield Question(name, "TXT")
    if reply.trouble:
        return [unknown(Check.DKIM_RECORD, name, reply.trouble)]
    if not reply.values:
        return [failed(Check.DKIM_RECORD, name, "no TXT record", publish)]
    if len(reply.values) > 1:
        said = f"{len(reply.values)} TXT records: which one is used is left to chance"
        return [failed(Check.DKIM_RECORD, name, said, f"leave only one, or {publish}")]
    record = read_record(reply.values[0])
    if isinstance(record, str):
        return [failed(Check.DKIM_RECORD, name, record, publish)]
    if record.is_revoked:
        said = "p= is empty: the key is revoked"
        return [failed(Check.DKIM_RECORD, name, said, f"sign with another selector, or {publish}")]
    if fault := usage_fault(record):
        return [failed(Check.DKIM_RECORD, name, shown(fault), publish)]
    found = [_record(name, record), *_bits(name, record)]
    if fault := mismatch(record, key):
        return [*found, failed(Check.DKIM_KEY, name, fault, publish)]
    found.append(passed(Check.DKIM_KEY, name, "the published key is the configured one's"))
    return [*found, _signature(name, place, reply.values[0], identity, now)]


def _record(name: str, record: DkimRecord) -> Finding:
    if record.is_testing:
        said = "t=y says that you are only testing: receivers may treat mail as unsigned"
        return warned(Check.DKIM_RECORD, name, said, "take t=y out of the record")
    return passed(Check.DKIM_RECORD, name, f"k={record.key_type}")


def _bits(name: str, record: DkimRecord) -> list[Finding]:
    """RFC 8301 section 3.2. An Ed25519 key has one size only."""
    if record.key_type != "rsa":
        return []
    said = f"RSA of {record.bits} bits"
    todo = f"make a key of {GOOD_RSA_BITS} bits, with a new selector"
    if record.bits < MIN_RSA_BITS:
        return [failed(Check.DKIM_BITS, name, f"{said}: receivers need not heed it", todo)]
    if record.bits < GOOD_RSA_BITS:
        return [warned(Check.DKIM_BITS, name, f"{said}; {GOOD_RSA_BITS} are recommended", todo)]
    return [passed(Check.DKIM_BITS, name, said)]


def _signature(name: str, place: int, text: str, identity: Identity, now: float) -> Finding:
    if verifies(signed(identity.domain, identity.keys, now), place, text):
        return passed(Check.DKIM_SIGNATURE, name, "a message signed here verifies with it")
    said = "a message signed here does not verify with it, although the keys are the same"
    todo = "look for anything but v=, k= and p= in the record, and at this machine's clock"
    return failed(Check.DKIM_SIGNATURE, name, said, todo)


def signed(domain: str, signing: Sequence[SigningKey], now: float) -> bytes:
    """A message as it would go out, a signature of each key on top."""
    address = f"preflight@{domain}"
    fields: tuple[Field, ...] = (
        ("From", address),
        ("To", address),
        ("Subject", "mta preflight"),
        ("Date", date(now)),
        ("Message-ID", f"<preflight@{domain}>"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'text/plain; charset="utf-8"'),
        ("List-Unsubscribe", f"<mailto:{address}>"),
    )
    signatures = Signer(signing).sign(Draft(address, address, fields, _BODY), body_hash(_BODY), now)
    head = "".join(f"{name}: {value}\r\n" for name, value in (*signatures, *fields))
    return head.encode("ascii") + b"\r\n" + _BODY


def verifies(wire: bytes, place: int, text: str) -> bool:
    """Whether dkimpy accepts signature number `place` (0 is the topmost) with this record."""
    record = text.encode("ascii", "backslashreplace")
    try:
        return bool(dkim.DKIM(wire).verify(place, dnsfunc=lambda name, timeout=5: record))
    except dkim.DKIMException:
        return False
