"""The unsubscribe page in a real browser, with the real recorder and stream behind it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mta.inbound.recorder import Recorder, RecorderSettings
from mta.inbound.web import OneClickServer
from mta.jetstream.connection import Link
from mta.jetstream.pump import Pump
from mta.model.token import TokenKey, TokenReader
from tests.fakes.browser import Missing, Tab, browsing
from tests.fakes.nats import running
from tests.integration.inbound.test_recorder import KeptSuppressions, events
from tests.integration.inbound.test_web import MESSAGE, SECRET, SETTINGS, TOKEN

pytestmark = pytest.mark.real_server

CONTRAST = """
(() => {
  const channel = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(channel);
                       return .2126 * r + .7152 * g + .0722 * b };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
                        if (!c.startsWith('rgba(0, 0, 0, 0')) return c } return 'rgb(255,255,255)' };
  return Math.min(...[...document.querySelectorAll('h1,p,dt,dd,button')].map(e => {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    return (a + .05) / (b + .05) }));
})()
"""


@asynccontextmanager
async def page(link: Link) -> AsyncIterator[tuple[Tab, str]]:
    pump, kept = Pump(link), KeptSuppressions()
    async with running(pump.run()):
        recorder = Recorder(pump, link, kept, RecorderSettings("n1"))
        reader = TokenReader([TokenKey("k1", SECRET)])
        server = OneClickServer(reader, recorder.record, SETTINGS, has_left=lambda *asked: bool(kept.added))
        await server.start()
        try:
            async with browsing() as tab:
                yield tab, f"http://127.0.0.1:{server.ports[0]}/o/{TOKEN}"
        except Missing as missing:
            pytest.skip(str(missing))
        finally:
            await server.close()
            await recorder.close()


def keep(name: str, picture: bytes) -> None:
    """In the directory MTA_PICTURES, for somebody to look at."""
    if directory := os.environ.get("MTA_PICTURES"):
        (Path(directory) / f"unsubscribe-{name}.png").write_bytes(picture)


async def test_l02_only_the_button_unsubscribes(link: Link) -> None:
    """Opening the page, twice, does not; pressing its button by the keyboard does, and it says so. The style is allowed
    by the policy."""
    async with page(link) as (tab, url):
        await tab.go(url)
        await tab.go(url)
        assert await tab.run("document.title") == "Unsubscribe?"
        assert "bob+<b>@example.test" in await tab.run("document.body.innerText")
        assert await tab.run("document.querySelector('dd b')") is None
        assert await events(link) == []
        assert await tab.run("getComputedStyle(document.querySelector('main')).borderRadius") == "16px"
        await tab.press("Tab", 9)
        assert await tab.run("document.activeElement.tagName") == "BUTTON"
        await tab.press("Enter", 13, "\r")
        await tab.loaded()
        assert await tab.run("document.title") == "You are unsubscribed"
        [event] = await events(link)
    assert (event["type"], event["recipient"], event["message_id"]) == (
        "unsubscribed",
        "bob+<b>@example.test",
        str(MESSAGE),
    )


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_the_page_fits_and_can_be_read(link: Link, width: int, is_dark: bool) -> None:
    """No sideways scrolling on a small phone, the button large enough for a thumb (WCAG 2.5.5: 44 px), and contrast of
    4.5 to 1 in light and dark (1.4.3), in the language that was asked for."""
    async with page(link) as (tab, url):
        await tab.look(width, 844, is_dark=is_dark, language="fr-CH,fr;q=0.9")
        for state in ("ask", "done", "already"):
            if state == "done":
                await tab.run("document.querySelector('button').click()")
                await tab.loaded()
            else:
                await tab.go(url)
            assert await tab.run("document.querySelector('main').className") == state
            assert await tab.run("document.documentElement.lang") == "fr"
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
            assert await tab.run(CONTRAST) >= 4.5
            if state == "ask":
                assert await tab.run("document.querySelector('button').offsetHeight") >= 44
            keep(f"{state}-{width}-{'dark' if is_dark else 'light'}", await tab.picture())


async def test_the_other_states(link: Link) -> None:
    """Links that are cut off say so."""
    async with page(link) as (tab, url):
        await tab.look(390, 844)
        await tab.go(url[:-3])
        assert await tab.run("document.title") == "This link does not work"
        assert await tab.run("document.querySelector('button')") is None
        keep("lost-390-light", await tab.picture())
