"""The command line as a person types it: `verb` runs it in this process, which spares it the start of an interpreter
and the imports; `program` as a child, for `run` and wherever the process is the point."""

import asyncio
import io
import sys
import threading

from mta.cli import main

LIMIT_S = 25.0
_one_at_a_time = threading.Lock()
"""Streams and arguments are those of the whole process."""


async def verb(*arguments: str, stdin: bytes = b"", timeout_s: float = LIMIT_S) -> tuple[int, bytes, bytes]:
    """Exit code, output, errors. It has a thread and a loop of its own; servers of the test go on beside it."""
    async with asyncio.timeout(timeout_s):
        return await asyncio.to_thread(typed, *arguments, stdin=stdin)


async def program(
    *arguments: str, stdin: bytes = b"", timeout_s: float = LIMIT_S
) -> tuple[int, bytes, bytes]:
    """Exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mta.cli",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(timeout_s):
        output, errors = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, output, errors


def typed(*arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """As `verb`, for a test without a loop."""
    given, said, complained = io.BytesIO(stdin), io.BytesIO(), io.BytesIO()
    with _one_at_a_time:
        usual = sys.argv, sys.stdin, sys.stdout, sys.stderr
        sys.argv = ["mta", *arguments]
        sys.stdin, sys.stdout, sys.stderr = map(_text, (given, said, complained))
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Detached: whoever still holds one must not close what is read below.
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                if not stream.closed:
                    stream.detach()
            sys.argv, sys.stdin, sys.stdout, sys.stderr = usual
    assert isinstance(code, int)
    return code, said.getvalue(), complained.getvalue()


def _text(octets: io.BytesIO) -> io.TextIOWrapper:
    return io.TextIOWrapper(octets, encoding="utf-8", write_through=True)
