"""Gets policy files from their hosts. The only module here that knows aiohttp.

A stranger's zone names the host, so there is little it may make us do: one GET over HTTPS, to addresses that
`AddressGuard` allows, of the host whose name the certificate must bear. Nothing is followed, no proxy of the
environment is used, no cookie kept, nothing unpacked, and reading stops at 64 kB or when the time is over.

What the bytes say is read in `mta.dns.policy`.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from mta.dns.mx import HostAddresses
from mta.dns.policy import MOST_BODY_BYTES
from mta.model.tls import TlsFailure

_PATH = "/.well-known/mta-sts.txt"  # RFC 8461 section 3.3
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity", "User-Agent": "mta"}
_LONGEST_DETAIL = 200

Addresses = Callable[[str], Awaitable[HostAddresses]]


class FetchFailed(Exception):
    """No file: `failure` is STS_WEBPKI_INVALID if the host could not show who it is, else STS_POLICY_FETCH_ERROR.
    `detail` may quote the host, and is printable."""

    def __init__(self, detail: str, failure: TlsFailure = TlsFailure.STS_POLICY_FETCH_ERROR) -> None:
        self.detail = "".join(c if c.isprintable() else "?" for c in detail[:_LONGEST_DETAIL])
        super().__init__(self.detail)
        self.failure = failure


class PolicyHosts:
    """`start` inside the running loop, `close` once nobody fetches any more. `context` None trusts whom the system
    trusts."""

    def __init__(
        self, addresses: Addresses, *, port: int, context: ssl.SSLContext | None, fetch_s: float
    ) -> None:
        self._resolver = _Allowed(addresses)
        self._port = port
        self._context = context
        self._fetch_s = fetch_s
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        connector = aiohttp.TCPConnector(
            resolver=self._resolver,
            use_dns_cache=False,
            ssl=self._context or verifying(),
            force_close=True,
            limit=0,  # who calls bounds it
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            trust_env=False,
        )

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, host: str) -> bytes:
        """The policy file at `host`, at most 64 kB; FetchFailed, and nothing else, if there is none. The border where
        errors of aiohttp and of TLS end."""
        session = self._session
        if session is None:
            raise FetchFailed("not running")
        url = f"https://{host}:{self._port}{_PATH}"
        try:
            async with (
                asyncio.timeout(self._fetch_s),
                session.get(url, allow_redirects=False) as response,
            ):
                return await _file(response)
        except TimeoutError as error:
            raise FetchFailed(f"no whole answer within {self._fetch_s:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise FetchFailed(str(error.certificate_error), TlsFailure.STS_WEBPKI_INVALID) from error
        except aiohttp.ClientConnectorError as error:
            raise FetchFailed(_told(error.os_error)) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(_told(error)) from error


class _Allowed(AbstractResolver):
    """What aiohttp may connect to."""

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


async def _file(response: aiohttp.ClientResponse) -> bytes:
    if response.status != 200:
        raise FetchFailed(f"status {response.status}")
    kind = response.headers.get("Content-Type", "")
    if kind.partition(";")[0].strip().lower() != "text/plain":
        raise FetchFailed(f"content type {kind!r}, not text/plain")
    coding = response.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise FetchFailed(f"content encoding {coding!r}, which was not asked for")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BODY_BYTES:
            raise FetchFailed(f"longer than {MOST_BODY_BYTES} bytes")
    return bytes(body)


def _why_none(host: str, known: HostAddresses) -> str:
    if known.trouble is not None:
        return known.trouble.detail
    if known.refused:
        return f"{host}: {', '.join(known.refused[:3])} may not be connected to"
    return f"{host} does not exist" if known.is_missing else f"{host} has no address"


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"  # the text alone may be empty


def verifying() -> ssl.SSLContext:
    """A chain to a root that the system trusts and a name among the certificate's alternative ones, never its
    common name (RFC 8461 section 3.3)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    return context
