"""Counts that lose nothing unsaid and grow without bound in no direction."""

import timeit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.tls import PolicyType, TlsFailure, TlsSession
from mta.tlsrpt.tally import (
    DAY_S,
    MOST_BYTES,
    MOST_DOMAINS,
    MOST_POLICIES,
    MOST_ROWS,
    OTHER,
    PolicyCount,
    Tally,
)

DAY = 20_000
NOON = DAY * DAY_S + DAY_S / 2

_LINES, _MX = ("version: STSv1", "mode: enforce"), ("*.one.test",)
_POLICIES = [
    (PolicyType.NONE, (), ()),
    (PolicyType.TLSA, (), ()),
    (PolicyType.STS, (), ()),
    (PolicyType.STS, _LINES, ()),
    (PolicyType.STS, (), _MX),
    (PolicyType.STS, _LINES, _MX),
]
"""Each differs from another in one part only, and a domain may have them all."""
assert len(_POLICIES) <= MOST_POLICIES

sessions = st.builds(
    lambda domain, at, policy, failure, words: TlsSession(domain, at, *policy, failure, *words),  # type: ignore[call-arg]
    domain=st.sampled_from(["one.test", "two.test"]),
    at=st.sampled_from([NOON, NOON + 0.25, NOON + DAY_S]),
    policy=st.sampled_from(_POLICIES),
    failure=st.none() | st.sampled_from(TlsFailure),
    words=st.tuples(
        *(st.sampled_from(["", word]) for word in ("why", "mx.one.test", "203.0.113.1", "192.0.2.1", "mx"))
    ),
)


def session(domain: str = "one.test", at: float = NOON, **more: object) -> TlsSession:
    return TlsSession(domain, at, PolicyType.NONE, **more)  # type: ignore[arg-type]


def counted(tally: Tally, day: int = DAY) -> int:
    counts = [count for domain in tally.domains(day) for count in tally.counts(day, domain)]
    return sum(count.successes + count.failed for count in counts)


def rows(counts: list[PolicyCount]) -> dict[tuple[object, ...], int]:
    """Failures by all that tells them apart."""
    return {
        (
            *(count.policy_type, count.policy, count.mx_patterns, row.failure),
            *(row.source_ip, row.mx_host, row.mx_ip, row.helo, row.detail),
        ): row.count
        for count in counts
        for row in count.failures
    }


@given(st.lists(sessions, max_size=60), st.integers(0, 60))
def test_t11_sums_are_what_was_noted(noted: list[TlsSession], at: int) -> None:
    """T-11: every session is in one count, by day, domain, policy and kind of failure, also across a restart."""
    tally = Tally()
    for number, one in enumerate(noted):
        if number == at:
            tally = Tally.decode(tally.encode())
        tally.note(one)
    for day in (DAY, DAY + 1):
        of_day = [one for one in noted if one.at // DAY_S == day]
        assert set(tally.domains(day)) == {one.domain for one in of_day}
        for domain in tally.domains(day):
            of_domain = [one for one in of_day if one.domain == domain]
            counts = tally.counts(day, domain)
            keys = [(count.policy_type, count.policy, count.mx_patterns) for count in counts]
            assert len(set(keys)) == len(keys)
            for key, count in zip(keys, counts, strict=True):
                good = [
                    one
                    for one in of_domain
                    if (one.policy_type, one.policy, one.mx_patterns) == key and not one.failure
                ]
                assert count.successes == len(good)
            expected: dict[tuple[object, ...], int] = {}
            for one in of_domain:
                if one.failure is not None:
                    key_of = (one.policy_type, one.policy, one.mx_patterns, one.failure)
                    full = (*key_of, one.source_ip, one.mx_host, one.mx_ip, one.mx_helo, one.detail)
                    expected[full] = expected.get(full, 0) + 1
            assert rows(counts) == expected


def test_a_day_ends_at_midnight_utc() -> None:
    """RFC 8460 section 4.1: 00:00 to 24:00."""
    tally = Tally()
    tally.note(session(at=(DAY + 1) * DAY_S - 0.001))
    tally.note(session(at=float((DAY + 1) * DAY_S)))
    assert (counted(tally), counted(tally, DAY + 1)) == (1, 1)


def test_failures_beyond_the_rows_of_a_policy_are_counted_together() -> None:
    """By kind, and the row says what it is."""
    tally = Tally()
    for number in range(MOST_ROWS + 7):
        tally.note(session(failure=TlsFailure.VALIDATION_FAILURE, mx_ip=f"203.0.113.{number}"))
    tally.note(session(failure=TlsFailure.CERTIFICATE_EXPIRED))
    tally.note(session(failure=TlsFailure.VALIDATION_FAILURE, mx_ip="203.0.113.1"))
    (count,) = tally.counts(DAY, "one.test")
    others = [(row.failure, row.count) for row in count.failures if row.detail == OTHER]
    assert others == [(TlsFailure.VALIDATION_FAILURE, 7), (TlsFailure.CERTIFICATE_EXPIRED, 1)]
    assert count.failed == MOST_ROWS + 9
    assert len(count.failures) == MOST_ROWS + 2


def test_long_words_of_a_peer_are_cut() -> None:
    """And what is equal up to there is one row."""
    tally = Tally()
    for end in ("a", "b"):
        tally.note(session(failure=TlsFailure.VALIDATION_FAILURE, detail="x" * 500 + end, mx_helo="y" * 500))
    ((row,),) = [count.failures for count in tally.counts(DAY, "one.test")]
    assert (row.count, row.detail, row.helo) == (2, "x" * 120, "y" * 120)


def test_what_cannot_be_written_is_no_reason_to_stop() -> None:
    """Half of a surrogate pair in the words of a peer is replaced; a policy with one is not counted."""
    tally = Tally()
    tally.note(session(failure=TlsFailure.VALIDATION_FAILURE, detail="a\udcff", mx_helo="\ud800é"))
    tally.note(session(policy=("mx: \udcff",)))
    ((row,),) = [count.failures for count in Tally.decode(tally.encode()).counts(DAY, "one.test")]
    assert (row.detail, row.helo) == ("a?", "?é")
    assert tally.uncounted(DAY) == 1


def test_policies_of_a_domain_are_bounded() -> None:
    """What has no room is counted as that, and others go on."""
    tally = Tally()
    for number in range(MOST_POLICIES + 3):
        tally.note(session(policy=(str(number),)))
    tally.note(session(policy=("0",)))
    tally.note(session("two.test"))
    assert len(tally.counts(DAY, "one.test")) == MOST_POLICIES
    assert (counted(tally), tally.uncounted(DAY)) == (MOST_POLICIES + 2, 3)


def test_domains_of_a_day_are_bounded() -> None:
    """Those that ended count, too: each of them is remembered."""
    tally = Tally()
    for number in range(MOST_DOMAINS + 5):
        tally.note(session(f"d{number}.test"))
    tally.end(DAY, "d0.test")
    tally.note(session("late.test"))
    assert len(tally.domains(DAY)) == MOST_DOMAINS - 1
    assert tally.uncounted(DAY) == 6


def test_bytes_of_a_day_are_bounded() -> None:
    """Whatever policies and details strangers write: what is kept stays about as small as it should."""
    tally = Tally()
    policy = tuple(f"mx: {number}.{'x' * 200}" for number in range(300))
    for number in range(300):
        tally.note(TlsSession(f"d{number}.test", NOON, PolicyType.STS, (*policy, str(number))))
    tally = Tally.decode(tally.encode())  # a restart gives no room back
    for number in range(50_000):
        failure = TlsFailure.VALIDATION_FAILURE
        tally.note(session(f"e{number % 500}.test", failure=failure, detail=f"{number} {'y' * 100}"))
    assert tally.uncounted(DAY) > 0
    assert counted(tally) + tally.uncounted(DAY) == 50_300
    assert len(tally.encode()) < MOST_BYTES * 1.2


def test_an_ended_domain_gives_its_room_back() -> None:
    """Else a day of many reports would run full."""
    tally = Tally()
    policy = tuple("x" * 1000 for _ in range(1000))
    for number in range(50):
        tally.note(session(f"d{number}.test", policy=policy))
        tally.end(DAY, f"d{number}.test")
    assert tally.uncounted(DAY) == 0


def test_nothing_is_counted_for_a_domain_that_ended() -> None:
    """Its report of that day is out; the next day counts again."""
    tally = Tally()
    tally.note(session())
    tally.tell(DAY, "one.test", "mailto:a@one.test")
    tally.end(DAY, "one.test")
    for one in (session(), session(at=NOON + DAY_S)):
        tally.note(one)
    tally = Tally.decode(tally.encode())
    tally.note(session())
    assert (tally.domains(DAY), tally.told(DAY, "one.test")) == ([], ())
    assert tally.domains(DAY + 1) == ["one.test"]


def test_who_was_told_is_remembered() -> None:
    """Across a restart, by day and domain."""
    tally = Tally()
    tally.note(session())
    tally.tell(DAY, "one.test", "mailto:a@one.test")
    tally = Tally.decode(tally.encode())
    assert tally.told(DAY, "one.test") == ("mailto:a@one.test",)
    assert tally.told(DAY, "two.test") == tally.told(DAY + 1, "one.test") == ()


def test_only_days_beside_today_are_kept() -> None:
    """What goes is told, with how many domains it had."""
    tally = Tally()
    for at in (NOON, NOON, NOON + DAY_S, NOON + 2 * DAY_S):
        tally.note(session(at=at))
    assert tally.forget(DAY + 1) == []
    assert tally.forget(DAY + 2) == [(DAY, 1)]
    assert counted(tally, DAY + 1) == counted(tally, DAY + 2) == 1


def test_a_wrong_clock_begins_no_days_without_end() -> None:
    """What is beyond three days at once is not counted."""
    tally = Tally()
    for number in range(100):
        tally.note(session(at=NOON + number * DAY_S))
    assert [day for day in range(DAY, DAY + 100) if tally.domains(day)] == [DAY, DAY + 1, DAY + 2]


def test_changes_are_known() -> None:
    """Each of them, and only them."""
    tally = Tally()
    changed = []
    for change in (
        lambda: tally.note(session()),
        lambda: tally.tell(DAY, "one.test", "mailto:a@one.test"),
        lambda: tally.end(DAY, "one.test"),
        lambda: tally.forget(DAY),
        lambda: tally.counts(DAY, "one.test"),
        lambda: tally.forget(DAY + 2),
    ):
        tally.is_changed = False
        change()
        changed.append(tally.is_changed)
    assert changed == [True, True, True, False, False, True]


_GOOD = msgspec.json.decode(
    b'{"v":1,"days":[{"day":1,"policies":[{"domain":"one.test","policy_type":"sts"}],'
    b'"told":{},"ended":[],"uncounted":0}]}'
)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"days": None},
        {"days": [{**_GOOD["days"][0], "uncounted": -1}]},
        {"days": [{**_GOOD["days"][0], "policies": [{"domain": "one.test", "policy_type": "x"}]}]},
        {"days": [{**_GOOD["days"][0], "policies": [{"domain": "a b.test", "policy_type": "sts"}]}]},
        {"days": [{**_GOOD["days"][0], "policies": [{"domain": "ONE.test", "policy_type": "sts"}]}]},
    ],
)
def test_what_is_no_tally_is_refused(change: dict[str, object]) -> None:
    """Also a domain that nobody may be asked about."""
    assert Tally.decode(msgspec.json.encode(_GOOD)).domains(1) == ["one.test"]
    with pytest.raises(ValueError):
        Tally.decode(msgspec.json.encode({**_GOOD, **change}))


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_by_a_value_error(raw: bytes) -> None:
    """What stood in the file is no reason to stop."""
    with pytest.raises(ValueError):
        Tally.decode(raw)


def test_a_note_is_cheap() -> None:
    """At most 3 us, several times what it takes: it is called for every session, on the loop."""
    tally = Tally()
    policy, failure = ("version: STSv1", "mode: enforce", "mx: *.one.test"), TlsFailure.CERTIFICATE_EXPIRED
    noted = [
        TlsSession(f"d{n}.test", NOON, PolicyType.STS, policy, ("*.one.test",), (None, failure)[n % 2])
        for n in range(1000)
    ]

    def note_all() -> None:
        for one in noted:
            tally.note(one)

    note_all()
    assert min(timeit.repeat(note_all, number=1, repeat=20)) / len(noted) < 3e-6
