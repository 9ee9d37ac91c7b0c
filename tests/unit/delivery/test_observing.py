"""`mta.delivery.observing`."""

from typing import Any

from mta.classify.classifier import disposition
from mta.delivery.observing import observed
from mta.delivery.reference import Parked, Reference, Settlement
from mta.model.outcome import Attempt, Delivered, Stage
from mta.model.reply import Reply
from mta.model.sender import Sender
from mta.pacing.automation import Observation
from tests.unit.delivery.refs import CLASSIFIER, ref

REPLY = Reply(450, ("4.7.1 later",), "4.7.1")


def test_only_what_was_refused_is_told_and_the_owner_hears_first() -> None:
    """With where it went, from where, and whose it was."""
    heard: list[object] = []
    settle = observed(lambda one, settlement: heard.append(settlement), heard.append)
    one: Reference[Any] = ref(sender=Sender("acme", "spring"))
    one.provider = "google"
    attempt = Attempt(1, 0.0, Stage.RCPT, REPLY, source="a1", site="gmail", mx_host="mx1.test")
    verdict = CLASSIFIER.classify(Stage.RCPT, REPLY, provider="google")
    deferred = disposition(attempt, verdict)
    quiet: tuple[Settlement, ...] = (Delivered(attempt), Parked(1.0, "full"))
    for settlement in (*quiet, deferred):
        settle(one, settlement)
    assert heard[:3] == [*quiet, deferred]
    assert heard[3:] == [
        Observation("a1", "google", "gmail", "mx1.test", one.sender, verdict, REPLY, attempt.detail)
    ]
