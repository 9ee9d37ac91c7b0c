import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from mta.inbound.page import POLICY, About, State, language, render
from mta.inbound.phrases import PHRASES

BOB = About("bob@example.test", "Acme", "news")


class Read(HTMLParser):
    """Which elements and attributes are there, and the text of each kind of element."""

    def __init__(self, document: bytes) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(document.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open[-1]] = self.texts.get(self._open[-1], "") + data


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-CH-1996, fr;q=0.9", "de"),
        ("fr;q=0.3, NL;q=0.8, en;q=0.1", "nl"),
        ("ja, ko;q=0.9, pl;q=0.1", "pl"),
        ("ja", "en"),
        ("*", "en"),
        ("de;q=0, fr;q=0.5", "fr"),
        ("de;q=0", "en"),
        ("de;q=9, es;q=x, it", "it"),
        (";,;q=,d&,\x00, pt", "pt"),
        ("xx," * 10_000 + "de", "en"),
    ],
)
def test_the_language_is_the_best_of_ours(accept: str, expected: str) -> None:
    """RFC 9110 section 12.5.4, by primary tag and weight; English for everybody else."""
    assert language(accept) == expected


def test_at_least_eight_languages_say_all() -> None:
    """Nothing is left out, nothing left in English, and who is asked cannot take it for done."""
    assert {"en", "de", "fr", "es", "it", "nl", "pt", "pl"} <= set(PHRASES)
    english = asdict(PHRASES["en"])
    for name, phrases in PHRASES.items():
        said = asdict(phrases)
        assert all(said.values())
        assert len({phrases.ask_title, phrases.done_title, phrases.already_title}) == 3
        assert phrases.ask_text[:20] not in (phrases.done_text[:20], phrases.already_text[:20])
        if name != "en":
            assert not [key for key, text in said.items() if key.endswith("text") and text == english[key]]


@pytest.mark.parametrize("name", PHRASES)
@pytest.mark.parametrize("state", State)
def test_each_state_is_a_whole_page(state: State, name: str) -> None:
    """Title, heading and text in the language it names, and a button just where there is something to do."""
    read = Read(render(state, name, BOB))
    phrases = PHRASES[name]
    said = {
        State.ASK: (phrases.ask_title, phrases.ask_text, phrases.ask_button),
        State.DONE: (phrases.done_title, phrases.done_text, None),
        State.ALREADY: (phrases.already_title, phrases.already_text, None),
        State.LATER: (phrases.later_title, phrases.later_text, phrases.later_button),
        State.LOST: (phrases.lost_title, phrases.lost_text, None),
    }[state]
    assert (read.texts["h1"], read.texts["p"], read.texts.get("button")) == said
    assert read.texts["title"] == said[0]
    assert ("lang", name) in read.attributes
    assert ("method", "post") in read.attributes or said[2] is None
    assert read.texts["bdi"] == "bob@example.testAcmenews"


def test_the_policy_allows_the_style_of_the_page_and_nothing_else() -> None:
    """By the hash of exactly what stands in the element; no script, no image, no frame around it."""
    document = render(State.ASK, "en", BOB).decode()
    style = document.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert (
        f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ) == POLICY


@pytest.mark.parametrize("state", State)
def test_nothing_of_another_place_is_loaded(state: State) -> None:
    """Opening the page tells nobody."""
    document = render(state, "en", BOB).decode()
    assert not re.search(r"//|url\(|@import|\b(src|href|style|on\w+)=", document)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_what_a_token_says_is_text(address: str, sender: str, topic: str) -> None:
    """It makes no element and no attribute, and turns no text around."""
    plain = Read(render(State.ASK, "en", About("a", "a", "a")))
    read = Read(render(State.ASK, "en", About(address or "a", sender or "a", topic or "a")))
    assert (read.elements, read.attributes) == (plain.elements, plain.attributes)
    assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069]", read.texts.get("bdi", ""))


def test_markup_in_an_address_is_shown() -> None:
    """RFC 5322 allows it in a quoted local part."""
    document = render(State.DONE, "en", About('"<script>alert(1)</script>"@example.test'))
    assert b"<script" not in document
    assert b"&quot;&lt;script&gt;alert(1)" in document
