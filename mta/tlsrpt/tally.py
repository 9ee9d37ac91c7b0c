"""Counts of TLS sessions by day, domain and policy, as RFC 8460 section 4.3 wants them reported.

Bounded in all directions. Failures beyond the rows of a policy are counted in a row that says so; a session for which
nothing may be begun any more (too many domains, policies or bytes in a day) is not reported, and counted as that.
A day holds besides who has had its report, so that nobody gets it twice.

`note` is called for every session, on the event loop: 0.4 us for a success. What is kept between two runs is one JSON
document. What day it is, is left to the caller.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from mta.model.address import BadAddress, canonical_domain
from mta.model.tls import PolicyType, TlsFailure, TlsSession

DAY_S = 86_400
MOST_DAYS = 3
"""The finished day that is reported, the current one, and one that a wrong clock has begun."""
MOST_DOMAINS = 20_000
MOST_POLICIES = 8
"""Of one domain in a day: whoever has more changes his policy every three hours."""
MOST_ROWS = 50
"""Of one policy. Whatever is in them, 8 policies with 50 rows each fit into one payload."""
MOST_BYTES = 8_000_000
"""Of a day, as it is kept, about: writing it all takes the loop some 10 ms a minute."""
MOST_URIS = 5
OTHER = "further failures, of which no details are kept"

_VERSION = 1
_MOST_DETAIL = 120
_MOST_HELO = 120
_POLICY_BYTES = 120
_ROW_BYTES = 140
"""What JSON costs beside the values."""

_Count = Annotated[int, Meta(ge=0)]


class FailureRow(Struct, gc=False, omit_defaults=True):
    """`count` failures that are equal in all the rest; empty is unknown."""

    failure: TlsFailure
    source_ip: str = ""
    mx_host: str = ""
    mx_ip: str = ""
    helo: str = ""
    detail: str = ""
    count: _Count = 0


class PolicyCount(Struct, gc=False, omit_defaults=True):
    """What came of the sessions of a day under one policy of a domain."""

    domain: str
    policy_type: PolicyType
    policy: tuple[str, ...] = ()
    mx_patterns: tuple[str, ...] = ()
    successes: _Count = 0
    failures: list[FailureRow] = []

    @property
    def failed(self) -> int:
        return sum(row.count for row in self.failures)


class _KeptDay(Struct, gc=False):
    """`told` are the URIs that have the report of a domain while others have not; `ended` are the domains that have
    had theirs, or get none."""

    day: int
    policies: list[PolicyCount]
    told: dict[str, list[str]]
    ended: list[str]
    uncounted: _Count


class _Kept(Struct):
    v: int
    days: list[_KeptDay]


_KEPT = msgspec.json.Decoder(_Kept)
_RowKey = tuple[TlsFailure, str, str, str, str, str]


class Tally:
    """`is_changed` is set by whatever changes what `encode` gives, and reset by who keeps it."""

    def __init__(self) -> None:
        self._days: dict[int, _Day] = {}
        self.is_changed = False

    @classmethod
    def decode(cls, raw: bytes) -> "Tally":
        """What `encode` gave; ValueError for anything else."""
        try:
            kept = _KEPT.decode(raw)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from error
        if kept.v != _VERSION:
            raise ValueError(f"is of version {kept.v}")
        tally = cls()
        for one in kept.days[-MOST_DAYS:]:
            tally._days[one.day] = _Day.of(one)
        return tally

    def encode(self) -> bytes:
        return msgspec.json.encode(_Kept(_VERSION, [day.kept(number) for number, day in self._days.items()]))

    def note(self, session: TlsSession) -> None:
        """Counts it in the day of its `at`."""
        number = session.at // DAY_S
        day = self._days.get(number)  # type: ignore[call-overload]  # a float finds the int that it equals
        if day is None:
            if len(self._days) == MOST_DAYS:
                return
            day = self._days[int(number)] = _Day()
        day.note(session)
        self.is_changed = True

    def domains(self, day: int) -> list[str]:
        """Those with counts."""
        return list(self._days[day].policies) if day in self._days else []

    def counts(self, day: int, domain: str) -> list[PolicyCount]:
        known = self._days[day].policies.get(domain, ()) if day in self._days else ()
        return [policy.count for policy in known]

    def uncounted(self, day: int) -> int:
        """Sessions of that day for which there was no room."""
        return self._days[day].uncounted if day in self._days else 0

    def told(self, day: int, domain: str) -> tuple[str, ...]:
        """The URIs that `tell` named."""
        return tuple(self._days[day].told.get(domain, ())) if day in self._days else ()

    def tell(self, day: int, domain: str, uri: str) -> None:
        """`uri` has the report of that day."""
        self._days[day].told.setdefault(domain, []).append(uri)
        self.is_changed = True

    def end(self, day: int, domain: str) -> None:
        """No report any more for that day: its counts go, and nothing is counted for it again."""
        self._days[day].end(domain)
        self.is_changed = True

    def forget(self, today: int) -> list[tuple[int, int]]:
        """Drops all but `today` and the days beside it; (day, domains that had counts) of each that went."""
        gone = [day for day in self._days if not today - 1 <= day <= today + 1]
        self.is_changed |= bool(gone)
        return [(day, len(self._days.pop(day).policies)) for day in gone]


class _Policy:
    """A count, and where to find its rows."""

    __slots__ = ("count", "rows")

    def __init__(self, count: PolicyCount) -> None:
        self.count = count
        self.rows: dict[_RowKey, FailureRow] = {_key(row): row for row in count.failures}


class _Day:
    def __init__(self) -> None:
        self.policies: dict[str, list[_Policy]] = {}
        self.told: dict[str, list[str]] = {}
        self.ended: set[str] = set()
        self.uncounted = 0
        self._room = MOST_BYTES

    @classmethod
    def of(cls, kept: _KeptDay) -> "_Day":
        """ValueError for a domain that nobody may be asked about."""
        day = cls()
        for count in kept.policies:
            _check_domain(count.domain)
            day.policies.setdefault(count.domain, []).append(_Policy(count))
            day._room -= _size(count) + sum(map(_row_size, count.failures))
        day.told = {domain: uris[:MOST_URIS] for domain, uris in kept.told.items()}
        day.ended = set(kept.ended)
        day.uncounted = kept.uncounted
        return day

    def kept(self, number: int) -> _KeptDay:
        counts = [policy.count for policies in self.policies.values() for policy in policies]
        return _KeptDay(number, counts, self.told, list(self.ended), self.uncounted)

    def note(self, session: TlsSession) -> None:
        for policy in self.policies.get(session.domain, ()):
            count = policy.count
            if (
                count.policy == session.policy
                and count.policy_type is session.policy_type
                and count.mx_patterns == session.mx_patterns
            ):
                break
        else:
            if session.domain in self.ended:
                return
            begun = self._begin(session)
            if begun is None:
                self.uncounted += 1
                return
            policy = begun
        if session.failure is None:
            policy.count.successes += 1
        else:
            self._fail(policy, session, session.failure)

    def end(self, domain: str) -> None:
        for policy in self.policies.pop(domain, ()):
            self._room += _size(policy.count) + sum(map(_row_size, policy.count.failures))
        self.told.pop(domain, None)
        self.ended.add(domain)

    def _begin(self, session: TlsSession) -> _Policy | None:
        """None where there is no room."""
        beside = self.policies.get(session.domain, ())
        if len(beside) >= MOST_POLICIES:
            return None
        if not beside and len(self.policies) + len(self.ended) >= MOST_DOMAINS:
            return None
        count = PolicyCount(session.domain, session.policy_type, session.policy, session.mx_patterns)
        try:
            if not self._takes(_size(count)):
                return None
        except UnicodeEncodeError:  # half of a surrogate pair: no policy that could be told
            return None
        policy = _Policy(count)
        self.policies.setdefault(session.domain, []).append(policy)
        return policy

    def _fail(self, policy: _Policy, session: TlsSession, failure: TlsFailure) -> None:
        helo, detail = _fit(session.mx_helo, _MOST_HELO), _fit(session.detail, _MOST_DETAIL)
        key = (failure, session.source_ip, session.mx_host, session.mx_ip, helo, detail)
        row = policy.rows.get(key)
        if row is None:
            row = FailureRow(*key)
            if len(policy.rows) >= MOST_ROWS or not self._takes(_row_size(row)):
                row = FailureRow(failure, detail=OTHER)
                key = _key(row)
            # At most one for each kind of failure is made beyond the limit.
            known = policy.rows.setdefault(key, row)
            if known is row:
                policy.count.failures.append(row)
            row = known
        row.count += 1

    def _takes(self, size: int) -> bool:
        if self._room < size:
            return False
        self._room -= size
        return True


def _key(row: FailureRow) -> _RowKey:
    return (row.failure, row.source_ip, row.mx_host, row.mx_ip, row.helo, row.detail)


def _size(count: PolicyCount) -> int:
    """UnicodeEncodeError where it cannot be written."""
    texts = (count.domain, *count.policy, *count.mx_patterns)
    return _POLICY_BYTES + sum(len(text.encode()) + 3 for text in texts)


def _row_size(row: FailureRow) -> int:
    texts = (row.source_ip, row.mx_host, row.mx_ip, row.helo, row.detail)
    return _ROW_BYTES + sum(len(text.encode()) for text in texts)


def _fit(text: str, most: int) -> str:
    """What a peer said, so that it can be written."""
    text = text[:most]
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _check_domain(domain: str) -> None:
    try:
        is_canonical = canonical_domain(domain) == domain
    except BadAddress:
        is_canonical = False
    if not is_canonical:
        raise ValueError("names what is no mail domain")
