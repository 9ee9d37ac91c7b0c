"""From the bytes of a TXT record and of a policy file to an MTA-STS policy (RFC 8461 section 3).

Invariants: a policy holds at most 100 patterns, each a host name or `*.` and the rest of one; no more than 64 kB are
looked at; whatever is wrong comes back as a reason, nothing raises. Both grammars are read as the RFC has them, except
that blank lines of a policy are no error, as many files end with one.

Asking, fetching, keeping and time are left to `mta.dns.sts`; what a policy means for a connection to the caller.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from mta.dns.mx import name_fault
from mta.dns.record import DnsTrouble, Record, chain_end
from mta.model.tls import StsMode, StsPolicy

MOST_BODY_BYTES = 64 * 1024  # the least that RFC 8461 section 3.3 lets a sender take
LONGEST_MAX_AGE_S = 31_557_600  # RFC 8461 section 3.2: about a year
MOST_PATTERNS = 100  # five times the hosts that are tried
_VERSION = "v=STSv1"
_RECORD_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([\x21-\x3a\x3c\x3e-\x7e]+)")
# The blanks are not given back: else 64 kB of them in front of a flaw take 17 s.
_POLICY_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31}):[ \t]*+([^\x00-\x08\x0a-\x1f\x7f]*)")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_MAX_AGE = re.compile(r"[0-9]{1,10}")


class StsRecord(Struct, frozen=True, gc=False):
    """The domain says that it has a policy, and that it is another one when `id` changes."""

    id: str
    ttl_s: float


class NoRecord(Struct, frozen=True, gc=False):
    """The domain says nothing that counts. `ttl_s` is infinite where no record limits it."""

    detail: str
    ttl_s: float = float("inf")


class BadPolicy(Struct, frozen=True, gc=False):
    detail: str


def record_name(domain: str) -> str:
    return f"_mta-sts.{domain}"


def host_name(domain: str) -> str:
    """Whom to ask for the policy, and what its certificate must be for."""
    return f"mta-sts.{domain}"


def read_record(name: str, records: Sequence[Record]) -> StsRecord | NoRecord | DnsTrouble:
    """What an answer to the TXT question about `name` says (RFC 8461 section 3.1); no records mean NOERROR without
    data. Texts that do not begin as a policy record does are others' and do not count."""
    end = chain_end(name, records)
    if isinstance(end, DnsTrouble):
        return end
    owner, ttl_s = end
    texts = [record for record in records if record.kind == "TXT" and record.owner == owner]
    ttl_s = min((ttl_s, *(float(record.ttl_s) for record in texts)))
    found = [record.value for record in texts if record.value.startswith(f"{_VERSION};")]
    if not found:
        return NoRecord(f"{name} has no policy record", ttl_s)
    if len(found) > 1:
        return NoRecord(f"{name} has {len(found)} policy records", ttl_s)
    id = _record_id(found[0])
    if id is None:
        return NoRecord(f"{name} has a policy record that cannot be read: {found[0][:80]!r}", ttl_s)
    return StsRecord(id, ttl_s)


def read_policy(id: str, body: bytes) -> StsPolicy | BadPolicy:
    """The policy in a file that was fetched for the record with this `id` (RFC 8461 section 3.2).

    Of a key that comes twice the first counts, but for `mx`. A pattern that cannot match any host is left out; one
    at least must remain, unless there is nothing to match (mode none).
    """
    if len(body) > MOST_BODY_BYTES:
        return BadPolicy(f"longer than {MOST_BODY_BYTES} bytes")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return BadPolicy(f"not UTF-8 at byte {error.start}")
    first: dict[str, str] = {}
    patterns: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r").rstrip(" \t")
        if not line:
            continue
        field = _POLICY_FIELD.fullmatch(line)
        if field is None:
            return BadPolicy(f"line {number} is no `key: value`: {line[:80]!r}")
        key, value = field.groups()
        if key == "mx":
            patterns.append(value)
        elif key in ("version", "mode", "max_age"):
            first.setdefault(key, value)
        if len(patterns) > MOST_PATTERNS:
            return BadPolicy(f"more than {MOST_PATTERNS} mx lines")
    return _assembled(id, first, patterns)


def policy_lines(policy: StsPolicy) -> tuple[str, ...]:
    """The policy as a file of its own would say it: what reports quote, and what `read_policy` reads back."""
    patterns = (f"mx: {pattern}" for pattern in policy.mx)
    return ("version: STSv1", f"mode: {policy.mode}", *patterns, f"max_age: {policy.max_age_s}")


def mx_matches(policy: StsPolicy, host: str) -> bool:
    """Whether the policy names this MX host: exactly, or by `*.` for exactly one left label (T-06)."""
    name = host.removesuffix(".").lower()
    label, _, rest = name.partition(".")
    return name in policy.mx or (bool(label) and bool(rest) and f"*.{rest}" in policy.mx)


def _record_id(text: str) -> str | None:
    """The `id` of a record, None if the text is not one."""
    fields = [field.strip(" \t") for field in text.split(";")][1:]
    if not fields[-1]:
        fields.pop()
    id = None
    for field in fields:
        pair = _RECORD_FIELD.fullmatch(field)
        if pair is None:
            return None
        if pair[1] == "id" and id is None:
            id = pair[2]
    return id if id is not None and _ID.fullmatch(id) else None


def _assembled(id: str, first: dict[str, str], patterns: Sequence[str]) -> StsPolicy | BadPolicy:
    if first.get("version") != "STSv1":
        return BadPolicy("no `version: STSv1`")
    try:
        mode = StsMode(first.get("mode", ""))
    except ValueError:
        return BadPolicy(f"no mode is called {first.get('mode', '')[:80]!r}")
    age = first.get("max_age", "")
    if not _MAX_AGE.fullmatch(age):
        return BadPolicy(f"max_age is no number of seconds: {age[:80]!r}")
    mx = tuple(dict.fromkeys(filter(None, map(_pattern, patterns))))
    if not mx and mode is not StsMode.NONE:
        return BadPolicy(f"no mx that is a host name or a pattern of one: {', '.join(patterns[:3])[:80]!r}")
    return StsPolicy(id, mode, mx, min(int(age), LONGEST_MAX_AGE_S))


def _pattern(value: str) -> str:
    """In the form that `mx_matches` compares; "" for what matches no host."""
    pattern = value.removesuffix(".").lower()
    sample = f"x{pattern[1:]}" if pattern.startswith("*.") else pattern
    return "" if name_fault(sample, is_host=True) else pattern
