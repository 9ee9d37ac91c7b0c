"""What limits and troubles belong to."""

from mta.pacing.scope import Scope, ScopeKind


def test_a_scope_is_told_for_people() -> None:
    """The source, and to where."""
    assert str(Scope(ScopeKind.PROVIDER, "a1", "google")) == "a1 → google"
    assert str(Scope(ScopeKind.SOURCE, "a1")) == "a1"


def test_scopes_are_keys() -> None:
    """Equal where all is, and not where only the name is."""
    assert len({Scope(ScopeKind.SITE, "a", "x"), Scope(ScopeKind.SITE, "a", "x")}) == 1
    assert Scope(ScopeKind.SITE, "a", "x") != Scope(ScopeKind.HOST, "a", "x")
