from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.rows import BadRow, FileRefused, Repeated, Row, rows

Result = list[Row | BadRow | Repeated]


def from_csv(text: str, name_column: str = "") -> Result:
    return list(rows(text.splitlines(keepends=True), is_csv=True, name_column=name_column))


def from_json(text: str, name_column: str = "") -> Result:
    return list(rows(text.splitlines(keepends=True), is_csv=False, name_column=name_column))


def test_columns_become_the_recipient_and_its_data() -> None:
    """email, name and id are the recipient's own, all others data; empty ones of the first are left out."""
    assert from_csv("email,name,id,shop\na@x.test,Anna,7,Berlin\nb@x.test,,,\n") == [
        Row(2, {"email": "a@x.test", "name": "Anna", "id": "7", "data": {"shop": "Berlin"}}),
        Row(3, {"email": "b@x.test", "data": {"shop": ""}}),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_that_of_the_first_line(delimiter: str) -> None:
    """What spreadsheets write in different countries."""
    text = delimiter.join(("email", "shop")) + "\n" + delimiter.join(("a@x.test", '"A, B; C"')) + "\n"
    assert from_csv(text) == [Row(2, {"email": "a@x.test", "data": {"shop": "A, B; C"}})]


def test_a_byte_order_mark_and_capitals_do_no_harm() -> None:
    """The first column of a file from Excel."""
    assert from_csv("\ufeffEmail\r\na@x.test\r\n") == [Row(2, {"email": "a@x.test"})]


def test_quoted_line_ends_keep_the_line_numbers_right() -> None:
    """A row is named by its last line."""
    got = from_csv('email,note\na@x.test,"one\ntwo"\nnobody,x\n')
    assert got == [
        Row(3, {"email": "a@x.test", "data": {"note": "one\ntwo"}}),
        BadRow(4, "'nobody' is no address"),
    ]


def test_the_name_may_be_in_another_column() -> None:
    """It stays among the data, where templates use it."""
    (row,) = from_csv("email,first\na@x.test,Anna\n", name_column="first")
    assert row == Row(2, {"email": "a@x.test", "name": "Anna", "data": {"first": "Anna"}})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a@x.test", "has 1 columns, the first line has 2"),
        ("a@x.test,1,2", "has 3 columns, the first line has 2"),
        (",x", "has no email"),
        ("nobody,x", "'nobody' is no address"),
        ("a@x.test>,x", "'a@x.test>' is no address"),
        ("a b@x.test,x", "'a b@x.test' is no address"),
        ('a@x.test,"x"y', "is no CSV: ',' expected after '\"'"),
        (f"a@x.test,{'n' * 129}", "name is longer than 128 characters"),
    ],
)
def test_a_bad_line_is_named_with_its_number(line: str, reason: str) -> None:
    """And those after it go on."""
    assert from_csv(f"email,name\n{line}\nz@x.test,Z\n") == [
        BadRow(2, reason),
        Row(3, {"email": "z@x.test", "name": "Z"}),
    ]


def test_data_has_its_limit() -> None:
    """A recipient with more would be rejected."""
    (row,) = from_csv(f"email,x\na@x.test,{'x' * 16_001}\n")
    assert row == BadRow(2, "its data is larger than 16000 bytes")


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "names no column `email` .it has: nothing"),
        ("mail,name", "names no column `email` .it has: mail, name"),
        ("email,a,a", "names a column twice"),
        ("email,recipient", "may not be named recipient"),
    ],
)
def test_a_file_that_is_no_list_is_refused(header: str, said: str) -> None:
    """By its first line."""
    with pytest.raises(FileRefused, match=said):
        from_csv(f"{header}\na@x.test\n")


def test_a_missing_name_column_is_refused() -> None:
    """With the columns there are."""
    with pytest.raises(FileRefused, match=r"no column `first` \(there are: email, name\)"):
        from_csv("email,name\n", name_column="first")


def test_json_lines_keep_their_types() -> None:
    """Numbers and lists go to the template as they are; blank lines are nothing."""
    got = from_json('{"email": "a@x.test", "id": 7, "n": 1.5, "l": [1]}\n\n{"email": "b@x.test"}\n')
    assert got == [
        Row(1, {"email": "a@x.test", "id": "7", "data": {"n": 1.5, "l": [1]}}),
        Row(3, {"email": "b@x.test"}),
    ]


def test_json_lines_may_be_recipients_as_a_payload_has_them() -> None:
    """Told by their `data` object, which is not put into another one."""
    (row,) = from_json(
        '{"email": "a@x.test", "data": {"n": 1, "first": "Anna"}, "tags": ["vip"], "metadata": {"s": "v"}}',
        name_column="first",
    )
    assert row == Row(
        1,
        {
            "email": "a@x.test",
            "name": "Anna",
            "tags": ["vip"],
            "metadata": {"s": "v"},
            "data": {"n": 1, "first": "Anna"},
        },
    )
    assert from_json('{"email": "a@x.test", "data": {}}') == [Row(1, {"email": "a@x.test"})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"email": "a@x.test", "data": {}, "shop": 1}', "has a `data` object and beside it shop"),
        ('{"email": "a@x.test", "data": {"payload": 1}}', "may not have payload"),
        ("[]", "is no JSON object"),
        ("{", "is no JSON: "),
        ('{"email": 5}', "email is no text"),
        ('{"email": "a@x.test", "id": true}', "id is no text"),
        ('{"email": "a@x.test", "payload": 1}', "may not have payload"),
    ],
)
def test_a_bad_json_line_is_named_with_its_number(line: str, reason: str) -> None:
    """As in CSV."""
    (row,) = from_json(line)
    assert isinstance(row, BadRow)
    assert (row.line, row.reason[: len(reason)]) == (1, reason)


def test_an_address_that_comes_again_is_left_out() -> None:
    """In whatever case: nobody gets a mailing twice."""
    got = from_csv("email\na@x.test\nb@x.test\nA@X.test\n")
    assert got[2] == Repeated(4)


@given(st.text(), st.booleans())
def test_no_text_makes_it_stumble(text: str, is_csv: bool) -> None:
    """Whatever a file holds is a row, a bad row, or refuses the file."""
    try:
        got: list[Any] = list(rows(text.splitlines(keepends=True), is_csv=is_csv))
    except FileRefused:
        return
    assert all(isinstance(row, Row | BadRow | Repeated) for row in got)


@given(st.text())
def test_no_row_makes_it_stumble(text: str) -> None:
    """The same with a good first line."""
    from_csv(f"email,x\n{text}")
