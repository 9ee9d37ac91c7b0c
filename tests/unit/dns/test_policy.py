"""T-05 and T-06 without a server: TXT records, policy files, and which hosts a policy names."""

import time
from re import sub

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.dns.mx import name_fault
from mta.dns.policy import (
    LONGEST_MAX_AGE_S,
    MOST_BODY_BYTES,
    MOST_PATTERNS,
    BadPolicy,
    NoRecord,
    StsRecord,
    mx_matches,
    policy_lines,
    read_policy,
    read_record,
)
from mta.dns.record import DnsTrouble, Record
from mta.model.tls import StsMode, StsPolicy

NAME = "_mta-sts.acme.test"
GOOD = b"version: STSv1\nmode: enforce\nmx: mx.acme.test\nmax_age: 86400\n"


def txt(value: str, owner: str = NAME, ttl_s: int = 300) -> Record:
    return Record(owner, "TXT", value, ttl_s)


def policy(*mx: str) -> StsPolicy:
    return StsPolicy("1", StsMode.ENFORCE, mx, 86400)


def read(body: bytes) -> StsPolicy | BadPolicy:
    return read_policy("1", body)


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("v=STSv1; id=20160831085700Z;", "20160831085700Z"),
        ("v=STSv1;id=1", "1"),
        ("v=STSv1; id=1 ; ", "1"),
        ("v=STSv1;\tid=1;more=x:y/z", "1"),
        ("v=STSv1; more=1; id=2;", "2"),
        ("v=STSv1; id=1; id=2;", "1"),
        ("v=STSv1; ID=9; id=1;", "1"),
        (f"v=STSv1; id={'a' * 32};", "a" * 32),
        (f"v=STSv1; id={'a' * 33};", None),
        ("v=STSv1;", None),
        ("v=STSv1; id=;", None),
        ("v=STSv1; id=2016-08-31;", None),
        ("v=STSv1; id=é;", None),
        ("v=STSv1; id=١;", None),
        ("v=STSv1; id=1\n;", None),
        ("v=STSv1; more=1;", None),
        ("v=STSv1; id=1; more;", None),
        ("v=STSv1; id=1;; more=1", None),
        ("v=STSv1; id=1; a=b=c", None),
        ("v=STSv1; id = 1", None),
        ("v=STSv1; id=1; \\xff=1", None),
    ],
)
def test_a_record_is_read_by_its_grammar(text: str, id: str | None) -> None:
    """T-05: what is no record by RFC 8461 section 3.1 means that there is no policy."""
    found = read_record(NAME, [txt(text)])
    if id is None:
        assert isinstance(found, NoRecord)
        assert found.ttl_s == 300.0
        assert "cannot be read" in found.detail
    else:
        assert found == StsRecord(id, 300.0)


@pytest.mark.parametrize(
    "text",
    ["", "v=spf1 -all", "v=STSv1", "v=STSv1 ; id=1", "v=stsv1; id=1;", " v=STSv1; id=1", "v=STSv2; id=1"],
)
def test_texts_of_others_do_not_count(text: str) -> None:
    """T-05: beside a good record they are ignored, and alone they are none."""
    assert read_record(NAME, [txt(text), txt("v=STSv1; id=1;")]) == StsRecord("1", 300.0)
    found = read_record(NAME, [txt(text)])
    assert isinstance(found, NoRecord)
    assert "no policy record" in found.detail


@pytest.mark.parametrize("second", ["v=STSv1; id=1;", "v=STSv1; id=2;", "v=STSv1; broken"])
def test_several_records_mean_no_policy(second: str) -> None:
    """T-05: there must be exactly one, whatever the other says."""
    found = read_record(NAME, [txt("v=STSv1; id=1;"), txt(second)])
    assert isinstance(found, NoRecord)
    assert "2 policy records" in found.detail


def test_nothing_at_all_is_no_record() -> None:
    """NOERROR without data limits no time."""
    assert read_record(NAME, []) == NoRecord(f"{NAME} has no policy record")


def test_a_record_behind_a_cname_counts() -> None:
    """T-05: domains point at the record of their hoster; the lowest TTL on the way holds."""
    records = [
        Record(NAME, "CNAME", "_mta-sts.host.test", 60),
        txt("v=STSv1; id=7;", owner="_mta-sts.host.test"),
    ]
    assert read_record(NAME, records) == StsRecord("7", 60.0)


def test_a_record_of_another_owner_is_not_believed() -> None:
    """Only the name asked for, or where its CNAMEs lead, may speak."""
    assert isinstance(read_record(NAME, [txt("v=STSv1; id=1;", owner="_mta-sts.evil.test")]), NoRecord)


def test_a_cname_circle_is_trouble() -> None:
    """A chain without end tells nothing of the domain's will."""
    found = read_record(NAME, [Record(NAME, "CNAME", NAME, 60)])
    assert isinstance(found, DnsTrouble)
    assert found.kind == "bad_cname"


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("mode", list(StsMode))
def test_a_policy_is_read(line_end: str, mode: StsMode) -> None:
    """T-05: LF and CRLF both end a line, and order, white space and unknown keys do not matter."""
    lines = ["mx:  MX1.acme.test. ", f"mode:{mode}", "mx:\t*.acme.test", "x-new: a: b é", "max_age: 0600"]
    body = line_end.join([*lines, "version: STSv1 ", "", ""]).encode()
    assert read(body) == StsPolicy("1", mode, ("mx1.acme.test", "*.acme.test"), 600)


def test_the_last_line_needs_no_end() -> None:
    """A file without a final line end is whole."""
    assert read(GOOD.rstrip()) == read(GOOD) == policy("mx.acme.test")


@pytest.mark.parametrize("late", [b"version: STSv2\n", b"mode: none\n", b"max_age: 1\n"])
def test_of_a_key_that_comes_twice_the_first_counts(late: bytes) -> None:
    """T-05: but for mx, of which all count."""
    assert read(GOOD + late) == policy("mx.acme.test")
    assert read(GOOD + b"mx: b.acme.test\nmx: mx.acme.test\n") == policy("mx.acme.test", "b.acme.test")


@pytest.mark.parametrize(
    ("max_age", "seconds"),
    [
        (b"0", 0),
        (b"31557600", LONGEST_MAX_AGE_S),
        (b"31557601", LONGEST_MAX_AGE_S),
        (b"9999999999", LONGEST_MAX_AGE_S),
        (b"99999999999", None),
        (b"9" * 5000, None),
        (b"-1", None),
        (b"1.5", None),
        (b"1_0", None),
        ("١".encode(), None),
        (b"", None),
    ],
)
def test_the_age_is_a_number_up_to_a_year(max_age: bytes, seconds: int | None) -> None:
    """T-05: a longer age is a year, and anything but up to ten digits is no policy."""
    found = read(GOOD.replace(b"86400", max_age))
    if seconds is None:
        assert isinstance(found, BadPolicy)
        assert "max_age" in found.detail
    else:
        assert isinstance(found, StsPolicy)
        assert found.max_age_s == seconds


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "no `version"),
        (GOOD.replace(b"version: STSv1\n", b""), "no `version"),
        (GOOD.replace(b"STSv1", b"stsv1"), "no `version"),
        (GOOD.replace(b"version", b"Version"), "no `version"),
        (GOOD.replace(b"mode: enforce\n", b""), "mode"),
        (GOOD.replace(b"enforce", b"Enforce"), "mode"),
        (GOOD.replace(b"enforce", b"strict"), "'strict'"),
        (GOOD.replace(b"max_age: 86400\n", b""), "max_age"),
        (GOOD.replace(b"mx: mx.acme.test\n", b""), "no mx"),
        (GOOD.replace(b"\n", b"\r"), "line 1"),
        (b"<html>\n" + GOOD, "line 1"),
        (GOOD + b"mode enforce\n", "line 5"),
        (GOOD + b": x\n", "line 5"),
        (GOOD + b"mode : x\n", "line 5"),
        (GOOD + b"x: \x00\n", "line 5"),
        (GOOD + b"x: \x1b[0m\n", "line 5"),
        (GOOD + b"a" * 33 + b": x\n", "line 5"),
        (b"\xef\xbb\xbf" + GOOD, "line 1"),
        (GOOD + b"x: \xff\n", "not UTF-8"),
        (GOOD.decode().encode("utf-16"), "not UTF-8"),
        (GOOD + b"\n" * MOST_BODY_BYTES, "longer than"),
    ],
)
def test_a_broken_policy_is_a_reason(body: bytes, why: str) -> None:
    """T-05: hostile and half-made files are no policy, and the reason says what is wrong."""
    found = read(body)
    assert isinstance(found, BadPolicy)
    assert why in found.detail
    assert found.detail.isprintable()


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "*",
        "*.",
        "**.acme.test",
        "*acme.test",
        "mx.*.test",
        "*.*.test",
        ".acme.test",
        "localhost",
        "192.0.2.1",
        "[192.0.2.1]",
        "a b.test",
        "bücher.test",
        "a..test",
        "x" * 64 + ".test",
        "a." * 127 + "test",
    ],
)
def test_a_pattern_that_can_match_nothing_is_left_out(pattern: str) -> None:
    """T-06: what remains counts; if nothing does there is no policy, unless its mode is none."""
    line = f"mx: {pattern}\n".encode()
    assert read(GOOD + line) == policy("mx.acme.test")
    alone = GOOD.replace(b"mx: mx.acme.test\n", line)
    assert isinstance(read(alone), BadPolicy)
    assert read(alone.replace(b"enforce", b"none")) == StsPolicy("1", StsMode.NONE, (), 86400)


def test_patterns_are_bounded() -> None:
    """The number of mx lines is bounded, repeated or not."""
    assert isinstance(read(GOOD + b"mx: a.test\n" * (MOST_PATTERNS - 1)), StsPolicy)
    found = read(GOOD + b"mx: a.test\n" * MOST_PATTERNS)
    assert isinstance(found, BadPolicy)
    assert "mx lines" in found.detail


@pytest.mark.parametrize(
    ("pattern", "host", "is_named"),
    [
        ("mx.acme.test", "mx.acme.test", True),
        ("mx.acme.test", "MX.Acme.Test.", True),
        ("mx.acme.test", "mx.acme.test..", False),
        ("mx.acme.test", "a.mx.acme.test", False),
        ("mx.acme.test", "acme.test", False),
        ("mx.acme.test", "xmx.acme.test", False),
        ("*.acme.test", "mx.acme.test", True),
        ("*.acme.test", "MX.ACME.TEST.", True),
        ("*.acme.test", "a.mx.acme.test", False),
        ("*.acme.test", "acme.test", False),
        ("*.acme.test", ".acme.test", False),
        ("*.acme.test", "xacme.test", False),
        ("*.test", "acme.test", True),
        ("mx.acme.test", "", False),
        ("*.acme.test", "*", False),
    ],
)
def test_a_pattern_names_hosts(pattern: str, host: str, is_named: bool) -> None:
    """T-06: exact, or `*.` for exactly one left label, whatever the case or a final dot."""
    assert mx_matches(policy("other.test", pattern), host) is is_named


def test_a_policy_without_patterns_names_nobody() -> None:
    """Mode none needs no patterns."""
    assert not mx_matches(policy(), "mx.acme.test")


KEYS = st.sampled_from(["version", "mode", "mx", "max_age", "x"])
VALUES = st.one_of(
    st.sampled_from(["STSv1", "enforce", "testing", "none", "*.acme.test", "mx.acme.test", "600"]),
    st.text(max_size=20),
)
FILES = st.lists(st.tuples(KEYS, VALUES), max_size=12).map(
    lambda lines: "".join(f"{key}: {value}\n" for key, value in lines).encode("utf-8", "surrogatepass")
)


@settings(deadline=None)
@given(st.sampled_from([b"", GOOD]), st.one_of(st.binary(max_size=300), FILES))
def test_whatever_is_read_is_sound(begin: bytes, rest: bytes) -> None:
    """Any bytes give a policy within its bounds, which its own lines give again, or a printable reason."""
    found = read(begin + rest)
    if isinstance(found, BadPolicy):
        assert found.detail.isprintable()
        return
    assert 0 <= found.max_age_s <= LONGEST_MAX_AGE_S
    assert found.mx or found.mode is StsMode.NONE
    assert all(not name_fault(sub(r"^\*\.", "x.", pattern), is_host=True) for pattern in found.mx)
    assert read("\r\n".join(policy_lines(found)).encode()) == found


@pytest.mark.parametrize("filler", [b" ", b"\t", b"a", b".", b":"])
def test_no_file_takes_long_to_read(filler: bytes) -> None:
    """K2: a stranger's 64 kB, with its flaw at the end, are no work for the loop."""
    begun = time.process_time()
    read((b"mx:" + filler * MOST_BODY_BYTES)[: MOST_BODY_BYTES - 1] + b"\x01")
    assert time.process_time() - begun < 0.5


@settings(deadline=None)
@given(st.lists(st.text(max_size=60).map(lambda text: f"v=STSv1;{text}"), max_size=3))
def test_hostile_records_raise_nothing(texts: list[str]) -> None:
    """Any text gives a usable id or none."""
    found = read_record(NAME, [txt(text) for text in texts])
    if isinstance(found, StsRecord):
        assert found.id.isascii()
        assert found.id.isalnum()
        assert len(found.id) <= 32
