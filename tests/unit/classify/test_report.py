import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.classify.mail import MAX_BYTES
from mta.classify.report import quoted_reply, read_report
from mta.model.report import Report, Reported, ReportKind
from tests.fakes.bombs import BOMBS
from tests.unit.classify.reports import CORPUS, EXPECTED, mail, raw, report

KINDS = list(EXPECTED)
PERSONAL = [name for name in EXPECTED if name.startswith("mail_")]
ODD = {"mail_of_a_shop", "mail_from_administrator", "mail_pastes_bounce_under_its_subject"}
"""Who writes of deliveries in a role or under a notice's subject is a mail system if the return path is null too."""
MOST_SECONDS = 1.0
"""Of processor time: the machine may do others' work meanwhile."""


@pytest.mark.parametrize("name", KINDS)
def test_each_mail_of_the_corpus_is_read(name: str) -> None:
    """B-01, B-03, B-04: kind, recipients, action, status and code are what a person reads in it."""
    expected, found = EXPECTED[name], report(name)
    assert found.kind == expected["kind"]
    assert found.detail == expected["detail"]
    assert [
        {
            "recipient": one.original_recipient if "@" in one.original_recipient else one.recipient,
            "action": one.action,
            "status": one.status,
            "code": one.code,
        }
        for one in found.recipients
    ] == expected["recipients"]
    if "message_id" in expected:
        assert found.original_message_id == expected["message_id"]
    if "feedback_type" in expected:
        assert found.complaint is not None
        assert found.complaint.feedback_type == expected["feedback_type"]
    if "address" in expected:
        assert expected["address"] in found.addresses


def test_the_corpus_is_complete() -> None:
    """Each file is expected to say something, and there are enough of each kind."""
    assert {path.stem for path in CORPUS.glob("*.eml")} == EXPECTED.keys()
    kinds = [expected["kind"] for expected in EXPECTED.values()]
    assert kinds.count("bounce") >= 60
    assert len(kinds) - kinds.count("bounce") >= 40


@pytest.mark.parametrize("name", PERSONAL)
def test_ordinary_mail_is_no_bounce_without_its_return_path(name: str) -> None:
    """H14: nor with the null one that all mail to a token may have."""
    content = raw(name).replace(b"Return-Path: <ada@example.test>\n", b"")
    assert read_report(content).kind is ReportKind.NONE
    if name not in ODD:
        assert read_report(b"Return-Path: <>\n" + content).kind is ReportKind.NONE


@pytest.mark.parametrize("name", ["dsn_postfix", "qmail", "arf_abuse", "auto_outlook", "exchange_german"])
@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r", b"\r\r\n"])
def test_line_ends_do_not_matter(name: str, end: bytes) -> None:
    """Gateways convert, and convert again."""
    lines = raw(name).replace(b"\r\n", b"\n")
    assert read_report(lines.replace(b"\n", end)) == report(name)


def test_a_delay_is_no_failure() -> None:
    """B-01: what is still tried has its own action, for each recipient."""
    assert [one.action for one in report("dsn_delay_only").recipients] == ["delayed"]
    assert [one.action for one in report("dsn_two_recipients").recipients] == ["failed", "delayed"]


def test_who_was_told_of_and_where_it_ended_are_kept_apart() -> None:
    """The recipient's own forwarding is not whom we wrote to."""
    (one,) = report("dsn_forwarded_alias").recipients
    assert (one.original_recipient, one.recipient) == ("ada@example.test", "ada.private@elsewhere.test")


def test_the_report_names_its_author_and_its_reporter() -> None:
    """What is not the recipient's stands in fields of its own."""
    found = report("dsn_postfix")
    assert (found.from_domain, found.reporting_mta) == ("mx.example.test", "mx.example.test")
    assert found.recipients[0].remote_mta == "mail.example.test"
    assert found.arrival_date.startswith("Tue,")


def test_the_return_path_of_the_message_comes_first() -> None:
    """L-08: the token in it is what says whose report it is."""
    assert report("qmail").addresses[0].startswith("b+")


def test_a_message_too_long_is_read_as_far_as_the_cap() -> None:
    """What a report says stands in front; the rest is cut off."""
    assert read_report(raw("qmail") + b"x" * 2 * MAX_BYTES) == report("qmail")


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_less_than_a_second(bomb: str) -> None:
    """H8: whatever is sent, the time is bounded and what comes out is small."""
    content = BOMBS[bomb]()
    before = time.process_time()
    found = read_report(content)
    assert time.process_time() - before < MOST_SECONDS
    assert_harmless(found)


def assert_harmless(found: Report) -> None:
    assert len(found.recipients) <= 100
    assert len(found.addresses) <= 20
    texts = [
        *found.addresses,
        found.original_message_id,
        found.reporting_mta,
        found.arrival_date,
        found.from_domain,
    ]
    for one in found.recipients:
        texts += [one.recipient, one.original_recipient, one.reply, one.status, one.remote_mta, one.action]
    if found.complaint is not None:
        texts += [getattr(found.complaint, name) for name in found.complaint.__struct_fields__]
    for text in texts:
        assert len(text.encode()) <= 1024
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)


CONTENTS = [path.read_bytes() for path in sorted(CORPUS.glob("*.eml"))]
TOKENS = [
    *(
        b"\n",
        b"\r\n\r\n",
        b"--b\n",
        b"@",
        b"<a@b.test>",
        b"550 5.1.1 ",
        b"=?utf-8?b?",
        b"Content-Type: multipart/report;",
    ),
    *(
        b" boundary=b\n",
        b"Final-Recipient: rfc822; ",
        b"message/rfc822",
        b"\0",
        b"\xff\xfe",
        b"(" * 200,
        b"Status: 5.",
        b"&#",
    ),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(CONTENTS),
    st.lists(
        st.tuples(
            st.integers(0, 5000), st.integers(0, 400), st.sampled_from(TOKENS) | st.binary(max_size=40)
        ),
        max_size=12,
    ),
)
def test_what_is_broken_anywhere_breaks_nothing(
    content: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    """No exception, no time, nothing harmful comes of mails of the corpus that are cut and sewn together."""
    for at, length, put in changes:
        content = content[:at] + put + content[at + length :]
    before = time.process_time()
    assert_harmless(read_report(content))
    assert time.process_time() - before < MOST_SECONDS


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(TOKENS) | st.binary(max_size=60), max_size=60).map(b"".join))
def test_noise_is_read(content: bytes) -> None:
    """Any octets are a mail of some kind."""
    assert_harmless(read_report(content))


def test_a_person_who_attaches_fields_reports_nothing() -> None:
    """H14: a part message/delivery-status is a report's only where a report is around it."""
    fields = "Final-Recipient: rfc822; a@b.test\nAction: failed\nStatus: 5.1.1\n"
    body = f"--b\nContent-Type: message/delivery-status\n\n{fields}\n--b--\n"
    kind = 'Content-Type: multipart/{}; boundary="b"'
    person = "From: Ada <ada@b.test>\nSubject: Re: yours\n"
    assert read_report(mail(person + kind.format("mixed"), body)).kind is ReportKind.NONE
    system = "From: MAILER-DAEMON@b.test\nSubject: failure notice\n"
    assert read_report(mail(system + kind.format("mixed"), body)).kind is ReportKind.BOUNCE


@pytest.mark.parametrize(
    ("reported", "reply"),
    [
        (Reported(status="5.1.1", code=550, reply="550 5.1.1 no such user"), (550, "5.1.1 no such user")),
        (Reported(status="5.1.1", code=550, reply="550-5.1.1 no such user"), (550, "5.1.1 no such user")),
        (Reported(status="5.0.0", code=550, reply="550"), (550, "")),
        (Reported(status="5.1.1", reply="550 mailboxes were counted"), (550, "550 mailboxes were counted")),
        (Reported(status="4.4.7", reply="expired"), (450, "expired")),
        (Reported(action="delayed"), (450, "")),
        (Reported(action="failed", code=250, reply="250 ok"), (550, "250 ok")),
    ],
)
def test_a_quoted_refusal_is_a_reply_as_a_session_has_it(reported: Reported, reply: tuple[int, str]) -> None:
    """The code once and not in the text, so that events of both kinds look alike."""
    made = quoted_reply(reported)
    assert (made.code, made.text, made.enhanced) == (*reply, reported.status)


@pytest.mark.parametrize(
    ("said", "text", "status"),
    [
        ("", "", ""),
        (
            "The reason for the problem:\n5.x.0 - Message bounced by administrator",
            "5.x.0 - Message bounced by administrator",
            "",
        ),
        (
            "The reason for the problem:\n5.3.0 - Other mail system problem 554-'Message refused'",
            "5.3.0 - Other mail system problem 554-'Message refused'",
            "5.3.0",
        ),
        ("Our server ran out of disk space", "Our server ran out of disk space", ""),
    ],
)
def test_the_introduction_of_every_notice_is_not_the_reply(said: str, text: str, status: str) -> None:
    """As IronPort has it; what follows is classed, and without a reason nothing."""
    body = f"The following message to <bob@x.test> was undeliverable.\n{said}\n"
    (one,) = read_report(
        mail("From: MAILER-DAEMON@x.test\nReturn-Path: <>\nSubject: Delivery failure", body)
    ).recipients
    reply = quoted_reply(one)
    assert (one.recipient, reply.code, reply.text, reply.enhanced) == ("bob@x.test", 550, text, status)


def test_a_message_sent_back_as_it_is_is_a_complaint() -> None:
    """Microsoft's programme, where no part is around the message."""
    one = mail(
        "From: staff@hotmail.test\nSubject: complaint about message from 192.0.2.1\n"
        "Content-Type: message/rfc822\n",
        "X-HmXmrOriginalRecipient: ada@example.test\nFrom: news@sender.test\nTo: x@y.test\n"
        "Message-ID: <m1@sender.test>\n\nHello\n",
    )
    found = read_report(one)
    assert found.kind is ReportKind.FEEDBACK
    assert [each.recipient for each in found.recipients] == ["ada@example.test"]
    assert found.original_message_id.strip("<>") == "m1@sender.test"


NOTICES = [
    "Vaši zprávu se nepodařilo doručit příjemci <bob@x.test>.",
    "Zprávu nebylo možné doručit.\n\n<bob@x.test>",
    "Το μήνυμά σας δεν μπόρεσε να παραδοθεί στον παραλήπτη <bob@x.test>.",
    "Mesajul dumneavoastră nu a putut fi livrat către <bob@x.test>.",
    "Az üzenetet nem lehetett kézbesíteni: <bob@x.test>",
    "Viestiäsi ei voitu toimittaa vastaanottajalle <bob@x.test>.",
    "Din besked kunne ikke afleveres til <bob@x.test>.",
    "Ditt meddelande kunde inte levereras till <bob@x.test>.",
    "Ваше повідомлення не може бути доставлене одержувачу <bob@x.test>.",
    "לא ניתן היה למסור את הודעתך אל <bob@x.test>.",
    "لم يتم تسليم رسالتك إلى <bob@x.test>.",
    "आपका संदेश <bob@x.test> को वितरित नहीं किया जा सका।",
    "ไม่สามารถส่งข้อความของคุณถึง <bob@x.test> ได้",
    "Thư của bạn không thể gửi đến <bob@x.test>.",
    "Pesan Anda tidak dapat dikirim ke <bob@x.test>.",
    "Съобщението ви не можа да бъде доставено до <bob@x.test>.",
    "Vaša poruka nije mogla biti isporučena primatelju <bob@x.test>.",
    "Ваша порука није могла бити испоручена примаоцу <bob@x.test>.",
    "Vašu správu sa nepodarilo doručiť príjemcovi <bob@x.test>.",
    "Vašega sporočila ni bilo mogoče dostaviti prejemniku <bob@x.test>.",
    "Jūsų laiško nepavyko pristatyti gavėjui <bob@x.test>.",
    "Jūsu ziņojumu neizdevās piegādāt adresātam <bob@x.test>.",
    "Teie kirja ei õnnestunud toimetada adressaadile <bob@x.test>.",
    "Qzx wvut srqp <bob@x.test> onm.",
]
UNDELIVERED = "Subject: Undelivered Mail Returned to Sender\nAuto-Submitted: auto-replied"


@pytest.mark.parametrize("body", NOTICES)
@pytest.mark.parametrize(
    "headers",
    [
        "Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\nSubject: Qzx",
        f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.test\n{UNDELIVERED}",
        f"Return-Path: <>\nFrom: a@mx.test\n{UNDELIVERED}",
        f"From: postmaster@mx.test\n{UNDELIVERED}",
    ],
)
def test_a_notice_in_a_language_nobody_here_speaks_is_a_bounce(headers: str, body: str) -> None:
    """By its null path or role, its subject, and an address in angle brackets; nothing is said against that one."""
    found = read_report(mail(f"{headers}\nContent-Type: text/plain; charset=utf-8", f"{body}\n"))
    assert (found.kind, [(one.recipient, one.action) for one in found.recipients]) == (
        ReportKind.BOUNCE,
        [("bob@x.test", "failed")],
    )


LISTED = "These could not be delivered:\n\n  bob@x.test  550 5.1.1 user unknown\n  al@y.test  552 5.2.2 mailbox full\n"
LURE = "You have (5) undelivered messages for bob@x.test, your mailbox is full.\nClick here to release: https://z.test/x\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("From: root@mx.test\nSubject: Queue alert\nAuto-Submitted: auto-generated", LISTED),
        ("From: root@mx.test\nSubject: Undelivered mail on mx\nAuto-Submitted: auto-generated", LISTED),
        ("Return-Path: <>\nFrom: root@mx.test\nSubject: Undelivered mail on mx", LISTED),
        ("Return-Path: <postmaster@x.test>\nFrom: postmaster@x.test\nSubject: Bounce report", LISTED),
        ("Return-Path: <>\nFrom: postmaster@x.test\nSubject: Weekly delivery report", LISTED),
        (
            "Return-Path: <postmaster@x.test>\nFrom: postmaster@x.test\nSubject: Please clean your list",
            LISTED,
        ),
        ("Return-Path: <>\nFrom: Support <support@z.test>\nSubject: You have (5) undelivered messages", LURE),
        ("Return-Path: <>\nFrom: Mail Delivery System <n@z.test>\nSubject: Undelivered messages", LURE),
        ("From: MAILER-DAEMON <it@z.test>\nSubject: Mail delivery failed: returning message to sender", LURE),
        (
            'Return-Path: <n@z.test>\nFrom: "Mail Delivery System" <n@z.test>\nSubject: Undelivered mail',
            "5 messages to bob@x.test could not be delivered. Click http://z.test/ to release them.\n",
        ),
        ("Return-Path: <>\nFrom: postmaster@x.test\nSubject: Out of office", "Ask <bob@x.test>.\n"),
        (
            "Return-Path: <>\nFrom: ada@x.test\nSubject: Qzx\nAuto-Submitted: auto-replied",
            "Qzx <bob@x.test>.\n",
        ),
    ],
)
def test_alerts_digests_and_lures_are_no_bounces(headers: str, body: str) -> None:
    """H14: what lists the failures of others, or asks for a click in the dress of a notice, reports nothing."""
    assert read_report(mail(headers, body)).kind in (ReportKind.NONE, ReportKind.AUTO_REPLY)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Return-Path: <>\nFrom: MAILER-DAEMON@x.test\nSubject: Undelivered mail", LISTED),
        ("Return-Path: <>\nFrom: postmaster@x.test\nSubject: Delivery report", LISTED),
        (
            "Return-Path: <>\nFrom: postmaster@x.test\nSubject: Undeliverable",
            "Could not be delivered to:\n<bob@x.test>\n550 5.7.1 refused, click here to read why: https://z.test/\n",
        ),
    ],
)
def test_what_is_like_them_but_a_notice_is_a_bounce(headers: str, body: str) -> None:
    """Several recipients in one, or a link beside the refusal it quotes."""
    assert read_report(mail(headers, body)).kind is ReportKind.BOUNCE
