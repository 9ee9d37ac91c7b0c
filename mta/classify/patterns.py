"""One pattern against one text: by `google-re2` where it is installed, else by `re`.

Both give the same answers, because a pattern may use only what they understand alike (`fault_of` says what it must
not), and because the text holds no line ends. RE2 takes linear time whatever the pattern; with `re` the cap on the
text bounds it.
"""

import re
from collections.abc import Callable

try:
    import re2
except ImportError:  # the extra is not installed
    re2 = None

_MEMORY_BYTES = 2_000_000
"""What the automaton of one pattern may grow to; it is begun anew beyond that."""
_ESCAPES = frozenset("bBdDsSwW.()[]{}?*+|^$\\/-#")

_PLAIN = re.compile(r"[^\\.()\[\]{}?*+|^$]*")

Search = Callable[[str], bool]
"""Whether something is found anywhere in a text."""


def search_for(pattern: str) -> Search:
    if _PLAIN.fullmatch(pattern):
        return lambda text: pattern in text
    return _by_re2(pattern) if re2 is not None else _by_re(pattern)


def _by_re(pattern: str) -> Search:
    search = re.compile(pattern, re.ASCII).search
    return lambda text: search(text) is not None


def _by_re2(pattern: str) -> Search:
    """By a set, which is asked for no more than whether: half the time of a search. It does not say when it ran out
    of memory, so its second pattern is one that always matches: if even that is missing, `re` answers."""
    options = re2.Options()
    options.max_mem = _MEMORY_BYTES
    both = re2.Set.SearchSet(options)
    both.Add(pattern)
    both.Add("")
    both.Compile()
    match = both.Match

    def search(text: str) -> bool:
        found = match(text.encode())
        return len(found) == 2 if found else _by_re(pattern)(text)

    return search


def fault_of(pattern: str) -> str:
    """Why a pattern cannot be used; empty where it can."""
    at = 0
    while at < len(pattern):
        pair = pattern[at : at + 2]
        if pair[0] == "\\":
            if pair[1:] not in _ESCAPES:
                return f'"{pair}" is not understood by RE2 and `re` alike'
            at += 1
        elif pair == "(?" and pattern[at : at + 3] != "(?:":
            return f'"{pattern[at : at + 3]}": of groups only ( ) and (?: ) are allowed'
        elif pair in ("*+", "++", "?+", "}+"):
            return f'"{pair}": possessive repeats are not understood by RE2'
        at += 1
    try:
        re.compile(pattern, re.ASCII)
    except (re.error, OverflowError) as error:
        return f"is no regular expression: {error}"
    if re2 is not None:
        quiet = re2.Options()
        quiet.log_errors = False
        quiet.max_mem = _MEMORY_BYTES
        try:
            re2.compile(pattern, options=quiet)
        except re2.error as error:
            said = error.args[0] if error.args else error
            return f"is not understood by RE2: {said.decode() if isinstance(said, bytes) else said}"
    return ""
