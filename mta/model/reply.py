"""What a peer said: one complete SMTP reply (RFC 5321 section 4.2, RFC 2034)."""

from msgspec import Struct


class Reply(Struct, frozen=True, gc=False):
    """A well-formed reply. `code` is 200-599; `lines` hold the text after the code, undecoded bytes
    mapped to latin-1 so that nothing is lost; `enhanced` is "" or "c.s.d" as found right after the code
    of the first line (S-18: the basic code decides, the enhanced one informs)."""

    code: int
    lines: tuple[str, ...] = ()
    enhanced: str = ""

    @property
    def is_positive(self) -> bool:
        return 200 <= self.code < 300

    @property
    def is_transient(self) -> bool:
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        return 500 <= self.code < 600

    @property
    def text(self) -> str:
        """All lines joined by newlines, as said (the enhanced code is still in it)."""
        return "\n".join(self.lines)
