"""A user and a password for another server."""

from msgspec import Struct

EXPECTED = "one line user:password"


class Login(Struct, frozen=True):
    """Whatever shows one shows the user only."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login(user={self.user!r})"

    def __rich_repr__(self) -> list[tuple[str, str]]:
        """`rich` asks a Struct for this instead, and it would tell."""
        return [("user", self.user)]


def login_of(content: bytes) -> Login:
    """Of a line `user:password`. A `ValueError` never shows what was read."""
    user, _, password = content.decode(errors="replace").strip().partition(":")
    if not user or not password or not f"{user}:{password}".isprintable() or "\ufffd" in f"{user}{password}":
        raise ValueError(f"is no login: expected {EXPECTED}")
    return Login(user, password)
