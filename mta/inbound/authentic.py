"""Whether a complaint is its author's: keys are asked for here, signatures checked in a worker."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto

from mta.dns.record import DnsTrouble
from mta.inbound.signature import Signature, aligned

Texts = Callable[[str], Awaitable[tuple[str, ...] | DnsTrouble]]
"""The TXT records of a name."""
Verify = Callable[[bytes, tuple[Signature, ...], dict[str, str]], Awaitable[bool]]
"""Message, signatures and the key records by name: whether one holds."""


class Authorship(Enum):
    PROVEN = auto()
    UNPROVEN = auto()
    UNKNOWN = auto()
    """DNS does not say now."""


class Authenticity:
    def __init__(self, texts: Texts, verify: Verify, limit_s: float) -> None:
        self._texts = texts
        self._verify = verify
        self._limit_s = limit_s

    async def judge(self, raw: bytes, from_domain: str) -> Authorship:
        """L-06. Raises what the workers raise."""
        signatures = aligned(raw, from_domain.lower())
        if not signatures:
            return Authorship.UNPROVEN
        names = {signature.record for signature in signatures}
        try:
            async with asyncio.timeout(self._limit_s):
                answers = await asyncio.gather(*(self._texts(name) for name in names))
        except TimeoutError:
            return Authorship.UNKNOWN
        told = dict(zip(names, answers, strict=True))
        # RFC 6376 section 3.6.2.2: of several records the result is undefined; the first is as good as any.
        records = {
            name: texts[0] for name, texts in told.items() if not isinstance(texts, DnsTrouble) and texts
        }
        if records and await self._verify(raw, signatures, records):
            return Authorship.PROVEN
        is_unsure = any(isinstance(texts, DnsTrouble) for texts in told.values())
        return Authorship.UNKNOWN if is_unsure else Authorship.UNPROVEN
