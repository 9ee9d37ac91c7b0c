"""From DNS answers to what a mail host promises of its certificate (RFC 6698, 7671, 7672; T-07).

Invariants: no record counts that DNSSEC does not vouch for; a question that failed is never read as "no DANE", else
whoever can break the question could have mail in clear; at most 20 records and 8 kB of them are kept. Whether a
certificate satisfies them is decided in `mta.smtp.dane`.
"""

from collections.abc import Sequence

from mta.dns.mx import name_fault
from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, Record, chain_end
from mta.model.tls import NO_DANE, DaneState, HostDane, Tlsa

MOST_RECORDS = 20
MOST_BYTES = 8192  # of association data; a digest has 64 at most, a certificate about 1500
_MOST_FAULTS = 3  # told in `detail`
_FOREVER_S = float("inf")
_PREFIX = "_25._tcp."
_ANCHOR, _END_ENTITY = 2, 3  # usages; RFC 7672 section 3.1.3: 0 and 1 mean nothing to SMTP
_FULL = 0
_DIGESTS = {1: 32, 2: 64}  # matching type: octets (RFC 6698 section 2.1.3), the higher one the stronger


def owner(base: str) -> str:
    """Where TLSA records of the SMTP service at `base` are."""
    return f"{_PREFIX}{base}"


def bases(host: str, records: Sequence[Record]) -> tuple[str, ...]:
    """Names whose TLSA records may speak for `host`, in the order to ask: the first that has any does (RFC 7672
    section 2.2.3). `records` are the secure ones of the answers about its addresses."""
    end = chain_end(host, records)
    names = (host,) if isinstance(end, DnsTrouble) or end[0] == host else (end[0], host)
    return tuple(name for name in names if not name_fault(name, is_host=True) and len(owner(name)) <= 253)


def read_tlsa(
    base: str, answer: Answer | Absent | LookupFailed, *, takes_anchors: bool
) -> tuple[HostDane, float]:
    """What the answer to the TLSA question for `base` says, and for how many seconds (inf: it does not say).
    `takes_anchors`: DANE-TA records can be used (T-09)."""
    if isinstance(answer, LookupFailed):
        return broken(answer), _FOREVER_S
    if isinstance(answer, Absent) or not answer.is_secure:
        return NO_DANE, _FOREVER_S
    end = chain_end(owner(base), answer.records)
    if isinstance(end, DnsTrouble):
        return HostDane(DaneState.BROKEN, detail=end.detail), _FOREVER_S
    name, ttl_s = end
    found = [record for record in answer.records if record.kind == "TLSA" and record.owner == name]
    if not found:
        return NO_DANE, ttl_s
    ttl_s = min(ttl_s, *(float(record.ttl_s) for record in found))
    usable: list[Tlsa] = []
    faults: list[str] = []
    for value in sorted({record.value for record in found}, reverse=True):
        tlsa = _parsed(value)
        fault = _fault(tlsa, takes_anchors)
        if not fault and _is_over(usable, tlsa):
            fault = "more records than are looked at"
        if not fault:
            usable.append(tlsa)
        elif len(faults) < _MOST_FAULTS:
            faults.append(f"{value[:40]}: {fault}")
    state = DaneState.USABLE if usable else DaneState.UNUSABLE
    return HostDane(state, _strongest(usable), "; ".join(faults), base), ttl_s


def broken(failure: LookupFailed) -> HostDane:
    """Nobody knows whether there are records, so the host may not be used (RFC 7672 section 2.1.1)."""
    return HostDane(DaneState.BROKEN, detail=failure.trouble.detail)


def _parsed(value: str) -> Tlsa:
    usage, selector, matching, data = value.split(" ")
    return Tlsa(int(usage), int(selector), int(matching), bytes.fromhex(data))


def _fault(tlsa: Tlsa, takes_anchors: bool) -> str:
    """Why the record cannot be used; "" if it can."""
    if tlsa.usage not in (_ANCHOR, _END_ENTITY):
        return f"usage {tlsa.usage} is not for SMTP"
    if tlsa.usage == _ANCHOR and not takes_anchors:
        return "a trust anchor, which cannot be checked here"
    if tlsa.selector not in (0, 1):
        return f"unknown selector {tlsa.selector}"
    if tlsa.matching == _FULL:
        return "" if tlsa.data[:1] == b"\x30" else "neither a certificate nor a key"
    if tlsa.matching not in _DIGESTS:
        return f"unknown matching type {tlsa.matching}"
    return "" if len(tlsa.data) == _DIGESTS[tlsa.matching] else f"a digest of {len(tlsa.data)} octets"


def _is_over(usable: Sequence[Tlsa], tlsa: Tlsa) -> bool:
    size = sum(len(other.data) for other in usable) + len(tlsa.data)
    return len(usable) >= MOST_RECORDS or size > MOST_BYTES


def _strongest(usable: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """Of digests for the same usage and selector only the strongest kind, so that a broken one can be left behind
    (RFC 7671 section 9)."""
    best: dict[tuple[int, int], int] = {}
    for tlsa in usable:
        key = (tlsa.usage, tlsa.selector)
        best[key] = max(best.get(key, _FULL), tlsa.matching)
    return tuple(tlsa for tlsa in usable if tlsa.matching in (_FULL, best[tlsa.usage, tlsa.selector]))
