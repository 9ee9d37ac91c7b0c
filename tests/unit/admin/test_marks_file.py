import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.marks_file import BadLine, Entry, NoList, ends_at, entries, harmless, target_of
from mta.model.suppression import SuppressReason
from mta.suppression.key import mark_key

NOW = 1_795_000_000.0
HASH = mark_key("acme", "bob@example.test").partition(".")[2]


def read(text: str, *, is_json: bool = False) -> list[Entry | BadLine]:
    return list(entries(text.splitlines(keepends=True), NOW, is_json=is_json))


def test_one_address_a_line() -> None:
    """Empty lines are nothing; the number is the line's."""
    assert read("Bob@Example.test\n\n@gone.test\nnobody\n") == [
        Entry(1, "bob@example.test"),
        Entry(3, "@gone.test"),
        BadLine(4, "there is no @ between local part and domain"),
    ]


def test_columns_by_name() -> None:
    """In any order, in any case, quoted, behind a mark of the byte order."""
    text = '\ufeffReason,EMAIL,detail\ncomplained,bob@example.test,"twice, loudly"\n,eve@example.test\n'
    assert read(text) == [
        Entry(2, "bob@example.test", SuppressReason.COMPLAINED, detail="twice, loudly"),
        Entry(3, "eve@example.test"),
    ]


@pytest.mark.parametrize("end", ["2020-01-01T00:00:00Z", "0s"])
def test_a_mark_that_is_over_is_none(end: str) -> None:
    """It would not be on the list, which whoever named it should hear; an end of `0` is none."""
    assert read(f"email,expires\nbob@example.test,{end}\neve@example.test,0\n") == [
        BadLine(2, "`expires`: that time has passed"),
        Entry(3, "eve@example.test", expires_at=0.0),
    ]


@given(st.text(st.sampled_from("'=+-@ab1 ,\""), max_size=8))
def test_no_cell_is_a_formula_and_each_is_read_as_it_was(detail: str) -> None:
    """Also one that began with an apostrophe before."""
    detail = " ".join(detail.split())
    file = io.StringIO()
    csv.writer(file).writerows([("email", "detail"), ("b@example.test", harmless(detail))])
    assert not harmless(detail).startswith(("=", "+", "-", "@"))
    assert read(file.getvalue()) == [Entry(2, "b@example.test", detail=detail)]


def test_an_apostrophe_of_its_own_stays() -> None:
    """Of an address a line, and where nothing behind it needs it."""
    assert read("email\n'tis@example.test\n'-a@example.test\n") == [
        Entry(2, "'tis@example.test"),
        Entry(3, "-a@example.test"),
    ]
    assert read("'-a@example.test\n") == [Entry(1, "'-a@example.test")]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("name", ["address", "E-Mail", '"email"', "Email Address"])
def test_a_header_of_another_program_is_one(name: str, delimiter: str) -> None:
    """Not a bad line, and what stands between the columns is seen; so is a header of one column."""
    told: list[str] = []
    text = f"{name}{delimiter}reason\nbob@example.test{delimiter}complained\n"
    found = list(entries(text.splitlines(keepends=True), NOW, on_taken=told.append))
    assert found == [Entry(2, "bob@example.test", SuppressReason.COMPLAINED)]
    assert [one.partition(", with")[2] for one in told] == [" the columns email, reason"]
    assert read(f"{name}\nbob@example.test\n") == [Entry(2, "bob@example.test")]


def test_a_file_without_header_is_said_to_be_one() -> None:
    """Whose first line is an address; of two columns for addresses nobody knows which counts."""
    told: list[str] = []
    list(entries(["bob@example.test\n"], NOW, on_taken=told.append))
    assert told[0].startswith("an address a line")
    with pytest.raises(NoList, match="names twice: email"):
        read("email,address\na@x.test,b@x.test\n")


def test_objects_by_line() -> None:
    """As the verb exports them; what is no object is bad and nothing more."""
    rows = [{"email": "bob@example.test", "expires": "1h", "stream": "news", "other": 1}, {"hash": HASH}]
    text = "\n".join(map(json.dumps, rows)) + "\n[1]\n{\n" + "[" * 5_000 + "\n" + "x" * 20_000
    found = read(text, is_json=True)
    assert found[:2] == [Entry(1, "bob@example.test", None, NOW + 3600, "", "news"), Entry(2, HASH)]
    assert [(bad.line, bad.reason) for bad in found[2:] if isinstance(bad, BadLine)] == [
        (3, "no JSON object"),
        (4, "no JSON"),
        (5, "no JSON"),
        (6, "the line is too long"),
    ]


def test_a_column_nobody_knows_is_no_list() -> None:
    """A misspelt one would be ignored in silence."""
    with pytest.raises(NoList, match="unknown columns: expiry"):
        read("email,expiry\nbob@example.test,1d\n")


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("bob@example.test,whim,,", "`reason` is none of"),
        ("bob@example.test,,soon,", "an end such as 90d"),
        (",,,", "there is no address"),
        ("bob@example.test,,,,x", "more fields than columns"),
        ("bob@example.test,,," + "s" * 65, "`stream` is not 1 to 64"),
        ("bob@example.test,,,News", "`stream` is not 1 to 64"),
    ],
)
def test_a_bad_line_says_why(row: str, reason: str) -> None:
    """And the next one is read."""
    found = read(f"email,reason,expires,stream\n{row}\neve@example.test,,,\n")
    if row != ",,,":  # an empty row is nothing
        bad = found.pop(0)
        assert isinstance(bad, BadLine)
        assert reason in bad.reason
    assert [entry.target for entry in found if isinstance(entry, Entry)] == ["eve@example.test"]


@given(st.text(max_size=300), st.booleans())
def test_nothing_in_a_file_is_more_than_a_bad_line(text: str, is_json: bool) -> None:
    """Or no list at all."""
    try:
        found = read(text, is_json=is_json)
    except NoList:
        return
    assert all(isinstance(one, (Entry, BadLine)) for one in found)


def test_an_end_is_a_time_or_a_while() -> None:
    """0 is for good."""
    assert ends_at("0", NOW) == 0.0
    assert ends_at("90d", NOW) == NOW + 90 * 86_400
    assert ends_at("2027-01-31T00:00:00Z", NOW) == 1_801_353_600.0
    for text in ("", "tomorrow", "2027-01-31", "-1d"):
        with pytest.raises(ValueError):
            ends_at(text, NOW)


def test_a_target_is_canonical() -> None:
    """Address, domain or hash."""
    assert target_of(" Bob@BÜCHER.test ") == "bob@xn--bcher-kva.test"
    assert target_of("@BÜCHER.test") == "@xn--bcher-kva.test"
    assert target_of(HASH) == HASH


def test_a_line_that_breaks_the_table_is_one_bad_line() -> None:
    """The lines behind it are read: whoever stands there wants no mail."""
    rest = "eve@example.test,\n"
    long = read(f"email,detail\nbob@example.test,{'x' * 200_000}\n{rest}")
    assert long == [BadLine(2, "a field is too long"), Entry(3, "eve@example.test")]


def test_a_quote_that_is_not_closed_takes_nobody_along() -> None:
    """All up to the next one is its field, were it a hundred addresses: that is told, and not taken for a detail."""
    lost = "".join(f"r{number}@example.test,\n" for number in range(100))
    found = read(f'email,detail\nbob@example.test,"oops\n{lost}')
    assert found == [BadLine(2, "a quote does not end on its line: nothing up to line 102 is read")]


@pytest.mark.parametrize("end", ["99999999999d", "0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"])
def test_an_end_out_of_all_time_is_none(end: str) -> None:
    """No mark could tell it."""
    with pytest.raises(ValueError, match="is expected, not"):
        ends_at(end, NOW)


def test_a_member_that_is_no_text_is_bad() -> None:
    """A stream of that name gets no mail anyway; the one that was meant would."""
    [bad] = read('{"email": "bob@example.test", "stream": {"name": "news"}}', is_json=True)
    assert bad == BadLine(1, "`stream` is no text")
