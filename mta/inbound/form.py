"""The body of a one-click unsubscribe (RFC 8058 section 3.2): does it hold `List-Unsubscribe=One-Click`?

Who sends it may write it either way that forms are written. Everything in it is a stranger's: nothing is unpacked,
nothing decoded but the form itself, and no more than `MAX_BODY` octets are looked at, which bounds each step.
"""

import re
from urllib.parse import parse_qsl

MAX_BODY = 8_000
_MAX_FIELDS = 32
_NAME, _VALUE = "List-Unsubscribe", "One-Click"
_BOUNDARY = re.compile(
    r"""multipart/form-data\s*;(?:[^"]|"[^"]*")*?\bboundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))""",
    re.IGNORECASE,
)
_FIELD = re.compile(
    rb"""^content-disposition\s*:\s*form-data\s*;(?:[^"\r\n]|"[^"\r\n]*")*?\bname=(?:"([^"\r\n]*)"|([^\s;"]*))""",
    re.IGNORECASE | re.MULTILINE,
)


def is_one_click(content_type: str, body: bytes) -> bool:
    """Whatever else the form has does not matter. What is not multipart is read as urlencoded, also where the type is
    missing or another: some clients are careless, and no other content can be mistaken for the field."""
    if len(body) > MAX_BODY or len(content_type) > MAX_BODY:
        return False
    if content_type.lstrip().lower().startswith("multipart/"):
        return (_NAME, _VALUE) in _multipart(content_type, body)
    try:
        fields = parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        return False
    return (_NAME, _VALUE) in {(name.strip(), value.strip()) for name, value in fields}


def _multipart(content_type: str, body: bytes) -> set[tuple[str, str]]:
    """RFC 7578: parts between lines of the boundary, each with the name of its field."""
    match = _BOUNDARY.match(content_type.strip())
    if match is None:
        return set()
    boundary = b"--" + (match[1] or match[2]).encode("latin-1", "replace")
    fields = set()
    for part in (b"\r\n" + body).split(b"\r\n" + boundary, _MAX_FIELDS)[1:]:
        head, _, value = part.partition(b"\r\n\r\n")
        named = _FIELD.search(head)
        if named is not None:
            name = named[1] if named[1] is not None else named[2]
            fields.add((name.decode("latin-1"), value.strip().decode("latin-1")))
    return fields
