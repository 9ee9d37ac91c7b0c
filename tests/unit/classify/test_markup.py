import pytest

from mta.classify.markup import visible


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one<br>two</p>", "one\ntwo"),
        ("one &lt;a@b.test&gt; &amp; &#252;&#xFC; &nbsp;x", "one <a@b.test> & üü  x"),
        ("<style>p { a@b.test }</style>x<!-- c@d.test -->y", "xy"),
        ("<a@b.test>: no", "<a@b.test>: no"),
        ("<td>a</td><td>b</td>", " a b"),
        ("a < b", "a < b"),
        ("&#99999999; &unknown; &#1;", "&#99999999; &unknown;  "),
        ("<pre>a\nb</pre>", "a\nb"),
        ("", ""),
    ],
)
def test_what_a_person_sees(html: str, text: str) -> None:
    """Tags part words or nothing; what is no tag stays."""
    assert visible(html).split() == text.split()


def test_line_ends_count_where_nothing_else_breaks_lines() -> None:
    """Some put a plain text into a part of HTML."""
    assert visible("To: a@b.test\nno") == "To: a@b.test\nno"
    assert visible("<p>one\ntwo</p><p>three</p>").split() == ["one", "two", "three"]
