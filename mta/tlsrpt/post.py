"""Posts reports by HTTPS (RFC 8460 section 5.4). The only module that knows aiohttp.

Where to, strangers say: so only addresses are connected to that the resolver lets through, certificates are checked,
redirects are not followed, and nothing of an answer is read but its head.
"""

import ssl
from collections.abc import Awaitable, Callable
from socket import AddressFamily
from typing import Protocol

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from mta.tlsrpt.report import MEDIA_TYPE
from mta.tlsrpt.rua import ByPost

_AT_ONCE = 8


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


Addresses = Callable[[str], Awaitable[Addressed]]


class HttpsPost:
    """`start` inside the running loop, `close` at the end. `port` is that of URIs which name none."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        tls: ssl.SSLContext | None = None,
        port: int = 443,
        timeout_s: float = 30.0,
    ) -> None:
        self._addresses = addresses
        self._tls = tls
        self._port = port
        self._timeout_s = timeout_s
        self._session: ClientSession | None = None

    def start(self) -> None:
        connector = TCPConnector(
            resolver=_Guarded(self._addresses),
            ssl=self._tls or ssl.create_default_context(),
            use_dns_cache=False,
            limit=_AT_ONCE,
            force_close=True,
        )
        self._session = ClientSession(
            connector=connector, cookie_jar=DummyCookieJar(), timeout=ClientTimeout(total=self._timeout_s)
        )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, to: ByPost, body: bytes) -> str:
        """Why it was not taken; "" if it was. The border where errors of aiohttp end."""
        if self._session is None:
            return "not running"
        url = URL(f"https://{to.host}:{to.port or self._port}{to.target}", encoded=True)
        headers = {"Content-Type": MEDIA_TYPE, "User-Agent": "mta"}
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except (
            ClientError,
            OSError,
            ValueError,
        ) as error:  # ValueError: a name in the certificate is no text
            return f"{type(error).__name__}: {error}"
        return "" if 200 <= status < 300 else f"status {status}"


class _Guarded(AbstractResolver):
    """Names only: the reader of URIs lets no address through, which aiohttp would not ask about."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: AddressFamily = AddressFamily.AF_UNSPEC
    ) -> list[ResolveResult]:
        """OSError where there is none."""
        found = await self._addresses(host)
        if not found.addresses:
            refused = f"{host}: {', '.join(found.refused[:3])} may not be connected to"
            nothing = found.trouble.detail if found.trouble is not None else f"{host} has no address"
            raise OSError(0, refused if found.refused else nothing)  # aiohttp shows the second only
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=AddressFamily.AF_INET6 if ":" in address else AddressFamily.AF_INET,
                proto=0,
                flags=0,
            )
            for address in found.addresses
        ]

    async def close(self) -> None:
        """Whose resolver it is, closes it."""
