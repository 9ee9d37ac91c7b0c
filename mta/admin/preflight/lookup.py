"""Drives the checks against real nameservers: every question once, a bounded number at a time.

Nothing that DNS holds or does raises: trouble is a `Reply` like any other.
"""

import asyncio

from mta.admin.preflight.question import Found, Question, Reply, Steps, read
from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, LookupFailed, is_askable

_AT_ONCE = 20


class Lookup:
    """For the length of one run: what was answered is kept for all of it. How many questions there can be is bounded
    by the checks, by what is configured and by the limits of SPF."""

    def __init__(self, nameservers: Nameservers) -> None:
        self._nameservers = nameservers
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._asked: dict[Question, asyncio.Task[Reply]] = {}

    async def run(self, steps: Steps[Found], group: asyncio.TaskGroup) -> Found:
        """What the check found. Its questions are tasks of the group, as other checks may wait for them as well."""
        reply: Reply | None = None
        while True:
            try:
                question = steps.send(reply) if reply is not None else next(steps)
            except StopIteration as ended:
                found: Found = ended.value
                return found
            reply = await self._answer(question, group)

    async def _answer(self, question: Question, group: asyncio.TaskGroup) -> Reply:
        task = self._asked.get(question)
        if task is None:
            name = f"preflight: {question.kind} of {question.name[:80]}"
            task = self._asked[question] = group.create_task(self._ask(question), name=name)
        return await task

    async def _ask(self, question: Question) -> Reply:
        if not is_askable(question.name):
            return Reply(is_missing=True)
        async with self._slots:
            try:
                answer = await self._nameservers.ask(question.name, question.kind)
            except Absent as absent:
                return Reply(is_missing=absent.is_missing)
            except LookupFailed as failure:
                return Reply(trouble=failure.trouble.detail)
        return read(question, answer.records)
