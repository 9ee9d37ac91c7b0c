"""Where a domain wants its reports: the TXT record at `_smtp._tls` (RFC 8460 section 3).

Strangers write it, so whatever is in it gives a `Rua`, and only two kinds of URI are taken: `mailto` with an address
that the project's own parser takes (nothing of a query, which could set header fields), and `https` with a host name
and without a login. A record costs at most `MOST_URIS` reports. That nobody is connected to who may not be, is seen to
where addresses are known.
"""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from mta.model.address import BadAddress, Mailbox, canonical_domain, parse
from mta.tlsrpt.tally import MOST_URIS

_VERSION = "v=TLSRPTv1;"
_MOST_RECORD = 4_000
_MOST_URI = 1_000
_FIELD = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]{0,31})=([!-~ \t]*)").fullmatch
# RFC 3986: unreserved, reserved and percent-encoded, without the brackets of an IP literal. A comma, which parts URIs
# here, is percent-encoded.
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#@!$&'()*+=-]|%[0-9A-Fa-f]{2})+").fullmatch
_AUTHORITY = re.compile(r"([A-Za-z0-9.-]+)(?::([0-9]{1,5}))?").fullmatch


class ByMail(Struct, frozen=True, gc=False):
    uri: str
    mailbox: Mailbox


class ByPost(Struct, frozen=True, gc=False):
    """`target` is path and query; `port` 0 where the URI names none."""

    uri: str
    host: str
    port: int
    target: str


Destination = ByMail | ByPost


class Rua(Struct, frozen=True):
    """Nothing in it: the domain wants no reports. `refused` says what was wrong with a URI."""

    destinations: tuple[Destination, ...] = ()
    refused: tuple[str, ...] = ()


def rua(texts: Sequence[str]) -> Rua:
    """What the TXT records at `_smtp._tls.<domain>` say, each with its strings joined. Of several records of this
    version none counts."""
    records = [text for text in texts if text.startswith(_VERSION)]
    if len(records) != 1:
        return Rua()
    record = records[0]
    if len(record) > _MOST_RECORD:
        return Rua(refused=(f"the record is longer than {_MOST_RECORD} characters",))
    found: dict[str, Destination] = {}
    refused: list[str] = []
    for uri in _uris(record.removeprefix(_VERSION)):
        if uri in found:
            continue
        if len(found) + len(refused) == MOST_URIS:
            refused.append(f"more than {MOST_URIS} URIs")
            break
        try:
            found[uri] = _destination(uri)
        except ValueError as error:
            refused.append(f"{uri[:100]}: {error}")
    return Rua(tuple(found.values()), tuple(refused))


def _uris(fields: str) -> Iterator[str]:
    """Nothing where it is no list of keys with values; keys that are not known are passed over."""
    pairs = [_FIELD(field.strip(" \t")) for field in fields.split(";") if field.strip(" \t")]
    if not all(pairs):
        return
    for pair in pairs:
        if pair is not None and pair[1] == "rua":
            yield from (uri.strip(" \t") for uri in pair[2].split(","))


def _destination(uri: str) -> Destination:
    """ValueError for what nothing may be sent to."""
    if len(uri) > _MOST_URI:
        raise ValueError(f"longer than {_MOST_URI} characters")
    if _URI(uri) is None:
        raise ValueError("not a URI")
    scheme, _, rest = uri.partition(":")
    match scheme.lower():
        case "mailto":
            return ByMail(uri, _mailbox(rest))
        case "https":
            return _post(uri)
        case _:
            raise ValueError("neither mailto nor https")


def _mailbox(rest: str) -> Mailbox:
    """RFC 6068 section 2, one address."""
    try:
        return parse(unquote(rest.partition("?")[0], errors="strict"))
    except UnicodeDecodeError as error:
        raise ValueError("its percent-encoding is not UTF-8") from error
    except BadAddress as error:
        raise ValueError(str(error)) from error


def _post(uri: str) -> ByPost:
    parts = urlsplit(uri)
    authority = _AUTHORITY(parts.netloc)
    if authority is None:
        raise ValueError("its host is no name, or has a login beside it")
    port = int(authority[2] or 0)
    if authority[2] is not None and not 0 < port < 65_536:
        raise ValueError("its port is none")
    try:
        host = canonical_domain(authority[1])
    except BadAddress as error:
        raise ValueError(str(error)) from error
    query = f"?{parts.query}" if parts.query else ""
    return ByPost(uri, host, port, f"{parts.path or '/'}{query}")
