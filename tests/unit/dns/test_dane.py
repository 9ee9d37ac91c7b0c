"""From TLSA answers to what a host promises (T-07)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.dns.dane import MOST_BYTES, MOST_RECORDS, bases, owner, read_tlsa
from mta.dns.record import Absent, Answer, DnsTrouble, LookupFailed, Record
from mta.model.tls import NO_DANE, DaneState, HostDane, Tlsa

BASE = "mx.acme.test"
SHA256, SHA512 = "ab" * 32, "cd" * 64
FULL = "30" + "00" * 99


def cname(name: str, target: str, ttl_s: int = 300) -> Record:
    return Record(name, "CNAME", target, ttl_s)


def tlsa(value: str, ttl_s: int = 300, name: str = owner(BASE)) -> Record:
    return Record(name, "TLSA", value, ttl_s)


def read(*values: str, takes_anchors: bool = True) -> HostDane:
    answer = Answer(tuple(map(tlsa, values)), is_secure=True)
    return read_tlsa(BASE, answer, takes_anchors=takes_anchors)[0]


def texts(dane: HostDane) -> list[str]:
    return [f"{each.usage} {each.selector} {each.matching} {each.data.hex()}" for each in dane.records]


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([], [BASE]),
        ([Record(BASE, "A", "192.0.2.1", 60)], [BASE]),
        ([cname(BASE, "a.test"), cname("a.test", "b.test")], ["b.test", BASE]),
        ([cname("other.test", "a.test")], [BASE]),
        ([cname(BASE, "a.test"), cname("a.test", BASE)], [BASE]),
        ([cname(BASE, "\\010.test")], [BASE]),
        ([cname(BASE, ".".join(["a" * 49] * 5))], [BASE]),
    ],
)
def test_whose_records_speak_for_a_host(records: list[Record], names: list[str]) -> None:
    """RFC 7672 section 2.2.3: the end of the alias first, then the name itself; never a name that cannot be asked."""
    assert bases(BASE, records) == tuple(names)
    assert owner(BASE) == "_25._tcp.mx.acme.test"


@pytest.mark.parametrize(
    "value",
    [
        f"3 1 1 {SHA256}",
        f"3 0 1 {SHA256}",
        f"3 1 2 {SHA512}",
        f"3 0 0 {FULL}",
        f"3 1 0 {FULL}",
        f"2 0 1 {SHA256}",
        f"2 1 2 {SHA512}",
    ],
)
def test_usable_records(value: str) -> None:
    """T-07: usages 2 and 3 with the selectors and matching types there are."""
    dane = read(value)
    assert dane == HostDane(DaneState.USABLE, dane.records, base=BASE)
    assert texts(dane) == [value]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"0 1 1 {SHA256}", "usage 0 is not for SMTP"),
        (f"1 1 1 {SHA256}", "usage 1 is not for SMTP"),
        (f"255 1 1 {SHA256}", "usage 255"),
        (f"3 2 1 {SHA256}", "unknown selector 2"),
        (f"3 1 3 {SHA256}", "unknown matching type 3"),
        (f"3 1 1 {SHA512}", "a digest of 64 octets"),
        (f"3 1 2 {SHA256}", "a digest of 32 octets"),
        ("3 1 1 ", "a digest of 0 octets"),
        ("3 0 0 ", "neither a certificate nor a key"),
        ("3 0 0 31", "neither a certificate nor a key"),
        (f"3 0 0 30{'00' * MOST_BYTES}", "more records"),
    ],
)
def test_records_that_cannot_be_used(value: str, said: str) -> None:
    """T-07: alone they make the host unusable for authentication; beside a good one they only leave a word."""
    alone = read(value)
    assert (alone.state, alone.records) == (DaneState.UNUSABLE, ())
    assert said in alone.detail
    beside = read(value, f"3 1 1 {SHA256}")
    assert beside.state is DaneState.USABLE
    assert texts(beside) == [f"3 1 1 {SHA256}"]
    assert beside.detail == alone.detail


def test_trust_anchors_where_they_cannot_be_checked() -> None:
    """T-09: without the peer's chain DANE-TA counts as unusable, and DANE-EE as ever."""
    alone = read(f"2 1 1 {SHA256}", takes_anchors=False)
    assert alone.state is DaneState.UNUSABLE
    assert "trust anchor" in alone.detail
    assert texts(read(f"2 1 1 {SHA256}", f"3 1 1 {SHA256}", takes_anchors=False)) == [f"3 1 1 {SHA256}"]


def test_the_strongest_digest_counts() -> None:
    """RFC 7671 section 9: per usage and selector the weaker kind is left out, whole data never."""
    dane = read(f"3 1 1 {SHA256}", f"3 1 2 {SHA512}", f"3 1 0 {FULL}", f"3 0 1 {SHA256}", f"2 1 1 {SHA256}")
    assert texts(dane) == [f"3 1 2 {SHA512}", f"3 1 0 {FULL}", f"3 0 1 {SHA256}", f"2 1 1 {SHA256}"]


def test_an_unusable_stronger_digest_hides_nothing() -> None:
    """A record that cannot be used does not make a weaker one unusable."""
    assert texts(read(f"3 1 2 {SHA256}", f"3 1 1 {SHA256}")) == [f"3 1 1 {SHA256}"]


def test_the_order_of_the_answer_does_not_matter() -> None:
    """Servers rotate; the same records are the same value, and one that comes twice counts once."""
    values = [f"3 1 1 {number:064x}" for number in range(30)]
    dane = read(*values)
    assert len(dane.records) == MOST_RECORDS
    assert "more records" in dane.detail
    assert read(*reversed(values), *values) == dane


@pytest.mark.parametrize("is_secure", [True, False])
def test_absence(is_secure: bool) -> None:
    """T-07: no record is no DANE, whether that is proven or the zone is not signed."""
    for absent in (Absent(True, is_secure=is_secure), Absent(False, is_secure=is_secure)):
        assert read_tlsa(BASE, absent, takes_anchors=True) == (NO_DANE, float("inf"))


def test_what_dnssec_does_not_vouch_for() -> None:
    """T-07: an insecure record is as good as none."""
    answer = Answer((tlsa(f"3 1 1 {SHA256}"),))
    assert read_tlsa(BASE, answer, takes_anchors=True)[0] == NO_DANE


@pytest.mark.parametrize("kind", ["servfail", "timeout", "refused", "unreachable", "bad_answer", "closed"])
def test_a_failed_question_is_never_absence(kind: str) -> None:
    """T-07: a bogus zone and a dropped question look alike, and both make the host unusable."""
    failure = LookupFailed(DnsTrouble(kind, "why"))  # type: ignore[arg-type]
    dane, _ = read_tlsa(BASE, failure, takes_anchors=True)
    assert dane == HostDane(DaneState.BROKEN, detail="why")


def test_records_at_the_end_of_an_alias() -> None:
    """RFC 7672 section 2.2.3: publishers may point to one set of records; its owner does not change the base."""
    records = (cname(owner(BASE), "keys.test", 60), tlsa(f"3 1 1 {SHA256}", 30, "keys.test"))
    dane, ttl_s = read_tlsa(BASE, Answer(records, is_secure=True), takes_anchors=True)
    assert (dane.state, dane.base, ttl_s) == (DaneState.USABLE, BASE, 30.0)


def test_records_of_others_do_not_count() -> None:
    """An answer is believed only from the name asked for."""
    records = (tlsa(f"3 1 1 {SHA256}", name="other.test"), cname(owner(BASE), "keys.test", 60))
    assert read_tlsa(BASE, Answer(records, is_secure=True), takes_anchors=True) == (NO_DANE, 60.0)


def test_a_circle_is_broken() -> None:
    """Aliases that lead nowhere do not turn DANE off."""
    records = (cname(owner(BASE), "a.test"), cname("a.test", owner(BASE)))
    dane, _ = read_tlsa(BASE, Answer(records, is_secure=True), takes_anchors=True)
    assert dane.state is DaneState.BROKEN
    assert "circle" in dane.detail


@given(
    st.lists(
        st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.binary(max_size=70)),
        min_size=1,
        max_size=40,
    )
)
def test_hostile_records_are_bounded(rows: list[tuple[int, int, int, bytes]]) -> None:
    """Whatever a zone holds: secure records always bind, and no more are kept than the caps say."""
    dane = read(*(f"{usage} {selector} {matching} {data.hex()}" for usage, selector, matching, data in rows))
    assert dane.state is (DaneState.USABLE if dane.records else DaneState.UNUSABLE)
    assert len(dane.records) <= MOST_RECORDS
    assert sum(len(each.data) for each in dane.records) <= MOST_BYTES
    assert all(isinstance(each, Tlsa) and each.usage in (2, 3) for each in dane.records)
