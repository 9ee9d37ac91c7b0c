"""What a refusal says, without what differs from one message to the next: the text that rules are matched against.

Lines are joined, the codes repeated at their beginnings dropped, case and accents folded. In place of what names
somebody or something stand words in capitals, which no other word of the text has:

    ADDR  an address      HOST  a host name    IP      an address of the network, v4 or v6
    URL   a link          ID    a queue or session id, UUID, base64
    N     a number        TIME  a time         STATUS  an enhanced status code

Names of block lists and the pages receivers point to stay, they say what is meant (`_KEPT`). A reply inside a reply
(`host x said: 550 5.1.1 ...`) decides: the text is cut to the innermost, and so are the codes; whether to try again
stays with the outer code.

The time is bounded: at most `MOST_CHARS` are read, and every expression here runs over single words of at most
`_MOST_WORD`.
"""

import re
import unicodedata

from msgspec import Struct

from mta.classify.provider_code import provider_code

MOST_CHARS = 2048
"""Of a reply; the longest known refusals have some 800."""
_MOST_WORD = 300
_MOST_KNOWN, _MOST_KNOWN_WORD = 8192, 40

_PLAIN = re.compile(r"[<(\[\"'`*-]*[^\W\d_]+(?:['/-][^\W\d_]+)*[>)\]\"'`.,:;!?*-]*")
_STATUS = re.compile(r"[<(\[\"'#:]*([245]\.\d{1,3}\.\d{1,3})[>)\]\"',.:;]*")
_REPEATED = re.compile(r"([45]\d\d)-(?:#?([245]\.\d{1,3}\.\d{1,3}))?")
_INNER = re.compile(r"(?:.*[:;(\[<\"'])?([45]\d\d)(?:[- ]#?([245]\.\d{1,3}\.\d{1,3}))?[:,]?")
_KEPT = re.compile(
    r"spamhaus|spamcop|barracuda|sorbs|surbl|uribl|invaluement|dnsbl|dnswl|njabl|abuseat|uceprotect|psbl|mailspike|"
    r"senderscore|senderbase|talosintelligence|cloudmark|manitu|nixspam|spamrats|0spam|truncate|hostkarma|junkemail|"
    r"csi\.mimecast|ipcheck\.proofpoint|backscatter|spameatingmonkey|blocklist|blacklist|lashback|wpbl|(?:^|[./-])rbl|"
    r"rbl[./]|(?:^|[./])[a-z]*bl\.|openspf|open-spf|delist|greylist|sender-?check|antispam"
)
_TLDS = re.compile(
    r"[a-z]{2}|xn--.*|com|net|org|info|biz|edu|gov|mil|int|arpa|test|example|invalid|localhost|local|lan|internal|"
    r"intra|corp|home|name|pro|mobi|asia|jobs|tel|travel|cat|museum|coop|aero|cloud|email|mail|online|shop|site|"
    r"store|app|dev|xyz|tech|agency|network|solutions|services|digital|world|media|company|group|international|"
    r"systems|software|academy|center|club|live|life|today|news|blog|page|space|website|host|hosting|berlin|"
    r"hamburg|koeln|wien|paris|london|tokyo|vip|top|work|works|global|consulting|design|studio|family|gmbh|swiss"
)
_WORDS_WITH_DIGITS = re.compile(
    r"(?:8bitmime|smtputf8|utf-?8|utf-?16|ipv[46]|rfc-?\d{3,4}|base64|sha-?(?:1|256)|tls(?:v?1(?:\.\d)?)|md5|"
    r"us-ascii|7bit|8bit|"
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
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\ufeff]+")
_MARKS = re.compile("[\u0300-\u036f]")
_QUOTES = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "´": "'", "`": "'", "–": "-", "—": "-", "ß": "ss"}
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
        out: list[str] = []
        found_code, found_status, begins = code, enhanced, 0
        provider = ""
        for at, word in enumerate(words):
            normal = known.get(word)
            if normal is not None:
                out.append(normal)
                continue
            if _PLAIN.fullmatch(word) and word != "(BL)":
                out.append(self._learn(word))
                continue
            if word[-1] in "0123456789,:-" and (inner := _INNER.fullmatch(word[-_MOST_WORD:])):
                following = words[at + 1] if at + 1 < len(words) else ""
                is_again = _REPEATED.fullmatch(word) or (
                    following == enhanced and word == str(code) and enhanced
                )
                if is_again and int(word[:3]) == code and not (at and words[at - 1][-1] in ":;"):
                    continue
                if at and _opens(inner, word, words[at - 1], following):
                    found_code, found_status, begins = int(inner[1]), inner[2] or "", len(out)
                    continue
            status = _STATUS.fullmatch(word)
            if status is not None:
                if not found_status and not (at and words[at - 1] in ("version", "v")):
                    found_status = status[1]
                if status[1] != enhanced and not _begins(out, begins):
                    out.append("STATUS")
                continue
            token = provider_code(word)
            provider = provider or token
            out.append(_replaced(word[:_MOST_WORD]))
        if len(out) == begins:
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
        return is_led or inner.start(1) == 0
    if not following:
        return False
    return (
        is_led or before[-1] in ":;" or before.lower() in ("said", "says", "replied", "response", "returned")
    )


def _begins(out: list[str], begins: int) -> bool:
    return len(out) == begins


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
    word = word.casefold()
    if word.isascii():
        return _CONTROLS.sub("", word).replace("`", "'")
    word = unicodedata.normalize("NFKD", _CONTROLS.sub("", word.translate(_QUOTES)))
    return unicodedata.normalize("NFC", _MARKS.sub("", word))


def _replaced(word: str) -> str:
    word = _folded(word)
    if word.isdigit():
        return "N"
    return _PARTS.sub(_token, word)


def _token(match: re.Match[str]) -> str:
    kind, part = match.lastgroup, match[0]
    match kind:
        case "url":
            return part.split("?")[0] if _KEPT.search(part) else "URL"
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
    if _KEPT.search(name):
        return part
    last = name.rpartition(".")[2]
    if _TLDS.fullmatch(last):
        return "HOST"
    if any(c.isdigit() for c in name):
        return "ID"
    # No name of a host: two sentences without a space between them, or a dotted word of a program.
    return part.replace(".", ". ")


def _word(part: str) -> str:
    if not any(c.isdigit() for c in part):
        return part
    if part.isdigit():
        return "N"
    if _WORDS_WITH_DIGITS.fullmatch(part):
        return part
    if _TIME.fullmatch(part):
        return "TIME"
    letters = sum(c.isalpha() for c in part)
    if part[0].isdigit() and letters <= 5 and part.lstrip("0123456789.,").isalpha():
        return "N" + part.lstrip("0123456789.,")
    return "N" if not letters else "ID"
