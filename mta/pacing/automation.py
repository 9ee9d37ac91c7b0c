"""From refusals to actions, by the rules of shaping.toml: counts what fits a rule, and makes the rule's actions when
there were enough within its window. Pure; times are seconds since the epoch.

Each action of a rule counts by itself, apart for each thing it takes hold of: five refusals to one tenant's stream are
not five to another's. While an action is in force it is not made again; a refusal meanwhile prolongs it, up to
`_LONGEST` times its length. When it is over, or was taken back, counting begins anew.

What is counted is what this node has seen; what is made of it all nodes keep to.

Bounded: the things counted least lately are forgotten first, and so many times are kept in all. A refusal that no rule
is about costs one look into a dictionary.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from mta.events.encode import peer_text, without_addresses
from mta.model.outcome import Verdict
from mta.model.reply import Reply
from mta.model.sender import Sender
from mta.pacing.action import Action, Aim
from mta.pacing.actions import Actions
from mta.pacing.rules import At, AutomaticAction, AutomationRule, said
from mta.pacing.shaping import OTHER

_MOST_KINDS = 4_096
_MOST_COUNTED = 10_000
_MOST_TIMES = 200_000
_MOST_TEXT = 1_000
_LONGEST = 4
_WORTH_IT = 0.1
"""Of its length: to be prolonged by less is not worth telling all nodes."""


class Observation(Struct, frozen=True, gc=False):
    """One attempt that was refused. `host` is empty where no connection came about."""

    source: str
    provider: str
    site: str
    host: str
    sender: Sender
    verdict: Verdict
    reply: Reply | None = None
    detail: str = ""


class _Counter:
    """When what fitted came, at most as often as the rule asks for."""

    __slots__ = ("times",)

    def __init__(self, count: int) -> None:
        self.times: deque[float] = deque(maxlen=count)


Step = tuple[AutomationRule, AutomaticAction]


class Automation:
    """`by` is told as who made the actions. What it makes is in `actions` at once."""

    def __init__(self, rules: Sequence[AutomationRule], actions: Actions, by: str) -> None:
        self._rules = tuple(rules)
        self._actions = actions
        self._by = by
        self._of_kind: dict[tuple[str, str, str, str], tuple[AutomationRule, ...]] = {}
        self._counters: OrderedDict[tuple[str, int, Aim], _Counter] = OrderedDict()
        self._times = 0

    def __len__(self) -> int:
        """How many things are counted."""
        return len(self._counters)

    def note(self, seen: Observation, now: float) -> list[Action]:
        """The actions that begin with this refusal, or last longer for it."""
        verdict = seen.verdict
        kind = (seen.provider, verdict.bounce_class, verdict.accused, verdict.provider_code)
        rules = self._of_kind.get(kind)
        if rules is None:
            rules = self._remember(kind, seen)
        if not rules:
            return []
        text = said(seen.reply)
        made = [
            action
            for rule in rules
            if rule.fits(seen.provider, verdict, text)
            for number, does in enumerate(rule.actions)
            if (action := self._count((rule, does), number, seen, now)) is not None
        ]
        for action in made:
            self._actions.put(action)
        return made

    def _remember(self, kind: tuple[str, str, str, str], seen: Observation) -> tuple[AutomationRule, ...]:
        """The rules that may fit refusals of this kind, by all but their text."""
        if len(self._of_kind) >= _MOST_KINDS:
            self._of_kind.clear()
        found = tuple(
            rule for rule in self._rules if replace(rule, text="").fits(seen.provider, seen.verdict, "")
        )
        self._of_kind[kind] = found
        return found

    def _count(self, step: Step, number: int, seen: Observation, now: float) -> Action | None:
        rule, does = step
        aim = aim_of(does.at, seen)
        if aim is None:
            return None
        action = self._action(step, aim, seen, now)
        known = self._actions.get(action.id)
        if known is not None and known.until > now:
            return _prolonged(known, does, now)
        key = (rule.name, number, aim)
        counter = self._counters.get(key)
        if counter is None:
            counter = self._counters[key] = _Counter(rule.count)
        self._counters.move_to_end(key)
        times = counter.times
        self._times += len(times) < rule.count
        times.append(now)
        if len(times) == rule.count and now - times[0] <= rule.window_s:
            self._drop(key)
            return action
        self._forget()
        return None

    def _action(self, step: Step, aim: Aim, seen: Observation, now: float) -> Action:
        rule, does = step
        return Action(
            kind=does.kind,
            aim=aim,
            since=now,
            until=now + does.for_s,
            connections=does.connections,
            message_rate=does.message_rate,
            rule=rule.name,
            by=self._by,
            reply=_said(seen),
            bounce_class=seen.verdict.bounce_class,
            provider_code=seen.verdict.provider_code,
            count=rule.count,
        )

    def _forget(self) -> None:
        """Never the last one, which is being counted."""
        while len(self._counters) > 1 and (len(self._counters) > _MOST_COUNTED or self._times > _MOST_TIMES):
            self._drop(next(iter(self._counters)))

    def _drop(self, key: tuple[str, int, Aim]) -> None:
        self._times -= len(self._counters.pop(key).times)


def aim_of(at: At, seen: Observation) -> Aim | None:
    """What an action at `at` takes hold of. None where the attempt did not come so far: what is empty in an aim would
    mean everything. Sites without a provider have nothing in common: what would be done there is done at the site."""
    sender = seen.sender
    has_provider = seen.provider not in ("", OTHER)
    match at:
        case At.SOURCE:
            return _aim(source=seen.source)
        case At.PROVIDER if has_provider:
            return _aim(source=seen.source, provider=seen.provider)
        case At.PATH | At.PROVIDER:
            return _aim(source=seen.source, site=seen.site)
        case At.SITE:
            return _aim(site=seen.site)
        case At.HOST:
            return _aim(source=seen.source, host=seen.host)
        case At.STREAM:
            place = {"provider": seen.provider} if has_provider else {"site": seen.site}
            found = _aim(tenant=sender.tenant, from_domain=sender.from_domain, **place)
            return found and replace(found, stream=sender.stream)
        case At.CAMPAIGN:
            return _aim(tenant=sender.tenant, campaign=sender.campaign)


def _aim(**named: str) -> Aim | None:
    return Aim(**named) if all(named.values()) else None


def _prolonged(known: Action, does: AutomaticAction, now: float) -> Action | None:
    """The refusals say that it was not long enough."""
    until = min(now + does.for_s, known.since + _LONGEST * does.for_s)
    if until - known.until < _WORTH_IT * does.for_s:
        return None
    return replace(known, until=until, count=known.count + 1)


def _said(seen: Observation) -> str:
    """In the peer's words, without the addresses that may stand in them: an action is read by many, and outlives the
    mail."""
    if seen.reply is None:
        return without_addresses(seen.detail)[:_MOST_TEXT]
    return f"{seen.reply.code} {without_addresses(peer_text(seen.reply))}"
