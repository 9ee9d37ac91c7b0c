import json
from pathlib import Path
from typing import Any

import pytest

from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.judge import judge, rules_of
from mta.config.load import load
from mta.intake.admission import Rules
from mta.intake.settings import DomainPolicy, TenantPolicy
from mta.model.lane import Lane

PAYLOAD: dict[str, Any] = {
    "v": 1,
    "id": "o-1",
    "tenant": "acme",
    "from": {"email": "a@acme.test"},
    "content": {"subject": "s", "text": "t"},
    "recipients": [{"email": "b@x.test"}],
}
ACME = TenantPolicy("acme", ("default",), "b.acme.test", {"acme.test": DomainPolicy("acme.test")})
RULES = Rules({"acme": ACME}, dict.fromkeys(Lane, 3600.0))


def body(**changes: Any) -> bytes:
    return json.dumps({**PAYLOAD, **changes}, indent=1).encode()


def test_a_payload_goes_out_as_it_came() -> None:
    """Byte by byte, on its subject and under its id."""
    outgoing, refused = judge(body(lane="transactional", campaign="c"), None, RULES, 0.0)
    assert outgoing.body == body(lane="transactional", campaign="c")
    assert (outgoing.subject, outgoing.msg_id) == ("mta.payload.transactional.acme.c", "acme/o-1")
    assert refused == ()


def test_a_payload_without_lane_is_bulk() -> None:
    """Unless the option says otherwise."""
    assert judge(body(), None, RULES, 0.0)[0].subject == "mta.payload.bulk.acme._"
    assert judge(body(), Lane.TRANSACTIONAL, RULES, 0.0)[0].subject == "mta.payload.transactional.acme._"


def test_a_lane_that_differs_is_refused() -> None:
    """The daemon would reject it."""
    with pytest.raises(WrongUsage, match="--lane transactional differs from the payload's lane, bulk"):
        judge(body(lane="bulk"), Lane.TRANSACTIONAL, RULES, 0.0)


def test_a_payload_without_id_is_never_taken_for_another() -> None:
    """Sent twice on purpose, it is two."""
    first, second = (judge(body(id=""), None, RULES, 0.0)[0] for _ in range(2))
    assert first.msg_id != second.msg_id


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the payload is empty"),
        (b"{", r"would be rejected \(schema\)"),
        (body(recipients=[]), "at least one recipient"),
        (body(colour="red"), "unknown field `colour`"),
        (body(v=2), r"would be rejected \(unsupported\): payload version 2"),
        (b" " * 1_000_000 + body(), r"would be rejected \(too_large\)"),
    ],
)
@pytest.mark.parametrize("rules", [None, RULES])
def test_what_the_daemon_would_not_read_is_refused_here(
    content: bytes, said: str, rules: Rules | None
) -> None:
    """Sooner, and to who can mend it; for that no configuration is needed."""
    with pytest.raises(WrongInput, match=said):
        judge(content, None, rules, 0.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tenant": "emca"}, r"\(tenant_mismatch\): there is no such tenant"),
        (
            {"from": {"email": "a@other.test"}},
            r"\(from_not_allowed\): `other.test` is no domain of this tenant",
        ),
        ({"stream": "marketing"}, r"\(unsubscribe_required\)"),
        ({"pool": "warm"}, r"\(pool_not_allowed\)"),
        ({"campaign": "Spring Sale"}, r"\(schema\): "),
        ({"skip_suppression": True}, r"\(unsupported\)"),
    ],
)
def test_what_the_daemon_would_reject_is_refused_here(changes: dict[str, Any], said: str) -> None:
    """Where its configuration is at hand; with code and text of the event that would come."""
    with pytest.raises(WrongInput, match="the payload would be rejected " + said):
        judge(body(**changes), None, RULES, 0.0)
    if "campaign" not in changes:
        judge(body(**changes), None, None, 0.0)


@pytest.mark.parametrize("rules", [None, RULES])
def test_a_bad_recipient_is_named(rules: Rules | None) -> None:
    """The others are none of its business."""
    people = [{"email": "b@x.test"}, {"mail": "c@x.test"}]
    _, (refused,) = judge(body(recipients=people), None, rules, 0.0)
    assert refused.index == 1
    assert refused.text.startswith("would be rejected (schema): ")


def test_a_bad_address_is_known_with_the_rules() -> None:
    """As is a repeated one."""
    people = [{"email": email} for email in ("b@x.test", "a..b@x.test", "b@X.test")]
    _, refused = judge(body(recipients=people), None, RULES, 0.0)
    assert [(one.index, one.text.partition(":")[0]) for one in refused] == [
        (1, "would be rejected (bad_address)"),
        (2, "would be rejected (duplicate)"),
    ]


def test_a_configuration_without_tenants_judges_only_its_own_daemon(tmp_path: Path) -> None:
    """A sender's machine may know the servers and nothing else."""
    path = tmp_path / "mta.toml"
    path.write_text("[nats]\nembedded = false")
    assert rules_of(None) is None
    assert rules_of(load(path, {})) is None
    path.write_text("")
    with pytest.raises(WrongInput, match="there is no such tenant"):
        judge(body(), None, rules_of(load(path, {})), 0.0)
