"""Who wrote a mail: a mail system, a person, or who knows. Words are believed by this.

For a system speak the empty return path, a role as its author, the subject of a notice, X-Failed-Recipients and the
type multipart/report; for a person or a list a subject that answers or forwards, list headers, and a mail program.
"""

import re

from msgspec import Struct

from mta.classify.autoreply import is_answer_subject, is_of_list, is_summary, says_so
from mta.classify.mail import Part, own_parts, words
from mta.classify.passage import Passage
from mta.classify.quote import STATUS, quoted
from mta.classify.spot import first_address
from mta.classify.vocabulary import (
    DELAYED,
    FAILED,
    OTHER_SUBJECTS,
    PROGRAMS,
    ROLE_NAMES,
    ROLE_WORDS,
    ROLES,
    SUBJECTS,
    fold,
    has,
)
from mta.classify.vocabulary_auto import CHALLENGE, PHRASES
from mta.classify.vocabulary_auto import SUBJECTS as ANSWERS
from mta.classify.vocabulary_notice import DIGESTS, LURES, MONITORS

_WORD = re.compile(r"[a-z]+")
_NULL = ("<>", "< >")
_SYSTEM = 2
"""Points that make an author a mail system."""


class Author(Struct, frozen=True):
    """`points` weigh what speaks for a mail system; `is_technical`: it has what hardly a person's mail has;
    `is_null`: its return path is empty."""

    address: str
    domain: str
    points: int
    is_role: bool
    has_subject: bool
    is_technical: bool
    is_person: bool
    is_null: bool

    @property
    def is_system(self) -> bool:
        return self.points >= _SYSTEM and not self.is_person

    def reports_failure(
        self, root: Part, passage: Passage, *, named: int, is_returned: bool, is_addressed: bool = False
    ) -> bool:
        """Whether this is a notice of failure in words. `named`: how many addresses stand where that of a recipient
        does; `is_addressed`: one stands in angle brackets, wherever; `is_returned`: a message comes with it. Who is no
        role has to show more than words."""
        if not self.is_system:
            return False
        told = passage.told
        text = "\n".join(passage.lines[:200])
        is_quoted = bool(quoted(text).code or STATUS.search(text))
        is_listed = bool(root.header("x-failed-recipients"))
        says = has(told, FAILED) or has(told, DELAYED)
        is_built = is_listed or is_returned or root.kind == "multipart/report"
        if not is_built and self._seems_only(root, told, is_quoted=is_quoted, named=named):
            return False
        evidence = 3 * says + 2 * is_returned + 2 * is_quoted + 4 * is_listed + 2 * self.has_subject
        if self.is_role:
            return evidence + bool(named) >= 3 or (is_addressed and self._is_notice(root, told))
        if has(told, CHALLENGE) or not (self.is_technical or is_listed):
            return False
        if (named or is_returned) and evidence + 2 * bool(named) >= 5:
            return True
        return is_addressed and self._is_notice(root, told)

    def _seems_only(self, root: Part, told: str, *, is_quoted: bool, named: int) -> bool:
        """What is built like no notice, and is a lure in the dress of one, a monitor's alert, or a list of what failed
        in the mail of others."""
        if not is_quoted and has(told, LURES):
            return True
        local = self.address.rpartition("@")[0].lower()
        if not self.is_role and (
            local in MONITORS or (not self.is_null and _submitted(root, "auto-generated"))
        ):
            return True
        has_path = any(value.strip() not in ("", *_NULL) for value in root.all("return-path"))
        return named > 1 and has_path and not self.has_subject

    def _is_notice(self, root: Part, told: str) -> bool:
        """By its build alone, in words that nobody here can read."""
        subject = fold(words(root.header("subject")))
        if has(subject, ANSWERS) or has(told, PHRASES) or has(told, CHALLENGE) or is_summary(root):
            return False
        if self.is_role:
            return self.is_null or self.has_subject or _submitted(root, "auto-replied")
        return self.is_null and self.has_subject


def author_of(root: Part) -> Author:
    sender = root.header("from")
    address = first_address(sender)
    subject = fold(words(root.header("subject")))
    is_role = _is_role(sender)
    is_answer = is_answer_subject(subject)
    is_digest = has(subject, DIGESTS)
    has_subject = (
        has(subject, SUBJECTS) and not is_answer and not is_digest and not subject.startswith(ANSWERS)
    )
    returned = [
        part.parts[0] for part in own_parts(root) if part is not root and part.is_message and part.parts
    ]
    is_forward = any(
        one.kind == "multipart/report"
        or _is_role(one.header("from"))
        or one.header("subject") == root.header("subject") != ""
        for one in returned
    )
    is_null = any(value.strip() in _NULL for value in root.all("return-path"))
    could_be = not ROLE_WORDS.isdisjoint(_WORD.findall(fold(address.rpartition("@")[0])))
    is_report = root.kind == "multipart/report"
    points = 3 * is_role + could_be + 2 * is_null + 2 * has_subject + 2 * is_report
    points += 3 * bool(root.header("x-failed-recipients")) + says_so(root) + bool(returned)
    points -= 4 * ((is_digest or has(subject, OTHER_SUBJECTS)) and not has_subject)
    if not is_role:
        points -= 3 * is_of_list(root) + 3 * is_answer + 4 * is_forward
        points -= 4 * (has(subject, ANSWERS) and not has_subject)
        points -= 2 * has(fold(root.header("user-agent") + root.header("x-mailer")), PROGRAMS)
    is_technical = is_null or could_be or is_report or says_so(root) or bool(returned)
    is_reply = is_answer and (not is_role or (bool(root.header("in-reply-to")) and not is_technical))
    is_person = is_reply or (not is_role and is_of_list(root)) or points < 0
    domain = address.rpartition("@")[2].lower()
    return Author(address, domain, points, is_role, has_subject, is_technical, is_person, is_null)


def _submitted(root: Part, kind: str) -> bool:
    return root.header("auto-submitted").strip().lower().startswith(kind)


def _is_role(sender: str) -> bool:
    """By the value of From: its local part, its name, or an empty address."""
    local = fold(first_address(sender).rpartition("@")[0] or sender[:100])
    return has(local, ROLES) or has(fold(words(sender)[:300]), ROLE_NAMES) or sender.strip().endswith(_NULL)
