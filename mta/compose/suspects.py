"""Whose work held up a worker, what that means for the next of it, and how long work may take at all.

Suspicion sticks to a tenant and its content (templates, not data), so that a fresh payload id does not begin
anew. It ends by itself: after a time without a further strike or after many recipients that came through, more of
both for each offence. A tenant with many suspect contents is asked to prove the others: each goes into quarantine
until enough of its recipients came through, unless they have done so in its lane meanwhile. Nobody fails by suspicion
alone; it only decides where a recipient is tried, and how long.
"""

from collections.abc import Sequence
from enum import Enum, auto
from hashlib import blake2b

from msgspec import Struct, msgpack

from mta.compose.cache import LruCache
from mta.compose.spec import Group, MessageSpec, Sources, SpecBlob, decode_spec

ALLOWED_S = 0.15
"""CPU time for any work, with what is added below ten times what a full chunk takes. A worker of its lane is lost for
that long at each strike, so it bounds what others feel."""
_PER_MESSAGE_S = 0.004
_PER_CONTENT_S = 0.02  # to compile a template of usual size and verify its first signature take 3 ms
_PER_SOURCE_BYTE_S, _MOST_SOURCE = 3e-6, 256_000  # what the densest templates take
_PER_WIRE_BYTE_S = 2e-8
_MOST_ALLOWED_S = 1.5

SUSPECT_S = 60.0
_LONGEST_S = 600.0
CONTENTS_OF_A_SUSPECT_TENANT = 8
"""More than mistakes make; each costs its lane a worker for half a second. Until then the tenant's other contents
have had time to prove themselves where they are."""
PROVEN_BY = 8
CLEARED_BY = 100
"""Recipients in a row that come through quarantine, before the rest may go with all others again; after each further
offence four times as many. A worker may be held up by the machine, and a large campaign must not pay for it."""
_KEPT = 10_000

SHORTER_AFTER = 3
"""Recipients of one content that took the whole timeout, before further ones get a fifth of it."""
STRUCK_OFF_AFTER = 16
"""Such recipients, before one that has exceeded its first, small allowance fails for that."""


CROWDED = "crowded"
"""Code of a recipient that found no room in quarantine: to be tried later, and not its fault."""


def allowance_s(groups: Sequence[Group], timeout_s: float) -> float:
    """What work of this size never takes unless something is wrong."""
    allowed_s = ALLOWED_S
    for group in groups:
        size, number = len(group.spec.blob), len(group.addressees)
        allowed_s += _PER_CONTENT_S + min(size, _MOST_SOURCE) * _PER_SOURCE_BYTE_S
        allowed_s += number * (_PER_MESSAGE_S + size * _PER_WIRE_BYTE_S)
    return min(allowed_s, _MOST_ALLOWED_S, timeout_s)


def inspection_s(sources: Sources, timeout_s: float) -> float:
    """As `allowance_s`, for templates to look at."""
    size = sum(map(len, sources.fields.values()))
    return min(ALLOWED_S + min(size, _MOST_SOURCE) * _PER_SOURCE_BYTE_S, _MOST_ALLOWED_S, timeout_s)


class Death(Enum):
    """How work ended that gave no answer: it took too long, its process died otherwise, it wanted too much memory,
    the pool is unusable, a bug of ours."""

    OVERDUE = auto()
    CRASH = auto()
    MEMORY = auto()
    POOL = auto()
    BUG = auto()


class Next(Enum):
    """What to do with a chunk that died: try its contents apart, try it once more, its recipients in quarantine, or
    give up."""

    SPLIT = auto()
    AGAIN = auto()
    QUARANTINE = auto()
    FAIL = auto()


def after_death(death: Death, contents: int, deaths: int) -> Next:
    """`contents` stood together in it, `deaths` is how often it has died before."""
    if death is Death.POOL:
        return Next.FAIL
    if contents > 1:
        return Next.SPLIT
    if death is Death.CRASH and not deaths:
        # A worker may be killed for reasons that are not the message's.
        return Next.AGAIN
    return Next.QUARANTINE


class Who(Struct, frozen=True):
    """A tenant's content. `content` is a hash."""

    tenant: str
    content: bytes


def who_of(spec: MessageSpec) -> Who:
    parts = (spec.subject, spec.text, spec.html, spec.amp, spec.rfc822, spec.from_name, spec.headers)
    packed = msgpack.encode((*parts, spec.reply_to, spec.engine))
    return Who(spec.tenant, blake2b(packed, digest_size=16).digest())


def who_wrote(sources: Sources) -> Who:
    """Templates that are only looked at are nobody's."""
    return Who("", blake2b(msgpack.encode(sources), digest_size=16).digest())


class _Record(Struct):
    offences: int = 0
    kills: int = 0
    until: float = 0.0


class Suspects:
    """Costs nothing to ask while nobody is suspected."""

    def __init__(self) -> None:
        self._records: LruCache[Who, _Record] = LruCache(_KEPT, _KEPT)
        self._contents: LruCache[str, dict[Who, float]] = LruCache(_KEPT, _KEPT)
        self._passes: LruCache[Who, int] = LruCache(_KEPT, _KEPT)
        self._known: LruCache[bytes, Who] = LruCache(_KEPT, _KEPT)
        self._until = float("-inf")

    def are_about(self, now: float) -> bool:
        return now < self._until

    def who(self, spec: SpecBlob) -> Who:
        found = self._known.get(spec.key)
        if found is None:
            found = who_of(decode_spec(spec.blob))
            self._known.put(spec.key, found, 1)
        return found

    def is_suspect(self, who: Who, now: float) -> bool:
        if now >= self._until:
            return False
        record = self._records.get(who)
        if record is not None and now < record.until:
            return True
        contents = self._contents.get(who.tenant)
        if contents is None or (self._passes.get(who) or 0) >= PROVEN_BY:
            return False
        return sum(now < until for until in contents.values()) >= CONTENTS_OF_A_SUSPECT_TENANT

    def strike(self, who: Who, now: float) -> None:
        """It held up a worker that had nobody else's work in hand. Suspicion lasts longer only for who does so
        again after it had ended: how many recipients are guilty says nothing about the next one."""
        record = self._records.get(who)
        if record is None or now >= record.until + _LONGEST_S:
            record = _Record()
            self._records.put(who, record, 1)
        if now >= record.until:
            record.offences += 1
            record.kills = 0
        record.until = now + min(_LONGEST_S, SUSPECT_S * 2 ** min(record.offences - 1, 8))
        self._until = max(self._until, record.until)
        self._passes.put(who, 0, 1)
        self._note_tenant(who, record.until, now)

    def kill(self, who: Who, now: float) -> None:
        """A recipient of it took its whole time alone."""
        self.strike(who, now)
        record = self._records.get(who)
        assert record is not None
        record.kills += 1

    def has_killed(self, who: Who, now: float) -> bool:
        record = self._records.get(who)
        return record is not None and now < record.until and record.kills > 0

    def passed(self, who: Who, now: float, number: int = 1) -> None:
        """Recipients of it came through in time."""
        passes = (self._passes.get(who) or 0) + number
        self._passes.put(who, passes, 1)
        record = self._records.get(who)
        if record is not None and passes >= CLEARED_BY * 4 ** (record.offences - 1):
            record.until = min(record.until, now)
            (self._contents.get(who.tenant) or {}).pop(who, None)

    def deadline_s(self, who: Who, timeout_s: float, now: float) -> float:
        """For a recipient that has exceeded its first allowance; 0 where that must do."""
        record = self._records.get(who)
        kills = record.kills if record is not None and now < record.until else 0
        if kills >= STRUCK_OFF_AFTER:
            return 0.0
        return timeout_s / 5 if kills >= SHORTER_AFTER else timeout_s

    def _note_tenant(self, who: Who, until: float, now: float) -> None:
        """The latest few of its suspect contents are enough to know."""
        if not who.tenant:
            return
        contents = self._contents.get(who.tenant) or {}
        contents = {other: end for other, end in contents.items() if now < end and other != who}
        contents[who] = until
        while len(contents) > CONTENTS_OF_A_SUSPECT_TENANT:
            del contents[next(iter(contents))]
        self._contents.put(who.tenant, contents, 1)
