"""Templates: compiled once, rendered for each recipient, and never trusted.

Invariants: a template sees JSON values and nothing else; recipient data is never compiled; rendered text
has CRLF wherever the template had a line end (what comes from data is made canonical in
`mta.compose.mime`); output is counted while it is written. A failure is a `TemplateFailed` that names
field, line and variable and carries no value of another recipient. Endless loops and growing memory are
left to the limits of the worker process: compile and render templates in a worker only.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from types import TracebackType
from typing import Any, Literal

from jinja2 import Template, meta, nodes
from jinja2.exceptions import TemplateError, TemplateSyntaxError
from jinja2.runtime import Context
from markupsafe import escape

from mta.compose.cache import LruCache
from mta.compose.sandbox import OwnBlocks, Sandbox
from mta.compose.substitution import Substitution, Text, is_tidy, substitution

RESERVED = frozenset({"recipient", "payload", "unsubscribe_url"})
"""Names the MTA gives; data cannot overlay them."""
MAX_BLOCKS = 500
"""Blocks and macros of one template: each is a function, and 20,000 of them compile for 6 seconds."""

_MARKUP_FIELDS = frozenset({"html", "amp"})
_REPEATING = (nodes.For, nodes.Macro, nodes.CallBlock, nodes.Block)
_LOADING = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
_INSTRUCTION = re.compile(r"\{[{%#]")
_SPECIAL = re.compile("[&<>'\"]").search
_LINE_END = re.compile(r"\r\n|\r|\n")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


class TemplateFailed(Exception):
    """`code` is `template`, `memory` or `too_large`; the text is fit for an event."""

    def __init__(self, detail: str, code: str = "template") -> None:
        super().__init__(detail)
        self.code = code


class Constant:
    """A template without any instruction, or any text of the engine `static`."""

    def __init__(self, source: str) -> None:
        self.text = _LINE_END.sub("\r\n", source)
        self._written = (self.text, is_tidy(self.text))

    def render(self, variables: Mapping[str, Any], limit: int) -> str:
        return self.text

    def write(self, variables: Mapping[str, Any], limit: int) -> Text:
        return self._written


class Dynamic:
    """`is_straight` where no part can be written twice: then output is bounded by what is written once.
    `plain` does the same as `template`, if it can."""

    def __init__(
        self, template: Template, field: str, *, is_straight: bool, plain: Substitution | None = None
    ) -> None:
        self._template = template
        self._environment = template.environment
        self._root = template.root_render_func
        self._field = field
        self._is_straight = is_straight
        self._plain = plain
        for name, ours in (("escape", _escape), ("TemplateReference", OwnBlocks)):
            if name in self._root.__globals__:
                self._root.__globals__[name] = ours

    def render(self, variables: Mapping[str, Any], limit: int) -> str:
        return self.write(variables, limit)[0]

    def write(self, variables: Mapping[str, Any], limit: int) -> Text:
        """`variables` must hold the environment's globals too: a context of our own spares the copy that
        `Template.render` makes of all of them (10 microseconds of 21)."""
        parts: list[str] = []
        size = 0
        try:
            if self._plain is not None:
                written = self._plain.fill(variables)
                if written is not None:
                    self._check_size(len(written[0]), limit)
                    return written
            context = Context(self._environment, variables, None, self._template.blocks)  # type: ignore[arg-type]
            if self._is_straight:
                text = "".join(self._root(context))
                self._check_size(len(text), limit)
                return text, False
            for part in self._root(context):
                size += len(part)
                self._check_size(size, limit)
                parts.append(part)
        except TemplateFailed:
            raise
        except MemoryError:
            parts.clear()
            raise TemplateFailed(f"{self._field}: out of memory", "memory") from None
        except Exception as error:  # a template can raise whatever Python can
            raise TemplateFailed(self._describe(error)) from None
        return "".join(parts), False

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            raise TemplateFailed(f"{self._field}: more than {limit} characters", "too_large")

    def _describe(self, error: Exception) -> str:
        line = _template_line(error.__traceback__, self._template)
        return _describe(self._field, line, error)


Compiled = Constant | Dynamic


class Engine:
    """The four sandboxes and what they have compiled. One per worker process.

    The cache is keyed by tenant as well as by content (E12), and bounded by count and by source bytes
    (E11)."""

    def __init__(self, max_template_bytes: int, entries: int = 2048, weight: int = 16_000_000) -> None:
        self._max_bytes = max_template_bytes
        self._sandboxes: dict[tuple[bool, str], Sandbox] = {}
        self._cache: LruCache[tuple[str, str, str, bytes], Compiled] = LruCache(entries, weight)

    @property
    def cached(self) -> int:
        return len(self._cache)

    def globals(self, undefined: str) -> dict[str, Any]:
        return dict(self._sandbox(is_markup=False, undefined=undefined).globals)

    def _sandbox(self, *, is_markup: bool, undefined: str) -> Sandbox:
        found = self._sandboxes.get((is_markup, undefined))
        if found is None:
            found = Sandbox(is_markup=is_markup, undefined_is_error=undefined != "empty")
            self._sandboxes[(is_markup, undefined)] = found
        return found

    def compile(
        self,
        tenant: str,
        field: str,
        source: str,
        engine: Literal["jinja", "static"] = "jinja",
        undefined: Literal["error", "empty"] = "error",
    ) -> Compiled:
        """`field` is `subject`, `html`, `headers.X-Ref` …: html and amp are escaped, all else is not. Only what
        Jinja compiles is bounded here: the rest is text, and as long as a message may be."""
        if engine == "static" or not _INSTRUCTION.search(source):
            return Constant(source)
        raw = source.encode("utf-8", "surrogatepass")
        if len(raw) > self._max_bytes:
            raise TemplateFailed(f"{field}: more than {self._max_bytes} bytes")
        key = (tenant, field, undefined, blake2b(raw, digest_size=16).digest())
        compiled = self._cache.get(key)
        if compiled is None:
            is_markup = field in _MARKUP_FIELDS
            sandbox = self._sandbox(is_markup=is_markup, undefined=undefined)
            parsed = _parse(sandbox, field, source)
            is_straight = not any(parsed.find(repeating) for repeating in _REPEATING)
            plain = substitution(parsed, is_markup=is_markup)
            template = _compile(sandbox, field, parsed)
            compiled = Dynamic(template, field, is_straight=is_straight, plain=plain)
            self._cache.put(key, compiled, 500 + 8 * len(raw))
        return compiled

    def undeclared(self, source: str) -> set[str]:
        """The variables a template wants from data. TemplateFailed if it does not compile."""
        sandbox = self._sandbox(is_markup=False, undefined="error")
        parsed = _parse(sandbox, "template", source)
        return meta.find_undeclared_variables(parsed) - RESERVED - sandbox.globals.keys()


def check_template(
    fields: Mapping[str, str],
    max_template_bytes: int,
    engine: Literal["jinja", "static"] = "jinja",
    undefined: Literal["error", "empty"] = "error",
) -> list[str]:
    """What keeps these sources from being rendered, a line for each, in the order of the fields."""
    compiler = Engine(max_template_bytes)
    problems = []
    for field, source in fields.items():
        try:
            compiler.compile("", field, source, engine, undefined)
        except TemplateFailed as failure:
            problems.append(str(failure))
    return problems


def undeclared(source: str) -> set[str]:
    return Engine(len(source) * 4).undeclared(source)


def _parse(sandbox: Sandbox, field: str, source: str) -> nodes.Template:
    try:
        parsed = sandbox.parse(source)
        for loading in parsed.find_all(_LOADING):
            what = type(loading).__name__.lower()
            raise TemplateFailed(f"{field}, line {loading.lineno}: {what} is not available")
        functions = sum(1 for _ in parsed.find_all((nodes.Block, nodes.Macro, nodes.CallBlock)))
    except TemplateFailed:
        raise
    except Exception as error:
        raise _uncompilable(field, error) from None
    if functions > MAX_BLOCKS:
        raise TemplateFailed(f"{field}: more than {MAX_BLOCKS} blocks and macros")
    return parsed


def _escape(value: Any) -> str:
    """As markupsafe's, which makes a `Markup` of everything: a quarter of the time of rendering."""
    if type(value) is str and not _SPECIAL(value):
        return value
    return escape(value)


def _compile(sandbox: Sandbox, field: str, parsed: nodes.Template) -> Template:
    try:
        code = sandbox.compile(parsed, None, f"<{field}>")
        return Template.from_code(sandbox, code, sandbox.make_globals(None))
    except Exception as error:
        raise _uncompilable(field, error) from None


def _uncompilable(field: str, error: Exception) -> TemplateFailed:
    """Besides its own errors Jinja lets through Python's: of its compiler (too many nested blocks), of
    integers too long to read, of the stack, of memory."""
    if isinstance(error, MemoryError):
        return TemplateFailed(f"{field}: out of memory while compiling", "memory")
    line = error.lineno if isinstance(error, TemplateSyntaxError) else 0
    return TemplateFailed(_describe(field, line, error))


def _template_line(traceback: TracebackType | None, template: Template) -> int:
    """The innermost line of this template in the traceback; 0 if there is none."""
    line = 0
    while traceback is not None:
        if traceback.tb_frame.f_globals.get("__jinja_template__") is template:
            line = template.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line


def _describe(field: str, line: int | None, error: BaseException) -> str:
    where = f"{field}, line {line}" if line else field
    if isinstance(error, RecursionError):
        return f"{where}: nested too deeply"
    said = str(getattr(error, "message", None) or error)
    text = _UNPRINTABLE.sub(" ", said)[:200] or type(error).__name__
    if not isinstance(error, TemplateError):
        text = f"{type(error).__name__}: {text}"
    return f"{where}: {text}"
