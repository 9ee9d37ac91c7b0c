import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.inbound.form import MAX_BODY, is_one_click

URLENCODED = "application/x-www-form-urlencoded"
PART = b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, b"List-Unsubscribe=One-Click"),
        (URLENCODED + "; charset=utf-8", b"a=b&List%2DUnsubscribe=One%2DClick"),
        ("", b"List-Unsubscribe=One-Click\r\n"),
        ("multipart/form-data; boundary=b", PART),
        ('Multipart/Form-Data; charset=utf-8; boundary="b"', PART),
        ('multipart/form-data; x="; boundary=z"; boundary=b', PART),
        ("multipart/form-data; boundary=b", b"preamble\r\n" + PART),
        (
            "multipart/form-data; boundary=b",
            b"--b\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; filename=\"name=x\"; "
            b"name=List-Unsubscribe\r\n\r\n One-Click \r\n--b--",
        ),
    ],
)  # fmt: skip
def test_l02_a_one_click_form_is_known_however_it_is_written(content_type: str, body: bytes) -> None:
    """RFC 8058 section 3.2: urlencoded or multipart."""
    assert is_one_click(content_type, body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, b""),
        (URLENCODED, b"List-Unsubscribe"),
        (URLENCODED, b"List-Unsubscribe=one-click"),
        (URLENCODED, b"list-unsubscribe=One-Click"),
        (URLENCODED, b"x=List-Unsubscribe=One-Click"),
        (URLENCODED, b"&".join(b"a=%d" % n for n in range(40)) + b"&List-Unsubscribe=One-Click"),
        (URLENCODED, b"List-Unsubscribe=One-Click&x=" + b"x" * MAX_BODY),
        (URLENCODED, PART),
        ("multipart/form-data", PART),
        ("multipart/mixed; boundary=b", PART),
        ("multipart/form-data; boundary=c", PART),
        ("multipart/form-data; boundary=b", PART.replace(b"\r\n\r\n", b"\r\n")),
        ("multipart/form-data; boundary=b", PART.replace(b"List-Unsubscribe", b"X")),
        ('multipart/form-data; boundary="b', PART),
    ],
)
def test_l02_nothing_else_is(content_type: str, body: bytes) -> None:
    """A link that something else posts to does not unsubscribe."""
    assert not is_one_click(content_type, body)


@given(st.text(max_size=300), st.binary(max_size=600))
def test_whatever_is_posted_is_answered(content_type: str, body: bytes) -> None:
    """No content raises."""
    is_one_click(content_type, body)
    is_one_click(f"multipart/form-data; boundary={content_type}", b"--" + body)
