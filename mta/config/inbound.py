"""`[inbound]`: where reports come in. A certificate that cannot be used is a warning here, because the daemon runs
without one (H16)."""

import re
from ipaddress import ip_address
from pathlib import Path

from mta.config.document import Document
from mta.config.identities import KeyReader
from mta.config.names import host_and_port
from mta.config.problems import Findings
from mta.config.reading import show
from mta.inbound.settings import InboundSettings

_PORT = 25
_LOCAL_PART = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*", re.ASCII)
_MOST_LOCAL = 64
_MOST_CONNECTIONS = 100_000


def inbound(document: Document, origin: Path, read_key: KeyReader, found: Findings) -> InboundSettings:
    table = document.inbound
    listen = _listen(table.listen, found)
    if listen and not document.tokens.keys:
        found.wrong("inbound.listen", "needs a key in [tokens]: only what carries a token is let in")
    if not 1 <= table.max_connections <= _MOST_CONNECTIONS:
        found.wrong("inbound.max_connections", f"expected 1 to {_MOST_CONNECTIONS}")
    if bool(table.certificate) != bool(table.key):
        found.wrong("inbound.certificate", "and inbound.key go together: set both or none")
    feedback = table.feedback.lower()
    if feedback and (len(feedback) > _MOST_LOCAL or not _LOCAL_PART.fullmatch(feedback)):
        found.wrong("inbound.feedback", f'expected a local part such as "fbl", found {show(table.feedback)}')
    return InboundSettings(
        listen=listen,
        certificate=str(origin.parent / table.certificate) if table.certificate else "",
        key=_key(table.key, origin, read_key, found) if table.key else "",
        feedback=feedback,
        max_connections=table.max_connections,
    )


def _listen(text: str, found: Findings) -> str:
    """With its port, in a form that `host_and_port` reads again."""
    if not text:
        return ""
    try:
        host, port = host_and_port(text, _PORT)
        address = ip_address(host)
    except ValueError:
        found.wrong(
            "inbound.listen", f'expected an address such as "0.0.0.0:25" or "[::]:25", found {show(text)}'
        )
        return ""
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _key(name: str, origin: Path, read_key: KeyReader, found: Findings) -> str:
    """Where it lies; where it should, if it cannot be read."""
    read = Findings(found.file)
    file = read_key("tls", name, "inbound.key", read)
    for problem in read.problems:
        found.odd(problem.path, f"{problem.text}; reports come without TLS")
    return str(file.place if file is not None else origin.parent / name)
