"""Delivery status notifications (RFC 3464, RFC 6533): the fields that programs write for programs.

One group of fields is about the message, then one about each recipient. In the wild the blank lines between them are
missing or too many, types and whole fields are left out, and the group stands in a text part; so a field belongs to the
message or to a recipient by its name, and a new recipient begins where a field comes again.
"""

import re

from msgspec import Struct

from mta.classify.mail import clean
from mta.classify.quote import Quote, quoted, with_status
from mta.classify.spot import first_address, unwrapped
from mta.classify.vocabulary import DELAYED, GIVEN_UP, fold, has
from mta.model.report import Reported

MAX_RECIPIENTS = 100
MAX_LINES = 5000
FAILED, DELAYED_ACTION = "failed", "delayed"

_FIELD = re.compile(r"[ \t]{0,20}([A-Za-z][A-Za-z0-9-]{1,40})[ \t]{0,4}:(.{0,4000})", re.DOTALL)
_OF_MESSAGE = frozenset(
    {"original-envelope-id", "reporting-mta", "dsn-gateway", "received-from-mta", "arrival-date"}
)
_OF_RECIPIENT = frozenset(
    {
        *("original-recipient", "final-recipient", "action", "status", "remote-mta", "diagnostic-code"),
        *("last-attempt-date", "final-log-id", "will-retry-until", "localized-diagnostic"),
    }
)
_ACTIONS = {
    **{
        "fail": FAILED,
        "error": FAILED,
        "undeliver": FAILED,
        "bounce": FAILED,
        "reject": FAILED,
        "expired": FAILED,
    },
    **{"delay": DELAYED_ACTION, "defer": DELAYED_ACTION, "transient": DELAYED_ACTION},
    **{"deliver": "delivered", "relay": "relayed", "expand": "expanded", "success": "delivered"},
}
_TYPE = re.compile(r"\s{0,80}([A-Za-z][A-Za-z0-9-]{0,30})\s{0,8};")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_XTEXT = re.compile(r"\+([0-9A-F]{2})")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")  # RFC 6533 section 3


class Dsn(Struct, frozen=True):
    """What one delivery-status part says; a recipient may be without an address."""

    recipients: tuple[Reported, ...]
    reporting_mta: str = ""
    arrival_date: str = ""


def read_dsn(text: str) -> Dsn:
    """Of the part's text, decoded."""
    message, groups = _groups(text)
    reported: dict[str, Reported] = {}
    for at, group in enumerate(groups):
        one = _reported(group)
        reported.setdefault(one.recipient.lower() or str(at), one)
    return Dsn(
        tuple(reported.values()),
        _name(message.get("reporting-mta", "")),
        clean(message.get("arrival-date", ""), 100),
    )


def looks_like_dsn(text: str) -> bool:
    """Whether a text part holds the fields of a recipient, in lines of their own."""
    found = {line.partition(":")[0].strip().lower() for line in text.splitlines()[:400] if ":" in line[:60]}
    return bool(found & {"final-recipient", "original-recipient"}) and bool(found & {"action", "status"})


def _groups(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    message: dict[str, str] = {}
    groups: list[dict[str, str]] = []
    is_open = False
    for name, value in _fields(text):
        if name in _OF_MESSAGE:
            message.setdefault(name, value)
            continue
        if name == _BLANK:
            is_open = False
            continue
        if name not in _OF_RECIPIENT:
            continue
        names_somebody = name in ("final-recipient", "original-recipient")
        begins = not groups or name in groups[-1]
        # A blank line in the midst of a group parts nothing: only a recipient after one begins another.
        begins = begins or (not is_open and names_somebody and bool(groups[-1].keys() & _OF_RECIPIENT))
        if begins:
            if len(groups) == MAX_RECIPIENTS:
                break
            groups.append({})
        groups[-1][name] = value
        is_open = True
    return message, groups


_BLANK = ""


def _fields(text: str) -> list[tuple[str, str]]:
    """Names in lower case, values unfolded; a blank line is a field without a name."""
    found: list[tuple[str, list[str]]] = []
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        if not line.strip():
            found.append((_BLANK, []))
            continue
        field = _FIELD.match(line)
        is_known = field is not None and field[1].lower() in _OF_MESSAGE | _OF_RECIPIENT
        if field is not None and (is_known or line[0] not in " \t"):
            found.append((field[1].lower(), [field[2]]))
        elif found and found[-1][0]:
            found[-1][1].append(line)
    return [(name, "\n".join(pieces).strip()) for name, pieces in found]


def _reported(group: dict[str, str]) -> Reported:
    final, original = (_address(group.get(name, "")) for name in ("final-recipient", "original-recipient"))
    said = _TYPE.sub("", group.get("diagnostic-code", "") or group.get("status", ""), count=1).strip()
    quote = quoted(said) if said else Quote()
    stated = _STATUS.search(group.get("status", "")[:200])
    status = with_status(quote, ".".join(str(int(part)) for part in stated.groups()) if stated else "")
    recipient = final if "@" in final else original if "@" in original else final or original
    return Reported(
        recipient=recipient,
        original_recipient=original,
        action=_action(group.get("action", ""), status, said),
        status=status,
        code=quote.code,
        reply=quote.text if group.get("diagnostic-code") else "",
        remote_mta=_name(group.get("remote-mta", "")),
    )


def _address(value: str) -> str:
    """`type; address` without the type, out of its encoding; what is no address of the Internet as it stands."""
    match = _TYPE.match(value)
    kind, said = (match[1].lower(), value[match.end() :].strip()) if match else ("", value.strip())
    if kind == "utf-8":
        said = _EMBEDDED.sub(_character, said)
    if "@" not in said and "+40" in said:  # the xtext of RFC 3461 section 4, left in
        said = _XTEXT.sub(_character, said)
    if kind == "utf-8" and said.count("@") == 1 and " " not in said:
        return clean(said.strip("<>"), 254)
    return unwrapped(said) or clean(said.strip("<>"), 254)


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return chr(code) if 0x20 <= code < 0xD800 or 0xE000 <= code < 0x110000 else ""


def _action(said: str, status: str, diagnostic: str) -> str:
    word = said.strip().lower()[:40]
    for start, action in _ACTIONS.items():
        if word.startswith(start):
            return action
    if status.startswith("2."):
        return "delivered"
    told = fold(diagnostic[:2000])
    if status.startswith("4.") and (has(told, DELAYED) or not has(told, GIVEN_UP)):
        return DELAYED_ACTION
    return FAILED


def _name(value: str) -> str:
    """`type; name` without the type."""
    return clean(_TYPE.sub("", value[:1000], count=1).strip(), 255)


def address_of(value: str) -> str:
    """The address in a field such as Original-Rcpt-To or Final-Recipient."""
    return _address(value[:4000]) if "@" in value else first_address(value)
