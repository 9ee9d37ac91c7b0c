"""What every notice of failure begins with, and what therefore tells nothing: that the message did not arrive.

IronPort opens each of them with "The following message to <…> was undeliverable", whatever the reason. Classed by such
a sentence, a full disk would be an unknown user.
"""

import re

from mta.classify.vocabulary import FAILED, fold, has
from mta.classify.vocabulary_notice import LABELLED, TELLING

_MOST = 3
"""Sentences at the front that may be one."""
_MOST_CHARS = 300
"""Of one."""
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,253}")
_END = re.compile(r"[.!:।](?=\s)|[。！](?!\Z)|\n")
_MORE = re.compile(r"[\d,;(\"«“、，—–]| - ")
"""With one of these a sentence says more than that it failed."""


def without_introduction(text: str) -> str:
    """What is said behind it: "" where nothing is."""
    for _ in range(_MOST):
        end = _END.search(text, 0, _MOST_CHARS)
        if end is None and len(text) > _MOST_CHARS:
            return text
        at = end.end() if end is not None else len(text)
        if not introduces(text[:at]):
            return text
        text = text[at:].lstrip()
    return text


def introduces(sentence: str) -> bool:
    """Whether it says that a message failed, or that the reason comes now, and no reason."""
    told = fold(_ADDRESS.sub("", sentence))
    if told.rstrip(" :") in LABELLED:
        return True
    return has(told, FAILED) and not has(told, TELLING) and _MORE.search(told) is None
