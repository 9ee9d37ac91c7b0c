import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.classify.classifier import DNS_KINDS, FINAL, Classifier, classify_local, disposition
from mta.classify.rules import BEFORE_MAIL
from mta.config.load import shipped_rules
from mta.model.outcome import Attempt, BounceClass, Bounced, Deferred, Delivered, Scope, Stage
from mta.model.reply import Reply

B = BounceClass
classify = Classifier(shipped_rules()).classify
DIALOGUE = [stage for stage in Stage if stage not in (Stage.LOCAL, Stage.DNS)]
ENHANCED = ["", "5.1.1", "4.7.1", "5.7.1", "4.2.2", "5.5.3", "9.9.9"]


def decided(stage: Stage, reply: Reply | None, ambiguous: bool = False) -> Delivered | Deferred | Bounced:
    attempt = Attempt(1, 0.0, stage, reply=reply, ambiguous=ambiguous)
    return disposition(attempt, classify(stage, reply, ambiguous=ambiguous))


@pytest.mark.parametrize("stage", DIALOGUE)
@pytest.mark.parametrize("enhanced", ENHANCED)
def test_S_16_the_basic_code_and_the_stage_decide(stage: Stage, enhanced: str) -> None:
    """S-16: 4yz always defers, 5yz bounces from MAIL on; the exception is 552 for too many recipients."""
    for code in range(400, 600):
        is_exception = stage is Stage.RCPT and (
            (code == 552 and enhanced in ("", "4.7.1", "5.7.1", "9.9.9")) or enhanced == "5.5.3"
        )
        outcome = decided(stage, Reply(code, (), enhanced))
        if code < 500 or stage in BEFORE_MAIL:
            assert isinstance(outcome, Deferred)
        elif not is_exception:
            assert isinstance(outcome, Bounced), (code, enhanced)


@pytest.mark.parametrize("enhanced", ["", "5.5.3", "4.5.3"])
def test_552_to_rcpt_is_too_many_recipients(enhanced: str) -> None:
    """RFC 5321 section 4.5.3.1.10; with 5.2.2 it is a full mailbox and final."""
    outcome = decided(Stage.RCPT, Reply(552, (), enhanced))
    assert isinstance(outcome, Deferred)
    assert outcome.verdict.bounce_class is B.TOO_MANY_RECIPIENTS
    full = decided(Stage.RCPT, Reply(552, (), "5.2.2"))
    assert isinstance(full, Bounced)
    assert full.verdict.bounce_class is B.MAILBOX_FULL


@pytest.mark.parametrize(
    ("stage", "code", "enhanced", "expected"),
    [
        (Stage.RCPT, 550, "5.1.1", B.INVALID_RECIPIENT),
        (Stage.RCPT, 450, "4.1.1", B.INVALID_RECIPIENT),
        (Stage.RCPT, 550, "5.2.1", B.INACTIVE_RECIPIENT),
        (Stage.RCPT, 450, "4.2.1", B.RECIPIENT_RATE_LIMITED),
        (Stage.RCPT, 452, "4.2.2", B.MAILBOX_FULL),
        (Stage.RCPT, 552, "5.2.2", B.MAILBOX_FULL),
        (Stage.RCPT, 553, "5.1.2", B.INVALID_DOMAIN),
        (Stage.RCPT, 553, "5.1.3", B.INVALID_RECIPIENT),
        (Stage.RCPT, 501, "", B.INVALID_RECIPIENT),
        (Stage.RCPT, 550, "5.1.6", B.INACTIVE_RECIPIENT),
        (Stage.RCPT, 550, "", B.UNDETERMINED),
        (Stage.RCPT, 450, "4.2.0", B.GREYLISTED),
        (Stage.RCPT, 451, "4.7.1", B.GREYLISTED),
        (Stage.RCPT, 454, "4.7.1", B.RELAY_DENIED),
        (Stage.RCPT, 452, "4.5.3", B.TOO_MANY_RECIPIENTS),
        (Stage.RCPT, 452, "4.3.1", B.REMOTE_TEMPORARY),
        (Stage.RCPT, 556, "5.1.10", B.INVALID_DOMAIN),
        (Stage.RCPT, 556, "", B.INVALID_DOMAIN),
        (Stage.RCPT, 552, "5.2.3", B.MESSAGE_TOO_LARGE),
        (Stage.END_OF_DATA, 552, "5.3.4", B.MESSAGE_TOO_LARGE),
        (Stage.END_OF_DATA, 552, "", B.MESSAGE_TOO_LARGE),
        (Stage.END_OF_DATA, 421, "4.7.28", B.RATE_LIMITED),
        (Stage.END_OF_DATA, 550, "5.7.26", B.AUTH_FAILED),
        (Stage.END_OF_DATA, 554, "5.4.6", B.ROUTING_LOOP),
        (Stage.END_OF_DATA, 451, "4.3.0", B.REMOTE_TEMPORARY),
        (Stage.MAIL, 450, "4.1.8", B.SENDER_REJECTED),
        (Stage.MAIL, 450, "4.7.1", B.INFRASTRUCTURE_DNS),
        (Stage.MAIL, 550, "5.7.25", B.INFRASTRUCTURE_DNS),
        (Stage.MAIL, 552, "", B.MESSAGE_TOO_LARGE),
        (Stage.MAIL, 451, "4.7.1", B.RATE_LIMITED),
        (Stage.CONNECT, 421, "", B.CONNECTION_LIMITED),
        (Stage.CONNECT, 421, "4.7.0", B.CONNECTION_LIMITED),
        (Stage.CONNECT, 554, "", B.IP_BLOCKED),
        (Stage.CONNECT, 521, "", B.INVALID_DOMAIN),
        (Stage.TLS, 454, "", B.TLS_REQUIRED),
        (Stage.TLS, 523, "5.7.10", B.PROTOCOL_ERROR),
        (Stage.MAIL, 530, "5.7.10", B.TLS_REQUIRED),
        (Stage.MAIL, 503, "5.5.1", B.PROTOCOL_ERROR),
    ],
)
def test_generic_rows(stage: Stage, code: int, enhanced: str, expected: BounceClass) -> None:
    """The generic facts, as far as stage and codes tell them."""
    assert classify(stage, Reply(code, ("text",), enhanced)).bounce_class is expected


@pytest.mark.parametrize("stage", DIALOGUE)
@pytest.mark.parametrize("code", [500, 501, 530, 550, 552, 553, 554, 571])
def test_bare_5_7_1_is_policy(stage: Stage, code: int) -> None:
    """It says nothing more, so nothing more is read into it."""
    assert classify(stage, Reply(code, (), "5.7.1")).bounce_class is B.POLICY


@pytest.mark.parametrize("code", [421, 450, 550, 552, 554])
def test_basic_codes_do_not_condemn_a_mailbox(code: int) -> None:
    """No false `invalid_recipient`: a bare 550 to RCPT may be anything."""
    for stage in DIALOGUE:
        verdict = classify(stage, Reply(code))
        assert verdict.bounce_class not in (B.INVALID_RECIPIENT, B.INACTIVE_RECIPIENT)


@given(
    st.sampled_from(DIALOGUE),
    st.integers(400, 599),
    st.from_regex(r"[245]\.[0-9]{1,2}\.[0-9]{1,3}", fullmatch=True),
)
def test_suppression_needs_evidence(stage: Stage, code: int, enhanced: str) -> None:
    """Only a sure, final word about the recipient suppresses, at RCPT, at the end of data or in a report."""
    verdict = classify(stage, Reply(code, (), enhanced))
    if "suppress" in verdict.actions:
        assert stage in (Stage.RCPT, Stage.END_OF_DATA, Stage.OUT_OF_BAND)
        assert verdict.confidence == "high"
        assert code >= 500
        assert verdict.scope is Scope.RECIPIENT


@pytest.mark.parametrize("stage", DIALOGUE)
def test_S_06_421_closes_the_session_only(stage: Stage) -> None:
    """S-06: at any stage: deferred, and the connection alone is given up."""
    outcome = decided(stage, Reply(421, ("4.3.0 bye",), "4.3.0"))
    assert isinstance(outcome, Deferred)
    assert outcome.verdict.scope is Scope.CONNECTION


@pytest.mark.parametrize("code", [500, 504, 530, 534, 535, 538, 550])
@pytest.mark.parametrize("enhanced", ["", "5.7.0", "5.7.3", "5.7.8", "5.7.9", "5.7.139", "5.1.1"])
def test_a_refused_login_is_our_fault(code: int, enhanced: str) -> None:
    """AUTH: deferred as `local`, whatever the relay says of it; no recipient has been named."""
    outcome = decided(Stage.AUTH, Reply(code, (), enhanced))
    assert isinstance(outcome, Deferred)
    assert outcome.verdict.bounce_class is B.LOCAL
    assert outcome.verdict.scope is Scope.HOST
    later = decided(Stage.AUTH, Reply(454, (), ""))
    assert isinstance(later, Deferred)
    assert later.verdict.bounce_class is B.REMOTE_TEMPORARY


@pytest.mark.parametrize("stage", [stage for stage in DIALOGUE if stage not in BEFORE_MAIL])
@pytest.mark.parametrize(
    ("code", "enhanced"),
    [
        (421, "5.7.32"),
        (450, "5.1.1"),
        (451, "2.0.0"),
        (452, "5.2.2"),
        (550, "4.1.1"),
        (550, "2.1.5"),
        (554, "4.7.1"),
    ],
)
def test_S_18_the_basic_code_beats_a_contradicting_enhanced_code(
    stage: Stage, code: int, enhanced: str
) -> None:
    """S-18, ENHANCEDSTATUSCODES (RFC 2034): Gmail documents 421 5.7.32, others send 550 4.x.x: the basic code decides
    whether to try again, the rest of the other one what it is."""
    outcome = decided(stage, Reply(code, (), enhanced))
    assert type(outcome) is (Deferred if code < 500 else Bounced)
    subject = enhanced[1:]
    alike = decided(stage, Reply(code, (), f"{code // 100}{subject}"))
    assert isinstance(alike, Deferred | Bounced)
    assert outcome.verdict.bounce_class is alike.verdict.bounce_class


@pytest.mark.parametrize("code", [521, 556])
@pytest.mark.parametrize("enhanced", ["", "5.1.10", "5.3.2"])
@pytest.mark.parametrize("stage", [stage for stage in DIALOGUE if stage not in BEFORE_MAIL])
def test_521_and_556_are_about_the_domain(stage: Stage, code: int, enhanced: str) -> None:
    """521/556 (RFC 7504): from MAIL on final and the domain's matter, and no reason to suppress a mailbox."""
    outcome = decided(stage, Reply(code, (), enhanced))
    assert isinstance(outcome, Bounced)
    assert outcome.verdict.bounce_class is B.INVALID_DOMAIN
    assert "suppress" not in outcome.verdict.actions


@pytest.mark.parametrize("stage", DIALOGUE)
def test_without_a_reply_it_is_tried_again(stage: Stage) -> None:
    """Connection trouble is nobody's refusal."""
    outcome = decided(stage, None)
    assert isinstance(outcome, Deferred)
    expected = {Stage.CONNECT: B.CONNECT_FAILED, Stage.TLS: B.TLS_REQUIRED}.get(stage, B.CONNECTION_LOST)
    assert outcome.verdict.bounce_class is expected


def test_S_14_an_ambiguous_attempt_is_never_the_end() -> None:
    """S-14: even a 250 or a 550 that cannot be trusted to be the answer to this dot only defers."""
    for code in (250, 354, 550):
        outcome = decided(Stage.END_OF_DATA, Reply(code), ambiguous=True)
        assert isinstance(outcome, Deferred)
        assert outcome.verdict.bounce_class is B.CONNECTION_LOST


def test_S_06_a_421_that_blames_somebody_is_believed_in_doubt() -> None:
    """Gmail says its 4.7.28 at the end of data, where 421 may be no answer to this dot: it is deferred, suppresses
    nobody, and who was blamed is known. One that only says goodbye is a lost connection."""
    words = "4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your DKIM domain [a.test]"
    for text, kind, accused in (
        (words, B.RATE_LIMITED, "dkim_domain"),
        ("4.3.2 going down", B.CONNECTION_LOST, "domain"),
        ("bye", B.CONNECTION_LOST, "domain"),
    ):
        enhanced = text.split(" ")[0] if text != "bye" else ""
        outcome = decided(Stage.END_OF_DATA, Reply(421, (text,), enhanced), ambiguous=True)
        assert isinstance(outcome, Deferred)
        assert (outcome.verdict.bounce_class, outcome.verdict.accused) == (kind, accused), text
        assert outcome.verdict.confidence == ("high" if kind is B.CONNECTION_LOST else "low")


def test_a_reply_that_refuses_nothing_is_a_protocol_error() -> None:
    """As a 250 to DATA: deferred, not believed."""
    outcome = decided(Stage.DATA, Reply(250))
    assert isinstance(outcome, Deferred)
    assert outcome.verdict.bounce_class is B.PROTOCOL_ERROR


def test_delivered_needs_a_2xx_to_the_end_of_data() -> None:
    """Any 2xx there (B14), and nothing else anywhere."""
    good = Attempt(1, 0.0, Stage.END_OF_DATA, reply=Reply(299))
    assert disposition(good, None) == Delivered(good)
    for attempt in (
        Attempt(1, 0.0, Stage.RCPT, reply=Reply(250)),
        Attempt(1, 0.0, Stage.END_OF_DATA, reply=Reply(354)),
        Attempt(1, 0.0, Stage.END_OF_DATA),
        Attempt(1, 0.0, Stage.END_OF_DATA, reply=Reply(250), ambiguous=True),
    ):
        with pytest.raises(ValueError, match="2xx"):
            disposition(attempt, None)


@pytest.mark.parametrize("kind", ["nxdomain", "nodata", "null_mx", "bad_name"])
def test_S_08_a_domain_without_mail_is_final(kind: str) -> None:
    """S-08: DNS said so itself."""
    verdict = classify_local(kind)
    assert verdict.bounce_class is B.INVALID_DOMAIN
    assert FINAL in verdict.actions


@pytest.mark.parametrize("kind", sorted(DNS_KINDS))
def test_dns_trouble_is_tried_again(kind: str) -> None:
    """C1-C3, C10: no answer, or one that names no host we may connect to."""
    verdict = classify_local(kind, "192.0.2.1 is private")
    assert verdict.bounce_class is B.DNS_FAILURE
    assert FINAL not in verdict.actions
    assert verdict.detail == "192.0.2.1 is private"


def test_local_obstacles() -> None:
    """What we do not even try is final, what is missing here for the moment is not."""
    assert classify_local("size").bounce_class is B.MESSAGE_TOO_LARGE
    assert FINAL in classify_local("smtputf8").actions
    assert classify_local("requiretls").bounce_class is B.TLS_REQUIRED
    assert FINAL in classify_local("requiretls").actions
    assert classify_local("no_mail").bounce_class is B.INVALID_DOMAIN
    assert FINAL in classify_local("no_mail").actions
    assert FINAL not in classify_local("local").actions
    with pytest.raises(KeyError):
        classify_local("no such kind")
