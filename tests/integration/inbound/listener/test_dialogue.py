"""What a conversation takes, and how it ends, with peers of every kind."""

import asyncio
import smtplib

import pytest

from mta.inbound.dialogue import REFUSED
from tests.fakes.nats import eventually
from tests.integration.inbound.listener.peer import DOMAIN, MINT, TOKEN, greeted, peer, served

GOOD = b"Subject: x\r\n\r\ny\r\n"
NOBODYS = b"Return-Path: <>\r\n"
"""In front of what comes without a sender (RFC 5321 section 4.4)."""
SECOND = f"MAIL FROM:<>\r\nRCPT TO:<{TOKEN}>\r\nDATA\r\nSubject: smuggled\r\n\r\nz\r\n.\r\n".encode()


async def test_a_report_is_taken_in() -> None:
    """By the stdlib's client, dots doubled and undone; SIZE, 8BITMIME and SMTPUTF8 are offered, AUTH, CHUNKING and
    STARTTLS are not."""
    async with served() as server:

        def deliver() -> dict[str, str]:
            with smtplib.SMTP("127.0.0.1", server.port) as client:
                client.sendmail("", [TOKEN], b"Subject: x\r\n\r\n.one\r\n..two\r\n")
                client.sendmail("mailer-daemon@peer.test", [TOKEN.upper()], GOOD)
                return client.esmtp_features

        offered = await asyncio.to_thread(deliver)
        assert server.messages == [NOBODYS + b"Subject: x\r\n\r\n.one\r\n..two\r\n", GOOD]
        assert offered.keys() == {"size", "8bitmime", "smtputf8", "help"}
        assert offered["size"] == str(1 << 20)


async def test_commands_come_in_any_pieces() -> None:
    """Octet by octet, or all that may come at once; the last reply is to QUIT."""
    async with served() as server, peer(server) as one:
        for octet in b"EHLO peer.test\r\nNOOP\r\n":
            await one.send(bytes((octet,)))
        await one.send(f"MAIL FROM:<>\r\nRCPT TO:<{TOKEN}>\r\nRSET\r\nQUIT\r\n".encode())
        said = await one.rest()
        assert [line[:4] for line in said.splitlines() if line[:4] != "250-"] == [
            "220 ",
            *["250 "] * 5,
            "221 ",
        ]


@pytest.mark.parametrize(
    "recipient",
    [
        "bob@example.test",
        f"postmaster@{DOMAIN}",
        f"bob@{DOMAIN}",
        f"bob%example.test@{DOMAIN}",
        f"example.test!bob@{DOMAIN}",
        f'"bob@example.test"@{DOMAIN}',
        f"@{DOMAIN}:bob@example.test",
        f"@example.test:{TOKEN}",
        f"{TOKEN}@example.test",
        TOKEN.replace(DOMAIN, "example.test"),
        TOKEN.replace(DOMAIN, "acme.test"),
        TOKEN.replace(DOMAIN, f"x.{DOMAIN}"),
        TOKEN.replace(DOMAIN, "[127.0.0.1]"),
        TOKEN.replace(f"@{DOMAIN}", ""),
        TOKEN.replace("b+", "u+"),
        TOKEN.replace("b+", "f+"),
        TOKEN.replace("b+", ""),
        TOKEN.replace("b+", "b-"),
        TOKEN.replace("k1", "k2"),
        f"b+@{DOMAIN}",
        "postmaster",
        "",
    ],
)
async def test_h9_nothing_is_relayed(recipient: str) -> None:
    """The list of relay tests, and near misses of a token: refused alike, all that has the form of an address by the
    same words, and no DATA after."""
    async with served() as server, greeted(server) as one:
        await one.say("MAIL FROM:<a@example.test>")
        reply = await one.say(f"RCPT TO:<{recipient}>")
        assert reply == f"{REFUSED}\r\n"
        assert (await one.say("DATA")).startswith("503")
        assert server.messages == []


@pytest.mark.parametrize("path", ["bob@example.test", "<bob@example.test", "<bob>x", "<a>\x00", ""])
async def test_what_is_no_path_is_refused(path: str) -> None:
    async with served() as server, greeted(server) as one:
        await one.say("MAIL FROM:<>")
        assert (await one.say(f"RCPT TO:{path}"))[0] == "5"


async def test_one_recipient_is_enough() -> None:
    """The second is asked to come again, and the first is served."""
    async with served() as server, greeted(server) as one:
        await one.say("MAIL FROM:<>")
        await one.say(f"RCPT TO:<{TOKEN}>")
        assert (await one.say(f"RCPT TO:<{TOKEN}>")).startswith("452 4.5.3")
        assert (await one.say("DATA")).startswith("354")
        await one.send(GOOD + b".\r\n")
        assert (await one.reply()).startswith("250")
        assert (await one.say("DATA")).startswith("503")


async def test_curious_commands_say_nothing() -> None:
    """VRFY, EXPN and HELP know nobody; AUTH and what is no command are unknown."""
    async with served() as server, greeted(server) as one:
        assert (await one.say(f"VRFY {TOKEN}")) == (await one.say("VRFY bob"))
        assert (await one.say("EXPN list")).startswith("502")
        assert (await one.say("HELP AUTH")) == (await one.say("HELP"))
        assert (await one.say("AUTH PLAIN AGEAYg==")).startswith("500")
        assert (await one.say("STARTTLS")).startswith("500")


ENDS = {
    "lf-dot-lf": b"\n.\n",
    "lf-dot-crlf": b"\n.\r\n",
    "crlf-dot-lf": b"\r\n.\n",
    "cr-dot-cr": b"\r.\r",
    "crlf-dot-cr": b"\r\n.\r",
    "cr-dot-crlf": b"\r.\r\n",
    "crcrlf-dot-crlf": b"\r\r\n.\r\n",
    "crlf-dot-crcrlf": b"\r\n.\r\r\n",
    "lfcr-dot-lfcr": b"\n\r.\n\r",
    "crlf-nul-dot-crlf": b"\r\n\x00.\r\n",
    "crlf-dot-nul-crlf": b"\r\n.\x00\r\n",
    "crlf-dot-space-crlf": b"\r\n. \r\n",
}


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "by-octet"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
async def test_h6_a_message_ends_in_one_way_only(end: bytes, whole: bool) -> None:
    """Twelve ends that some server takes for one, each with a second transaction behind it: one message, which holds
    all of it, or a refusal and the end. Never two."""
    async with served() as server, greeted(server) as one:
        await one.until_data()
        raw = b"Subject: x\r\n\r\ny" + end + SECOND
        for at in range(len(raw)) if not whole else ():
            await one.send(raw[at : at + 1])
        if whole:
            await one.send(raw)
        reply = await one.reply()
        if b"\r" in end.replace(b"\r\n", b"") or b"\n" in end.replace(b"\r\n", b""):
            assert reply.startswith("500 5.5.2")
            assert await one.reply() == ""
            assert server.messages == []
        else:
            assert reply.startswith("250")
            [message] = server.messages
            assert b"MAIL FROM" in message


async def test_h6_what_was_whole_before_still_counts() -> None:
    """However the octets came: the first message is answered, and the connection ends behind it."""
    async with served() as server, greeted(server) as one:
        await one.until_data()
        await one.send(GOOD + b".\r\nMAIL FROM:<>\nRCPT")
        assert (await one.reply()).startswith("250")
        assert (await one.reply()).startswith("500 5.5.2")
        assert await one.reply() == ""
        assert server.messages == [NOBODYS + GOOD]


@pytest.mark.parametrize("line", [b"NOOP\n", b"NOOP\rQUIT\r\n", b"MAIL FROM:<\r>\r\n"])
async def test_h6_commands_end_in_crlf(line: bytes) -> None:
    async with served() as server, greeted(server) as one:
        await one.send(line)
        await one.send(b"x")
        assert (await one.reply()).startswith("500 5.5.2")
        assert await one.reply() == ""


async def test_octets_before_the_answer_to_data_are_refused() -> None:
    """Nobody sends a message before 354 but those who want it read as commands."""
    async with served() as server, greeted(server) as one:
        await one.send(SECOND)
        said = await one.rest()
        assert said.splitlines()[-1].startswith("503 5.5.0")
        assert server.messages == []


@pytest.mark.parametrize(
    "command",
    [
        "BDAT 0",
        "BDAT 0 LAST",
        "BDAT 2147483648",
        "BDAT -1",
        "BDAT 5 LAST\r\nhelloBDAT 0 LAST",
        "BDAT 99 LAST\r\ncut",
    ],
)
async def test_h7_bdat_is_refused_in_sync(command: str) -> None:
    """It is not offered. None of its octets is read as a command: the connection ends."""
    async with served() as server, greeted(server) as one:
        await one.say("MAIL FROM:<>")
        await one.say(f"RCPT TO:<{TOKEN}>")
        await one.send(command.encode() + b"\r\n" + b"NOOP\r\n")
        assert await one.rest() == "502 5.5.1 BDAT is not offered\r\n"
        assert server.messages == []


async def test_h4_a_long_line_is_read_to_its_end() -> None:
    """1 MB of a command and of a message: 500, and the next command is one. No memory is kept for either."""
    async with served() as server, greeted(server) as one:
        await one.send(b"NOOP " + b"x" * (1 << 20) + b"\r\n")
        assert (await one.reply()).startswith("500")
        assert (await one.deliver(b"Subject: x\r\n\r\n" + b"y" * (1 << 19) + b"\r\n")).startswith("500")
        assert server.listener.room.taken_bytes == 0
        assert (await one.deliver()).startswith("250")
        assert server.messages == [NOBODYS + GOOD]


async def test_h4_the_longest_lines_that_are_allowed() -> None:
    """512 octets of a command, 1,000 of a message and its dot; one more of either is too many."""
    async with served() as server, greeted(server) as one:
        assert (await one.say("NOOP " + "x" * 505)).startswith("250")
        assert (await one.say("NOOP " + "x" * 506)).startswith("500")
        assert (await one.deliver(b"S: x\r\n\r\n" + b".." + b"y" * 997 + b"\r\n")).startswith("250")
        assert (await one.deliver(b"S: x\r\n\r\n" + b"y" * 1001 + b"\r\n")).startswith("500")
        assert len(server.messages[0].splitlines()[-1]) == 998


async def test_h4_ten_thousand_recipients() -> None:
    """Refused one by one, and soon not even that."""
    async with served() as server, greeted(server) as one:
        await one.say("MAIL FROM:<>")
        one.write(f"RCPT TO:<{TOKEN}>\r\n".encode() * 10_000)
        replies = (await one.rest()).splitlines()
        assert replies[0].startswith("250")
        assert {reply[:9] for reply in replies[1:-1]} == {"452 4.5.3"}
        assert replies[-1].startswith("421")
        assert len(replies) < 25


@pytest.mark.parametrize("line", ["XYZZY", "MAIL", "RCPT TO:<>", "GET / HTTP/1.1", "\x80\xff", ""])
async def test_h4_bad_commands_end_it(line: str) -> None:
    """Ten of any kind."""
    async with served() as server, greeted(server) as one:
        one.write(line.encode("latin-1") + b"\r\n")
        for _ in range(999):
            one.write(line.encode("latin-1") + b"\r\n")
        replies = (await one.rest()).splitlines()
        assert len(replies) == 11
        assert replies[-1].startswith("421 4.7.0")


@pytest.mark.parametrize("line", ["NOOP", "RSET", "EHLO peer.test", "VRFY x", "HELP"])
async def test_h4_a_flood_of_harmless_commands_ends_it(line: str) -> None:
    async with served() as server, greeted(server) as one:
        one.write(f"{line}\r\n".encode() * 10_000)
        assert (await one.rest()).splitlines()[-1].startswith("421 4.7.0")


async def test_h4_a_hundred_megabytes_leave_no_trace() -> None:
    """552 at their end, and nothing kept on the way; SIZE says so before."""
    async with served() as server, greeted(server) as one:
        assert (await one.say("MAIL FROM:<> SIZE=1048577")).startswith("552")
        await one.until_data()
        lines = b"x" * 98 + b"\r\n"
        most = 0
        for _ in range(1000):
            await one.send(lines * 1000)
            most = max(most, server.listener.room.taken_bytes)
        await one.send(b".\r\n")
        assert (await one.reply()).startswith("552 5.3.4")
        assert most <= 1 << 20
        assert server.listener.room.taken_bytes == 0
        assert (await one.deliver()).startswith("250")


async def test_h4_all_messages_share_one_room() -> None:
    """Whoever finds it taken comes again; it is given back when others have ended, or gone away."""
    async with served(max_held_bytes=40_000) as server:
        lines = (b"x" * 98 + b"\r\n") * 300
        async with greeted(server) as holding:
            await holding.until_data()
            await holding.send(lines)
            await eventually(lambda: server.listener.room.taken_bytes >= 30_000)
            async with greeted(server) as late:
                assert (await late.deliver(lines)).startswith("452 4.3.1")
                await holding.close()
                await eventually(lambda: server.listener.room.taken_bytes == 0)
                assert (await late.deliver(lines)).startswith("250")


async def test_h11_a_forged_token_costs_little() -> None:
    """A hundred thousand, each with one letter changed of what the MAC covers: less than 100 microseconds apiece,
    nothing accepted."""
    async with served() as server:
        admission = server.listener.admission
        local = MINT.return_path(b"p" * 16, 3, "bob@example.test")
        forged = [
            f"b+{local[:at]}{'a' if local[at] != 'a' else 'b'}{local[at + 1 :]}@{DOMAIN}" for at in range(50)
        ] * 2000
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert not any(admission.judge(address) for address in forged)
        assert (loop.time() - began) / len(forged) < 100e-6


async def test_the_address_of_feedback_loops() -> None:
    """Only where it is configured, in any case."""
    async with served(feedback="fbl") as server, greeted(server) as one:
        await one.say("MAIL FROM:<feedback@arf.test>")
        assert (await one.say(f"RCPT TO:<FBL@{DOMAIN}>")).startswith("250")
    async with served() as server, greeted(server) as one:
        await one.say("MAIL FROM:<feedback@arf.test>")
        assert (await one.say(f"RCPT TO:<fbl@{DOMAIN}>")).startswith("550")


async def test_an_error_of_ours_is_no_answer_to_a_report() -> None:
    """The peer comes again, and the listener goes on."""

    async def broken() -> str:
        raise LookupError

    async with served() as server:
        server.answer = broken
        async with greeted(server) as one:
            assert (await one.deliver()).startswith("421 4.3.0")
            assert await one.reply() == ""
        async with greeted(server) as one:
            assert (await one.say("NOOP")).startswith("250")
