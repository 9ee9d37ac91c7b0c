"""Payloads to start from, and the configuration they are held against."""

import json
from typing import Any

from mta.intake.admission import Admitted, Arrival, Rules, admit
from mta.intake.decode import Decoded, Rejected, decode
from mta.intake.settings import DomainPolicy, TenantPolicy
from mta.model.lane import Lane

NOW = 1_795_000_000.0
ACME = TenantPolicy(
    name="acme",
    pools=("default", "warm-a"),
    return_path="b.acme.test",
    domains={"acme.test": DomainPolicy("acme.test", ("s1",)), "xn--strae-oqa.test": DomainPolicy("x")},
)
RULES = Rules(
    tenants={"acme": ACME},
    max_age_s={Lane.BULK: 72 * 3600.0, Lane.TRANSACTIONAL: 120 * 3600.0},
    public_url="https://mta.acme.test",
)
ARRIVAL = Arrival(
    lane=Lane.BULK,
    tenant="acme",
    campaign="spring-sale",
    stream="MTA_PAYLOADS",
    sequence=7,
    accepted_at=NOW - 5,
    now=NOW,
)


def payload(**changes: Any) -> dict[str, Any]:
    """A payload with nothing wrong. A change to None takes the field away; `sender` is `from`."""
    fields: dict[str, Any] = {
        "v": 1,
        "tenant": "acme",
        "from": {"email": "news@acme.test", "name": "Acme"},
        "content": {"subject": "Hi {{ first_name }}", "text": "Hello"},
        "recipients": [{"email": "bob@example.test"}],
    }
    if "sender" in changes:
        changes["from"] = changes.pop("sender")
    fields |= changes
    return {name: value for name, value in fields.items() if value is not None}


def people(count: int) -> list[dict[str, Any]]:
    return [{"email": f"r{n}@example.test", "id": f"c{n}", "data": {"n": n}} for n in range(count)]


def decoded(**changes: Any) -> Decoded:
    result = decode(json.dumps(payload(**changes)).encode())
    assert isinstance(result, Decoded), result
    return result


def judged(rules: Rules = RULES, arrival: Arrival = ARRIVAL, **changes: Any) -> Admitted | Rejected:
    """Through decode and admission, as the flow does it."""
    result = decode(json.dumps(payload(**changes)).encode())
    return result if isinstance(result, Rejected) else admit(result, arrival, rules)
