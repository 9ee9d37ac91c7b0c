"""DKIM signatures (RFC 6376, RFC 8463) by a signer of our own on `cryptography`: dkimpy needs 20 ms for
what costs 0.4.

Always relaxed/relaxed, rsa-sha256, never `l=` (K-04). Invariants: the body hash is over exactly the bytes
that go on the wire; singletons are signed once more than they occur, so that none can be added (K-05); a
draft whose domain has a configured key is signed by all its keys or not handed out at all. The draft
carries the envelope, as a signer of the next DKIM would need it.

What it leaves to others: `mta.compose.canary` checks signatures by an independent verifier; key files are
read by the configuration.
"""

import base64
import re
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from hashlib import sha256

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from msgspec import Struct

from mta.compose.header import Field
from mta.compose.settings import DkimKey

LIFETIME_S = 7 * 86_400
"""`x=` (K-07): more than our longest queue age (5 days) and 2 days."""
MIN_RSA_BITS = 1024
GOOD_RSA_BITS = 2048
MAX_PLANS = 200
MAX_REPEATED = 1000

OVERSIGNED = (
    "from", "to", "cc", "subject", "date", "reply-to", "message-id", "sender", "in-reply-to", "references",
    "mime-version", "content-type", "content-transfer-encoding", "list-id", "list-unsubscribe",
    "list-unsubscribe-post",
)  # fmt: skip
"""K-05: these once more than present."""
SIGNED = frozenset(
    {
        "list-help", "list-owner", "list-subscribe", "list-archive", "feedback-id", "cfbl-address",
        "cfbl-feedback-id", "auto-submitted", "bimi-selector",
    }
)  # fmt: skip
"""K-06: these, and `x-…`, as often as present."""

_REPEATED = frozenset(
    {
        "from", "date", "mime-version", "list-id", "list-unsubscribe-post", "feedback-id", "auto-submitted",
        "x-auto-response-suppress",
    }
)  # fmt: skip
"""The same in all messages of a payload, as a rule: their canonical form is remembered."""

_TOKEN = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?\Z", re.IGNORECASE)
_SENDERS_OWN = re.compile(r"x-[a-z0-9_-]+\Z")
"""Names with other marks are legal in mail but not in a tag list."""
_SPACES = re.compile(r"[ \t]+")
_PADDING = padding.PKCS1v15()
_PREHASHED = Prehashed(hashes.SHA256())


SIGNATURE = "DKIM-Signature"
Covered = tuple["SigningKey", str, bytes]
"""The key, its signature field up to `b=`, and the SHA-256 of what is signed."""
Plan = tuple[str, tuple[tuple[str, int, bool], ...]]
"""The value of h= with a `|` at each place to fold; then of the fields in the order they are hashed the name,
the place, and whether it is one of `_REPEATED`."""


class KeyRefused(ValueError):
    """A DKIM key that must not or cannot sign. The text never quotes the key."""


class SigningKey(Struct, frozen=True):
    domain: str
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey
    bits: int
    """Of an RSA key; 0 for Ed25519."""

    @property
    def algorithm(self) -> str:
        return "rsa-sha256" if self.bits else "ed25519-sha256"

    @property
    def dns_name(self) -> str:
        return f"{self.selector}._domainkey.{self.domain}"

    def dns_record(self) -> str:
        """The TXT record that must stand at `dns_name`."""
        public = self.private.public_key()
        if self.bits:
            der = public.public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"
        raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"


class Draft(Struct, frozen=True, gc=False):
    """A message as it will go out, but for its signatures: one recipient, and the envelope around it."""

    sender: str
    recipient: str
    fields: tuple[Field, ...]
    body: bytes


def load_key(key: DkimKey) -> tuple[SigningKey, list[str]]:
    """The key ready to sign and what to warn of; KeyRefused for one that may not sign (K-01, K-02)."""
    where = f"DKIM key {key.selector} of {key.domain}"
    if not _TOKEN.match(key.selector) or not _TOKEN.match(key.domain):
        raise KeyRefused(f"{where}: selector and domain are made of letters, digits, dots and hyphens")
    try:
        private = serialization.load_pem_private_key(key.pem, password=None)
    except (ValueError, TypeError):
        raise KeyRefused(f"{where}: not an unencrypted private key in PEM form") from None
    if isinstance(private, Ed25519PrivateKey):
        return SigningKey(key.domain, key.selector, private, 0), []
    if not isinstance(private, RSAPrivateKey):
        raise KeyRefused(f"{where}: neither RSA nor Ed25519")
    bits = private.key_size
    if bits < MIN_RSA_BITS:
        raise KeyRefused(f"{where}: {bits} bits, and verifiers need not accept fewer than {MIN_RSA_BITS}")
    warnings = [f"{where}: {bits} bits, {GOOD_RSA_BITS} are recommended"] if bits < GOOD_RSA_BITS else []
    return SigningKey(key.domain, key.selector, private, bits), warnings


def load_keys(keys: Iterable[DkimKey]) -> tuple[tuple[SigningKey, ...], list[str]]:
    """All keys of one From domain, RSA first: its signature stands on top (K-02)."""
    loaded: list[SigningKey] = []
    warnings: list[str] = []
    for key in keys:
        ready, found = load_key(key)
        loaded.append(ready)
        warnings += found
    if loaded and not any(key.bits for key in loaded):
        raise KeyRefused(f"{loaded[0].domain}: Ed25519 only in addition to RSA, which many verifiers need")
    return tuple(sorted(loaded, key=lambda key: not key.bits)), warnings


def relaxed_body(body: bytes, *, is_tidy: bool = False) -> bytes:
    """RFC 6376 section 3.4.4. `is_tidy` where it is known that `without_extra_space` changes nothing."""
    if not is_tidy:
        body = without_extra_space(body)
    if body.endswith(b"\r\n\r\n") or body == b"\r\n":
        body = body[: len(body.rstrip(b"\r\n"))] + b"\r\n"
    elif body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    return b"" if body == b"\r\n" else body


def without_extra_space(body: bytes) -> bytes:
    """For encoded bodies three searches prove it the identity (K-03); the rest is done by replacing, which
    is ten times as fast as by pattern: indented HTML is common."""
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    while b"  " in body:
        body = body.replace(b"  ", b" ")
    if b" \r\n" in body:
        body = body.replace(b" \r\n", b"\r\n")
    return body[:-1] if body.endswith(b" ") else body


def body_hash(body: bytes, *, is_tidy: bool = False) -> str:
    digest = sha256(relaxed_body(body, is_tidy=is_tidy)).digest()
    return b2a_base64(digest, newline=False).decode("ascii")


def relaxed_field(lower_name: str, value: str) -> str:
    """RFC 6376 section 3.4.2."""
    if "\r\n" in value:
        value = value.replace("\r\n", "")
    if "  " in value or "\t" in value:
        value = _SPACES.sub(" ", value)
    return f"{lower_name}:{value.strip(' ')}\r\n"


def seal(covered: Iterable[Covered]) -> list[Field]:
    """A signature field for each, in the same order. Apart from `Signer.cover`, and for a whole chunk at
    once: a signature clears the processor's caches, and what runs between two of them runs several times slower."""
    return [(SIGNATURE, value + _folded(raw)) for raw, value in [(_signed(one), one[1]) for one in covered]]


def _folded(signature: bytes) -> str:
    encoded = b2a_base64(signature, newline=False).decode("ascii")
    return "\r\n ".join([encoded[start : start + 72] for start in range(0, len(encoded), 72)])


class Signer:
    """The keys of one From domain. Fields in, `DKIM-Signature` fields out, in the order they belong on
    top."""

    def __init__(self, keys: Sequence[SigningKey]) -> None:
        self.keys = tuple(keys)
        self.domains = tuple(dict.fromkeys(key.domain for key in keys))
        self._plans: dict[tuple[str, ...], Plan] = {}
        self._relaxed: dict[tuple[str, str], str] = {}
        self._openings: dict[tuple[str, str, str], tuple[str, str]] = {}
        self._opened_at = 0

    def sign(self, draft: Draft, bh: str, now: float) -> tuple[Field, ...]:
        return tuple(seal(self.cover(draft, bh, now)))

    def cover(self, draft: Draft, bh: str, now: float) -> tuple[Covered, ...]:
        """`bh` is `body_hash(draft.body)`, handed in because messages of one payload can share it."""
        h, places = self._plan(draft.fields)
        fields = draft.fields
        relaxed = [
            self._repeated(name, fields[place][1]) if repeats else relaxed_field(name, fields[place][1])
            for name, place, repeats in places
        ]
        hashed = "".join(relaxed)
        covered = []
        for key in self.keys:
            value, canonical = self._opening(key, h, int(now))
            digest = sha256(f"{hashed}{canonical}{bh}; b=".encode()).digest()
            covered.append((key, f"{value}{bh};\r\n b=", digest))
        return tuple(covered)

    def _opening(self, key: SigningKey, h: str, signed_at: int) -> tuple[str, str]:
        """The signature field up to its hash of the body, as it is sent and in canonical form: the same for
        all that is signed in one second."""
        if signed_at != self._opened_at:
            self._openings.clear()
            self._opened_at = signed_at
        place = (key.selector, key.domain, h)
        opening = self._openings.get(place)
        if opening is None:
            # A bar wherever the wire has a fold, and its canonical form a space.
            value = (
                f"v=1; a={key.algorithm}; c=relaxed/relaxed; d={key.domain};|s={key.selector};"
                f" t={signed_at}; x={signed_at + LIFETIME_S};|h={h};|bh="
            )
            opening = (value.replace("|", "\r\n "), f"dkim-signature:{value.replace('|', ' ')}")
            self._openings[place] = opening
        return opening

    def _repeated(self, name: str, value: str) -> str:
        relaxed = self._relaxed.get((name, value))
        if relaxed is None:
            if len(self._relaxed) >= MAX_REPEATED:
                self._relaxed.clear()
            relaxed = self._relaxed[name, value] = relaxed_field(name, value)
        return relaxed

    def _plan(self, fields: Sequence[Field]) -> Plan:
        """The same for all messages of one shape, hence remembered."""
        shape = tuple([name for name, _ in fields])
        plan = self._plans.get(shape)
        if plan is None:
            plan = signing_plan(shape)
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[shape] = plan
        return plan


def signing_plan(present: Sequence[str]) -> Plan:
    """Of equal names the last is hashed first; a name without a field left hashes nothing (RFC 6376 section
    5.4.2)."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(present):
        places.setdefault(name.lower(), []).append(place)
    names = [name for name in OVERSIGNED for _ in range(len(places.get(name, ())) + 1)]
    for name in sorted(places):
        if name in SIGNED or _SENDERS_OWN.match(name):
            names += [name] * len(places[name])
    lines = [""]
    hashed = []
    for name in names:
        if lines[-1] and len(lines[-1]) + len(name) > 72:
            lines.append("")
        lines[-1] += f"{name}:"
        if places.get(name):
            hashed.append((name, places[name].pop(), name in _REPEATED))
    return "|".join(lines).rstrip(":"), tuple(hashed)


def _signed(covered: Covered) -> bytes:
    """RSA signs the hash, and so does Ed25519 here: RFC 8463 section 3."""
    key, _, digest = covered
    if key.bits:
        return key.private.sign(digest, _PADDING, _PREHASHED)  # type: ignore[call-arg]
    return key.private.sign(digest)  # type: ignore[call-arg]
