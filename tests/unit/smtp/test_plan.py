"""Which pattern is used."""

import pytest

from mta.smtp.extensions import Extensions
from mta.smtp.plan import choose
from mta.smtp.settings import Pattern

NOTHING = Extensions(chunking=True)
PIPELINING = Extensions(pipelining=True)
BOTH = Extensions(pipelining=True, chunking=True)
A, B, C, CB, E, AUTO = Pattern.A, Pattern.B, Pattern.C, Pattern.CB, Pattern.E, Pattern.AUTO


@pytest.mark.parametrize(
    ("wanted", "offer", "verdict", "pattern"),
    [
        *((wanted, NOTHING, True, A) for wanted in Pattern),
        *((wanted, PIPELINING, False, A if wanted is A else B) for wanted in Pattern),
        (AUTO, PIPELINING, True, C),
        (AUTO, PIPELINING, None, C),
        (AUTO, BOTH, None, CB),
        (AUTO, BOTH, True, CB),
        (AUTO, BOTH, False, B),
        (A, BOTH, True, A),
        (B, BOTH, True, B),
        (C, BOTH, True, C),
        (C, PIPELINING, None, C),
        (CB, PIPELINING, True, C),
        (CB, BOTH, None, CB),
        (E, BOTH, None, E),
        (E, PIPELINING, True, C),
    ],
)
def test_choice(wanted: Pattern, offer: Extensions, verdict: bool | None, pattern: Pattern) -> None:
    """Never more than the peer offers, never against a bad verdict, else what was asked for or the nearest
    to it."""
    assert choose(wanted, offer, verdict, "mx.test ESMTP") is pattern


@pytest.mark.parametrize("banner", ["mx.test ESMTP Haraka/3.3.4 ready", "mx ESMTP chasquid"])
def test_banners_that_rule_out_c(banner: str) -> None:
    """Haraka and chasquid lose what comes behind a dot."""
    assert choose(AUTO, PIPELINING, None, banner) is B
    assert choose(C, PIPELINING, True, banner) is B
