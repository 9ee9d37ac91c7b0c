"""The page behind a one-click link, for people: what a GET of it shows, and what follows its button.

One document without script, image or anything of another place, so its policy (`POLICY`) allows nothing but its own
style, by hash. Readable at any width, in light and dark, with a keyboard and a screen reader: text and buttons have a
contrast of at least 4.5 to 1 (WCAG 2.2, 1.4.3). All that comes out of a token is escaped and set apart from the
direction of the text around it.
"""

import base64
import hashlib
import re
from enum import StrEnum
from html import escape

from msgspec import Struct

from mta.inbound.phrases import FALLBACK, PHRASES

MAX_ACCEPT = 1_000
_RANGE = re.compile(r"([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?(?:\s*;\s*q=([01](?:\.\d{0,3})?))?\Z")
_MOST_RANGES = 30
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class State(StrEnum):
    ASK = "ask"
    DONE = "done"
    ALREADY = "already"
    """Unsubscribed before this page was asked for."""
    LATER = "later"
    LOST = "lost"
    """The link is none of ours, or not whole."""


class About(Struct, frozen=True, gc=False):
    """Who is to be unsubscribed from what; empty where there is nothing to say."""

    address: str = ""
    sender: str = ""
    topic: str = ""


_STYLE = """
:root{color-scheme:light dark;--ground:#f3f4f6;--card:#fff;--edge:#e1e4e8;--text:#1c2128;--soft:#57606a;--act:#1f5fbf;
--over:#174a96;--on:#fff;--good:#1a7f4b;--bad:#a15c00;--tint:#eef3fb}
@media(prefers-color-scheme:dark){:root{--ground:#0f1318;--card:#1a2028;--edge:#2d3540;--text:#e8ecf1;--soft:#a3adba;
--act:#7db0ff;--over:#a5c8ff;--on:#0b1a30;--good:#58c98c;--bad:#f0b355;--tint:#222b37}}
*{box-sizing:border-box}
html{font:100%/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
-webkit-text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100dvh;display:grid;place-items:center;padding:1.25rem;
background:var(--ground);color:var(--text)}
main{width:100%;max-width:27rem;background:var(--card);border:1px solid var(--edge);border-radius:1rem;
padding:2rem 1.75rem;box-shadow:0 1px 2px rgb(0 0 0/.05),0 12px 32px rgb(0 0 0/.07)}
svg{display:block;width:3.25rem;height:3.25rem;margin:0 0 1.25rem;padding:.75rem;border-radius:50%;
background:var(--tint);color:var(--act);fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.done svg{color:var(--good)}.already svg{color:var(--soft)}.later svg,.lost svg{color:var(--bad)}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.01em;text-wrap:balance}
p{margin:0;color:var(--soft);text-wrap:pretty}
dl{margin:1.25rem 0 0;padding:.35rem 0 0;border-top:1px solid var(--edge)}
dl div{padding:.65rem 0}
dl div+div{border-top:1px solid var(--edge)}
dt{font-size:.875rem;color:var(--soft)}
dd{margin:0;font-weight:600;overflow-wrap:anywhere}
form{margin:1rem 0 0}
button{width:100%;min-height:3rem;padding:.7rem 1.25rem;border:0;border-radius:.65rem;background:var(--act);
color:var(--on);font:inherit;font-weight:650;cursor:pointer}
button:hover{background:var(--over)}
button:focus-visible{outline:3px solid var(--act);outline-offset:3px}
@media(forced-colors:active){button{border:1px solid}}
"""
_ICONS = {
    State.ASK: '<rect x="2.5" y="4.5" width="19" height="15" rx="2.5"/><path d="M3.5 7.5 12 13l8.5-5.5"/>',
    State.DONE: '<path d="M5 12.5l4.5 4.5L19 7.5"/>',
    State.ALREADY: '<path d="M8 12.5l3 3 5-6M21 12a9 9 0 1 1-9-9 9 9 0 0 1 9 9z"/>',
    State.LATER: '<path d="M12 7v5.5l3.5 2M21 12a9 9 0 1 1-9-9 9 9 0 0 1 9 9z"/>',
    State.LOST: '<path d="M12 8v5M12 16.5v.01M21 12a9 9 0 1 1-9-9 9 9 0 0 1 9 9z"/>',
}
_FORM = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    '<button type="submit">{button}</button></form>'
)

POLICY = (
    "default-src 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode('ascii')}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Of the header Content-Security-Policy."""


def language(accept: str) -> str:
    """The best of ours by an Accept-Language header (RFC 9110 section 12.5.4); English for whom none is there."""
    best, weight = FALLBACK, 0.0
    for item in accept[:MAX_ACCEPT].split(",")[:_MOST_RANGES]:
        match = _RANGE.match(item.strip())
        if match is None:
            continue
        name, wanted = match[1].lower(), float(match[2] or 1)
        if name in PHRASES and wanted > weight:
            best, weight = name, wanted
    return best


def render(state: State, name: str, about: About) -> bytes:
    """The document, in the language `name`, one of `PHRASES`."""
    phrases = PHRASES[name]
    button = ""
    match state:
        case State.ASK:
            title, text, button = phrases.ask_title, phrases.ask_text, phrases.ask_button
        case State.DONE:
            title, text = phrases.done_title, phrases.done_text
        case State.ALREADY:
            title, text = phrases.already_title, phrases.already_text
        case State.LATER:
            title, text, button = phrases.later_title, phrases.later_text, phrases.later_button
        case State.LOST:
            title, text = phrases.lost_title, phrases.lost_text
    rows = [(phrases.address, about.address), (phrases.sender, about.sender), (phrases.topic, about.topic)]
    role = "" if button else ' role="status"'
    listed = "".join(_row(label, value) for label, value in rows if value)
    return (
        f'<!doctype html>\n<html lang="{name}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n<meta name="robots" content="noindex">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<main class="{state}">\n<svg viewBox="0 0 24 24" aria-hidden="true">{_ICONS[state]}</svg>\n'
        f"<h1>{escape(title)}</h1>\n<p{role}>{escape(text)}</p>\n"
        f"{f'<dl>{listed}</dl>' if listed else ''}\n"
        f"{_FORM.format(button=escape(button)) if button else ''}\n</main>\n</body>\n</html>\n"
    ).encode()


def _row(label: str, value: str) -> str:
    shown = escape(_UNSAFE.sub("\ufffd", value))
    return f'<div><dt>{escape(label)}</dt><dd translate="no"><bdi>{shown}</bdi></dd></div>'
