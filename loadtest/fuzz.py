"""`python -m loadtest.fuzz reports --seconds 60`: breaks mails of the test corpus at random and reads what comes of it.

Prints how many were read, the slowest, and each kind of exception with a mail that raises it, which is kept as a file.
Exit code 0 only if nothing was raised and nothing took a second of processor time. `--seed` repeats a run.
"""

import argparse
import random
import sys
import time
import traceback
from pathlib import Path

from mta.classify.report import read_report

CORPUS = Path(__file__).parents[1] / "tests" / "data" / "reports"
MOST_SECONDS = 1.0
_SPLICES = (
    *(
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\n ",
        b"--b\n",
        b"--",
        b"@",
        b"<",
        b">",
        b"<a@b.test>",
        b":",
        b";",
        b",",
        b"(",
        b'"',
        b"\\",
    ),
    *(
        b"550 5.1.1 ",
        b"=?utf-8?b?",
        b"=?utf-8?q?",
        b"?=",
        b"&#",
        b"=\n",
        b"=3D",
        b"\0",
        b"\xff\xfe",
        b"\xcc\x81",
    ),
    *(
        b"Content-Type: multipart/report; boundary=b\n",
        b"Content-Type: message/rfc822\n\n",
        b"Final-Recipient: rfc822; ",
    ),
    *(
        b"Content-Transfer-Encoding: base64\n",
        b"Content-Type: text/html\n",
        b"Status: 5.",
        b"Feedback-Type: abuse\n",
    ),
)
_MOST_BYTES = 1 << 20


def broken(content: bytes, corpus: list[bytes], rng: random.Random) -> bytes:
    """One to twenty changes: cut, doubled, spliced, exchanged with another mail, or a piece a great many times."""
    for _ in range(rng.randint(1, 20)):
        at, length = rng.randrange(len(content) + 1), rng.randrange(1, 200)
        match rng.randrange(6):
            case 0:
                content = content[:at] + content[at + length :]
            case 1:
                content = content[:at] + content[at : at + length] + content[at:]
            case 2:
                content = content[:at] + rng.choice(_SPLICES) + content[at:]
            case 3:
                content = content[:at] + rng.randbytes(rng.randrange(8)) + content[at:]
            case 4:
                other = rng.choice(corpus)
                content = content[:at] + other[rng.randrange(len(other) + 1) :]
            case _:
                if rng.random() < 0.1:
                    piece = rng.choice((content[at : at + length], rng.choice(_SPLICES)))
                    content = content[:at] + piece * rng.randrange(1, 20_000) + content[at:]
        content = content[:_MOST_BYTES]
    return content


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m loadtest.fuzz", description=__doc__)
    parser.add_argument("what", choices=("reports",))
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0, help="0 is another one each time")
    parser.add_argument(
        "--keep", type=Path, default=Path(), help="directory for mails that raise or are slow"
    )
    options = parser.parse_args(arguments)
    seed = options.seed or random.SystemRandom().randrange(1, 1 << 32)
    rng = random.Random(seed)
    corpus = [path.read_bytes() for path in sorted(CORPUS.glob("*.eml"))]
    count, slowest, raised = 0, 0.0, dict[str, str]()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end:
        content = broken(rng.choice(corpus), corpus, rng)
        begun = time.process_time()
        try:
            read_report(content)
        except Exception:  # the very thing that is looked for, and told
            told = traceback.format_exc()
            if told not in raised:
                raised[told] = _kept(options.keep, f"raised-{len(raised)}", content)
        took = time.process_time() - begun
        if took > slowest:
            slowest = took
            if took > MOST_SECONDS:
                _kept(options.keep, "slowest", content)
        count += 1
    print(f"{count} mails read, seed {seed}; the slowest took {slowest * 1000:.1f} ms; {len(raised)} raised")
    for told, file in raised.items():
        print(f"{file}:\n{told}")
    return 1 if raised or slowest > MOST_SECONDS else 0


def _kept(directory: Path, name: str, content: bytes) -> str:
    file = directory / f"{name}.eml"
    file.write_bytes(content)
    return str(file)


if __name__ == "__main__":
    sys.exit(main())
