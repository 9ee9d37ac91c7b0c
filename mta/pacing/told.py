"""What operators are told of an action, and in which words of the contract. Pure."""

from mta.model import times
from mta.pacing.action import Action, ActionKind


def begin_of(action: Action) -> str:
    """The type of the operations event for its beginning."""
    match action.kind:
        case ActionKind.SUSPEND:
            return "stream_suspended" if action.aim.is_of_senders else "source_suspended"
        case ActionKind.THROTTLE:
            return "path_throttled"
        case ActionKind.ALERT:
            return "alert"


def end_of(action: Action) -> str:
    """For its end; empty: nobody needs to know that an alert is old."""
    match action.kind:
        case ActionKind.SUSPEND:
            return "stream_resumed" if action.aim.is_of_senders else "source_resumed"
        case ActionKind.THROTTLE:
            return "path_restored"
        case ActionKind.ALERT:
            return ""


def told_id(action: Action, kind: str, at: float) -> str:
    """The same on every node: of all who tell it the stream keeps the first."""
    return f"{action.key}.{kind}.{at:.3f}"


def fields_of(action: Action) -> dict[str, str]:
    """Those of the event; empty ones are left out."""
    rate = action.message_rate
    fields = {
        "action": action.id,
        **{name: getattr(action.aim, name) for name in action.aim.__struct_fields__},
        "until": times.render(action.until),
        "connections": "" if action.connections is None else str(action.connections),
        "message_rate": "" if rate is None else f"{rate.count:g}/{rate.period_s:g}s",
        "rule": action.rule,
        "count": str(action.count or ""),
        "class": action.bounce_class,
        "provider_code": action.provider_code,
        "reply": action.reply,
        "reason": action.reason,
        "by": action.by,
    }
    return {name: value for name, value in fields.items() if value}
