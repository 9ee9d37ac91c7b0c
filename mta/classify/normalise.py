"""What a refusal says, without what differs from one message to the next: the text that rules are matched against.

Lines are joined, the codes repeated at their beginnings dropped, case and accents folded. In place of what names
somebody or something stand words in capitals, which no other word of the text has:

    ADDR  an address      HOST  a host name    IP      an address of the network, v4 or v6
    URL   a link          ID    a queue or session id, UUID, base64
    N     a number        TIME  a time         STATUS  an enhanced status code

Names of block lists and the pages receivers point to stay, they say what is meant (`_KEPT`). A reply inside a reply
(`host x said: 550 5.1.1 ...`) decides: the text is cut to the innermost, and so are the codes; whether to try again
stays with the outer code. Unless the time is over: what was answered last is then no more than quoted, and the text
is what stands before it.

The time is bounded: at most `MOST_CHARS` are read, and every expression here runs over single words of at most
`_MOST_WORD`.
"""

import re
import unicodedata
from functools import lru_cache

from msgspec import Struct

from mta.classify.provider_code import code_in_link, provider_code

MOST_CHARS = 1024
"""Of a reply; the longest known refusals have some 800."""
_MOST_WORD = 300
_MOST_KNOWN, _MOST_KNOWN_WORD = 8192, 40
_MOST_RARE = 2048

_PLAIN = re.compile(r"[<(\[\"'`*-]*[^\W\d_]+(?:['/-][^\W\d_]+)*[>)\]\"'`.,:;!?*-]*")
_STATUS = re.compile(r"[<(\[\"'#:]*([245]\.\d{1,3}\.\d{1,3})[>)\]\"',.:;]*")
_REPEATED = re.compile(r"([45]\d\d)-(?:#?([245]\.\d{1,3}\.\d{1,3}))?")
_INNER = re.compile(r"(?:.*[:;(\[<\"'])?([45]\d\d)(?:[- ]#?([245]\.\d{1,3}\.\d{1,3}))?[:,]?")
_KEPT = frozenset(
    {
        *(
            "spamhaus",
            "spamcop",
            "barracudacentral",
            "barracuda",
            "sorbs",
            "surbl",
            "uribl",
            "invaluement",
            "dnsbl",
        ),
        *(
            "abuseat",
            "uceprotect",
            "psbl",
            "mailspike",
            "senderscore",
            "senderbase",
            "talosintelligence",
            "manitu",
        ),
        *(
            "nixspam",
            "spamrats",
            "hostkarma",
            "junkemailfilter",
            "backscatterer",
            "spameatingmonkey",
            "lashback",
        ),
        *(
            "ipcheck",
            "csi",
            "zen",
            "dbl",
            "xbl",
            "pbl",
            "sbl",
            "cbl",
            "bl",
            "rbl",
            "dnsrbl",
            "rhsbl",
            "blocklist",
        ),
        *(
            "blacklist",
            "njabl",
            "wpbl",
            "openspf",
            "delist",
            "greylist",
            "greylisting",
            "postgrey",
            "ahbl",
            "0spam",
        ),
        *(
            "dnsbl1",
            "dnsbl2",
            "dnswl",
            "dul",
            "drone",
            "cymru",
            "truncate",
            "smtplf",
            "gbudb",
            "s5h",
            "ix",
            "dmarc",
            "dkim",
        ),
    }
)
"""Of the names of hosts, and in links: they say what is meant."""
_TLDS = re.compile(
    r"[a-z]{2}|xn--.*|com|net|org|info|biz|edu|gov|mil|int|arpa|test|example|invalid|localhost|local|lan|internal|"
    r"intra|corp|home|name|pro|mobi|asia|jobs|tel|travel|cat|museum|coop|aero|cloud|email|mail|online|shop|site|"
    r"store|app|dev|xyz|tech|agency|network|solutions|services|digital|world|media|company|group|international|"
    r"systems|software|academy|center|club|live|life|today|news|blog|page|space|website|host|hosting|berlin|"
    r"hamburg|koeln|wien|paris|london|tokyo|vip|top|work|works|global|consulting|design|studio|family|gmbh|swiss"
)
_MALWARE = frozenset(
    ("trojan", "worm", "virus", "backdoor", "exploit", "malware", "ransom", "heuristics", "eicar")
)
"""Parts of the dotted names scanners give: `Win.Trojan.Agent-123`."""
_WORDS_WITH_DIGITS = re.compile(
    r"(?:8bitmime|smtputf8|utf-?8|utf-?16|ipv[46]|rfc[-.]?\d{3,4}|base64|sha-?(?:1|256)|tls(?:v?1(?:\.\d)?)|md5|"
    r"us-ascii|7bit|8bit|w32|w64|w97m|x97m|win32|win64|uceprotectl?\d|"
    r"iso-\d+(?:-\d+)?|3des|rc4|mx\d?|[45]xx|4yz|5yz|0x[0-9a-f]{1,4})"
)
_PARTS = re.compile(
    r"(?P<url>(?:https?|ftp)://[^\s<>\"')\]]+|www\.[^\s<>\"')\]]+)"
    r"|(?P<addr>[^\s<>()\[\]\"',;:@]+@[^\s<>()\[\]\"',;:@]+)"
    r"|(?P<ip>(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)(?:/\d{1,2}|:\d{1,5})?"
    r"|(?<![\w:])(?:ipv6:)?(?=[0-9a-f:]*[a-f0-9]{1,4}:)(?=[0-9a-f]*:[0-9a-f]*:)[0-9a-f:]{3,}(?:\.\d{1,3}){0,3}"
    r"(?:/\d{1,3})?(?![\w]))"
    r"|(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<status>(?<![\w.])[245]\.\d{1,3}\.\d{1,3}(?![\w.]*\w))"
    r"|(?P<host>(?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*[a-z0-9]\b\.?)"
    r"|(?P<word>[^\W_]+(?:[_+~!-]+[^\W_]+)*)"
)
_TIME = re.compile(
    r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?|\d{4}-\d{2}-\d{2}(?:t\d{2}:?\d{2}:?\d{2}(?:\.\d+)?z?)?"
)
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_OPEN, _SHUT = r"[<(\[\"']*", r"[>)\].,;:\"'!?]*"
_NAME = r"[^\s<>()\[\]\"',;:@]+"
_ADDRESS = re.compile(f"({_OPEN}){_NAME}@{_NAME}?({_SHUT})")
_IPV4 = re.compile(rf"({_OPEN})(?:\d{{1,3}}\.){{3}}\d{{1,3}}({_SHUT})")
_HOST = re.compile(rf"({_OPEN})((?:[a-z0-9_-]+\.)+[a-z][a-z0-9-]*[a-z0-9])({_SHUT})", re.IGNORECASE)
_SIMPLE = re.compile(rf"({_OPEN})([A-Za-z0-9]+(?:[._+~-]+[A-Za-z0-9]+)*)({_SHUT})")
_LINK = re.compile(rf"({_OPEN})((?:https?|ftp)://[^\s<>\"')\]]+)(.*)", re.IGNORECASE)
_MEASURED = re.compile(r"[0-9][0-9._,+/~-]*([a-z]{0,5})")
_TRAILING = frozenset({"", "ID", "N", "TIME", "STATUS"})
"""What a reply may end in without saying anything by it."""
_OF_SENDERS = ("sender", "callout", "callback", "originator", "reverse-path", "return-path")
_TIME_IS_OVER = re.compile(
    r"\b(?:message|mail|delivery|queue|retry) (?:has |time |life ?time |period )*expired\b"
    r"|\b(?:queue|retry|delivery) (?:life ?time|time(?:out)?|period)\b[^.;]*\b(?:exceeded|over|expired|reached)\b"
    r"|\b(?:retries|attempts)\b[^.;]*\b(?:exhausted|exceeded)\b|\bqueued?\b[^.;]*\btoo long\b"
    r"|\bundeliver\w+ (?:for|in|after|within) N\b|\b(?:not|unable to) (?:be )?deliver\w* (?:for|in|after|within) N\b"
    r"|\bg[ai]v(?:e|ing) up after\b"
    r"|\b(?:tried|trying) for N\b|\btimed out after N (?:hours|days)\b|\btoo old\b|\bmaximum time in (?:the )?queue\b"
    r"|\bnach N \w+ (?:aufgegeben|abgebrochen)|\babandon\w* (?:apres|despues de|tras|dopo|apos) N\b"
    r"|\b(?:zustell\w*|\w*frist)\b[^.;]*\b(?:abgelaufen|aufgegeben)|\bdelai\b[^.;]*\b(?:depasse|expire|ecoule)"
    r"|\b(?:tiempo|plazo|prazo|tempo|termine)\b[^.;]*\b(?:agotad|expirad|esgotad|scadut|vencid|superat)"
)
"""Said in front of a quoted reply: it was the last one, not the reason."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\ufeff]+")
_MARKS = re.compile("(?<=[a-z])[\u0300-\u036f]+")
_FOLDED = str.maketrans(
    {
        **{"’": "'", "‘": "'", "“": '"', "”": '"', "´": "'", "`": "'", "–": "-", "—": "-"},
        **{"ß": "ss", "ł": "l", "Ł": "l", "ø": "o", "Ø": "o", "æ": "ae", "Æ": "ae", "đ": "d", "ı": "i"},
    }
)


class Normal(Struct, frozen=True, gc=False):
    """A refusal made comparable. `code` and `enhanced` are those of the innermost reply, `enhanced` "" where there is
    none; `provider_code` is as the provider writes it."""

    text: str
    code: int
    enhanced: str
    provider_code: str


class Normaliser:
    """Remembers plain words and what they become: texts differ, their words hardly."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def __call__(self, text: str, code: int, enhanced: str) -> Normal:
        """`text` as of `Reply.text`: its lines without the basic code, octets as latin-1."""
        text = text[:MOST_CHARS]
        if not text.isascii():
            text = _decoded(text)
        words = text.split()
        known = self._known
        made = list(map(known.get, words))  # None: not seen yet, or more than letters
        found_code, found_status, begins = code, enhanced, 0
        provider = ""
        for at, normal in enumerate(made):
            if normal is not None:
                continue
            word = words[at]
            if word == enhanced and found_status:
                made[at] = ""
                continue
            if word.isalpha() and word.isascii():
                made[at] = self._learn(word)
                continue
            if ("@" in word or word.count(".") == 3) and (named := _named(word)) is not None:
                made[at] = named
                continue
            alone = _alone(word)
            if alone is None:
                made[at] = self._learn(word)
                continue
            bare, token, inner, status = alone
            if inner is not None:
                following = words[at + 1] if at + 1 < len(words) else ""
                is_again = _REPEATED.fullmatch(word) or (
                    following == enhanced and word == str(code) and enhanced
                )
                if is_again and int(word[:3]) == code and not (at and words[at - 1][-1] in ":;"):
                    made[at] = ""
                    continue
                if _opens(inner, word, words[at - 1] if at else "", following):
                    found_code, found_status, begins = int(inner[1]), inner[2] or "", at + 1
                    made[at] = ""
                    continue
            if status:
                if not found_status and not (at and words[at - 1] in ("version", "v")):
                    found_status = status
                made[at] = "STATUS" if status != enhanced and any(made[begins:at]) else ""
                continue
            if inner is not None:
                bare, token = _rare(word[:_MOST_WORD])
            made[at] = bare
            provider = provider or token
        if begins:
            begins = sum(map(bool, made[:begins]))
        out = list(filter(None, made))
        while len(out) > begins + 1 and out[-1].strip("()[]<>.,;:-#") in _TRAILING:
            del out[-1]
        if begins and _TIME_IS_OVER.search(" ".join(out[:begins])):
            return Normal(" ".join(out[:begins]), code, enhanced, provider)
        # Who asked the sender's server whether it knows him quotes its answer, too: that is not about our recipient.
        is_of_sender = begins and any(word.startswith(_OF_SENDERS) for word in out)
        if len(out) == begins or is_of_sender:
            begins, found_code, found_status = 0, code, enhanced or found_status
        return Normal(" ".join(out[begins:]), found_code, found_status or enhanced, provider)

    def _learn(self, word: str) -> str:
        normal = _folded(word)
        if len(word) <= _MOST_KNOWN_WORD:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[word] = normal
        return normal


def _opens(inner: re.Match[str], word: str, before: str, following: str) -> bool:
    """Whether a number is the code of a reply inside this one."""
    is_led = len(word) > 3 and inner.start(1) > 0 and not word[inner.start(1) - 1].isalnum()
    if inner[2] or _STATUS.fullmatch(following.lstrip("#")):
        return is_led or (bool(before) and inner.start(1) == 0)
    if not following:
        return False
    return (
        is_led
        or before[-1:] in (":", ";")
        or before.lower() in ("said", "says", "replied", "response", "returned")
    )


def _decoded(text: str) -> str:
    """UTF-8 where it is that, else latin-1 as it came."""
    try:
        octets = text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    try:
        return octets.decode()
    except UnicodeDecodeError:
        # Cut in the middle of a letter, or one broken octet: the rest is readable even so.
        whole = octets.decode("utf-8", "ignore")
        return whole if len(octets) - len(whole.encode()) <= 3 and not whole.isascii() else text


def _folded(word: str) -> str:
    if word.isascii() and word.isalpha():
        return word.lower()
    word = word.casefold()
    if word.isascii():
        return _CONTROLS.sub("", word).replace("`", "'")
    word = unicodedata.normalize("NFKD", _CONTROLS.sub("", word.translate(_FOLDED)))
    return unicodedata.normalize("NFC", _MARKS.sub("", word))


def _named(word: str) -> str | None:
    """An address of a mailbox or of the network, made comparable: they hardly ever come twice, so they are not
    remembered. None: it is neither."""
    if "@" in word:
        found = _ADDRESS.fullmatch(word[:_MOST_WORD]) if "://" not in word else None
        return f"{found[1]}ADDR{found[2]}" if found is not None else None
    if word.count(".") == 3 and (found := _IPV4.fullmatch(word)):
        return f"{found[1]}IP{found[2]}"
    return None


@lru_cache(_MOST_RARE)
def _alone(word: str) -> tuple[str, str, re.Match[str] | None, str] | None:
    """A word by itself: made comparable, the provider's code in it, the code of a reply that may begin with it, the
    enhanced code that it is; the first two are left to `_rare` where one of the others is. None: a plain word."""
    is_link = "://" in word
    if not is_link and _PLAIN.fullmatch(word) and word != "(BL)":
        return None
    inner = _INNER.fullmatch(word[-_MOST_WORD:]) if word[-1] in "0123456789,:-" else None
    status = _STATUS.fullmatch(word) if not is_link and word.count(".") >= 2 else None
    text, token = _rare(word[:_MOST_WORD]) if status is inner is None else ("", "")
    return text, token, inner, status[1] if status is not None else ""


def _rare(word: str) -> tuple[str, str]:
    """Any other word that is more than letters, made comparable; and the provider's code in it, if there is one."""
    if "://" in word and (link := _LINK.fullmatch(word)):
        after = _replaced(link[3]) if link[3] else ""
        return link[1] + _link(link[2]) + after, code_in_link(link[2])
    if "." in word and (host := _HOST.fullmatch(word)):
        name = _host(host[2].lower())
        return host[1] + name + host[3], provider_code(word) if name != "HOST" else ""
    if simple := _SIMPLE.fullmatch(word):
        return simple[1] + _word(simple[2].lower()) + simple[3], provider_code(word)
    return _replaced(word), provider_code(word)


def _link(link: str) -> str:
    kept = [part for part in _SEPARATORS.split(link.lower()) if part in _KEPT]
    return "URL:" + ".".join(kept) if kept else "URL"


def _replaced(word: str) -> str:
    word = _folded(word)
    if word.isdigit():
        return "N"
    return _PARTS.sub(_token, word)


def _token(match: re.Match[str]) -> str:
    kind, part = match.lastgroup, match[0]
    match kind:
        case "url":
            return _link(part)
        case "addr":
            return "ADDR"
        case "uuid":
            return "ID"
        case "ip":
            return "TIME" if _TIME.fullmatch(part) else "IP"
        case "status":
            return "STATUS"
        case "host":
            return _host(part)
        case _:
            return _word(part)


def _host(part: str) -> str:
    name = part.rstrip(".")
    if not _KEPT.isdisjoint(_SEPARATORS.split(name)):
        return part
    last = name.rpartition(".")[2]
    if _TLDS.fullmatch(last):
        return "HOST"
    if any(c.isdigit() for c in name) and _MALWARE.isdisjoint(name.split(".")):
        return "ID"
    # No name of a host: two sentences without a space between them, or a dotted word of a program.
    return part.replace(".", ". ")


def _word(part: str) -> str:
    if part.isalpha() or _WORDS_WITH_DIGITS.fullmatch(part):
        return part
    if measured := _MEASURED.fullmatch(part):
        return "N" + measured[1]
    if _TIME.fullmatch(part):
        return "TIME"
    return "ID" if any(map(str.isdigit, part)) else part
