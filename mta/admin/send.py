"""`mta send`: one payload as it is, or a template plus recipients cut into payloads.

Whatever can be found wrong here is found before the first publish: a mailing that stops half-way is worse
than one that does not start. A publish counts when JetStream has acknowledged it.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mta.admin.access import again, beside, first_of, link
from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.judge import judge, rules_of
from mta.admin.mailing import Mailing, Outgoing, payloads
from mta.admin.output import Output, many
from mta.admin.recipients import checked, recipients_file
from mta.config.settings import Config
from mta.intake.decode import MAX_PAYLOAD_BYTES
from mta.intake.rules import MARKETING
from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound, PermissionMissing, Unconfirmed
from mta.jetstream.layout import PAYLOADS
from mta.jetstream.pump import Pump
from mta.jetstream.subjects import payload_subject
from mta.model.lane import Lane

_DEADLINE_S = 30.0
_LOOK_S = 2.0
_AT_ONCE = 64


async def send_payload(
    config: Config | None, environ: Mapping[str, str], output: Output, file: str, lane: Lane | None
) -> int:
    """One payload from a file, or from stdin with `-`. Its bytes are sent as they are."""
    outgoing, refused = judge(_bytes(file), lane, rules_of(config), time.time())
    if len(refused) == outgoing.recipients:
        raise WrongInput(
            f"every recipient would be rejected; nothing was sent. The first one {refused[0].text}"
        )
    for one in refused:
        output.note(f"recipient {one.index} {one.text}; the others go on", "yellow")
    async with _publishing(config, environ) as pump:
        ack = await pump.publish_acked(
            outgoing.subject, outgoing.body, msg_id=outgoing.msg_id, deadline_s=_DEADLINE_S
        )
    output.result(
        {
            "payloads": 1,
            "recipients": outgoing.recipients,
            "duplicates": int(ack.is_duplicate),
            "subject": outgoing.subject,
            "stream": ack.stream,
            "sequence": ack.sequence,
        }
    )
    if ack.is_duplicate:
        output.say(f"Already there: {outgoing.msg_id} was stored before, nothing was sent again.", "yellow")
    else:
        output.say(
            f"Stored: {many(outgoing.recipients, 'recipient')}, {ack.stream} message {ack.sequence}.",
            "green",
        )
    return 0


async def send_mailing(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    mailing: Mailing,
    recipients: Path,
    name_column: str,
) -> int:
    """All recipients of a file, or none where a row is bad."""
    with recipients_file(recipients, name_column) as people:
        counts = checked(people, mailing, rules_of(config), output)
        async with _publishing(config, environ) as pump:
            with _progress(counts.recipients, output) as advance:
                sender = _Sender(pump, advance)
                try:
                    await sender.send(payloads(mailing, people.good()))
                except ExceptionGroup as errors:
                    output.note(
                        f"{sender.payloads} of {many(counts.payloads, 'payload')} were stored before that: "
                        f"{many(sender.recipients, 'recipient')}. The same command again sends only the rest.",
                        "yellow",
                    )
                    raise first_of(errors) from errors
    output.result(
        {
            "payloads": sender.payloads,
            "recipients": sender.recipients,
            "duplicates": sender.duplicates,
            "left_out": counts.repeated,
            "subject": payload_subject(mailing.lane, mailing.tenant, mailing.campaign),
        }
    )
    if sender.duplicates == sender.payloads:
        output.say(
            f"Already there: {many(sender.payloads, 'payload')} stored before, nothing was sent again. "
            "To send the same content to the same people once more, give it another --campaign.",
            "yellow",
        )
    else:
        recipients_said = many(sender.recipients, "recipient")
        known = f", {sender.duplicates} of them already there" if sender.duplicates else ""
        output.say(f"Stored: {recipients_said} in {many(sender.payloads, 'payload')}{known}.", "green")
        output.say(f"Follow them with: mta tail --tenant {mailing.tenant}{again(config)}", "dim")
    return 0


class _Sender:
    """Publishes payloads, a bounded number at once, and counts what was acknowledged."""

    def __init__(self, pump: Pump, advance: Callable[[int], None]) -> None:
        self._pump = pump
        self._advance = advance
        self._room = asyncio.Semaphore(_AT_ONCE)
        self.payloads = self.recipients = self.duplicates = 0

    async def send(self, outgoing: Iterator[Outgoing]) -> None:
        """ExceptionGroup when one of them is not stored; the others in flight are then withdrawn."""
        async with asyncio.TaskGroup() as group:
            for number, one in enumerate(outgoing):
                await self._room.acquire()
                group.create_task(self._publish(one), name=f"publish payload {number}")

    async def _publish(self, one: Outgoing) -> None:
        try:
            ack = await self._pump.publish_acked(
                one.subject, one.body, msg_id=one.msg_id, deadline_s=_DEADLINE_S
            )
        finally:
            self._room.release()
        self.payloads += 1
        self.duplicates += ack.is_duplicate
        self.recipients += one.recipients
        self._advance(one.recipients)


def lane_of(name: str) -> Lane | None:
    """None where nothing was asked for."""
    if not name:
        return None
    try:
        return Lane(name)
    except ValueError:
        raise WrongUsage(f"--lane {name}: expected transactional or bulk") from None


def tenant_of(config: Config | None, named: str) -> str:
    """The only tenant there is need not be named."""
    known = list(config.tenants) if config is not None else []
    if not named and len(known) != 1:
        raise WrongUsage(f"--tenant is needed: {', '.join(known) or 'no tenant is configured here'}")
    return named or known[0]


def mailing_of(
    config: Config | None,
    *,
    template: Path | None,
    text: Path | None,
    sender: str,
    subject: str,
    tenant: str,
    campaign: str,
    stream: str,
    lane: Lane | None,
    unsubscribe: str = "",
    one_click: bool = False,
    list_id: str = "",
    send_at: str = "",
) -> Mailing:
    """Options and files become a mailing; WrongUsage, MissingInput or WrongInput where they cannot."""
    mailing = Mailing(
        tenant=tenant_of(config, tenant),
        sender=sender,
        subject=subject,
        html=read_text(template) if template is not None else "",
        text=read_text(text) if text is not None else "",
        campaign=campaign,
        stream=stream,
        lane=lane or Lane.BULK,
        unsubscribe=unsubscribe,
        one_click=one_click,
        list_id=list_id,
        send_at=send_at,
    )
    rules = rules_of(config)
    if one_click and rules is not None and not rules.answers_one_click:
        raise WrongUsage(
            "--one-click: nobody would answer the link. Set `public_url` in [http] to an https:// address that leads "
            "to the daemon, or name an address with --unsubscribe instead"
        )
    has_way_out = unsubscribe or one_click or (config is not None and config.rules().takes_mail)
    if stream == MARKETING and not has_way_out:
        raise WrongUsage("marketing needs a way out: --one-click, or an address with --unsubscribe")
    try:
        mailing.shared()
    except ValueError as error:
        raise WrongUsage(f"--from: {error}") from error
    return mailing


def read_text(file: Path) -> str:
    """A template file; MissingInput or WrongInput."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingInput(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise WrongInput(f"{file}: is not UTF-8") from error


def _bytes(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read(MAX_PAYLOAD_BYTES + 1)
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise MissingInput(f"{file}: {error.strerror}") from error


@asynccontextmanager
async def _publishing(config: Config | None, environ: Mapping[str, str]) -> AsyncIterator[Pump]:
    """A running pump on a link of its own."""
    async with link(config, environ, "send") as opened:
        await _check_stream(opened)
        pump = Pump(opened)
        async with beside(pump.run(), "send: publish"):
            yield pump


async def _check_stream(opened: Link) -> None:
    """The pump would wait for a stream that may be coming up; a person wants to know that there is none."""
    try:
        await opened.api(f"STREAM.INFO.{PAYLOADS}", timeout_s=_LOOK_S)
    except NotFound as error:
        raise NotFound(f"there is no stream {PAYLOADS}") from error
    except (PermissionMissing, Unconfirmed):
        return  # a sender's user need not have the right to look


@contextmanager
def _progress(total: int, output: Output) -> Iterator["_Advance"]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("acknowledged"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = output.as_json or not output.errors.is_terminal
    with Progress(*columns, console=output.errors, transient=True, disable=hidden) as progress:
        yield _Advance(progress, total)


class _Advance:
    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)

    def __call__(self, recipients: int) -> None:
        self._progress.advance(self._task, recipients)
