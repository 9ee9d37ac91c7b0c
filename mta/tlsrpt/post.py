"""Posts reports by HTTPS (RFC 8460 section 5.4). Nothing of an answer is read but its head."""

import ssl

from mta.https import Addresses, Https, HttpsFailed
from mta.tlsrpt.report import MEDIA_TYPE
from mta.tlsrpt.rua import ByPost

_HEADERS = {"Content-Type": MEDIA_TYPE}


class HttpsPost:
    """`start` inside the running loop, `close` at the end. `port` is that of URIs which name none; `context` None
    trusts whom the system trusts."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        context: ssl.SSLContext | None = None,
        port: int = 443,
        timeout_s: float = 30.0,
    ) -> None:
        self._https = Https(addresses, context=context, most_s=timeout_s)
        self._port = port

    def start(self) -> None:
        self._https.start()

    async def close(self) -> None:
        await self._https.close()

    async def send(self, to: ByPost, body: bytes) -> str:
        """Why it was not taken; "" if it was."""
        url = f"https://{to.host}:{to.port or self._port}{to.target}"
        try:
            async with self._https.exchange("POST", url, _HEADERS, body) as response:
                status = response.status
        except HttpsFailed as error:
            return error.detail
        return "" if 200 <= status < 300 else f"status {status}"
