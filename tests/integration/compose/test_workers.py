"""The pool with real processes: hostile templates, dying workers, and neighbours who must not notice."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from mta.compose.job import Job
from mta.compose.pool import PoolUnusable
from mta.compose.process import JobFactory
from mta.compose.quarantine import MOST_OF_A_CONTENT, NICENESS
from mta.compose.settings import ComposeSettings, DkimKey, SigningKeys
from mta.compose.spec import Addressee, Composed, ComposeFailed, Group, Result, Sources, encode_spec
from mta.compose.suspects import CROWDED, SHORTER_AFTER
from mta.compose.workers import Composer
from mta.model import ids
from tests.fakes.keys import rsa_key
from tests.fakes.nats import eventually
from tests.integration.compose.poison import BrokenJob, PoisonJob
from tests.unit.compose.builders import AT, addressee, dkimpy_accepts, group, signing_keys, spec

pytestmark = pytest.mark.begun_first

SETTINGS = ComposeSettings(workers=2, timeout_s=1.0, memory_bytes=1_000_000_000)
PATIENT = ComposeSettings(workers=2, timeout_s=60.0, memory_bytes=1_000_000_000)
"""Where the guilty are not waited for: nobody else fails for want of time, however busy the machine."""
LIMIT_S = 90.0
"""For what gets only what others leave of the machine. A hostile template that nothing ended would take days."""
QUARANTINED = 1
"""Processes beside the workers, once there was a suspect."""


@asynccontextmanager
async def running(
    job: JobFactory = Job, settings: ComposeSettings = SETTINGS, keys: SigningKeys | None = None
) -> AsyncIterator[Composer]:
    composer = Composer(settings, keys or signing_keys(), job=job)
    await composer.start()
    try:
        yield composer
    finally:
        await composer.stop()


async def results_of(composer: Composer, *groups: Group, timeout_s: float = LIMIT_S) -> list[Result]:
    async with asyncio.timeout(timeout_s):
        return await composer.render(groups)


def person(local: str, index: int, **changes: str) -> Addressee:
    return addressee(index, email=f"{local}{index}@example.test", **changes)


def codes(results: Sequence[Result]) -> list[str]:
    return [result.code if isinstance(result, ComposeFailed) else "" for result in results]


def workers_alive() -> list[int]:
    """Children of children of this process: the fork server's workers."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    return [worker for child in parents.get(os.getpid(), []) for worker in parents.get(child, [])]


def niceness(pid: int) -> int | None:
    """None: it has ended."""
    try:
        return int(proc(pid, "stat").rpartition(")")[2].split()[16])
    except (FileNotFoundError, ProcessLookupError):
        return None


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def test_composes_in_order() -> None:
    """Signed messages, one per recipient, as asked for; counts go up and down."""
    async with running() as composer:
        groups = [group(spec(), *(addressee(n) for n in range(20))), group(spec(text="2"), addressee(99))]
        pending = asyncio.ensure_future(results_of(composer, *groups))
        await asyncio.sleep(0)
        assert composer.outstanding == 1
        results = await pending
        assert composer.outstanding == 0
        assert composer.workers == 2
    assert [result.index for result in results] == [*range(20), 99]
    for result in results:
        assert isinstance(result, Composed)
        assert dkimpy_accepts(result.envelope.message.wire, rsa_key())


@pytest.mark.parametrize(
    ("poison", "code"),
    [
        ("exit", "crash"),
        ("exit-zero", "timeout"),
        ("segfault", "crash"),
        ("loop", "timeout"),
        ("deaf", "timeout"),
        ("hog", "memory"),
        ("raise", "internal"),
    ],
)
async def test_poison(poison: str, code: str) -> None:
    """E4: the guilty recipient fails with the reason; its neighbours are composed; the workers are there
    again."""
    async with running(PoisonJob) as composer:
        people = [person("bob", 0), person(poison, 1), person("bob", 2)]
        results = await results_of(composer, group(spec(), *people))
        assert codes(results) == ["", code, ""]
        failure = results[1]
        assert isinstance(failure, ComposeFailed)
        assert failure.message_id == str(ids.message_id(AT, "acme", "p1", "n1"))
        assert "secret" not in failure.detail
        assert codes(await results_of(composer, group(spec(), person("bob", 3)))) == [""]
        await eventually(lambda: len(workers_alive()) == 2 + QUARANTINED)


BOMBS = {
    "loops": "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
    "doubles": "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "escapes": "{% set n = namespace(x='\"') %}{% for i in range(99) %}{% set n.x = n.x|tojson %}{% endfor %}",
    "lists": "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "sets": "{% set x %}{% for a in range(9999) %}{% for b in range(9999) %}"
    + "x" * 999
    + "{% endfor %}{% endfor %}{% endset %}",
    "macro": "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
    "integers": "{% set n = namespace(x=2) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}",
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_bomb(bomb: str) -> None:
    """E5: whoever renders it fails, within the limits; the neighbour with other data does not."""
    template = "{% if armed %}" + BOMBS[bomb] + "{% endif %}{{ name }}"
    people = [addressee(n, data={"name": "Bob", "armed": n == 1}) for n in range(3)]
    async with running() as composer:
        began = time.monotonic()
        results = await results_of(composer, group(spec(text=template), *people))
        took = time.monotonic() - began
    found = codes(results)
    assert found[1] in ("template", "timeout", "memory", "crash")
    assert (found[0], found[2]) == ("", "")
    assert took < LIMIT_S


ENDLESS = "{% for a in range(9999) %}" * 4 + "{% endfor %}" * 4


COMPILE_BOMBS = {
    "blocks": "".join(f"{{% block b{n} %}}{{% endblock %}}" for n in range(8000)),
    "ifs": "".join("{% if a %}" for _ in range(2000)) + "{% endif %}" * 2000,
    "parentheses": "{{ " + "(" * 100_000 + ")" * 100_000 + " }}",
    "filters": "{{ a" + "|e" * 100_000 + " }}",
    "sums": "{{ 1" + "+1" * 100_000 + " }}",
    "attributes": "{{ a" + ".a" * 100_000 + " }}",
    "strings": "{{ '" + "a" * 250_000 + "' }}",
    "numbers": "{{ " + "9" * 250_000 + " }}",
    "unclosed": "{{ " * 80_000,
    "comments": "{#" * 100_000,
    "dots": "{{ a" + "[0]" * 80_000 + " }}",
}


@pytest.mark.parametrize("bomb", COMPILE_BOMBS)
async def test_compile_bomb(bomb: str) -> None:
    """E5: looking at a template never takes more than the limits allow, and the pool lives on."""
    async with running() as composer:
        async with asyncio.timeout(LIMIT_S):
            problems = await composer.check(Sources({"html": COMPILE_BOMBS[bomb]}))
        assert all(len(problem) < 400 for problem in problems)
        assert codes(await results_of(composer, group(spec()))) == [""]


async def test_check_and_undeclared() -> None:
    """What `template put` and admission ask."""
    async with running() as composer:
        assert await composer.check(Sources({"html": "{{ a }}", "subject": "x"})) == []
        assert await composer.check(Sources({"html": "{% if %}"})) != []
        found = await composer.inspect(Sources({"html": "{{ a }}{{ b.c }}{{ recipient.name }}"}))
        assert found.undeclared == ["a", "b"]


async def test_worker_killed_from_outside(tmp_path: Path) -> None:
    """A13: a message that was in a worker's hands is composed by another, even if it was alone there."""
    async with running(PoisonJob) as composer:
        marker = str(tmp_path / "seen")
        assert codes(await results_of(composer, group(spec(), person("once", 0, recipient_id=marker)))) == [
            ""
        ]
        assert (tmp_path / "seen").exists()


async def test_all_workers_killed() -> None:
    """Whatever they held and however often: every chunk comes back composed."""
    async with running() as composer:
        pending = [
            asyncio.ensure_future(results_of(composer, group(spec(), *(addressee(n) for n in range(30)))))
            for _ in range(6)
        ]
        for _ in range(3):
            await asyncio.sleep(0.02)
            for worker in workers_alive():
                with suppress(
                    ProcessLookupError
                ):  # it was killed in the round before, and has ended only now
                    os.kill(worker, signal.SIGKILL)
        for results in await asyncio.gather(*pending):
            assert set(codes(results)) <= {"", "crash"}
            assert codes(results).count("crash") <= 2
        assert codes(await results_of(composer, group(spec()))) == [""]


async def test_idle_workers_killed() -> None:
    """Then pebble gives up its pool; the next chunk finds another."""
    async with running() as composer:
        for worker in workers_alive():
            os.kill(worker, signal.SIGKILL)
        await eventually(lambda: len(workers_alive()) != 2)
        assert codes(await results_of(composer, group(spec()))) == [""]
        await eventually(lambda: len(workers_alive()) == 2)


async def test_stopped_workers() -> None:
    """Workers that neither work nor die: the deadline frees their chunks."""
    async with running() as composer:
        stopped = workers_alive()
        for worker in stopped:
            os.kill(worker, signal.SIGSTOP)
        assert codes(await results_of(composer, group(spec()))) == [""]
        await eventually(lambda: not set(stopped) & set(workers_alive()))


async def test_neighbours_of_a_loop_go_on() -> None:
    """While the guilty recipient has its time alone, its neighbour and everyone else is served."""
    async with running(PoisonJob, PATIENT) as composer:
        late: dict[int, Result] = {}
        done: list[list[Result | None]] = []
        composer.compose([group(spec(), person("loop", 0), person("bob", 1))], done.append, late.__setitem__)
        await eventually(lambda: 1 in late, LIMIT_S)
        assert done == [[None, None]]
        assert codes([late[1]]) == [""]
        for served in range(30):
            assert codes(await results_of(composer, group(spec(text="x"), addressee(served)))) == [""]
        assert 0 not in late


async def test_innocents_of_a_payload_do_not_fail_for_the_guilty() -> None:
    """However many killed their workers before: each is tried, and before the guilty have their whole time."""
    template = encode_spec(spec(text="{% if armed %}" + ENDLESS + "{% endif %}{{ name }}"))
    guilty = [addressee(n, data={"name": "Eve", "armed": True}) for n in range(10)]
    innocent = tuple(addressee(n, data={"name": "Bob", "armed": False}) for n in range(10, 110))
    async with running(settings=PATIENT) as composer:
        late: dict[int, Result] = {}
        composer.compose([Group(template, (*guilty, innocent[0]))], lambda results: None, late.__setitem__)
        await eventually(lambda: composer.quarantine.suspects.are_about(time.monotonic()), LIMIT_S)
        tried = (results_of(composer, Group(template, innocent[at : at + 33])) for at in range(1, 100, 33))
        assert [codes(results) for results in await asyncio.gather(*tried)] == [[""] * 33] * 3
        await eventually(lambda: 10 in late, LIMIT_S)
        assert {place: codes([result]) for place, result in late.items()} == {10: [""]}


async def test_a_hostile_payload_holds_nobody_up() -> None:
    """Its tenant's other mail waits for as long as it takes to see what it is, and not at all any more after that,
    whatever payload the same content comes with."""
    hostile = spec(text=ENDLESS)
    settings = ComposeSettings(workers=1, timeout_s=5.0)
    async with running(settings=settings) as composer:
        composer.submit([group(hostile, *(addressee(n) for n in range(50)))], lambda results: None)
        began = time.monotonic()
        assert codes(await results_of(composer, group(spec()))) == [""]
        assert time.monotonic() - began < settings.timeout_s
        for number in range(100):
            again = spec(text=ENDLESS, payload_id=f"again{number}")
            composer.submit([group(again)], lambda results: None)
        before = workers_alive()
        began = time.monotonic()
        for number in range(20):
            assert codes(await results_of(composer, group(spec(payload_id=f"q{number}")))) == [""]
        assert time.monotonic() - began < settings.timeout_s
        assert len(set(before) & set(workers_alive())) >= 1
        assert len(workers_alive()) <= 1 + QUARANTINED


async def test_a_suspect_in_a_mixed_chunk_holds_back_only_itself() -> None:
    """The other contents come through at once, in their places, and are no suspects."""
    async with running(settings=ComposeSettings(workers=1, timeout_s=2.0)) as composer:
        others = [group(spec(text=f"{n}"), addressee(n), addressee(n + 1)) for n in range(0, 8, 2)]
        mixed = [*others[:2], group(spec(text=ENDLESS), addressee(90)), *others[2:]]
        late: dict[int, Result] = {}
        composer.compose(mixed, lambda results: None, late.__setitem__)
        await eventually(lambda: len(late) == 8, LIMIT_S)
        assert sorted(late) == [0, 1, 2, 3, 5, 6, 7, 8]
        assert codes([late[place] for place in sorted(late)]) == [""] * 8
        assert [late[place].index for place in (0, 5, 8)] == [0, 4, 7]
        now = time.monotonic()
        suspects = composer.quarantine.suspects
        assert not any(suspects.is_suspect(suspects.who(other.spec), now) for other in others)
        await eventually(lambda: 4 in late, LIMIT_S)
        assert codes([late[4]]) == ["timeout"]


async def test_a_suspect_beside_others_in_a_chunk() -> None:
    """Known already: the rest of the chunk does not feel it."""
    hostile = spec(text=ENDLESS)
    async with running() as composer:
        assert codes(await results_of(composer, group(hostile))) == ["timeout"]
        before = workers_alive()
        mixed = [
            group(spec(), addressee(1)),
            group(hostile, addressee(2)),
            group(spec(text="x"), addressee(3)),
        ]
        done: asyncio.Future[list[Result | None]] = asyncio.get_running_loop().create_future()
        late: dict[int, Result] = {}
        composer.compose(mixed, done.set_result, late.__setitem__)
        async with asyncio.timeout(LIMIT_S):
            results = await done
        assert [result is None for result in results] == [False, True, False]
        assert composer.outstanding == 0
        await eventually(lambda: 1 in late, LIMIT_S)
        assert codes([late[1]]) == ["timeout"]
        assert len(set(before) & set(workers_alive())) >= 2


async def test_a_template_that_always_kills_is_struck_off() -> None:
    """Each of its recipients is tried for its allowance, and only the first ones for longer; others of the same
    tenant go on."""
    hopeless = encode_spec(spec(text=ENDLESS))
    people = tuple(addressee(n) for n in range(SHORTER_AFTER + 6))
    async with running(settings=ComposeSettings(workers=2, timeout_s=0.5)) as composer:
        results = await results_of(composer, Group(hopeless, people))
        assert set(codes(results)) == {"timeout"}
        details = [result.detail for result in results if isinstance(result, ComposeFailed)]
        assert sum("many others" in detail for detail in details) == 6
        assert sum("more than 0.5 s" in detail for detail in details) == SHORTER_AFTER
        assert codes(await results_of(composer, group(spec()))) == [""]


async def test_quarantine_holds_so_many_of_a_content() -> None:
    """The rest is told to come again, and is not to blame."""
    hopeless = encode_spec(spec(text=ENDLESS))
    async with running(settings=ComposeSettings(workers=1, timeout_s=5.0)) as composer:
        late: dict[int, Result] = {}
        people = tuple(addressee(n) for n in range(MOST_OF_A_CONTENT + 20))
        composer.compose([Group(hopeless, people)], lambda results: None, late.__setitem__)
        await eventually(lambda: len(late) >= 20, LIMIT_S)
        crowded = [result for result in late.values() if isinstance(result, ComposeFailed)]
        assert {(result.code, result.is_local_fault) for result in crowded} == {(CROWDED, True)}


async def test_quarantine_is_of_one_process_that_yields() -> None:
    """Whatever the number of suspects; it gets what others leave of a processor."""
    async with running(settings=ComposeSettings(workers=2, timeout_s=5.0)) as composer:
        lanes = set(workers_alive())
        for number in range(4):
            hostile = spec(text=ENDLESS + str(number))
            composer.submit([group(hostile, addressee(number))], lambda results: None)
        await eventually(lambda: any(niceness(one) == NICENESS for one in workers_alive()))
        assert len(workers_alive()) <= len(lanes) + QUARANTINED


async def test_slow_templates_come_through() -> None:
    """What takes longer than its allowance and less than the timeout is only late."""
    slow = "{% for a in range(9999) %}{% for b in range(1000) %}{% endfor %}{% endfor %}{{ name }}"
    async with running(settings=ComposeSettings(workers=1, timeout_s=20.0)) as composer:
        assert codes(await results_of(composer, group(spec(text=slow)))) == [""]
        assert any(niceness(one) == NICENESS for one in workers_alive())


@pytest.mark.parametrize("times", [1, 2])
async def test_templates_that_take_for_ever_to_compile(times: int) -> None:
    """Looking at them again costs nothing, and mail goes on meanwhile."""
    bomb = Sources({"html": "{{ a }}{% if b %}c{% endif %}" * 8000})
    async with running(settings=ComposeSettings(workers=1, timeout_s=0.4)) as composer:
        looking = [asyncio.ensure_future(composer.check(bomb)) for _ in range(times)]
        assert codes(await results_of(composer, group(spec()))) == [""]
        for problems in await asyncio.gather(*looking):
            assert problems == ["compiling: took more than 0.4 s"]
        began = time.monotonic()
        assert await composer.check(bomb) == ["compiling: took more than 0.4 s"]
        assert time.monotonic() - began < 0.2


async def test_lanes_share_what_they_know() -> None:
    """A suspect of one is a suspect of the other."""
    async with running() as bulk:
        express = Composer(SETTINGS, signing_keys(), quarantine=bulk.quarantine)
        await express.start()
        try:
            assert codes(await results_of(bulk, group(spec(text=ENDLESS)))) == ["timeout"]
            before = set(workers_alive())
            assert codes(await results_of(express, group(spec(text=ENDLESS)))) == ["timeout"]
            assert len(before & set(workers_alive())) >= 4
        finally:
            await express.stop()


async def test_stalled() -> None:
    """Seen long before the worker is killed, and over with the next answer."""
    async with running(PoisonJob, ComposeSettings(workers=1, timeout_s=1.0)) as composer:
        assert not composer.is_stalled
        pending = asyncio.ensure_future(results_of(composer, group(spec(), person("loop", 0))))
        await eventually(lambda: composer.is_stalled)
        assert not pending.done()
        await pending
        assert not composer.is_stalled


async def test_limits_of_a_worker() -> None:
    """No core file, bounded memory, deaf to the signals of a terminal or a service manager."""
    async with running():
        for worker in workers_alive():
            limits = proc(worker, "limits")
            assert "Max core file size        0                    0" in limits
            assert f"Max address space         {SETTINGS.memory_bytes}" in limits
            status = dict(line.split(":\t", 1) for line in proc(worker, "status").splitlines())
            deaf = int(status["SigIgn"], 16) | int(status["SigBlk"], 16)
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                assert deaf >> (number - 1) & 1


async def test_signals_to_the_group_do_not_end_workers() -> None:
    """A service manager may signal every process of the unit at once; the daemon drains with its workers."""
    async with running() as composer:
        before = workers_alive()
        for worker in before:
            os.kill(worker, signal.SIGTERM)
            os.kill(worker, signal.SIGINT)
        assert codes(await results_of(composer, group(spec()))) == [""]
        assert workers_alive() == before


async def test_workers_end_with_the_composer() -> None:
    """No process is left behind."""
    async with running():
        assert len(workers_alive()) == 2
    await eventually(lambda: not workers_alive())


async def test_stop_with_work_in_hand() -> None:
    """Prompt, wherever the work is, and nobody is called back."""
    async with running(PoisonJob) as composer:
        called: list[list[Result]] = []
        composer.submit([group(spec(), person("loop", 0))], called.append)
        await eventually(lambda: composer.is_stalled)
        began = time.monotonic()
        await composer.stop()
        assert time.monotonic() - began < 5
        assert called == []


async def test_stop_with_work_in_quarantine() -> None:
    """As with any other; no process is left."""
    async with running(settings=ComposeSettings(workers=1, timeout_s=60.0)) as composer:
        called: list[list[Result]] = []
        hostile = group(spec(text=ENDLESS), *(addressee(n) for n in range(20)))
        composer.submit([hostile], called.append)
        await eventually(lambda: len(workers_alive()) == 1 + QUARANTINED)
        began = time.monotonic()
        await composer.stop()
        assert time.monotonic() - began < 5
        assert called == []
    await eventually(lambda: not workers_alive())


async def test_reload() -> None:
    """New keys sign what comes after; what is in work is not lost (K-10)."""
    async with running() as composer:
        before = asyncio.ensure_future(
            results_of(composer, group(spec(), *(addressee(n) for n in range(40))))
        )
        await asyncio.sleep(0)
        await composer.reload(signing_keys(rsa_key("s2", 1024)))
        assert set(codes(await before)) == {""}
        (result,) = await results_of(composer, group(spec()))
        assert isinstance(result, Composed)
        assert b"s=s2;" in result.envelope.message.wire


async def test_keys_that_cannot_sign() -> None:
    """The pool starts; the mail waits."""
    keys = SigningKeys(dkim={("acme", "acme.test"): (DkimKey("acme.test", "s1", b"x"),)})
    async with running(keys=keys) as composer:
        (result,) = await results_of(composer, group(spec()))
        assert isinstance(result, ComposeFailed)
        assert (result.code, result.is_local_fault) == ("dkim", True)


@pytest.mark.parametrize(("job", "memory"), [(BrokenJob, SETTINGS.memory_bytes), (Job, 1_000_000)])
async def test_workers_that_cannot_start(job: JobFactory, memory: int) -> None:
    """A clear error at start, not a pool that restarts them for ever."""
    composer = Composer(ComposeSettings(workers=1, memory_bytes=memory), signing_keys(), job=job)
    with pytest.raises(PoolUnusable, match=r"they end at once, (with exit code|killed by signal) \d+"):
        await composer.start()
    await composer.stop()
    await eventually(lambda: not workers_alive())


STARTING = """\
import asyncio
from mta.compose.job import Job
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.workers import Composer

async def start():
    composer = Composer(ComposeSettings(workers=1), SigningKeys(dkim=()))
    await composer.start()
    await composer.stop()
    print("they come up")

if __name__ == "__main__":
    asyncio.run(start())
"""


def test_nothing_of_the_working_directory_is_run(tmp_path: Path) -> None:
    """A file there that is called as a module of the workers' or of Python's is none."""
    here = tmp_path / "here"
    here.mkdir()
    for name in ("selectors", "msgspec", "dns", "jinja2"):
        (here / f"{name}.py").write_text("raise SystemExit('run')\n")
    script = tmp_path / "start.py"
    script.write_text(STARTING)
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.stdout == "they come up\n", done.stderr


async def test_large_messages() -> None:
    """A chunk of results larger than any pipe."""
    async with running(settings=ComposeSettings(workers=2)) as composer:
        people = [addressee(n, data={"name": "x" * 900 + "\n"}) for n in range(8)]
        results = await results_of(composer, group(spec(text="{{ name * 1000 }}"), *people))
        assert codes(results) == [""] * 8
        assert all(isinstance(r, Composed) and len(r.envelope.message.wire) > 800_000 for r in results)
