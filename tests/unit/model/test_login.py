import io
import traceback

import pytest
from rich.console import Console
from rich.pretty import Pretty

from mta.delivery.settings import StaticRoute
from mta.model.login import EXPECTED, Login, login_of
from mta.model.path import EgressSource, MxHost, Site
from mta.smtp.opening import Dial

LOGIN = Login("mta", "s3cret")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_is_a_login(end: str) -> None:
    """Only the first colon divides: a password may hold others."""
    assert login_of(f"mta:a:b c{end}".encode()) == Login("mta", "a:b c")


@pytest.mark.parametrize(
    "content", [b"", b"s3cret", b":s3cret", b"mta:", b"mta:s3cret\nmta:s3cret", b"mta:\xff", b"m\0ta:s3cret"]
)
def test_what_is_none_is_refused_without_being_shown(content: bytes) -> None:
    """With what is expected, and nothing of it in a traceback either."""
    with pytest.raises(ValueError) as caught:
        login_of(content)
    assert str(caught.value).endswith(EXPECTED)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "holder",
    [
        LOGIN,
        StaticRoute("a.test", "relay.test", 587, tls="verify", login=LOGIN),
        Site("relay.test:587", "other", (MxHost("relay.test", 587),), login=LOGIN),
        Dial(host="relay.test", source=EgressSource("one", "one.test"), login=LOGIN),
    ],
)
def test_whoever_has_it_does_not_show_the_password(holder: object) -> None:
    """D13: not by repr and not by rich, whose tracebacks may show locals."""
    shown = io.StringIO()
    Console(file=shown).print(Pretty(holder))
    assert "s3cret" not in repr(holder)
    assert "s3cret" not in shown.getvalue()
    assert "mta" in repr(holder)
