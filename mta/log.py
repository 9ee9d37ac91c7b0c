"""Log lines for people and for journald: JSON on stderr, coloured text where stderr is a terminal.

Three promises. Nobody can forge or hide a line: control characters, ESC, bidirectional controls and line
separators go out escaped. No recipient stands in a line in clear unless that was asked for: the local part
of every address, also inside a peer's reply, becomes `***`. The loop never waits: lines go through a
bounded buffer to a thread; when nobody reads, the oldest wait, new ones are dropped and counted, and a
closed stderr is no reason to stop.

Bodies, credentials and substitution data are never given to a logger; no code here could tell them apart.
"""

import logging
import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from mta.model.times import render

_FORGING = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
_ADDRESS = re.compile(r"(?:\"[^\"\n]{0,100}\"|[^\s<>,:;()\[\]]{1,320})@(?=[\w\[])")
_OURS = frozenset(("message_id", "rfc_message_id", "session_id", "ts", "level"))
"""Keys whose values are made by us and may hold an @ that is no recipient's."""
_MOST_LINES = 10_000
_MOST_BYTES = 16_384
_FLUSH_S = 2.0
_GATHER_S = 0.002  # waking the thread for every line costs the loop more than the line itself

EventDict = MutableMapping[str, Any]


class LineWriter:
    """Hands lines to a file descriptor from a thread of its own."""

    def __init__(self, fd: int, most_lines: int = _MOST_LINES) -> None:
        self._fd = fd
        self._most_lines = most_lines
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._is_idle = True
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Never waits for the descriptor, never raises."""
        with self._changed:
            if len(self._lines) >= self._most_lines:
                self.dropped += 1
                return
            self._lines.append(line)
            if self._is_idle:
                self._is_idle = False
                self._changed.notify_all()

    def flush(self, timeout_s: float = _FLUSH_S) -> bool:
        """Wait until all lines are out; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._lines and self._is_idle, timeout_s)

    def close(self) -> None:
        """Flush, within reason, and end the thread. The descriptor stays open: it is not ours."""
        self.flush()
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_idle = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._lines) or self._is_closed)
                if not self._lines:
                    return
                self._is_idle = False
            time.sleep(_GATHER_S)
            with self._changed:
                batch = b"".join(self._lines)
                self._lines.clear()
            self._put(batch)

    def _put(self, batch: bytes) -> None:
        try:
            while batch:
                batch = batch[os.write(self._fd, batch) :]
        except OSError:  # closed, or its reader is gone: nobody is left to tell
            with self._changed:
                self.dropped += batch.count(b"\n")


class Log:
    """What `configure` set up; `close` puts the last lines out."""

    def __init__(self, writer: LineWriter, handler: logging.Handler) -> None:
        self._writer = writer
        self._handler = handler

    @property
    def dropped(self) -> int:
        return self._writer.dropped

    def flush(self) -> bool:
        return self._writer.flush()

    def close(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        self._writer.close()
        structlog.reset_defaults()


def configure(
    node: str, *, level: str = "info", stream: TextIO | None = None, show_recipients: bool = False
) -> Log:
    """Set up structlog and route the standard library's logging (asyncio, the NATS client) the same way."""
    stream = stream if stream is not None else sys.stderr
    threshold = logging.getLevelNamesMapping()[level.upper()]
    renderer = _console if _is_terminal(stream) else _json
    processors: list[structlog.typing.Processor] = [
        _Stamp(node),
        structlog.processors.format_exc_info,
    ]
    if not show_recipients:
        processors.append(_hide_recipients)
    processors.append(renderer)
    writer = LineWriter(stream.fileno())
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(writer),
        cache_logger_on_first_use=False,
    )
    handler = _Bridge(threshold)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(max(threshold, logging.WARNING))  # libraries speak only when something is wrong
    return Log(writer, handler)


class _Lines:
    """The end of structlog's chain."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: bytes) -> None:
        self._writer.write(line)

    debug = info = warning = error = critical = exception = log = msg


class _Stamp:
    """`ts`, `level`, `event`, `node` first, in this order."""

    def __init__(self, node: str) -> None:
        self._node = node

    def __call__(self, logger: Any, method: str, fields: EventDict) -> EventDict:
        event = fields.pop("event", "")
        level = "error" if method == "exception" else method
        return {"ts": render(time.time()), "level": level, "event": event, "node": self._node, **fields}


class _Bridge(logging.Handler):
    """A record of the standard library becomes a line like every other."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        level = record.levelname.lower()
        log = getattr(
            structlog.get_logger(), level if level in ("debug", "info", "warning", "critical") else "error"
        )
        log(record.getMessage(), **fields)


def escaped(text: str) -> str:
    """Text in which no character moves a cursor, ends a line or changes the direction of writing."""
    return _FORGING.sub(lambda match: _escape(match[0]), text)


def without_local_parts(text: str) -> str:
    """`bob@example.test` as `***@example.test`."""
    return _ADDRESS.sub("***@", text) if "@" in text else text


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _hide_recipients(logger: Any, method: str, fields: EventDict) -> EventDict:
    for key, value in fields.items():
        kind = type(value)
        if kind is int or (kind is str and "@" not in value) or key in _OURS:
            continue
        fields[key] = _hidden(value)
    return fields


def _hidden(value: Any) -> Any:
    match value:
        case str():
            return without_local_parts(value)
        case dict():
            return {key: _hidden(one) for key, one in value.items()}
        case list() | tuple() | set():
            return [_hidden(one) for one in value]
        case int() | float() | None:
            return value
        case _:
            return without_local_parts(str(value))


def _json(logger: Any, method: str, fields: EventDict) -> bytes:
    try:
        line = orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, or too deep: said as text
        line = orjson.dumps({str(key): _plain(value) for key, value in fields.items()})
    if len(line) > _MOST_BYTES:
        line = orjson.dumps({key: _cut(value) for key, value in fields.items()})
    if not line.isascii() or b"\x7f" in line:  # orjson has escaped what is below a space
        line = _FORGING.sub(lambda match: f"\\u{ord(match[0]):04x}", line.decode()).encode()
    return line + b"\n"


def _plain(value: Any) -> str:
    return escaped(value if isinstance(value, str) else repr(value))


def _cut(value: Any) -> Any:
    text = value if isinstance(value, str) else str(value)
    return escaped(text[:1000]) + "…" if len(text) > 1000 else value


_pretty = structlog.dev.ConsoleRenderer(colors=True, pad_event_to=0)


def _console(logger: Any, method: str, fields: EventDict) -> bytes:
    safe = {key: escaped(value) if isinstance(value, str) else value for key, value in fields.items()}
    if isinstance(fields.get("exception"), str):
        safe["exception"] = "\n".join(escaped(line) for line in fields["exception"].splitlines())
    safe["timestamp"] = safe.pop("ts", "")
    line = _pretty(logger, method, safe)
    return (line + "\n").encode(errors="backslashreplace")


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
