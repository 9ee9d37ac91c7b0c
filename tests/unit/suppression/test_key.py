from hypothesis import given
from hypothesis import strategies as st

from mta.model.lane import Lane
from mta.suppression.key import (
    MarkKey,
    canonical,
    digest,
    domain_number,
    mark_key,
    number,
    number_of_key,
    parse_key,
    payload_scope,
    salt,
    unsubscribe_scope,
)

TOKENS = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)


def test_spellings_of_an_address_are_one() -> None:
    """Case, an international domain and needless quoting make no other key."""
    keys = {
        mark_key("acme", spelling)
        for spelling in ("bob@example.test", "BOB@Example.TEST", '"bob"@example.test')
    }
    assert keys == {"acme." + keys.copy().pop().partition(".")[2]}
    assert canonical("Bob@BÜCHER.test") == "bob@xn--bcher-kva.test"
    assert canonical("@BÜCHER.test") == "@xn--bcher-kva.test"


def test_what_is_no_address_has_a_key_all_the_same() -> None:
    """An entry of an import that nobody can mail is no error here."""
    assert canonical("Not An Address") == "not an address"
    assert parse_key(mark_key("acme", "\ud800@")) is not None


def test_scopes_have_keys_of_their_own() -> None:
    """All mail, one stream, and bulk mail without a stream; a stream that is named `_` is another."""
    keys = [mark_key("acme", "bob@example.test", stream) for stream in ("", "news", "_")]
    assert len(set(keys)) == 3
    assert keys[1] == f"{keys[0]}.news"
    assert keys[2] == f"{keys[0]}._"
    assert unsubscribe_scope("") == "_"
    assert unsubscribe_scope("news") == "news"
    assert payload_scope("", Lane.BULK) == "_"
    assert payload_scope("", Lane.TRANSACTIONAL) == ""
    assert payload_scope("news", Lane.TRANSACTIONAL) == "news"


@given(TOKENS, st.text(max_size=40), TOKENS | st.just(""))
def test_a_key_is_read_back_and_has_the_number_of_its_parts(tenant: str, address: str, stream: str) -> None:
    """What the bucket tells finds the place that a look-up goes to."""
    key = mark_key(tenant, address, stream)
    parsed = parse_key(key)
    assert parsed is not None
    assert (parsed.tenant, parsed.stream) == (tenant, stream)
    assert number_of_key(key) == number(digest(canonical(address))) ^ salt(tenant, stream)


def test_a_domain_is_looked_up_by_its_name() -> None:
    """The cached number is that of the key."""
    assert number_of_key(mark_key("acme", "@example.test")) == domain_number("example.test") ^ salt("acme")


def test_other_keys_are_none_of_ours() -> None:
    """Too few tokens, too many, and what is no hash."""
    good = mark_key("acme", "bob@example.test")
    for key in ("", "acme", good + ".a.b", good[:-1], good + "1", good.upper(), "." + good, good + "."):
        assert parse_key(key) is None, key
        assert key.endswith(".") or number_of_key(key) is None
    assert parse_key(good) == MarkKey("acme", good.partition(".")[2])
