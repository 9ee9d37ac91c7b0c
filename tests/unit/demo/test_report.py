from collections import Counter

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from mta.demo.policy import Received
from mta.demo.report import judge, sample, verifies
from mta.demo.tally import Tally
from tests.unit.demo.test_tally import line

ASKED = ["a@o.test", "b@o.test", "c@g.test"]


def clean() -> Tally:
    tally = Tally()
    tally.add(line("delivered", "a@o.test", "other") + line("bounced", "c@g.test", "google"))
    tally.add(line("deferred", "b@o.test", "other") + line("delivered", "b@o.test", "other", 2))
    return tally


def test_clean_run() -> None:
    """All ended once, all is where it should be, all signatures verify: no fault."""
    verdict = judge(ASKED, clean(), Counter(["a@o.test", "b@o.test"]), [True, True], 1.5)
    assert verdict.faults == ()
    report = verdict.report
    assert (report.recipients, report.delivered, report.bounced, report.deferred_seen) == (3, 2, 1, 1)
    assert (report.failed, report.duplicates, report.lost, report.dkim_verified) == (0, 0, 0, 2)
    assert report.msgs_per_s == 2.0


def test_missing_end() -> None:
    """A recipient without a terminal event is lost."""
    verdict = judge([*ASKED, "d@o.test"], clean(), Counter(["a@o.test", "b@o.test"]), [True], 1.0)
    assert verdict.report.lost == 1
    assert verdict.faults == ("1 recipients without a terminal event",)


@pytest.mark.parametrize(
    ("accepted", "signatures", "fault"),
    [
        (["a@o.test"], [True], "reported as delivered whose destination has nothing"),
        (["a@o.test", "b@o.test", "b@o.test"], [True], "accepted twice"),
        (["a@o.test", "b@o.test", "c@g.test"], [True], "not reported as delivered"),
        (["a@o.test", "b@o.test"], [True, False], "do not verify"),
        (["a@o.test", "b@o.test"], [], "no message arrived"),
    ],
)
def test_each_fault_is_found(accepted: list[str], signatures: list[bool], fault: str) -> None:
    """Each way in which destinations and events can differ has a line of its own."""
    verdict = judge(ASKED, clean(), Counter(accepted), signatures, 1.0)
    assert len(verdict.faults) == 1
    assert fault in verdict.faults[0]


def test_failed_recipients() -> None:
    """What failed or expired is told apart from what bounced."""
    tally = clean()
    tally.add(line("expired", "d@o.test", "other"))
    verdict = judge([*ASKED, "d@o.test"], tally, Counter(["a@o.test", "b@o.test"]), [True], 1.0)
    assert (verdict.report.failed, verdict.faults) == (1, ("1 recipients failed",))


def test_sample_takes_turns() -> None:
    """A few of each destination, none left out."""
    one, two, three = (Received(b"", (name,), b"", 1) for name in (b"1", b"2", b"3"))
    assert sample([[one, two], [], [three]], 2) == [one, three]
    assert sample([[one, two], [], [three]], 9) == [one, three, two]
    assert sample([], 3) == []


def test_signature() -> None:
    """A signed message verifies, a changed or an unsigned one does not."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])
    message = b"From: a@demo.test\r\nSubject: x\r\n\r\nbody\r\n"
    signed = dkim.sign(message, b"demo", b"demo.test", pem, include_headers=[b"From", b"Subject"]) + message
    name = b"demo._domainkey.demo.test"
    assert verifies(signed, name, record)
    assert not verifies(signed.replace(b"body", b"b0dy"), name, record)
    assert not verifies(signed, b"other._domainkey.demo.test", record)
    assert not verifies(message, name, record)
