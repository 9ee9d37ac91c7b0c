import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.jetstream.subjects import (
    DueSubject,
    EventSubject,
    PayloadSubject,
    RetrySubject,
    campaign_consumer,
    dead_subject,
    due_subject,
    escape,
    event_subject,
    index_subject,
    is_campaign_consumer,
    kv_key,
    ops_subject,
    parse_due,
    parse_event,
    parse_payload,
    parse_retry,
    payload_subject,
    progress_subject,
    retry_subject,
    unescape,
    window,
)
from mta.model.lane import Lane

KEY = bytes(range(16))
KEY_TOKEN = "aaaqeayeaudaocajbifqydiob4"
TOKEN = re.compile(r"[a-z0-9_=A-F-]{1,64}")


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("acme", "acme"),
        ("spring-sale_2", "spring-sale_2"),
        ("", "_"),
        ("_", "=5F"),
        ("__", "__"),
        ("Acme", "=41cme"),
        ("a.b", "a=2Eb"),
        ("a=2Eb", "a=3D2=45b"),
        ("*", "=2A"),
        (">", "=3E"),
        ("a b\r\n", "a=20b=0D=0A"),
        ("ü", "=C3=BC"),
        ("x" * 64, "x" * 64),
    ],
)
def test_escape_and_back(value: str, token: str) -> None:
    """Each value has its token, and the token its value."""
    assert escape(value) == token
    assert unescape(token) == value


def test_over_long_values_keep_forty_characters_and_a_hash() -> None:
    """What does not fit is cut, still told apart, and cannot be turned back."""
    one, other = escape("x" * 65), escape("x" * 66)
    assert re.fullmatch(r"x{40}==[0-9a-f]{16}", one)
    assert one != other
    assert unescape(one) is None
    assert len(escape("Ü" * 11)) == 58, "counted after escaping"


@pytest.mark.parametrize("token", ["A", "=61", "=5f", "=G0", "a=", "=FF", "", "a b", "x" * 65, "=", "=C3"])
def test_unescape_knows_what_is_not_ours(token: str) -> None:
    """A token that `escape` never makes has no value."""
    assert unescape(token) is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_escape_is_injective_and_legal(one: str, other: str) -> None:
    """Different values have different tokens, each legal in a subject."""
    assert TOKEN.fullmatch(escape(one))
    assert (escape(one) == escape(other)) == (one == other)
    assert unescape(escape(one)) in (one, None)


def test_subjects_are_built_and_read_back() -> None:
    """Every builder has a parser that finds the same tokens."""
    payload = payload_subject(Lane.BULK, "acme", "Spring")
    assert payload == "mta.payload.bulk.acme.=53pring"
    assert parse_payload(payload) == PayloadSubject(Lane.BULK, "acme", "=53pring")
    due = due_subject(Lane.TRANSACTIONAL, "acme", "", KEY)
    assert due == f"mta.due.transactional.acme._.{KEY_TOKEN}"
    assert parse_due(due) == DueSubject(Lane.TRANSACTIONAL, "acme", "_", KEY_TOKEN)
    retry = retry_subject("acme", "", KEY, "p17-00112233445566ff")
    assert retry == f"mta.retry.acme._.{KEY_TOKEN}.p17-00112233445566ff"
    assert parse_retry(retry) == RetrySubject("acme", "_", KEY_TOKEN, "p17-00112233445566ff")
    event = event_subject("acme", "bounced", "yahoo", "spring")
    assert event == "mta.event.acme.bounced.yahoo.spring"
    assert parse_event(event) == EventSubject("acme", "bounced", "yahoo", "spring")


def test_the_other_subjects() -> None:
    """Node names and reasons are escaped as well."""
    assert index_subject(KEY) == f"mta.index.{KEY_TOKEN}"
    assert progress_subject("mx1.acme.test") == "mta.progress.mx1=2Eacme=2Etest"
    assert dead_subject("schema") == "mta.dead.schema"
    assert ops_subject("mx1", "node_started") == "mta.ops.mx1.node_started"
    assert kv_key("acme", "a.b", "latest") == "acme.a=2Eb.latest"


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "mta.payload.bulk.acme",
        "mta.payload.bulk.acme.c.d",
        "mta.payload.fast.acme.c",
        "mta.payload.bulk..c",
        "mta.due.bulk.acme.c",
        "x.payload.bulk.acme.c",
    ],
)
def test_foreign_subjects_parse_to_nothing(subject: str) -> None:
    """A subject of another shape is nobody's."""
    assert parse_payload(subject) is None
    assert parse_due(subject) is None
    assert parse_retry(subject) is None
    assert parse_event(subject) is None


def test_campaign_consumers_are_named_from_the_subject() -> None:
    """The same on every daemon, another for another subject, and legal as a name."""
    one = campaign_consumer("mta.payload.bulk.acme.one")
    assert one == campaign_consumer("mta.payload.bulk.acme.one")
    assert one != campaign_consumer("mta.payload.bulk.acme.two")
    assert re.fullmatch(r"bulk-[0-9a-f]{20}", one)
    assert is_campaign_consumer(one)
    assert not is_campaign_consumer("due-bulk")


def test_a_window_holds_all_when_they_fit() -> None:
    """No turns while everybody has a place, whatever the order they came in."""
    subjects = [f"mta.payload.bulk.acme.{n}" for n in range(5)]
    assert sorted(window(subjects, 5, 7)) == subjects
    assert window(subjects, 5, 1) == window(subjects[::-1], 5, 1)


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=12), st.integers(1, 10), st.integers(0, 1000))
def test_every_campaign_has_its_turn(counts: list[int], size: int, first: int) -> None:
    """Consecutive windows cover all subjects, none twice in one window."""
    subjects = [f"mta.payload.bulk.t{at}.c{n}" for at, count in enumerate(counts) for n in range(count)]
    turns = -(-max(counts) * len(counts) // min(size, len(counts))) + 1
    windows = [window(subjects, size, first + turn) for turn in range(turns)]
    assert all(len(set(w)) == len(w) == min(size, len(subjects)) for w in windows)
    assert {s for w in windows for s in w} == set(subjects)


def test_a_tenant_of_many_campaigns_leaves_others_their_window() -> None:
    """G4: who has one campaign beside a thousand of another has his place in every window."""
    many = [f"mta.payload.bulk.many.{n}" for n in range(1000)]
    few = [f"mta.payload.bulk.few.{n}" for n in range(2)]
    assert all(set(few) < set(window(many + few, 64, turn)) for turn in range(20))
