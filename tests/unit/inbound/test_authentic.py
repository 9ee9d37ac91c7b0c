from typing import Any

from mta.dns.record import DnsTrouble
from mta.inbound.authentic import Authenticity, Authorship
from mta.inbound.signature import Signature

SIGNED = (
    b"DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=one; b=x\r\n"
    b"DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=two; b=x\r\nFrom: x@a.test\r\n\r\n"
)
TROUBLE = DnsTrouble("servfail", "s")
ONE, TWO = "one._domainkey.a.test", "two._domainkey.a.test"


async def judged(
    answers: dict[str, tuple[str, ...] | DnsTrouble], *, holds: bool = True, author: str = "a.test"
) -> tuple[Authorship, list[Any]]:
    """And the records that were verified by."""
    verified: list[Any] = []

    async def texts(name: str) -> tuple[str, ...] | DnsTrouble:
        return answers.get(name, ())

    async def verify(raw: bytes, signatures: tuple[Signature, ...], records: dict[str, str]) -> bool:
        verified.append(records)
        return holds

    return await Authenticity(texts, verify, 5.0).judge(SIGNED, author), verified


async def test_l06_a_key_and_a_signature_prove_it() -> None:
    assert await judged({ONE: ("v=DKIM1; p=x", "another")}) == (Authorship.PROVEN, [{ONE: "v=DKIM1; p=x"}])


async def test_l06_without_a_key_nothing_is_verified() -> None:
    assert await judged({}) == (Authorship.UNPROVEN, [])
    assert await judged({ONE: ("x",)}, author="b.test") == (Authorship.UNPROVEN, [])


async def test_l06_trouble_with_one_key_does_not_hide_another() -> None:
    """While nothing else proves it, it is not known."""
    assert (await judged({ONE: TROUBLE, TWO: ("x",)}))[0] is Authorship.PROVEN
    assert (await judged({ONE: TROUBLE, TWO: ("x",)}, holds=False))[0] is Authorship.UNKNOWN
    assert (await judged({ONE: TROUBLE}))[0] is Authorship.UNKNOWN
    assert (await judged({ONE: ("x",)}, holds=False))[0] is Authorship.UNPROVEN
