"""What keeps mail from going faster, in words. Pure; times are seconds since the epoch."""

from collections.abc import Iterable, Sequence

from mta.admin.eta import FOREVER, clock
from mta.admin.lately import Key
from mta.admin.sums import Cause
from mta.admin.view import PathRow
from mta.config.units import rate_text
from mta.delivery.binding import Bind, Binding
from mta.intake.orders import Order, Target
from mta.pacing.action import Action, ActionKind

_REASONS = {
    "paused": "parked while it was paused",
    "early": "not to be sent before its send_at",
    "backed_off": "parked: the destination could not be reached",
    "throttled": "parked: more than the destination takes in time",
    "ready": "parked: more than its limits let through in time",
    "suspended": "parked while its path is suspended",
    "held": "parked while this sender's mail is held",
    "stopped": "given back by a node that stopped",
    "": "waits for its next attempt",
}
_BY_PATH = "suspended"
_BY_SENDER = "held"
_MOST_REPLY = 120
NO_NODE = "no node is running: nothing goes"


def of_path(path: PathRow, actions: Iterable[Action], now: float) -> Cause | None:
    """None: nothing binds it."""
    covering = [
        action
        for action in actions
        if action.until > now and action.aim.covers_path(path.source, path.provider, path.site)
    ]
    suspended = [action for action in covering if action.kind is ActionKind.SUSPEND]
    if suspended:
        return of_action(max(suspended, key=lambda action: action.until), path.count, now)
    binding = path.binding
    text = _text(binding, path, now)
    if not text:
        return None
    throttled = [action for action in covering if action.kind is ActionKind.THROTTLE]
    if throttled and binding.kind in (Bind.MESSAGE_RATE, Bind.CONNECTIONS, Bind.CONNECTION_RATE):
        action = max(throttled, key=lambda action: action.until)
        text += f"; throttled until {clock(action.until, now)}{_by(action)}{_given(action)}"
    is_grave = binding.kind in (Bind.BACKED_OFF, Bind.SUSPENDED, Bind.NATS)
    return Cause(path.count, binding.kind, text, binding.until, is_grave)


def of_action(action: Action, count: int, now: float) -> Cause:
    text = f"suspended until {clock(action.until, now)}{_by(action)}, {action.aim}{_replied(action.reply)}"
    return Cause(count, "suspended", text + _given(action), action.until, is_grave=True)


def of_order(target: Target, order: Order, count: int, now: float) -> Cause:
    until = order.until or FOREVER
    ends = f"until {clock(order.until, now)}" if order.until else "until it is resumed"
    by = f" by {order.by}" if order.by else ""
    return Cause(count, "paused", f"{target} paused {ends}{by}: {order.reason}", until, is_grave=True)


def of_reason(
    reason: str, count: int, actions: Iterable[Action], paths: Sequence[PathRow], key: Key, now: float
) -> Cause:
    """Why it waits in MTA_RETRY. A suspension in force says more than that it was parked. `paths` are what the nodes
    told of, of all providers."""
    holding = [action for action in actions if action.until > now and _may_hold(action, reason, paths, key)]
    if holding:
        return of_action(max(holding, key=lambda action: action.until), count, now)
    text = _REASONS.get(reason) or (reason if " " in reason else f"deferred: {reason}")
    return Cause(count, "later", text)


def _may_hold(action: Action, reason: str, paths: Sequence[PathRow], key: Key) -> bool:
    """Source, site, stream and From domain of what was parked are not known here: the action names them. One that names
    a site, or a host, counts for the provider to which that is known to belong, and for no other."""
    aim = action.aim
    return (
        reason == (_BY_SENDER if aim.is_of_senders else _BY_PATH)
        and action.kind is ActionKind.SUSPEND
        and aim.provider in ("", key.provider)
        and aim.tenant in ("", key.tenant)
        and aim.campaign in ("", key.campaign)
        and all(_is_of(key.provider, site, aim.source, paths) for site in (aim.site, aim.host) if site)
    )


def _is_of(provider: str, site: str, source: str, paths: Sequence[PathRow]) -> bool:
    return any(
        path.site == site and path.provider == provider and source in ("", path.source) for path in paths
    )


def of_mixed(count: int, sites: int, provider: str) -> Cause:
    """At sites of a provider that is many: who waits at which is not known."""
    text = f"waits at some of {sites} sites: mta explain backlog --provider {provider} says what binds each"
    return Cause(count, "sites", text)


def of_fresh(count: int, *, may_go: bool) -> Cause:
    """In the stream, with nobody."""
    if not may_go:
        return Cause(count, "no_node", NO_NODE, is_grave=True)
    return Cause(count, "stream", "in the stream: taken up as fast as the rest can be sent")


def _text(binding: Binding, path: PathRow, now: float) -> str:
    rate = rate_text(binding.rate) if binding.rate is not None else "?"
    of = _whose(binding.scope, path)
    replied = _replied(binding.reply)
    until = f" until {clock(binding.until, now)}" if binding.until else ""
    match binding.kind:
        case Bind.NOTHING:
            return ""
        case Bind.NATS:
            return "NATS does not confirm what was sent, or the node is stopping"
        case Bind.SUSPENDED:
            return f"suspended{until}: {of}{replied}"
        case Bind.BACKED_OFF:
            return f"backed off after failures{until}: {of}{replied}"
        case Bind.MESSAGE_RATE:
            return f"message rate {rate}: {of}"
        case Bind.COMPOSING:
            return "rendering and signing: the workers are busy"
        case Bind.CONNECTION_RATE:
            return f"connection rate {rate}: {of}"
        case Bind.CONNECTING:
            return f"connecting: {of}{replied}"
        case Bind.THROTTLED:
            return f"{_connections(binding.connections)}, more were refused: {of}{replied}"
        case Bind.CONNECTIONS:
            return f"limit of {_connections(binding.connections)}: {of}"
        case Bind.PEER:
            return f"its own answers, connections are being added: {of}"


def _connections(count: int) -> str:
    return f"{count} connection{'' if count == 1 else 's'}"


def _whose(scope: str, path: PathRow) -> str:
    """`a1 to mx.example`, `a1 to all of google`, `a1 everywhere`."""
    match scope:
        case "provider":
            return f"{path.source} to all of {path.provider}"
        case "source":
            return f"{path.source} everywhere"
        case "host":
            return f"{path.source} to one host of {path.site}"
        case _:
            return f"{path.source} to {path.site}"


def _by(action: Action) -> str:
    return f" by {action.rule or action.by}" if action.rule or action.by else ""


def _given(action: Action) -> str:
    """What a person gave as the reason."""
    said = " ".join(action.reason.split())[:_MOST_REPLY]
    return f": {said}" if said else ""


def _replied(reply: str) -> str:
    said = " ".join(reply.split())[:_MOST_REPLY]
    return f" ({said})" if said else ""
