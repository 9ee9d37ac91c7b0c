"""What the record of a DKIM key says in DNS, and whether it is that of the key we sign with: for `mta dkim` and for
`mta preflight`, which say the same of the same record.

Pure: the texts of TXT records in, values out. A record is anybody's text: it is capped before it is read, and one that
RFC 6376 section 3.6.1 does not allow is a reason in words. Strict where receivers differ, since mail goes to all of
them: base64 without faults, printable ASCII only, a tag once.

What it leaves to others: asking DNS, and what a key must be to sign (`mta.compose.dkim`).
"""

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from msgspec import Struct

from mta.admin.tags import read_tags
from mta.compose.canary import verifies
from mta.compose.dkim import GOOD_RSA_BITS, Draft, Signer, SigningKey, body_hash

_MOST_CHARACTERS = 8192  # RSA of 16384 bits, four times what receivers must take, has 2,760
_MOST_RECORDS = 20  # of one name that are read
_MOST_OCTETS = 255  # of one string in a TXT record: RFC 1035 section 3.3.14
_ED25519_OCTETS = 32
_FOLDING = re.compile(r"[ \t\r\n]+")
_CUT = "is it cut off at 255 characters?"


class DkimRecord(Struct, frozen=True, gc=False):
    """A key record. `public` is the key in one form: the SubjectPublicKeyInfo of RSA, the 32 octets of Ed25519; empty:
    revoked. `bits` are those of RSA, else 0. `hashes` empty: any. A list in DNS is here in its order, without case."""

    kind: Literal["rsa", "ed25519"]
    public: bytes
    bits: int
    hashes: tuple[str, ...] = ()
    services: tuple[str, ...] = ("*",)
    flags: tuple[str, ...] = ()

    @property
    def is_revoked(self) -> bool:
        return not self.public


class Aspect(StrEnum):
    """What is looked at, in this order; a fatal flaw of one ends it."""

    RECORD = "record"
    KEY = "key"
    BITS = "bits"
    SIGNATURE = "signature"


class Flaw(Struct, frozen=True, gc=False):
    """What is wrong, and what to do; publishing our record is always meant, and not said. `is_fatal`: receivers, or
    some, get no valid signature out of it."""

    aspect: Aspect
    is_fatal: bool
    said: str
    todo: str = ""

    @property
    def text(self) -> str:
        return f"{self.said}: {self.todo}" if self.todo else self.said


def strings(record: str) -> tuple[str, ...]:
    """The record as the strings of at most 255 octets that a TXT record is made of. ASCII only."""
    return tuple(record[start : start + _MOST_OCTETS] for start in range(0, len(record), _MOST_OCTETS))


def zone_line(name: str, record: str) -> str:
    """The record in the form of zone files; there is no quote and no backslash in one of ours."""
    quoted = " ".join(f'"{part}"' for part in strings(record))
    return f"{name}. IN TXT ( {quoted} )"


def read_record(text: str) -> DkimRecord | str:
    """What the record says (RFC 6376 section 3.6.1), or why a receiver cannot use it, to stand after `the record`."""
    read = _read(text)
    if isinstance(read, str) and ("\\" in text or '"' in text):
        return "holds quotes or backslashes: they belong into zone files, not into the value"
    return read


def compare(record: DkimRecord, key: SigningKey) -> tuple[Flaw, ...]:
    """What is wrong with a record that can be read, for a receiver of mail signed with `key`."""
    flaws = _usage(record)
    if is_fatal(flaws):
        return flaws
    ours = read_record(key.dns_record())
    assert isinstance(ours, DkimRecord)
    if (record.kind, record.public) != (ours.kind, ours.public):
        theirs, mine = spoken(record.kind, record.bits), spoken(ours.kind, ours.bits)
        said = f"another key is published ({theirs}) than we sign with ({mine})"
        return (*flaws, Flaw(Aspect.KEY, True, said))
    if 0 < record.bits < GOOD_RSA_BITS:
        said, todo = (
            f"RSA of {record.bits} bits is weak",
            f"make a key of {GOOD_RSA_BITS}, under a new selector",
        )
        return (*flaws, Flaw(Aspect.BITS, False, said, todo))
    return flaws


def judge(texts: Sequence[str], key: SigningKey, now: float) -> tuple[Flaw, ...]:
    """What is wrong with all the TXT records at the key's name together: none if a receiver finds the key there and,
    by the record as it stands, a signature made `now` holds. `now` is wall-clock time, which dkimpy reads too."""
    if not texts:
        return (Flaw(Aspect.RECORD, True, "there is no record"),)
    if len(texts) > 1:  # RFC 6376 section 3.6.2.2: what a receiver makes of them is undefined
        is_there = not all(is_fatal(_judged(text, key, now)) for text in texts[:_MOST_RECORDS])
        whose = "one of them good" if is_there else "none of them good"
        said = f"{len(texts)} TXT records are there, {whose}, and a receiver may pick any"
        return (Flaw(Aspect.RECORD, True, said, "leave only ours"),)
    return _judged(texts[0], key, now)


def is_fatal(flaws: Iterable[Flaw]) -> bool:
    return any(flaw.is_fatal for flaw in flaws)


def spoken(kind: str, bits: int) -> str:
    return f"RSA, {bits} bits" if kind == "rsa" else "Ed25519"


def _judged(text: str, key: SigningKey, now: float) -> tuple[Flaw, ...]:
    record = read_record(text)
    if isinstance(record, str):
        return (Flaw(Aspect.RECORD, True, f"the record {record}"),)
    flaws = compare(record, key)
    if not is_fatal(flaws) and not verifies(_specimen(key, now), 0, key, text):
        said = "a signature does not hold by this record, although the key is ours"
        todo = "look for anything but v=, k= and p= in it, and at this machine's clock"
        return (*flaws, Flaw(Aspect.SIGNATURE, True, said, todo))
    return flaws


def _usage(record: DkimRecord) -> tuple[Flaw, ...]:
    """Whether the key, whosever it is, may be used for mail."""
    if record.is_revoked:
        todo = "publish it again, or sign with a new one"
        return (Flaw(Aspect.RECORD, True, "the key is revoked, as p= is empty", todo),)
    flaws = []
    services = f"s={':'.join(record.services)[:40]}"
    if record.hashes and "sha256" not in record.hashes:
        said = f"h={':'.join(record.hashes)[:40]} forbids sha256"
        flaws.append(Flaw(Aspect.RECORD, True, said, "leave h= out"))
    if not {"*", "email"} & set(record.services):
        flaws.append(Flaw(Aspect.RECORD, True, f"{services} is not for mail", "leave s= out"))
    elif len(record.services) > 1:  # dkimpy reads but one
        said = f"{services} is more than some receivers can read"
        flaws.append(Flaw(Aspect.RECORD, True, said, "leave s= out"))
    if "y" in record.flags:
        said = "t=y says you are only testing, and signatures may count for nothing"
        flaws.append(Flaw(Aspect.RECORD, False, said, "take it out"))
    return tuple(flaws)


def _specimen(key: SigningKey, now: float) -> bytes:
    """A small signed message."""
    fields = (("From", f"postmaster@{key.domain}"), ("Subject", "Whether this signature holds"))
    body = b"It does.\r\n"
    signatures = Signer((key,)).sign(Draft("", "", fields, body), body_hash(body), now)
    head = "".join(f"{name}: {value}\r\n" for name, value in (*signatures, *fields))
    return head.encode("ascii") + b"\r\n" + body


def _read(text: str) -> DkimRecord | str:
    tags = _tags(text)
    if isinstance(tags, str):
        return tags
    if "v" in tags and (next(iter(tags)) != "v" or tags["v"] != "DKIM1"):
        return "does not begin with v=DKIM1"
    if "p" not in tags:
        return "holds no key: p= is missing"
    kind = tags.get("k", "rsa")
    if kind not in ("rsa", "ed25519"):
        return f"holds a key of a kind nobody knows: k={kind[:40]}"
    key = _rsa(tags["p"]) if kind == "rsa" else _ed25519(tags["p"])
    if isinstance(key, str):
        return key
    public, bits = key
    return DkimRecord(
        "rsa" if kind == "rsa" else "ed25519",
        public,
        bits,
        _listed(tags.get("h", "")),
        _listed(tags.get("s", "")) or ("*",),
        _listed(tags.get("t", "")),
    )


def _tags(text: str) -> dict[str, str] | str:
    """RFC 6376 section 3.2."""
    if len(text) > _MOST_CHARACTERS:
        return f"is longer than {_MOST_CHARACTERS} characters"
    if not all(" " <= character <= "~" or character in "\t\r\n" for character in text):
        return "holds what is not printable ASCII"
    if not all(spec.strip() for spec in text.split(";")[:-1]):
        return "is no list of tag=value: nothing stands before a semicolon"
    return read_tags(text) or "is empty"


def _listed(value: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip().lower() for part in value.split(":")) if item)


def _rsa(value: str) -> tuple[bytes, int] | str:
    """RFC 6376 wants an RSAPublicKey and shows a SubjectPublicKeyInfo: receivers take both."""
    der = _decoded(value)
    if not der:
        return "holds in p= what is not base64: " + _CUT if der is None else (b"", 0)
    try:
        key = load_der_public_key(der)
    except (ValueError, OverflowError, UnsupportedAlgorithm):
        return "holds in p= no RSA key: " + _CUT
    if not isinstance(key, RSAPublicKey):
        return "holds in p= a key that is not RSA, as k= says"
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), key.key_size


def _ed25519(value: str) -> tuple[bytes, int] | str:
    """RFC 8463 section 4.2: the bare 32 octets."""
    raw = _decoded(value)
    if raw is None:
        return "holds in p= what is not base64"
    if len(raw) not in (0, _ED25519_OCTETS):
        return f"holds in p= {len(raw)} octets, and an Ed25519 key has {_ED25519_OCTETS}"
    return raw, 0


def _decoded(value: str) -> bytes | None:
    try:
        return base64.b64decode(_FOLDING.sub("", value), validate=True)
    except binascii.Error:
        return None
