"""JSON objects as text: whether one names a key twice, how deep it is nested, what id it claims to have.

Every question costs passes at C speed over the text, whatever it holds: they are asked on the loop, and a Python
step for each of the 300,000 lists that fit into a payload would hold up all others.
"""

import json
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

import orjson
from msgspec import Raw

# One that does not end reaches to the end of the text: each character is looked at once, whatever the text is.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_ID = re.compile(rb'(?<!\\)"id"[ \t\r\n]*:[ \t\r\n]*("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
_MOST_IDS = 2_000  # those of a thousand recipients may stand in front of the payload's own
_AS_LISTS = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET = bytes(byte for byte in range(256) if byte not in b"[]{}")


class _Members(list[tuple[str, Any]]):
    """The members of a JSON object, repeated ones too."""


_NAMED = json.JSONDecoder(object_pairs_hook=_Members, parse_int=str, parse_float=str)


def joined(raws: Sequence[Raw]) -> bytes:
    return b"[%b]" % b",".join(raws)


def is_too_deep(text: bytes, limit: int) -> bool:
    """Whether `text`, which is JSON, has more than `limit` levels: each pass takes the innermost ones away."""
    if text.count(b"[") + text.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", text).translate(_AS_LISTS, _NO_BRACKET)
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def has_repeated_key(text: bytes, objects: Sequence[dict[str, Any]]) -> bool:
    """Whether `text` names a key twice in one object; `objects` is what orjson made of it, the outermost list apart.

    Each member has one colon. Where none stands in a string or in an object within, counting them is all; `://`
    stands in strings only."""
    if text.count(b":") - text.count(b"://") == sum(map(len, objects)):
        return False
    return _colons(text) != _colons(orjson.dumps(objects))


def _colons(text: bytes) -> int:
    return _STRING.sub(b"", text).count(b":")


def repeated_key(text: bytes, skipped: Sequence[str] = ()) -> str | None:
    """The first key that an object in `text` names twice, not looking into what the `skipped` keys hold.
    RecursionError if it is nested too deep to say."""
    level: list[Any] = [_NAMED.decode(bytes(text).decode())]
    while level:
        inner: list[Any] = []
        for value in level:
            if isinstance(value, _Members):
                repeated = _repeated(value)
                if repeated is not None:
                    return repeated
                inner += [v for name, v in value if isinstance(v, list) and name not in skipped]
            elif isinstance(value, list):
                inner += [v for v in value if isinstance(v, list)]
        level = inner
    return None


def _repeated(members: _Members) -> str | None:
    if len({name for name, _ in members}) == len(members):
        return None
    seen: set[str] = set()
    for name, _ in members:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("fewer names than members")


def claimed_id(text: bytes) -> str:
    """The first `id` of the outermost object, of what no parser takes; "" if there is none."""
    depth = looked = 0
    for found in islice(_ID.finditer(text), _MOST_IDS):
        before = _STRING.sub(b"", text[looked : found.start()]).translate(_AS_LISTS)
        depth += before.count(b"[") - before.count(b"]")
        looked = found.start()
        if depth == 1:
            try:
                return str(orjson.loads(found[1]))
            except orjson.JSONDecodeError:
                return ""
    return ""
