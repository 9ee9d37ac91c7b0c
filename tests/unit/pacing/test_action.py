"""`mta.pacing.action`."""

import msgspec
import pytest

from mta.model.sender import Sender
from mta.pacing.action import Action, ActionKind, Aim, decode_action, encode_action
from mta.queue.settings import RateLimit

GOOGLE = Aim(source="a1", provider="google")
NEWS = Sender("acme", "spring", "marketing", "acme.test")


def action(aim: Aim = GOOGLE, **more: object) -> Action:
    fields: dict[str, object] = {"kind": ActionKind.SUSPEND, "since": 100.0, "until": 700.0} | more
    return Action(aim=aim, **fields)  # type: ignore[arg-type]


def test_what_is_named_must_hold_and_the_rest_may_be_anything() -> None:
    """An aim covers a path if every part of the path that it names is that one."""
    assert GOOGLE.covers_path("a1", "google", "any.test")
    assert not GOOGLE.covers_path("a2", "google", "any.test")
    assert not GOOGLE.covers_path("a1", "yahoo", "any.test")


@pytest.mark.parametrize(
    "aim", [Aim(tenant="acme", provider="google"), Aim(provider="google", host="mx1.test")]
)
def test_a_part_of_the_mail_is_not_the_path(aim: Aim) -> None:
    """What is aimed at a sender or at one host leaves the path to the others."""
    assert not aim.covers_path("a1", "google", "any.test")


def test_a_sender_is_covered_by_each_part_of_its_name() -> None:
    """Tenant, stream, From domain and campaign: those that are named must be those of the mail."""
    aim = Aim(tenant="acme", from_domain="acme.test", provider="google")
    assert aim.covers(NEWS, "a1", "google", "any.test")
    assert not aim.covers(NEWS, "a1", "yahoo", "any.test")
    assert not aim.covers(Sender("acme", from_domain="other.test"), "a1", "google", "any.test")


def test_an_aim_of_senders_names_whose_mail_it_is_about() -> None:
    """On some path or on all; what is aimed at paths is about nobody."""
    assert Aim(tenant="acme", provider="google", source="a1").covers_sender(NEWS)
    assert not Aim(tenant="acme", campaign="autumn").covers_sender(NEWS)
    assert not GOOGLE.covers_sender(NEWS)


def test_done_again_it_is_the_same_action() -> None:
    """The id is that of what is done to whom by which rule, not of when or why."""
    first = action(rule="google:unusual-rate", reply="421 4.7.28")
    again = action(rule="google:unusual-rate", reply="another", since=200.0, until=900.0, count=7)
    assert first.id == again.id
    assert first.key == f"action.{first.id}"
    others = [action(), action(rule="x"), action(Aim(source="a1")), action(Aim(provider="a1"))]
    assert len({one.id for one in [first, *others]}) == 5


def test_it_survives_the_bucket() -> None:
    """Encoded and decoded it is what it was; what is no action is said to be none."""
    whole = action(connections=1, message_rate=RateLimit(10, 60.0), reply="421 4.7.28 no", count=3)
    assert decode_action(encode_action(whole)) == whole
    with pytest.raises(msgspec.MsgspecError):
        decode_action(b'{"kind":"explode"}')


@pytest.mark.parametrize("field", ["since", "until"])
def test_a_time_that_cannot_be_is_of_no_action(field: str) -> None:
    """Nobody could say when that is."""
    whole = msgspec.to_builtins(Action(kind=ActionKind.SUSPEND, aim=Aim(source="a1"), since=1.0, until=2.0))
    with pytest.raises(msgspec.MsgspecError):
        decode_action(msgspec.json.encode(whole | {field: 1e300}))


def test_it_names_what_it_is_aimed_at() -> None:
    """In the words of its fields, for people."""
    assert str(GOOGLE) == "source=a1 provider=google"
