"""Lists of tags as DKIM and DMARC write them: `v=DKIM1; k=rsa; p=…` (RFC 6376 section 3.2)."""

import re

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SPACE = " \t\r\n"


def read_tags(text: str) -> dict[str, str] | str:
    """Values by name in the order of the text, without the space around them; gaps between semicolons are passed
    over. A str says what is wrong, to stand after `the record`."""
    tags: dict[str, str] = {}
    for part in text.split(";"):
        if not part.strip(_SPACE):
            continue
        name, equals, value = part.partition("=")
        name = name.strip(_SPACE)
        if not equals or _NAME.fullmatch(name) is None:
            return f"is no list of tag=value: {ascii(part.strip())[:40]}"
        if name in tags:
            return f"has the tag {name[:40]}= twice"
        tags[name] = value.strip(_SPACE)
    return tags
