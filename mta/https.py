"""HTTPS to hosts that strangers name. The only module that makes connections by aiohttp.

There is little such a host may make us do: one exchange, with addresses that `Addresses` lets through, of the host
whose name the certificate must bear. Nothing is followed, no proxy of the environment is used, no cookie kept, nothing
unpacked, no connection used twice, and all of it ends when the time is over.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

_LONGEST_DETAIL = 200


class Trouble(Protocol):
    """Why DNS has no answer now."""

    @property
    def detail(self) -> str: ...


class Addressed(Protocol):
    """What DNS says of a host: addresses that may be connected to; and why not, where there are none."""

    @property
    def addresses(self) -> tuple[str, ...]: ...

    @property
    def refused(self) -> tuple[str, ...]: ...

    @property
    def trouble(self) -> Trouble | None: ...

    @property
    def is_missing(self) -> bool: ...


Addresses = Callable[[str], Awaitable[Addressed]]


class HttpsFailed(Exception):
    """No answer. `detail` may quote the host, and is printable. `is_untrusted`: it could not show who it is."""

    def __init__(self, detail: str, *, is_untrusted: bool = False) -> None:
        self.detail = printable(detail)
        super().__init__(self.detail)
        self.is_untrusted = is_untrusted


class Https:
    """`start` inside the running loop, `close` once nobody asks any more. `context` None trusts whom the system
    trusts; `most_s` is for a whole exchange. How many there are at once, who calls bounds."""

    def __init__(self, addresses: Addresses, *, context: ssl.SSLContext | None, most_s: float) -> None:
        self._resolver = _Allowed(addresses)
        self._context = context
        self._most_s = most_s
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=self._context or verifying(),
            force_close=True,
            limit=0,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "mta"},
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The head of the answer, whose body may be read within; HttpsFailed if there is none, or no more of it. `url`
        goes out to the letter. The border where errors of aiohttp and of TLS end."""
        session = self._session
        if session is None:
            raise HttpsFailed("not running")
        try:
            async with (
                asyncio.timeout(self._most_s),
                session.request(
                    method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
                ) as response,
            ):
                yield response
        except TimeoutError as error:
            raise HttpsFailed(f"no whole answer within {self._most_s:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise HttpsFailed(str(error.certificate_error), is_untrusted=True) from error
        except aiohttp.ClientConnectorError as error:
            raise HttpsFailed(_told(error.os_error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HttpsFailed(_told(error)) from error


class _Allowed(AbstractResolver):
    """What aiohttp may connect to. It does not ask about an address: no URL may hold one in the place of a name."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """OSError if there is none, as aiohttp has it."""
        known = await self._addresses(host)
        if not known.addresses:
            raise OSError(_why_none(host, known))
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in known.addresses
        ]

    async def close(self) -> None:
        """Nothing here is open."""


def printable(text: str) -> str:
    """What a stranger wrote, at a length for a log."""
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_DETAIL])


def verifying() -> ssl.SSLContext:
    """A chain to a root that the system trusts and a name among the certificate's alternative ones, never its
    common name (RFC 8461 section 3.3)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context


def _why_none(host: str, known: Addressed) -> str:
    if known.trouble is not None:
        return known.trouble.detail
    if known.refused:
        return f"{host}: {', '.join(known.refused[:3])} may not be connected to"
    return f"{host} does not exist" if known.is_missing else f"{host} has no address"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"  # the text alone may be empty
