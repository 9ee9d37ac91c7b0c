import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.inbound.admission import Admission
from mta.model.token import Purpose, TokenKey, TokenMint, TokenReader

SECRET = b"k" * 32
MINT = TokenMint("k1", SECRET)
READER = TokenReader([TokenKey("k1", SECRET)])
KEY = b"p" * 16
DOMAINS = {"b.acme.test": ["acme", "acme-2"], "b.other.test": ["other"]}
ADMISSION = Admission(READER, DOMAINS, feedback="fbl")


@pytest.mark.parametrize("purpose", list(Purpose))
def test_the_bearer_of_a_token_is_let_in(purpose: Purpose) -> None:
    """In any case (L-08), with the tenants that the domain belongs to."""
    address = f"{purpose}+{MINT.address(purpose, KEY, 7, 'bob@x.test')}@b.acme.test"
    for spelled in (address, address.upper()):
        found = ADMISSION.judge(spelled)
        assert found is not None
        assert found.tenants == {"acme", "acme-2"}
        assert found.purpose is purpose
        assert found.token is not None
        assert (found.token.payload_key, found.token.index) == (KEY, 7)


def test_feedback_loops_have_an_address() -> None:
    """Without a token: their reports hold one."""
    found = ADMISSION.judge("FBL@b.other.test")
    assert found is not None
    assert (found.purpose, found.token, found.tenants) == (Purpose.FEEDBACK, None, {"other"})
    assert Admission(READER, DOMAINS).judge("fbl@b.other.test") is None
    assert Admission(READER, DOMAINS).judge("@b.other.test") is None


@given(st.text(max_size=100), st.sampled_from(["b.acme.test", "acme.test", ""]))
def test_nobody_else_is(local: str, domain: str) -> None:
    """H9: whatever stands in front of the last @."""
    if local.lower() != "fbl":
        assert ADMISSION.judge(f"{local}@{domain}") is None


def test_h11_no_bit_of_a_token_may_change() -> None:
    """Of what the MAC covers: key id, payload and place, and the MAC itself."""
    token = MINT.return_path(KEY, 7, "bob@x.test")
    for at in range(50):
        for other in "abcdefghijklmnopqrstuvwxyz234567":
            if other != token[at]:
                assert ADMISSION.judge(f"b+{token[:at]}{other}{token[at + 1 :]}@b.acme.test") is None
