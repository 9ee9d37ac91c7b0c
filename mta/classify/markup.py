"""What a person sees of an HTML text, well enough to find words and addresses in it. Linear, whatever it holds."""

import re

_TAG = re.compile(r"<(/?[A-Za-z][A-Za-z0-9]{0,15})?([^<>]*)>")
_ENTITY = re.compile(r"&(#\d{1,6}|#[xX][0-9A-Fa-f]{1,5}|[A-Za-z]{2,8});")
_ENTITIES = {
    **{"lt": "<", "gt": ">", "amp": "&", "quot": '"', "nbsp": " ", "apos": "'", "auml": "ä", "ouml": "ö"},
    **{"uuml": "ü", "szlig": "ß", "eacute": "é", "egrave": "è", "agrave": "à", "ccedil": "ç", "ecirc": "ê"},
    **{
        "aacute": "á",
        "oacute": "ó",
        "iacute": "í",
        "uacute": "ú",
        "ntilde": "ñ",
        "atilde": "ã",
        "otilde": "õ",
    },
}
_BREAKS = frozenset(
    {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol", "pre", "blockquote", "hr"}
)
_UNSEEN = ("style", "script", "title")


def visible(html: str) -> str:
    """Lines as a browser would break them."""
    for name in _UNSEEN:
        html = _without(html, f"<{name}", f"</{name}>")
    html = _without(html, "<!--", "-->")
    low = html.lower()
    if "<pre" not in low and any(low.count(f"<{name}") > 1 for name in ("br", "p", "div", "tr", "li")):
        html = html.replace("\n", " ")
    return _ENTITY.sub(_entity, _TAG.sub(_tag, html))


def _without(html: str, start: str, end: str) -> str:
    low = html.lower() if html.isascii() else "".join(c.lower() if c.isascii() else c for c in html)
    kept: list[str] = []
    at = 0
    while True:
        begin = low.find(start, at)
        finish = low.find(end, begin) if begin >= 0 else -1
        if finish < 0:
            kept.append(html[at:])
            return "".join(kept)
        kept.append(html[at:begin])
        at = finish + len(end)


def _tag(match: re.Match[str]) -> str:
    if "@" in match[0] and " " not in match[0]:  # an address in brackets that nobody escaped
        return match[0]
    name = (match[1] or "").strip("/").lower()
    if name in _BREAKS:
        return "\n"
    return " " if name in ("td", "th") else ""


def _entity(match: re.Match[str]) -> str:
    name = match[1]
    if name[0] != "#":
        return _ENTITIES.get(name, match[0])
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    return chr(code) if 0x20 <= code < 0xD800 else " "
