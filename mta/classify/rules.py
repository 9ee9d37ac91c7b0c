"""What the 34 classes mean, and the generic rules by stage, enhanced code and basic code: data, each with its source.

A rule narrows by what it names and is open in what it leaves out; the first match wins, enhanced codes before basic
codes. `retry` is the one exception a rule may make to the basic code's word on whether to try again. The numbers in
the comments are the rows of the generic facts the rules were drawn from; rules on the text of replies and on
providers stand before these and are the operator's files.

Invariants: bare 5.7.1 is nothing but `policy`; no basic code alone condemns a recipient but where it can mean
nothing else (the address's own syntax); what accuses a mailbox needs RCPT or the end of data (S-16).
"""

from msgspec import Struct

from mta.model.outcome import BounceClass as B
from mta.model.outcome import BounceType, Scope, Stage


class ClassFacts(Struct, frozen=True, gc=False):
    """One row of the taxonomy. `accused` is what the peer blames, `scope` who backs off for it; the actions are those
    for a refusal that is tried again and for one that is not."""

    category: str
    type: BounceType
    accused: str
    scope: Scope
    again: tuple[str, ...]
    final: tuple[str, ...]


class Rule(Struct, frozen=True, gc=False):
    """`subject` is the second and third part of an enhanced code; the first is the basic code's business (S-18). Empty
    or None matches anything. `transient` limits a rule to 4yz or 5yz replies."""

    name: str
    bounce_class: B
    stages: frozenset[Stage] = frozenset()
    codes: frozenset[int] = frozenset()
    subject: str = ""
    transient: bool | None = None
    confidence: str = "high"
    retry: bool | None = None
    detail: str = ""


_HARD, _SOFT, _BLOCK, _ADMIN = BounceType.HARD, BounceType.SOFT, BounceType.BLOCK, BounceType.ADMIN
_RETRY, _FAIL = ("retry",), ("fail",)

CLASSES: dict[B, ClassFacts] = {
    B.INVALID_RECIPIENT: ClassFacts(
        "recipient", _HARD, "recipient", Scope.RECIPIENT, _RETRY, ("suppress", "fail")
    ),
    B.INACTIVE_RECIPIENT: ClassFacts(
        "recipient", _HARD, "recipient", Scope.RECIPIENT, _RETRY, ("suppress", "fail")
    ),
    B.MAILBOX_FULL: ClassFacts("recipient", _SOFT, "recipient", Scope.RECIPIENT, ("retry_long",), _FAIL),
    B.RECIPIENT_RATE_LIMITED: ClassFacts(
        "recipient", _SOFT, "recipient", Scope.RECIPIENT, ("retry_long",), _FAIL
    ),
    B.RECIPIENT_REFUSED: ClassFacts("recipient", _BLOCK, "recipient", Scope.RECIPIENT, _RETRY, _FAIL),
    B.INVALID_DOMAIN: ClassFacts("domain", _HARD, "domain", Scope.SITE, _RETRY, _FAIL),
    B.RELAY_DENIED: ClassFacts("domain", _SOFT, "domain", Scope.HOST, ("next_mx", "retry"), _FAIL),
    B.DNS_FAILURE: ClassFacts("domain", _SOFT, "domain", Scope.SITE, _RETRY, _FAIL),
    B.IP_BLOCKED: ClassFacts(
        *("reputation", _BLOCK, "source_ip", Scope.SOURCE),
        *(("retry", "pause_source", "alert"), ("fail", "pause_source", "alert")),
    ),
    B.DOMAIN_BLOCKED: ClassFacts(
        *("reputation", _BLOCK, "dkim_domain", Scope.STREAM),
        *(("retry", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.LOW_REPUTATION: ClassFacts(
        *("reputation", _BLOCK, "source_ip", Scope.SOURCE),
        *(("retry", "back_off"), ("fail", "pause_source", "alert")),
    ),
    B.SPAM_CONTENT: ClassFacts("content", _BLOCK, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.VIRUS: ClassFacts(
        *("content", _BLOCK, "message", Scope.MESSAGE),
        *(("retry", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.ATTACHMENT_BLOCKED: ClassFacts("content", _BLOCK, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.MESSAGE_TOO_LARGE: ClassFacts("content", _SOFT, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.MALFORMED_MESSAGE: ClassFacts(
        "content", _ADMIN, "message", Scope.MESSAGE, ("retry", "alert"), ("fail", "alert")
    ),
    B.AUTH_FAILED: ClassFacts(
        *("authentication", _BLOCK, "dkim_domain", Scope.STREAM),
        *(("retry_long", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.SENDER_REJECTED: ClassFacts(
        *("authentication", _BLOCK, "sender", Scope.STREAM),
        *(("retry", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.INFRASTRUCTURE_DNS: ClassFacts(
        *("authentication", _BLOCK, "source_ip", Scope.SOURCE),
        *(("next_mx", "retry", "pause_source", "alert"), ("fail", "pause_source", "alert")),
    ),
    B.TLS_REQUIRED: ClassFacts("authentication", _SOFT, "domain", Scope.SITE, _RETRY, _FAIL),
    B.POLICY: ClassFacts("policy", _BLOCK, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.RATE_LIMITED: ClassFacts(
        "rate", _SOFT, "source_ip", Scope.SOURCE, ("retry", "back_off"), ("fail", "back_off")
    ),
    B.CONNECTION_LIMITED: ClassFacts(
        "rate", _SOFT, "source_ip", Scope.CONNECTION, ("retry", "back_off"), ("fail", "back_off")
    ),
    B.GREYLISTED: ClassFacts("rate", _SOFT, "recipient", Scope.RECIPIENT, ("greylist",), _FAIL),
    B.TOO_MANY_RECIPIENTS: ClassFacts("rate", _SOFT, "recipient", Scope.RECIPIENT, _RETRY, _FAIL),
    B.REMOTE_TEMPORARY: ClassFacts("remote", _SOFT, "domain", Scope.HOST, _RETRY, _FAIL),
    B.CONNECT_FAILED: ClassFacts("network", _SOFT, "domain", Scope.HOST, ("next_mx", "retry"), _FAIL),
    B.CONNECTION_LOST: ClassFacts("network", _SOFT, "domain", Scope.CONNECTION, ("next_mx", "retry"), _FAIL),
    B.ROUTING_LOOP: ClassFacts(
        "remote", _SOFT, "message", Scope.MESSAGE, ("retry", "alert"), ("fail", "alert")
    ),
    B.PROTOCOL_ERROR: ClassFacts(
        "protocol", _ADMIN, "node", Scope.CONNECTION, ("retry", "alert"), ("fail", "alert")
    ),
    B.UNSUPPORTED_FEATURE: ClassFacts("protocol", _SOFT, "domain", Scope.MESSAGE, _RETRY, _FAIL),
    B.EXPIRED: ClassFacts("local", _SOFT, "node", Scope.RECIPIENT, _RETRY, _FAIL),
    B.LOCAL: ClassFacts("local", _ADMIN, "node", Scope.RECIPIENT, _RETRY, _FAIL),
    B.UNDETERMINED: ClassFacts("other", BounceType.UNDETERMINED, "message", Scope.MESSAGE, _RETRY, _FAIL),
}

# S-16: before MAIL nothing has been said about a message, a sender or a recipient.
BEFORE_MAIL = frozenset({Stage.DNS, Stage.CONNECT, Stage.HELO, Stage.TLS, Stage.AUTH})
_CONNECT, _HELO = frozenset({Stage.CONNECT}), frozenset({Stage.HELO})
_TLS, _AUTH = frozenset({Stage.TLS}), frozenset({Stage.AUTH})
_MAIL, _RCPT = frozenset({Stage.MAIL}), frozenset({Stage.RCPT})
_DATA, _END = frozenset({Stage.DATA}), frozenset({Stage.END_OF_DATA})
_TO_RCPT = frozenset({Stage.CONNECT, Stage.HELO, Stage.TLS, Stage.AUTH, Stage.MAIL, Stage.RCPT})
_TO_MAIL = _TO_RCPT - _RCPT
_ADDRESSED = _RCPT | _END
_ROUTING = (0, 1, 2, 3, 4, 5, 7)  # X.4.n but 4.6, the loop


def _codes(*codes: int) -> frozenset[int]:
    return frozenset(codes)


ENHANCED_RULES: tuple[Rule, ...] = (
    # Stages at which every answer is about the connection.
    Rule("tls-sync", B.PROTOCOL_ERROR, _TLS, subject="7.10"),  # 31
    Rule("tls-sync-4", B.PROTOCOL_ERROR, _TLS, subject="5.0"),  # 31
    *(
        Rule(f"login-7.{n}", B.LOCAL, _AUTH, subject=f"7.{n}", transient=False, detail="auth")
        for n in (0, 8, 9, 11, 13)  # RFC 4954 section 6
    ),
    # X.1: addresses (RFC 3463 section 3.2)
    Rule("mailbox-unknown", B.INVALID_RECIPIENT, _ADDRESSED, subject="1.1"),  # 1, 43, 71, 119
    Rule("domain-unknown", B.INVALID_DOMAIN, _ADDRESSED, subject="1.2"),  # 7
    Rule("address-syntax", B.INVALID_RECIPIENT, _ADDRESSED, subject="1.3"),  # 135
    Rule("mailbox-moved", B.INACTIVE_RECIPIENT, _ADDRESSED, subject="1.6"),  # 73
    Rule("sender-syntax", B.SENDER_REJECTED, subject="1.7"),  # 122
    Rule("sender-domain", B.SENDER_REJECTED, subject="1.8"),  # 122
    Rule("null-mx", B.INVALID_DOMAIN, _ADDRESSED, subject="1.10"),  # 134, RFC 7505
    *(Rule(f"sender-1.{n}", B.SENDER_REJECTED, _MAIL, subject=f"1.{n}") for n in (0, 1, 2, 3)),
    # X.2: mailboxes
    Rule("greylisted-postfix", B.GREYLISTED, _RCPT, _codes(450), "2.0", confidence="low"),  # 118
    Rule("receiving-too-fast", B.RECIPIENT_RATE_LIMITED, _ADDRESSED, subject="2.1", transient=True),  # 5
    # Low: row 6 is a 5.2.1 that means the same as row 5, told apart by its text only.
    Rule("mailbox-disabled", B.INACTIVE_RECIPIENT, _ADDRESSED, subject="2.1", confidence="low"),  # 2
    Rule("mailbox-full", B.MAILBOX_FULL, _ADDRESSED, subject="2.2"),  # 3, 40, 49, 74
    Rule("size-of-recipient", B.MESSAGE_TOO_LARGE, subject="2.3"),  # 131
    # X.3: mail systems
    Rule("system-trouble", B.REMOTE_TEMPORARY, subject="3.0", transient=True),  # 29, 124
    Rule("system-full", B.REMOTE_TEMPORARY, subject="3.1"),  # 51, 124
    Rule("host-takes-no-mail", B.INVALID_DOMAIN, codes=_codes(521, 556)),  # 134, RFC 7504
    Rule("not-accepting", B.REMOTE_TEMPORARY, subject="3.2"),
    Rule("no-such-feature", B.UNSUPPORTED_FEATURE, subject="3.3"),
    Rule("too-large", B.MESSAGE_TOO_LARGE, subject="3.4"),  # 25, 131
    Rule("misconfigured", B.REMOTE_TEMPORARY, subject="3.5"),
    # X.4: network and routing behind the peer
    Rule("loop", B.ROUTING_LOOP, subject="4.6"),  # 132
    Rule("no-route", B.INVALID_DOMAIN, _ADDRESSED, subject="4.4", transient=False, confidence="low"),
    *(
        Rule(f"routing-4.{n}", B.REMOTE_TEMPORARY, subject=f"4.{n}", transient=True)
        for n in (0, 1, 2, 3, 4, 5, 7)
    ),  # 29
    # X.5: protocol. At RCPT 5.5.0 is a mailbox as often as a protocol (39, 94, 98): left to the text.
    Rule("too-many-recipients", B.TOO_MANY_RECIPIENTS, _RCPT, subject="5.3", retry=True),  # 30, B21
    *(Rule(f"protocol-5.{n}", B.PROTOCOL_ERROR, subject=f"5.{n}") for n in (1, 2, 4, 5, 6)),
    # X.6: content
    Rule("media-refused", B.ATTACHMENT_BLOCKED, subject="6.1", confidence="low"),
    *(Rule(f"conversion-6.{n}", B.UNSUPPORTED_FEATURE, subject=f"6.{n}") for n in (3, 7, 8, 9)),
    Rule("malformed", B.MALFORMED_MESSAGE, subject="6.0", confidence="low"),  # but 130: by its text
    # X.7: policy
    Rule("rate-before-mail", B.RATE_LIMITED, _TO_MAIL, _codes(451), "7.1", confidence="low"),  # 69, 101
    Rule("greylisted", B.GREYLISTED, _RCPT, _codes(451), "7.1", confidence="low"),  # 118
    Rule("relay-denied", B.RELAY_DENIED, _RCPT, _codes(454), "7.1"),  # 123
    Rule("host-name", B.INFRASTRUCTURE_DNS, _HELO | _MAIL, _codes(450), "7.1", confidence="low"),  # 121
    Rule("busy", B.CONNECTION_LIMITED, _TO_RCPT, _codes(421), "7.0", confidence="low"),  # 28, 133
    Rule("policy-7.0", B.POLICY, subject="7.0"),
    Rule("policy-7.1", B.POLICY, subject="7.1"),
    Rule("list-closed", B.RECIPIENT_REFUSED, _ADDRESSED, subject="7.2"),
    Rule("auth-needed", B.UNSUPPORTED_FEATURE, subject="7.8"),
    Rule("tls-needed", B.TLS_REQUIRED, subject="7.10"),
    Rule("tls-needed-for-auth", B.TLS_REQUIRED, subject="7.11"),
    Rule("owner-changed", B.INACTIVE_RECIPIENT, _ADDRESSED, subject="7.17"),  # RFC 7293
    *(Rule(f"dkim-7.{n}", B.AUTH_FAILED, subject=f"7.{n}", detail="dkim") for n in (20, 21, 22)),
    *(Rule(f"spf-7.{n}", B.AUTH_FAILED, subject=f"7.{n}", detail="spf") for n in (23, 24)),  # RFC 7372
    Rule("reverse-dns", B.INFRASTRUCTURE_DNS, subject="7.25"),  # 21
    Rule("authentication", B.AUTH_FAILED, subject="7.26"),  # 16
    Rule("sender-null-mx", B.SENDER_REJECTED, subject="7.27"),  # RFC 7505
    Rule("mail-flood", B.RATE_LIMITED, subject="7.28"),  # 8
    Rule("arc", B.AUTH_FAILED, subject="7.29", detail="arc"),
    Rule("requiretls", B.TLS_REQUIRED, subject="7.30"),  # RFC 8689
)

BASIC_RULES: tuple[Rule, ...] = (
    Rule("takes-no-mail", B.INVALID_DOMAIN, codes=_codes(521, 556)),  # 134, RFC 7504
    Rule("greeting-421", B.CONNECTION_LIMITED, _CONNECT, _codes(421)),  # 133
    Rule("greeting-4", B.REMOTE_TEMPORARY, _CONNECT, transient=True, confidence="low"),
    Rule("greeting-5", B.IP_BLOCKED, _CONNECT, transient=False, confidence="low"),  # 87, 113, 120
    Rule("helo-4", B.REMOTE_TEMPORARY, _HELO, transient=True, confidence="low"),
    Rule("helo-unknown", B.PROTOCOL_ERROR, _HELO, _codes(500, 501, 502, 503, 504)),
    Rule("helo-5", B.INFRASTRUCTURE_DNS, _HELO, transient=False, confidence="low"),  # 121
    Rule("starttls", B.TLS_REQUIRED, _TLS, detail="starttls"),
    Rule("closing", B.REMOTE_TEMPORARY, codes=_codes(421), confidence="low"),  # 126, S-06
    # Who is refused with our password is us, whatever the code: the recipient has not been named yet.
    Rule("login", B.LOCAL, _AUTH, transient=False, detail="auth"),
    Rule("login-later", B.REMOTE_TEMPORARY, _AUTH, transient=True, confidence="low"),  # RFC 4954: 454 4.7.0
    Rule("mail-size", B.MESSAGE_TOO_LARGE, _MAIL, _codes(552)),  # RFC 1870 section 6.1
    Rule("mail-sender", B.SENDER_REJECTED, _MAIL, _codes(553), confidence="low"),
    Rule("relay-454", B.RELAY_DENIED, _RCPT, _codes(454), confidence="low"),  # 123
    # RFC 5321 section 4.5.3.1.10: a server may say 552 and mean 452, too many recipients.
    Rule("rcpt-552", B.TOO_MANY_RECIPIENTS, _RCPT, _codes(552), retry=True, confidence="low"),
    Rule("rcpt-syntax", B.INVALID_RECIPIENT, _RCPT, _codes(501), confidence="low"),  # 135
    Rule("rcpt-elsewhere", B.RELAY_DENIED, _RCPT, _codes(551), confidence="low"),
    Rule("size", B.MESSAGE_TOO_LARGE, _DATA | _END, _codes(552)),
    Rule("protocol", B.PROTOCOL_ERROR, codes=_codes(500, 501, 502, 503, 504)),
    Rule("login-wanted", B.UNSUPPORTED_FEATURE, codes=_codes(530, 535, 555)),
    Rule("later", B.REMOTE_TEMPORARY, codes=_codes(450, 451, 452, 455), confidence="low"),  # 124, 126
    Rule("unknown", B.UNDETERMINED, confidence="low"),
)
