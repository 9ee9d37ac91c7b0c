"""What strangers write at `_smtp._tls`: only addresses and host names come out of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model.address import canonical_domain, parse
from mta.tlsrpt.rua import ByMail, ByPost, Rua, rua
from mta.tlsrpt.tally import MOST_URIS


def uris(*texts: str) -> list[str]:
    return [one.uri for one in rua(texts).destinations]


@pytest.mark.parametrize(
    "text",
    [
        "v=TLSRPTv1;rua=mailto:a@one.test",
        "v=TLSRPTv1; rua=mailto:a@one.test;",
        "v=TLSRPTv1;rua=mailto:a@one.test ; ",
        "v=TLSRPTv1;\trua=mailto:a@one.test",
        "v=TLSRPTv1; x-new=1/2; rua=mailto:a@one.test; other=a=b",
        "v=TLSRPTv1;;rua=mailto:a@one.test",
    ],
)
def test_t11_a_record_names_where_reports_go(text: str) -> None:
    """T-11, RFC 8460 section 3: fields in any order, unknown ones passed over."""
    assert rua([text]) == Rua((ByMail("mailto:a@one.test", parse("a@one.test")),))


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["v=spf1 -all"],
        ["v=TLSRPTv1"],
        ["v=TLSRPTv1 ;rua=mailto:a@one.test"],
        ["V=TLSRPTv1;rua=mailto:a@one.test"],
        ["v=TLSRPTv11;rua=mailto:a@one.test"],
        [" v=TLSRPTv1;rua=mailto:a@one.test"],
        ["v=TLSRPTv1;RUA=mailto:a@one.test"],
        ["v=TLSRPTv1;rua"],
        ["v=TLSRPTv1;what is this;rua=mailto:a@one.test"],
        ["v=TLSRPTv1;rua=mailto:a@one.test;b=\u00fc"],
        ["v=TLSRPTv1;rua=mailto:a@one.test", "v=TLSRPTv1;rua=mailto:b@one.test"],
    ],
)
def test_no_record_or_more_than_one_means_no_reports(texts: list[str]) -> None:
    """And nothing is wrong about it."""
    assert rua(texts) == Rua()


def test_other_records_beside_it_do_not_count() -> None:
    """Those of another version are discarded first."""
    assert uris("v=spf1 -all", "v=TLSRPTv1;rua=mailto:a@one.test", "v=TLSRPTv2;x=1") == ["mailto:a@one.test"]


def test_several_uris() -> None:
    """Each once, in their order."""
    text = "v=TLSRPTv1;rua=mailto:a@one.test , https://r.one.test/v1?x=1,mailto:a@one.test"
    mail, post = rua([text]).destinations
    assert mail.uri == "mailto:a@one.test"
    assert post == ByPost("https://r.one.test/v1?x=1", "r.one.test", 0, "/v1?x=1")


@pytest.mark.parametrize(
    ("uri", "host", "port", "target"),
    [
        ("https://r.test.test", "r.test.test", 0, "/"),
        ("HTTPS://R.one.TEST/A%2Cb", "r.one.test", 0, "/A%2Cb"),
        ("https://r.one.test:8443?q", "r.one.test", 8443, "/?q"),
        ("https://r.one.test/a#part", "r.one.test", 0, "/a"),
    ],
)
def test_https(uri: str, host: str, port: int, target: str) -> None:
    """Path and query go out as they are written."""
    assert rua([f"v=TLSRPTv1;rua={uri}"]).destinations == (ByPost(uri, host, port, target),)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("mailto:a%2Cb@one.test", ""),
        ("mailto:a%21b@one.test", "a!b@one.test"),
        ("MAILTO:a%2Bb@ONE.test", "a+b@one.test"),
        ("mailto:a@one.test?bcc=eve@two.test&subject=x", "a@one.test"),
        ("mailto:%22a%20b%22@one.test", '"a b"@one.test'),
    ],
)
def test_mailto(uri: str, address: str) -> None:
    """Percent-decoded, then an address to the project's own parser; a query sets nothing."""
    found = [
        one.mailbox.text for one in rua([f"v=TLSRPTv1;rua={uri}"]).destinations if isinstance(one, ByMail)
    ]
    assert found == ([address] if address else [])


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("http://r.one.test/", "neither"),
        ("ftp://r.one.test/", "neither"),
        ("a@one.test", "neither"),
        ("mailto:", "no @"),
        ("mailto:a@one", "no dot"),
        ("mailto:a@[127.0.0.1]", "not a URI"),
        ("mailto:a%0d%0aRCPT@one.test", "local part"),
        ("mailto:a%00@one.test", "local part"),
        ("mailto:%ff@one.test", "UTF-8"),
        ("mailto:%c3%bc@one.test", "beyond ASCII"),
        ("mailto:a%4@one.test", "not a URI"),
        ("https://", "host"),
        ("https:///x", "host"),
        ("https:r.one.test", "host"),
        ("https://user:pass@r.one.test/", "login"),
        ("https://user@r.one.test/", "login"),
        ("https://127.0.0.1/", "number"),
        ("https://2130706433/", "no dot"),
        ("https://[::1]/", "not a URI"),
        ("https://localhost/", "no dot"),
        ("https://r.one.test./", "label"),
        ("https://r.one.test:0/", "port"),
        ("https://r.one.test:65536/", "port"),
        ("https://r.one.test:/", "host"),
        ("https://r.one%2etest/", "host"),
        ("https://r.one.test\\@evil.test/", "not a URI"),
        ("https://r.one.test/" + "x" * 1000, "longer"),
    ],
)
def test_what_nothing_may_be_sent_to(uri: str, reason: str) -> None:
    """Refused by its reason, and the others get theirs."""
    found = rua([f"v=TLSRPTv1;rua={uri},mailto:a@one.test"])
    assert [one.uri for one in found.destinations] == ["mailto:a@one.test"]
    assert len(found.refused) == 1
    assert reason in found.refused[0].removeprefix(uri[:100])


def test_one_record_costs_few_reports() -> None:
    """Whatever it names."""
    text = "v=TLSRPTv1;rua=" + ",".join(f"mailto:a{n}@one.test" for n in range(100))
    found = rua([text])
    assert len(found.destinations) == MOST_URIS
    assert found.refused == (f"more than {MOST_URIS} URIs",)
    bad = rua(["v=TLSRPTv1;rua=" + ",".join(f"x{n}:" for n in range(100))])
    assert len(bad.refused) == MOST_URIS + 1


def test_a_long_record_is_not_read() -> None:
    """A TXT record may have 64 kB."""
    assert rua(["v=TLSRPTv1;rua=mailto:a@one.test;x=" + "y" * 4000]).destinations == ()


@given(st.lists(st.text() | st.text().map("v=TLSRPTv1;rua=".__add__), max_size=3))
def test_any_text_gives_a_value(texts: list[str]) -> None:
    """And what comes out is an address or a host name, and printable."""
    found = rua(texts)
    assert len(found.destinations) <= MOST_URIS
    for one in found.destinations:
        assert one.uri.isascii()
        assert one.uri.isprintable()
        if isinstance(one, ByPost):
            assert canonical_domain(one.host) == one.host
            assert one.target.startswith("/")


@given(st.text(alphabet="htps:/mailo@.test%20?#!\\[]-_a1 ;,=", max_size=60))
def test_what_looks_like_a_uri_gives_a_value(uri: str) -> None:
    """From the characters that mean something."""
    for one in rua([f"v=TLSRPTv1;rua=https://{uri},mailto:{uri}"]).destinations:
        if isinstance(one, ByPost):
            assert "@" not in one.host
            assert canonical_domain(one.host) == one.host
