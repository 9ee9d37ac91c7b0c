"""What the server says beside messages: header blocks, complaints, and the silence of a subject nobody serves."""

from mta.jetstream.errors import JetStreamUnavailable, NobodyThere, WithoutJetStream


def parse_headers(raw: bytes) -> dict[str, str]:
    """The header block of a stored message, `NATS/1.0` line included."""
    lines = raw.decode("utf-8", "replace").split("\r\n")[1:]
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def is_forbidden(subject: str, complaint: str) -> bool:
    """Whether the server complains of a publish to `subject`; it writes it in quotes, the library in lower case."""
    return "for publish to" in complaint and f'"{subject.lower()}"' in complaint


def nobody(subject: str) -> JetStreamUnavailable:
    """What it means that nobody serves a subject. The API is there as soon as JetStream is; but `DIRECT.GET` is
    served, as every other subject of ours, by the stream it is about."""
    if subject.startswith("$JS.API.") and not subject.startswith("$JS.API.DIRECT."):
        return WithoutJetStream("the NATS server has no JetStream: put `jetstream {}` into its configuration")
    return NobodyThere(f"{subject}: nobody answers there")
