"""What one message costs in the compose stage: `python -m loadtest.compose [--json]`.

A message of html and text with ten variables, chunk by chunk in this process (no pool), by CPU time;
then the way to and from the pool, as CPU of this process. The RSA signature is measured beside it and taken
off, since machines differ by it most.
"""

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import time
from collections.abc import Callable

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mta.compose.job import Job
from mta.compose.settings import ComposeSettings, DkimKey, SigningKeys
from mta.compose.spec import (
    Addressee,
    Composed,
    Group,
    MessageSpec,
    Result,
    decode_results,
    encode_chunk,
    encode_spec,
)
from mta.compose.workers import Composer
from mta.model.ids import payload_key
from mta.model.lane import Lane
from mta.model.token import TokenKey

CHUNK = ComposeSettings().chunk
VARIABLES = tuple(f"value_{number}" for number in range(10))


def rsa_pem(bits: int = 2048) -> bytes:
    key = rsa.generate_private_key(65537, bits)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def signing_keys(pem: bytes) -> SigningKeys:
    return SigningKeys(
        dkim={("acme", "acme.test"): (DkimKey("acme.test", "s2026", pem),)},
        tokens=(TokenKey("k2", b"not a secret at all, only a test"),),
    )


def spec_of(size: int, *, advertise: bool = False) -> MessageSpec:
    """`size` is about that of the message on the wire, of which 2 kB are header fields."""
    lorem = "Lorem ipsum dolor sit amet, consetetur sadipscing elitr, sed diam nonumy eirmod tempor\n"
    share = max(0, size - 2700) // len(VARIABLES)
    words = (lorem * (share // len(lorem) + 1))[:share].rstrip()
    cut = len(words) // 4
    html = "".join(f"<p>\n  {words[cut:]} {{{{ {name} }}}}\n</p>\n" for name in VARIABLES)
    plain = "".join(f"{words[:cut]} {{{{ {name} }}}}\n" for name in VARIABLES)
    return MessageSpec(
        tenant="acme",
        payload_id="p1",
        payload_key=payload_key("acme", "p1"),
        accepted_at=1_800_000_000.0,
        date_at=1_800_000_000.0,
        lane=Lane.BULK,
        campaign="spring",
        stream="marketing",
        from_email="news@acme.test",
        from_domain="acme.test",
        from_name="Acme",
        subject="Hello {{ value_1 }}, news from {{ value_2 }}",
        text=plain,
        html=f"<html><body>\n{html}</body></html>\n",
        one_click=True,
        unsubscribe_mailto="" if advertise else "unsubscribe@acme.test",
        own_unsubscribe=advertise,
        advertise=advertise,
        list_id="spring.acme.test",
        public_url="https://mail.acme.test",
        return_path="b.acme.test",
        template_label="spring/7",
    )


def group_of(spec: MessageSpec, count: int, first: int = 0) -> Group:
    people = tuple(
        Addressee(
            index=index,
            key=f"n{index}",
            email=f"person{index}@example.test",
            name=f"Person {index}",
            recipient_id=f"c{index}",
            data=json.dumps({name: f"{name} of {index}" for name in VARIABLES}).encode(),
        )
        for index in range(first, first + count)
    )
    return Group(encode_spec(spec), people)


def cpu_us(
    works: dict[str, tuple[Callable[[], object], int]], rounds: int = 40, seconds: float = 0.02
) -> dict[str, float]:
    """Microseconds a message (work, messages it stands for). In turn, and the best of the rounds: what is left is
    the work, not the neighbours on the machine nor the changing speed of its clock."""
    best = dict.fromkeys(works, float("inf"))
    for _ in range(rounds):
        for name, (work, messages) in works.items():
            times = 0
            before = now = time.process_time()
            while now - before < seconds:
                work()
                times += 1
                now = time.process_time()
            best[name] = min(best[name], (now - before) / times / messages * 1e6)
    return best


def in_this_process(spec: MessageSpec, pem: bytes) -> dict[str, float]:
    keys = signing_keys(pem)
    settings = ComposeSettings()
    group = group_of(spec, CHUNK)
    blob = encode_chunk([group], time.time())
    job = Job(settings, keys)
    composed = job.compose(blob)
    results = [result for result in decode_results(composed) if isinstance(result, Composed)]
    assert len(results) == CHUNK
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    scheme, digest, covered = padding.PKCS1v15(), hashes.SHA256(), b"x" * 1500
    best = cpu_us(
        {
            "compose_us": (lambda: job.compose(blob), CHUNK),
            "rsa_sign_us": (lambda: key.sign(covered, scheme, digest), 1),
            "encode_chunk_us": (lambda: encode_chunk([group], 0.0), CHUNK),
            "decode_results_us": (lambda: decode_results(composed), CHUNK),
        }
    )
    best["all_but_rsa_us"] = best["compose_us"] - best["rsa_sign_us"]
    best["wire_bytes"] = sum(len(result.envelope.message.wire) for result in results) / CHUNK
    return best


async def through_the_pool(spec: MessageSpec, pem: bytes, messages: int) -> dict[str, float]:
    composer = Composer(ComposeSettings(), signing_keys(pem))
    await composer.start()
    chunk = ComposeSettings().chunk
    groups = [group_of(spec, chunk, first) for first in range(0, messages, chunk)]
    done = asyncio.get_running_loop().create_future()
    waiting = iter(groups)
    counted = 0

    def more(results: list[Result]) -> None:
        nonlocal counted
        counted += len(results)
        assert all(isinstance(result, Composed) for result in results)
        feed()
        if counted == len(groups) * chunk:
            done.set_result(None)

    def feed() -> None:
        while composer.outstanding < 2 * composer.workers:
            group = next(waiting, None)
            if group is None:
                return
            composer.submit([group], more)

    began, cpu = time.perf_counter(), time.process_time()
    feed()
    await done
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    await composer.stop()
    return {"pool_us": used / counted * 1e6, "msgs_per_s": counted / wall, "workers": composer.workers}


def profile(spec: MessageSpec, pem: bytes) -> None:
    job = Job(ComposeSettings(), signing_keys(pem))
    blob = encode_chunk([group_of(spec, CHUNK)], time.time())
    job.compose(blob)
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(100):
        job.compose(blob)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--messages", type=int, default=8000)
    parser.add_argument("--advertise", action="store_true", help="with addresses of ours in the header")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    pem = rsa_pem()
    spec = spec_of(options.size, advertise=options.advertise)
    if options.profile:
        profile(spec, pem)
        return
    found = in_this_process(spec, pem)
    found |= asyncio.run(through_the_pool(spec, pem, options.messages))
    found["cores"] = os.cpu_count() or 1
    if options.json:
        print(json.dumps({name: round(value, 1) for name, value in found.items()}))
        return
    for name, value in found.items():
        print(f"{name:20} {value:10.1f}")


if __name__ == "__main__":
    main()
