"""Chromium without a window, driven by its own protocol: what a person sees and does."""

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import aiohttp

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


class Missing(Exception):
    """There is no browser here."""


class Tab:
    """One page. `ask` sends a command of the protocol and returns its result."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)
        self._session = ""

    async def open(self) -> None:
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        return await self._until(lambda answer: answer.get("id") == number)

    async def _until(self, wanted: Any) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                answer = await self._socket.receive_json()
                if wanted(answer):
                    assert "error" not in answer, answer
                    found: dict[str, Any] = answer.get("result", answer.get("params", {}))
                    return found

    async def go(self, url: str) -> None:
        """Returns when the page and all it names is loaded."""
        await self.ask("Page.navigate", url=url)
        await self._until(lambda answer: answer.get("method") == "Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = await self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            await self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text
            )

    async def loaded(self) -> None:
        await self._until(lambda answer: answer.get("method") == "Page.loadEventFired")

    async def look(self, width: int, height: int, *, is_dark: bool = False, language: str = "en") -> None:
        """As that screen would show it."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        await self.ask("Network.setExtraHTTPHeaders", headers={"Accept-Language": language})

    async def picture(self) -> bytes:
        """As PNG."""
        return base64.b64decode((await self.ask("Page.captureScreenshot", format="png"))["data"])


@asynccontextmanager
async def browsing() -> AsyncIterator[Tab]:
    """A browser with a profile of its own, ended with the block. `Missing` where none is installed."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise Missing(f"none of {', '.join(PROGRAMS)} is installed: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            program,
            "--headless=new",
            "--no-sandbox",  # it has to run as root, and loads nothing but our own page
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        rest: asyncio.Task[bytes] | None = None
        try:
            async with asyncio.timeout(60):
                line = b""
                while not line.startswith(b"DevTools listening on "):
                    line = await process.stderr.readline()
                    if not line:
                        raise Missing(f"{program} does not start")
            rest = asyncio.create_task(process.stderr.read())
            address = line.decode().split()[-1]
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(address, max_msg_size=0) as socket,
            ):
                tab = Tab(socket)
                await tab.open()
                yield tab
                await tab.ask("Page.close")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            if rest is not None:
                await rest
