"""The rules for the parts of a payload: texts, people, headers, content, attachments, unsubscribe.

A broken one raises `Refusal`, which admission turns into a value.

What ends up in a header may hold no character that ends or hides a line (reliability: header injection by data);
what the MTA writes itself (F-01, DKIM, trace, MIME, list headers) a sender may not write.
"""

import binascii
import re
from collections.abc import Mapping, Sequence

from mta.intake.decode import MAX_ID, MAX_METADATA_BYTES, MAX_TAGS, Refusal, RejectCode
from mta.model.address import MAX_DOMAIN, BadAddress, canonical_domain, parse
from mta.model.payload import Attachment, Content, Payload, Recipient, Unsubscribe

MAX_HEADER_BYTES = 2_000
MAX_HEADER_NAME = 76
"""Name and colon fit on one line of the recommended 78 characters (F-03)."""
MAX_INLINE_BYTES = 512_000
MAX_FILE_NAME = 255
MAX_HEADER_TEXT = 8_000
"""Characters of a subject and of the name in From or Reply-To: what the composer takes."""
MARKETING = "marketing"

MAX_INTERNATIONAL = 5_000
"""Characters of all international domains of a payload, each counted once: IDNA takes up to 13 us for one. It is 400
domains of a usual length, where of a thousand recipients ten have one."""

_TOKEN = re.compile(r"[a-z0-9_-]{1,64}").fullmatch
# C0, DEL, C1, line and paragraph separator, and the bidi controls that make a name read as another (F-12).
_UNCLEAN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]").search
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]").search
# RFC 5322 section 3.6.8: ftext.
_FIELD_NAME = re.compile(rf"[!-9;-~]{{1,{MAX_HEADER_NAME}}}").fullmatch
_DENIED_HEADERS = frozenset(
    (
        *("from", "date", "message-id", "subject", "to", "reply-to", "sender", "cc", "in-reply-to"),
        *("references", "received", "return-path", "bcc", "mime-version", "feedback-id"),
        *("list-id", "auto-submitted"),  # by `unsubscribe.list_id`, and by lane (F-10)
        "authentication-results",  # those of others are not added
    )
)
# `dkim` without a hyphen: DKIM2-Signature belongs to the signer as well. Resent-*: F-11.
_DENIED_PREFIXES = ("dkim", "arc-", "content-", "list-unsubscribe", "cfbl-", "resent-")

_TEMPLATE_KEY = re.compile(r"[A-Za-z0-9_=-]{1,64}").fullmatch
_MEDIA_TYPE = re.compile(
    r"(application|audio|font|image|model|text|video)/([a-z0-9!#$&^_.+-]{1,127})"
).fullmatch
# What mail filters refuse from anybody and no wanted mail carries: programs and scripts, by type and by name.
_DENIED_TYPES = frozenset(
    (
        *("application/x-msdownload", "application/x-msdos-program", "application/x-dosexec"),
        *("application/vnd.microsoft.portable-executable", "application/x-executable", "application/hta"),
        *("application/x-sh", "application/x-csh", "application/x-bat", "application/x-ms-installer"),
        *("application/javascript", "application/x-javascript", "text/javascript", "text/vbscript"),
        *("application/x-ms-shortcut", "application/java-archive", "application/x-java-archive"),
        *("application/x-msi", "application/vnd.android.package-archive", "application/x-sharedlib"),
    )
)
_DENIED_ENDINGS = (
    *(".ade", ".adp", ".apk", ".app", ".bat", ".chm", ".cmd", ".com", ".cpl", ".dll", ".exe", ".hta"),
    *(".ins", ".iso", ".isp", ".jar", ".js", ".jse", ".lib", ".lnk", ".mde", ".msc", ".msi", ".msp"),
    *(".mst", ".pif", ".ps1", ".scr", ".sct", ".shb", ".sys", ".vb", ".vbe", ".vbs", ".vhd", ".vxd"),
    *(".wsc", ".wsf", ".wsh"),
)
_OBJECT = re.compile(r"obj://[A-Za-z0-9][A-Za-z0-9_./=-]{0,255}").fullmatch
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~@.-]{1,128}").fullmatch


def is_clean_text(text: str) -> bool:
    return (text.isascii() and text.isprintable()) or _UNCLEAN(text) is None


def has_instruction(text: str) -> bool:
    return "{" in text and any(mark in text for mark in ("{{", "{%", "{#"))


def check_token(name: str, value: str) -> None:
    if _TOKEN(value) is None:
        raise Refusal(RejectCode.SCHEMA, f"`{name}` is not 1 to 64 characters of a-z, 0-9, _ and -")


def check_address_name(field: str, name: str) -> None:
    if len(name) > MAX_HEADER_TEXT:
        raise Refusal(RejectCode.BAD_HEADER, f"the name in `{field}` is too long")
    if not is_clean_text(name):
        raise Refusal(RejectCode.BAD_HEADER, f"the name in `{field}` holds a control character")


def check_tags(tags: Sequence[str]) -> None:
    if len(tags) > MAX_TAGS:
        raise Refusal(RejectCode.SCHEMA, f"there are more than {MAX_TAGS} tags")
    if sum(len(tag.encode()) for tag in tags) > MAX_METADATA_BYTES:
        raise Refusal(RejectCode.TOO_LARGE, f"the tags are longer than {MAX_METADATA_BYTES} bytes")


def check_person(recipient: Recipient, tags: tuple[str, ...], metadata: int) -> None:
    """`tags` and (the size of) `metadata` are those of the payload: an event echoes both, and holds no more than the
    limit."""
    if len(recipient.id) > MAX_ID or len(recipient.name) > MAX_ID:
        raise Refusal(RejectCode.SCHEMA, f"`id` or `name` is longer than {MAX_ID} characters")
    if recipient.name and not is_clean_text(recipient.name):
        raise Refusal(RejectCode.BAD_HEADER, "`name` holds a control character")
    if recipient.tags:
        check_tags(tags + recipient.tags)
    if recipient.metadata is not None and metadata + len(recipient.metadata) > MAX_METADATA_BYTES:
        detail = f"with that of the payload, `metadata` is larger than {MAX_METADATA_BYTES} bytes"
        raise Refusal(RejectCode.TOO_LARGE, detail)


class International:
    """The international domains of a payload, as far as they were named."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._characters = 0

    def note(self, email: str) -> None:
        domain = email.rpartition("@")[2][: 4 * MAX_DOMAIN]
        if domain not in self._seen:
            if self._characters + len(domain) > MAX_INTERNATIONAL:
                detail = f"a payload may have {MAX_INTERNATIONAL} characters of international domains"
                raise Refusal(RejectCode.TOO_LARGE, detail)
            self._seen.add(domain)
            self._characters += len(domain)


def check_headers(headers: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for name, value in headers.items():
        if _FIELD_NAME(name) is None:
            raise Refusal(RejectCode.BAD_HEADER, "the name of a header is no field name of RFC 5322")
        folded = name.lower()
        if folded in _DENIED_HEADERS or folded.startswith(_DENIED_PREFIXES):
            raise Refusal(RejectCode.BAD_HEADER, f"the header `{name}` is not for senders to write")
        if folded in seen:
            raise Refusal(RejectCode.BAD_HEADER, f"the header `{name}` stands there twice")
        seen.add(folded)
        if len(value.encode("utf-8", "surrogatepass")) > MAX_HEADER_BYTES:
            raise Refusal(RejectCode.BAD_HEADER, f"`{name}` is longer than {MAX_HEADER_BYTES} bytes")
        if not is_clean_text(value):
            raise Refusal(RejectCode.BAD_HEADER, f"`{name}` holds a control character")


def check_content(content: Content) -> None:
    """Exactly one kind of content, and nothing beside it that would go unheard."""
    parts = (content.subject, content.text, content.html, content.amp)
    has_body = content.text is not None or content.html is not None
    kinds = (content.template is not None) + has_body + (content.rfc822 is not None)
    if kinds != 1:
        raise Refusal(RejectCode.SCHEMA, "`content` needs one of `template`, `text`/`html` and `rfc822`")
    if not has_body and any(part is not None for part in parts):
        raise Refusal(RejectCode.SCHEMA, "`subject` and `amp` go with `text` or `html` only")
    if content.template is not None:
        if content.engine != "jinja":
            raise Refusal(RejectCode.SCHEMA, "`engine` does not go with `template`, which has its own")
        reference = content.template
        if _TEMPLATE_KEY(reference.name) is None or _TEMPLATE_KEY(reference.version) is None:
            raise Refusal(
                RejectCode.SCHEMA, "`template` needs a name and a version of A-Z, a-z, 0-9, _ and -"
            )
    check_texts(content)
    if content.rfc822 is not None:
        _check_base64("content.rfc822", content.rfc822)


def check_texts(content: Content) -> None:
    """What no data makes fit to send. A template may be laid out over several lines, a subject may not."""
    subject = content.subject or ""
    is_template = content.engine == "jinja" and has_instruction(subject)
    if len(subject) > MAX_HEADER_TEXT or (not is_template and _CONTROL(subject.strip())):
        raise Refusal(RejectCode.BAD_HEADER, "`subject` is too long, or holds a control character")
    if any("\0" in text for text in (content.text, content.html, content.amp) if text):
        raise Refusal(RejectCode.SCHEMA, "`content` holds the character U+0000")


def check_given(payload: Payload) -> None:
    """A message its sender has built holds these itself, or not at all."""
    for name in ("attachments", "reply_to"):
        if payload.content.rfc822 is not None and getattr(payload, name):
            raise Refusal(RejectCode.SCHEMA, f"`{name}` does not go with `content.rfc822`")


def check_attachments(attachments: Sequence[Attachment]) -> None:
    for attachment in attachments:
        _check_file_name(attachment.name)
        _check_media_type(attachment)
        if (attachment.data is None) == (attachment.ref is None):
            raise Refusal(RejectCode.SCHEMA, "an attachment needs one of `data` and `ref`")
        if attachment.inline != (attachment.cid is not None):
            raise Refusal(RejectCode.SCHEMA, "an attachment has both `inline` and `cid`, or none of them")
        if attachment.cid is not None and _CONTENT_ID(attachment.cid) is None:
            raise Refusal(RejectCode.SCHEMA, "the `cid` of an attachment is no content id")
        if attachment.ref is not None and _OBJECT(attachment.ref) is None:
            raise Refusal(RejectCode.SCHEMA, "the `ref` of an attachment is not obj://<name>")
    if sum(len(a.data) for a in attachments if a.data is not None) > MAX_INLINE_BYTES:
        detail = f"inline attachments have more than {MAX_INLINE_BYTES} bytes: put them in the object store"
        raise Refusal(RejectCode.TOO_LARGE, detail)
    for attachment in attachments:
        if attachment.data is not None:
            _check_base64("the `data` of an attachment", attachment.data)


def _check_file_name(name: str) -> None:
    if not 0 < len(name) <= MAX_FILE_NAME or "/" in name or "\\" in name:
        raise Refusal(RejectCode.SCHEMA, "the `name` of an attachment is no file name")
    if not is_clean_text(name):
        raise Refusal(RejectCode.BAD_HEADER, "the `name` of an attachment holds a control character")
    if name.lower().rstrip(". ").endswith(_DENIED_ENDINGS):
        raise Refusal(RejectCode.ATTACHMENT_TYPE, "files with this ending are not sent")


def _check_media_type(attachment: Attachment) -> None:
    """No parameters: name and charset are written by the MTA. multipart/ and message/ would bring a structure of
    their own."""
    kind = attachment.type.lower()
    if _MEDIA_TYPE(kind) is None or kind in _DENIED_TYPES:
        raise Refusal(RejectCode.ATTACHMENT_TYPE, "an attachment of this `type` is not sent")


def check_unsubscribe(unsubscribe: Unsubscribe | None, stream: str, *, takes_mail: bool) -> None:
    """L-01: marketing needs a way out that the MTA can write into the headers. With `takes_mail` it has one of its
    own."""
    if unsubscribe is not None and unsubscribe.mailto is not None:
        try:
            parse(unsubscribe.mailto)
        except BadAddress as error:
            raise Refusal(RejectCode(error.code), f"`unsubscribe.mailto`: {error}") from error
    if unsubscribe is not None and unsubscribe.list_id is not None:
        try:
            canonical_domain(unsubscribe.list_id)
        except BadAddress as error:
            raise Refusal(RejectCode.SCHEMA, "`unsubscribe.list_id` has not the form of a domain") from error
    has_way_out = unsubscribe is not None and (unsubscribe.one_click or unsubscribe.mailto is not None)
    if stream == MARKETING and not has_way_out and not takes_mail:
        detail = "marketing needs `unsubscribe` with `one_click` or `mailto`"
        raise Refusal(RejectCode.UNSUBSCRIBE_REQUIRED, detail)


def _check_base64(what: str, text: str) -> None:
    try:
        binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except ValueError as error:
        raise Refusal(RejectCode.SCHEMA, f"{what} is no valid base64") from error
