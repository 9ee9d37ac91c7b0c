import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.admin.tags import read_tags


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("v=DKIM1; k=rsa; p=AAA==", {"v": "DKIM1", "k": "rsa", "p": "AAA=="}),
        ("v=DMARC1;p=none;", {"v": "DMARC1", "p": "none"}),
        (" a = b c ;; d=", {"a": "b c", "d": ""}),
        ("", {}),
    ],
)
def test_tags_are_read(text: str, wanted: dict[str, str]) -> None:
    """RFC 6376 section 3.2: space around names and values is none of them, and a last semicolon may be there."""
    assert read_tags(text) == wanted


@pytest.mark.parametrize("text", ["v", "=x", "a=1; a=2", "1a=x", "a b=x", "é=x"])
def test_what_is_no_list_of_tags_is_told(text: str) -> None:
    """Also a tag that stands twice."""
    assert isinstance(read_tags(text), str)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    """And what is wrong with it may be shown."""
    tags = read_tags(text)
    assert isinstance(tags, dict) or tags.isascii()
