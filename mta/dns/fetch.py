"""Gets policy files from their hosts: one GET, of which no more is read than a file may have, 64 kB.

What the bytes say is read in `mta.dns.policy`.
"""

import ssl

from aiohttp import ClientResponse

from mta.dns.policy import MOST_BODY_BYTES
from mta.https import Addresses, Https, HttpsFailed, printable
from mta.model.tls import TlsFailure

_PATH = "/.well-known/mta-sts.txt"  # RFC 8461 section 3.3
_HEADERS = {"Accept": "text/plain", "Accept-Encoding": "identity"}


class FetchFailed(Exception):
    """No file: `failure` is STS_WEBPKI_INVALID if the host could not show who it is, else STS_POLICY_FETCH_ERROR.
    `detail` may quote the host, and is printable."""

    def __init__(self, detail: str, failure: TlsFailure = TlsFailure.STS_POLICY_FETCH_ERROR) -> None:
        self.detail = printable(detail)
        super().__init__(self.detail)
        self.failure = failure


class PolicyHosts:
    """`start` inside the running loop, `close` once nobody fetches any more. `context` None trusts whom the system
    trusts."""

    def __init__(
        self, addresses: Addresses, *, port: int, context: ssl.SSLContext | None, fetch_s: float
    ) -> None:
        self._https = Https(addresses, context=context, most_s=fetch_s)
        self._port = port

    def start(self) -> None:
        self._https.start()

    async def close(self) -> None:
        await self._https.close()

    async def get(self, host: str) -> bytes:
        """The policy file at `host`, at most 64 kB; FetchFailed, and nothing else, if there is none."""
        url = f"https://{host}:{self._port}{_PATH}"
        try:
            async with self._https.exchange("GET", url, _HEADERS) as response:
                return await _file(response)
        except HttpsFailed as error:
            if error.is_untrusted:
                raise FetchFailed(error.detail, TlsFailure.STS_WEBPKI_INVALID) from error
            raise FetchFailed(error.detail) from error


async def _file(response: ClientResponse) -> bytes:
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
