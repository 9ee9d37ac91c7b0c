"""What a daemon writes down of its sessions for the reports of the next day."""

import json
from collections import Counter
from pathlib import Path

import trustme

from tests.fakes.dns_server import Answer
from tests.fakes.trust import of_nobody, server, with_digest
from tests.fakes.world import World, for_any_name, sts, world

COUNTED = {
    "open.test": ("no-policy-found", 1, {}),
    "clear.test": ("no-policy-found", 0, {"starttls-not-supported": 1}),
    "unverified.test": ("no-policy-found", 1, {}),
    "kept.test": ("sts", 1, {}),
    "tested.test": ("sts", 0, {"certificate-not-trusted": 1}),
    "expired.test": ("sts", 0, {"certificate-expired": None}),
    "stranger.test": ("sts", 0, {"validation-failure": None}),
    "unclothed.test": ("sts", 0, {"starttls-not-supported": None}),
    "lost.test": ("sts", 0, {"sts-policy-fetch-error": 1}),
    "keyed.test": ("tlsa", 1, {}),
    "other.test": ("tlsa", 0, {"validation-failure": None}),
    "bogus.test": ("tlsa", 0, {"dnssec-invalid": None}),
}
"""Policy type, successes, failures by kind; None: one for each attempt that was deferred."""


async def _publish(one: World) -> None:
    key, digest = with_digest(trustme.CA(), "whatever.test")
    await one.host("mx.good.test", context=for_any_name(one.ca))
    await one.host("mx.clear.test", context=None)
    await one.host("mx.bad.test", context=of_nobody("mx.bad.test"))
    await one.host("mx.expired.test", context=server(one.ca, "mx.expired.test", expired=True))
    await one.host("mx.keyed.test", "mx.other.test", "mx.bogus.test", context=key)
    one.domain("open.test", "mx.good.test")
    one.domain("clear.test", "mx.clear.test")
    one.domain("unverified.test", "mx.bad.test")
    one.domain("kept.test", "mx.good.test", policy=sts("enforce", "mx.good.test"))
    one.domain("tested.test", "mx.bad.test", policy=sts("testing", "mx.bad.test"))
    one.domain("expired.test", "mx.expired.test", policy=sts("enforce", "mx.expired.test"))
    one.domain("stranger.test", "mx.good.test", policy=sts("enforce", "mx.elsewhere.test"))
    one.domain("unclothed.test", "mx.clear.test", policy=sts("enforce", "mx.clear.test"))
    one.domain("lost.test", "mx.good.test", policy="nothing")
    del one.policies["mta-sts.lost.test"]
    for name in ("keyed", "other", "bogus"):
        one.domain(f"{name}.test", f"mx.{name}.test")
        one.signed(f"{name}.test", f"mx.{name}.test")
        one.named(f"mx.{name}.test", digest if name == "keyed" else bytes(32))
    one.zones.script("_25._tcp.mx.bogus.test", "TLSA", Answer(rcode="SERVFAIL"))


async def test_each_session_counts_under_its_policy(tmp_path: Path) -> None:
    """T-11, RFC 8460 section 4.3: type of policy, successes and failures of each domain stand in the file at the end;
    an attempt that was deferred is a session, too."""
    async with world(tmp_path) as one:
        one.rig.config.write_text(one.rig.config.read_text() + "[tlsrpt]\nenabled = true\n")
        await _publish(one)
        await one.start()
        told = await one.all_sent(*(f"ada@{name}" for name in COUNTED))
        await one.rig.daemon.stop()
        tries = Counter(event["recipient"] for event in told.events if event["type"] == "deferred")
        found = {}
        for day in json.loads((one.rig.daemon.state_dir / "tlsrpt.json").read_bytes())["days"]:
            for count in day["policies"]:
                failures = {row["failure"]: row["count"] for row in count.get("failures", [])}
                found[count["domain"]] = (count["policy_type"], count.get("successes", 0), failures)
        expected = {
            name: (kind, well, {fault: times or tries[f"ada@{name}"] for fault, times in faults.items()})
            for name, (kind, well, faults) in COUNTED.items()
        }
        assert found == expected
