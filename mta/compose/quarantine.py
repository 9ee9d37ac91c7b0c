"""Where suspect work is tried: one process that others hardly feel, one recipient at a time.

Each recipient is first tried for as long as no honest one needs. Only who exceeds that waits until nobody else
has a first try to come, and then gets the whole timeout: the innocent never stand behind more than one of the
guilty. Contents take turns. Invariants: everything taken is answered once while it runs; nobody fails for a
timeout or a crash that was not its own, alone; what is held is bounded, and who finds no room is told so.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from msgspec import msgpack
from msgspec.structs import replace

from mta.compose.job import Job
from mta.compose.pool import Work, WorkerPool
from mta.compose.process import JobFactory
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.spec import (
    ComposeFailed,
    Group,
    Inspection,
    Result,
    Sources,
    decode_results,
    decode_spec,
    encode_chunk,
)
from mta.compose.suspects import CROWDED, Death, Suspects, Who, allowance_s, who_wrote
from mta.model import ids

NICENESS = 19
"""Of the bulk workers' share of a processor it gets an eighth, of the loop's next to nothing."""
_WALL_FACTOR = 3.0
"""So much longer than the CPU time it is allowed may suspect work take: it gets what others leave."""
MOST_HELD = 4_000
MOST_OF_A_CONTENT = 1_000


class _Trial:
    """Of one recipient, or of templates to look at."""

    def __init__(
        self,
        who: Who,
        name: str,
        blob: Callable[[], bytes],
        on_answer: Callable[[bytes], None],
        fail: Callable[[Death, str], None],
    ) -> None:
        self.who = who
        self.name = name
        self.blob = blob
        self.on_answer = on_answer
        self.fail = fail
        self.first_s = 0.0
        self.crashes = 0


class _Turns:
    """Trials by content, one of each in turn."""

    def __init__(self) -> None:
        self._lines: OrderedDict[Who, deque[_Trial]] = OrderedDict()

    def put(self, trial: _Trial) -> None:
        self._lines.setdefault(trial.who, deque()).append(trial)

    def count(self, who: Who) -> int:
        return len(self._lines.get(who, ()))

    def take(self) -> _Trial | None:
        if not self._lines:
            return None
        who, line = self._lines.popitem(last=False)
        trial = line.popleft()
        if line:
            self._lines[who] = line
        return trial


class Quarantine:
    """`try_one` for a recipient, `inspect` for templates. Answers never come from within."""

    def __init__(
        self,
        settings: ComposeSettings,
        keys: SigningKeys,
        *,
        job: JobFactory = Job,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.suspects = Suspects()
        self._timeout_s = settings.timeout_s
        self._clock = clock
        self._pool = WorkerPool(
            replace(settings, niceness=NICENESS), keys, 1, job, _WALL_FACTOR * settings.timeout_s
        )
        self._first = _Turns()
        self._last = _Turns()
        self._held = 0
        self._is_busy = False

    def open(self) -> None:
        """Its process begins with the first suspect."""
        self._pool.open()

    async def stop(self) -> None:
        """What is held is answered no more."""
        self._first, self._last = _Turns(), _Turns()
        await self._pool.stop()

    async def reload(self, keys: SigningKeys) -> None:
        await self._pool.reload(keys)

    def try_one(self, single: Group, on_result: Callable[[Result], None]) -> None:
        """`single` has one addressee."""
        trial = _Trial(
            self.suspects.who(single.spec),
            "compose",
            lambda: encode_chunk((single,), self._clock()),
            lambda answer: on_result(decode_results(answer)[0]),
            lambda death, detail: on_result(failed(single, death, detail)[0]),
        )
        trial.first_s = allowance_s((single,), self._timeout_s)
        of_content = self._first.count(trial.who) + self._last.count(trial.who)
        if self._held >= MOST_HELD or of_content >= MOST_OF_A_CONTENT:
            self._soon(on_result, crowded(single))
            return
        self._held += 1
        self._first.put(trial)
        self._soon(self._next)

    def inspect(self, sources: Sources, found: Callable[[Inspection | None], None]) -> None:
        """None where it cannot be known now. They have exceeded their allowance: who did so for the whole time is
        not looked at again for a while."""
        trial = _Trial(
            who_wrote(sources),
            "inspect",
            lambda: msgpack.encode(sources),
            lambda answer: found(msgpack.decode(answer, type=Inspection)),
            lambda death, detail: found(uninspected(death, detail)),
        )
        if self._held >= MOST_HELD:
            self._soon(found, None)
            return
        self._held += 1
        if self.suspects.has_killed(trial.who, self._now()):
            self._soon(self._fail, trial, Death.OVERDUE, too_long(self._timeout_s))
            return
        self._last.put(trial)
        self._soon(self._next)

    # One at a time.

    def _next(self) -> None:
        """One at most, so that many which fail without a second try do not hold up the loop."""
        if self._is_busy:
            return
        trial = self._first.take()
        if trial is not None:
            self._begin(trial, trial.first_s, is_last=False)
            return
        trial = self._last.take()
        if trial is None:
            return
        deadline_s = self.suspects.deadline_s(trial.who, self._timeout_s, self._now())
        if deadline_s > trial.first_s:
            self._begin(trial, deadline_s, is_last=True)
        else:
            self._fail(trial, Death.OVERDUE, f"{too_long(trial.first_s)}, as many others of it did")
            self._soon(self._next)

    def _begin(self, trial: _Trial, cpu_s: float, *, is_last: bool) -> None:
        self._is_busy = True
        self._pool.hand_out(
            Work(
                trial.name,
                trial.blob(),
                cpu_s,
                max(cpu_s * _WALL_FACTOR, self._timeout_s),
                partial(self._answered, trial),
                partial(self._died, trial, cpu_s, is_last),
            )
        )

    def _answered(self, trial: _Trial, answer: bytes) -> None:
        self._is_busy = False
        self._held -= 1
        self.suspects.passed(trial.who, self._now())
        self._next()
        trial.on_answer(answer)

    def _died(self, trial: _Trial, cpu_s: float, is_last: bool, death: Death, detail: str) -> None:
        self._is_busy = False
        now = self._now()
        if death is Death.OVERDUE and not is_last:
            self.suspects.strike(trial.who, now)
            self._last.put(trial)
        elif death is Death.OVERDUE:
            self.suspects.kill(trial.who, now)
            self._fail(trial, death, too_long(cpu_s))
        elif death is Death.CRASH and not trial.crashes:
            # A worker may be killed for reasons that are not the message's: it gets a second one.
            trial.crashes = 1
            (self._last if is_last else self._first).put(trial)
        else:
            if death is Death.CRASH:
                self.suspects.strike(trial.who, now)
            self._fail(trial, death, detail)
        self._next()

    def _fail(self, trial: _Trial, death: Death, detail: str) -> None:
        self._held -= 1
        trial.fail(death, detail)

    def _soon(self, call: Callable[..., None], *arguments: object) -> None:
        self._pool.running().call_soon(call, *arguments)

    def _now(self) -> float:
        return self._pool.running().time()


def too_long(limit_s: float) -> str:
    return f"took more than {limit_s:.2g} s"


def failed(group: Group, death: Death, detail: str) -> list[Result]:
    """What a group's recipients get where no worker can say what is wrong."""
    code, text, is_local_fault = _REASONS[death]
    return _failures(group, code, text or detail, is_local_fault=is_local_fault)


def crowded(single: Group) -> Result:
    detail = "too many wait behind messages that take too long"
    return _failures(single, CROWDED, detail, is_local_fault=True)[0]


def uninspected(death: Death, detail: str) -> Inspection | None:
    _, text, is_local_fault = _REASONS[death]
    return None if is_local_fault else Inspection([f"compiling: {text or detail}"], [])


_REASONS = {
    Death.OVERDUE: ("timeout", "", False),
    Death.CRASH: ("crash", "ended its worker twice", False),
    Death.MEMORY: ("memory", "out of memory", False),
    Death.POOL: ("pool", "", True),
    Death.BUG: ("internal", "", True),
}
"""Code, text unless the death has its own, whether it is our fault."""


def _failures(group: Group, code: str, detail: str, *, is_local_fault: bool) -> list[Result]:
    spec = decode_spec(group.spec.blob)
    text = f"template {spec.template_label}, {detail}"
    results: list[Result] = []
    for addressee in group.addressees:
        message_id = ids.message_id(spec.accepted_at, spec.tenant, spec.payload_id, addressee.key)
        results.append(
            ComposeFailed(addressee.index, str(message_id), code, text, is_local_fault=is_local_fault)
        )
    return results
