"""What real servers say, class by class; and that nothing changes when only names, numbers and line ends do."""

import re
import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.classify.quoted import read_quoted
from mta.model.outcome import BounceClass, Stage
from mta.model.reply import Reply
from tests.unit.classify.replies import CLASSIFIER, FACTS, LIVING, SERVERS, Said, explained

ALL = [(one, reply) for one in (*FACTS, *SERVERS) for reply in one.replies]
CHANGES = {
    "address": lambda text: re.sub(
        r"[\w.+-]+@[a-z.]+\b(?<!appleid\.com)", "mister.x+y@other-name.example", text
    ),
    "ip": lambda text: text.replace("192.0.2.1", "203.0.113.254"),
    "ipv6": lambda text: text.replace("[192.0.2.1]", "[2001:db8::12:ff]"),
    "host": lambda text: re.sub(r"\b(?:b|acme)\.test\b", "mail-7.department.firm.example", text),
    "lower": str.lower,
    "upper": lambda text: text.upper() if "=" not in text else text,
    "id": lambda text: text.replace("gsmtp", "zx81-si99.4 gsmtp") + " abc123def456-7f3si8899",
    "spaces": lambda text: text.replace(" ", "  ").replace("  ", " ", 1),
}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: f"{fact.number}-{fact.provider}")
def test_a_fact(fact: Said) -> None:
    """Class, and where they are known whom it accuses, how sure it is, and what follows."""
    for reply in fact.replies:
        verdict = explained(reply, fact.stage, fact.provider).verdict
        assert verdict.bounce_class is fact.bounce_class, (reply, verdict.rule)
        assert fact.scope in ("", verdict.accused), reply
        assert fact.confidence in ("", verdict.confidence), reply
        assert fact.detail in ("", verdict.detail), reply
        assert not fact.actions or fact.actions in verdict.actions, reply
        assert fact.never not in verdict.actions, reply


def test_no_fact_is_missing() -> None:
    """All 135."""
    assert {fact.number for fact in FACTS} == set(range(1, 136))


@pytest.mark.parametrize(
    "said", SERVERS, ids=lambda said: f"{said.bounce_class}-{said.stage}-{said.provider}"
)
def test_what_servers_say(said: Said) -> None:
    """In many words and languages."""
    for reply in said.replies:
        explanation = explained(reply, said.stage, said.provider)
        assert explanation.verdict.bounce_class is said.bounce_class, (reply, explanation.verdict.rule)


@pytest.mark.parametrize("change", CHANGES)
def test_names_numbers_and_case_do_not_matter(change: str) -> None:
    """Metamorphic: another address, host, IP or id, other case and spacing: the same class."""
    changed = 0
    for said, reply in ALL:
        first, rest = reply[:3], reply[3:]
        if not first.isdigit():
            continue
        other = first + CHANGES[change](rest)
        changed += other != reply
        got = explained(other, said.stage, said.provider).verdict
        assert got.bounce_class is said.bounce_class, (other, got.rule)
    assert changed > 15


def test_line_ends_do_not_matter() -> None:
    """Metamorphic: wrapped into continuation lines with the codes repeated, or flattened by somebody's log."""
    for said, reply in ALL:
        plain = explained(reply, said.stage, said.provider)
        read = read_quoted(reply)
        if not reply[:3].isdigit() or not reply.isascii() or not read.text:
            continue
        body = " ".join(read.text.split())
        body = body.removeprefix(read.enhanced).strip()
        code = f"{read.code}-{read.enhanced + ' ' if read.enhanced else ''}"
        rows = textwrap.wrap(body, 40, break_long_words=False, break_on_hyphens=False) or [body]
        wrapped = "\n".join(code + row for row in rows[:-1])
        wrapped = f"{wrapped}\n{code.replace('-', ' ', 1)}{rows[-1]}".strip()
        for other in (wrapped, wrapped.replace("\n", "\\n"), wrapped.replace("\n", "\r\n")):
            got = explained(other, said.stage, said.provider).verdict
            assert got.bounce_class is plain.verdict.bounce_class, (other, got.rule)


def test_an_enhanced_code_inside_the_text_is_no_word() -> None:
    """It is read, not matched: what qmail puts at the end, others in front."""
    for form in (
        "550 5.1.1 sorry, no mailbox here by that name",
        "550 sorry, no mailbox here by that name (#5.1.1)",
        "550 #5.1.1 sorry, no mailbox here by that name",
        "550 [5.1.1] sorry, no mailbox here by that name",
    ):
        explanation = explained(form, "rcpt")
        assert explanation.normal.enhanced == "5.1.1", form
        assert explanation.normal.text.strip().startswith("sorry, no mailbox here"), form


def test_the_innermost_reply_decides() -> None:
    """Gateways quote; whether to try again stays with the outer code."""
    reply = "451 4.4.1 mx.b.test said: 550 5.1.1 <bob@b.test>: Recipient address rejected: User unknown"
    verdict = explained(reply, "rcpt").verdict
    assert verdict.bounce_class is BounceClass.INVALID_RECIPIENT
    assert "fail" not in verdict.actions
    assert "suppress" not in verdict.actions


@pytest.mark.parametrize(
    "reply",
    [
        "450 4.1.7 <a@acme.test>: Sender address rejected: unverified address: host mx.acme.test[192.0.2.1] said: 550 "
        "5.1.1 <a@acme.test>: Recipient address rejected: User unknown",
        "550-Verification failed for <a@acme.test>\n550-Called:   192.0.2.1\n550-Sent:     RCPT TO:<a@acme.test>\n"
        "550-Response: 550 5.1.1 User unknown\n550 Sender verify failed",
    ],
)
@pytest.mark.parametrize("stage", ["rcpt", "mail", "out_of_band", ""])
def test_what_is_quoted_about_the_sender_is_not_about_the_recipient(reply: str, stage: str) -> None:
    """Checks of senders are made at RCPT as well, and quote a server that says `user unknown`."""
    assert explained(reply, stage).verdict.bounce_class is BounceClass.SENDER_REJECTED


@pytest.mark.parametrize(
    "words",
    [
        *("spam", "blocked by our list", "policy violation", "poor reputation", "relay denied"),
        *("sender rejected", "temporary dns error", "mailbox full", "over quota", "listed by spamhaus.org"),
    ],
)
@pytest.mark.parametrize("enhanced", ["5.1.1 ", "5.1.10 ", "5.1.0 ", ""])
def test_no_false_invalid_recipient(words: str, enhanced: str) -> None:
    """A code that the words contradict condemns nobody."""
    verdict = explained(f"550 {enhanced}<bob@b.test>: {words}", "rcpt").verdict
    assert verdict.bounce_class is not BounceClass.INVALID_RECIPIENT
    assert "suppress" not in verdict.actions


@pytest.mark.parametrize("stage", ["rcpt", "end_of_data", "out_of_band", ""])
def test_others_are_unknown_too(stage: str) -> None:
    """Senders, hosts, domains, logins: an unknown one is no reason to suppress a recipient."""
    for reply in LIVING:
        verdict = explained(reply, stage).verdict
        assert verdict.bounce_class is not BounceClass.INVALID_RECIPIENT, (reply, verdict.rule)


@pytest.mark.parametrize("stage", [Stage.CONNECT, Stage.HELO, Stage.TLS, Stage.AUTH, Stage.MAIL])
def test_S_16_no_words_accuse_a_mailbox_before_it_is_named(stage: Stage) -> None:
    """S-16: whatever is said."""
    of_recipients = {BounceClass.INVALID_RECIPIENT, BounceClass.INACTIVE_RECIPIENT, BounceClass.MAILBOX_FULL}
    for said, reply in ALL:
        verdict = CLASSIFIER.classify(stage, read_quoted(reply), provider=said.provider)
        assert verdict.bounce_class not in of_recipients, (reply, verdict.rule)
        assert "suppress" not in verdict.actions


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(Stage)),
    st.integers(400, 599),
    st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=300),
)
def test_bad_input_has_a_class(stage: Stage, code: int, text: str) -> None:
    """NULs, controls, broken UTF-8: a verdict, and never an error."""
    verdict = CLASSIFIER.classify(stage, Reply(code, tuple(text.split("\n")), ""), provider="google")
    assert verdict.bounce_class in BounceClass


@pytest.mark.parametrize(
    "text",
    [
        *("a" * 32768, "user " * 6000, "@" * 32768, "(((550 5.1.1 " * 2500, "1.2.3.4." * 4000),
        *("\x00\xff" * 16000, "é " * 9000),
    ],
)
def test_long_input_costs_little(text: str) -> None:
    """Of 32 kB no more is read than of 1 kB, and nothing of it is kept."""
    explanation = CLASSIFIER.explain(Stage.RCPT, Reply(550, (text,)))
    assert len(explanation.normal.text) <= 8192
    assert CLASSIFIER.classify(Stage.RCPT, Reply(550, (text,))) == explanation.verdict
