"""What a refusal costs to classify: `python -m loadtest.classify [--json]`, in microseconds of CPU.

Replies as real servers write them, each time with another address, IP and session id (`fresh_us`), and with a
word besides that nobody has ever seen, so that their rule is looked for again (`new_us`). `strange_us`: each time
halves of two others of the shipped rules' examples, so that hardly a wording is like another. `again_us` is the same
reply once more, `hostile_us` the worst of long and senseless ones. Rules are built once (`build_ms`).
"""

import argparse
import json
import random
import time

from mta.classify.classifier import Classifier
from mta.classify.rules import RuleBook
from mta.config.load import shipped_rules
from mta.model.outcome import Stage
from mta.model.reply import Reply

_ROUNDS = 7
_END = Stage.END_OF_DATA
_REPLIES = (
    ("google", Stage.RCPT, 550, "5.1.1", "5.1.1 The email account that you tried to reach does not exist. Please try"
     "\n5.1.1 double-checking the recipient's email address for typos or\n5.1.1 unnecessary spaces. For more"
     " information, go to\n5.1.1  https://support.google.com/mail/?p=NoSuchUser a640c23a62f3a-si{n}ejc.12 - gsmtp"),
    ("microsoft", Stage.RCPT, 550, "5.5.0", "5.5.0 Requested action not taken: mailbox unavailable (S2017062302)."
     " [DB3EUR04FT{n}.eop-eur04.prod.protection.outlook.com]"),
    ("yahoo", Stage.MAIL, 421, "4.7.0", "4.7.0 [TSS04] Messages from {ip} temporarily deferred due to unexpected"
     " volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes"),
    ("other", Stage.RCPT, 550, "5.1.1", "5.1.1 <bob{n}@b.test>: Recipient address rejected: User unknown in virtual"
     " mailbox table"),
    ("other", Stage.RCPT, 554, "5.7.1", "5.7.1 Service unavailable; Client host [{ip}] blocked using"
     " zen.spamhaus.org; https://www.spamhaus.org/query/ip/{ip}"),
    ("other", Stage.RCPT, 450, "4.2.0", "4.2.0 <bob{n}@b.test>: Recipient address rejected: Greylisted, see"
     " http://postgrey.schweikert.ch/help/b.test.html"),
    ("other", Stage.RCPT, 552, "5.2.2", "5.2.2 <bob{n}@b.test>: user is over quota"),
    ("other", _END, 554, "5.7.1", "5.7.1 Message rejected as spam by Content Filtering, id={n}-abc"),
    ("barracuda", _END, 550, "", "permanent failure for one or more recipients (bob{n}@b.test:550 5.1.1 User unknown)"),
    ("other", Stage.RCPT, 550, "", "No such user here ({n})"),
)  # fmt: skip
_HOSTILE = (
    "a" * 2048,
    "ab1 " * 512,
    "@" * 2048,
    "1.2.3.4." * 256,
    "user " * 409,
    "(((((550 5.1.1 " * 136,
    "\x00\xff" * 1024,
)


def measure(count: int) -> dict[str, float]:
    """The best of some rounds: others use this machine as well."""
    begun = time.process_time()
    book = shipped_rules()
    classifier = Classifier(book)
    build_s = time.process_time() - begun
    rng = random.Random(1)
    fresh, new, strange, again = [], [], [], []
    for number in range(_ROUNDS):
        first = 2 * number * count
        asked = _asked(range(first, first + count), has_new_word=False)
        new.append(_each(classifier, _asked(range(first + count, first + 2 * count), has_new_word=True)))
        fresh.append(_each(classifier, asked))
        strange.append(_each(classifier, _strange(book, count, rng)))
        last = asked[-1000:]
        _each(classifier, last)
        again.append(_each(classifier, last * 5))
    hostile = max(_each(classifier, [(_END, Reply(550, (text,)), "other")]) for text in _HOSTILE)
    return {
        "fresh_us": min(fresh) * 1e6,
        "new_us": min(new) * 1e6,
        "strange_us": min(strange) * 1e6,
        "again_us": min(again) * 1e6,
        "hostile_us": hostile * 1e6,
        "build_ms": build_s * 1e3,
    }


def _asked(numbers: range, *, has_new_word: bool) -> list[tuple[Stage, Reply, str]]:
    return [
        (stage, Reply(code, _lines(text, number, has_new_word), enhanced), provider)
        for number in numbers
        for provider, stage, code, enhanced, text in _REPLIES
    ]


def _strange(book: RuleBook, count: int, rng: random.Random) -> list[tuple[Stage, Reply, str]]:
    examples = [example.split() for rule in book.shipped for example in rule.examples]
    made = []
    for _ in range(count):
        one, other = rng.sample(examples, 2)
        words = [*one[1 : len(one) // 2 + 1], *other[len(other) // 2 :]]
        made.append((Stage.RCPT, Reply(550, (" ".join(words),)), "other"))
    return made


def _lines(text: str, number: int, has_new_word: bool) -> tuple[str, ...]:
    ip = f"192.0.{number // 250 % 250}.{number % 250}"
    word = " z" + "".join(chr(ord("a") + int(digit)) for digit in str(number)) if has_new_word else ""
    return tuple(f"{text}{word}".replace("{n}", str(number)).replace("{ip}", ip).split("\n"))


def _each(classifier: Classifier, asked: list[tuple[Stage, Reply, str]]) -> float:
    """Seconds of CPU for one."""
    classify = classifier.classify
    begun = time.process_time()
    for stage, reply, provider in asked:
        classify(stage, reply, provider=provider)
    return (time.process_time() - begun) / len(asked)


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m loadtest.classify", description=__doc__)
    options.add_argument("--count", type=int, default=1000, help="of each kind of reply, a round")
    options.add_argument("--json", action="store_true", help="one JSON object")
    given = options.parse_args()
    found = measure(given.count)
    if given.json:
        print(json.dumps({name: round(value, 2) for name, value in found.items()}))
        return
    for name, value in found.items():
        print(f"{name:12} {value:9.2f}")


if __name__ == "__main__":
    main()
