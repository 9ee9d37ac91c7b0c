import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from mta.intake.admission import Admitted, admit_due
from mta.intake.decode import DecodedDue, Rejected, decode_due
from mta.intake.retry import encode_retry, waiting_recipient
from mta.model import ids
from mta.model.lane import Lane
from mta.model.times import render
from tests.unit.intake.payloads import ARRIVAL, NOW, RULES, judged, payload, people


def admitted(**changes: Any) -> Admitted:
    result = judged(**changes)
    assert isinstance(result, Admitted), result
    return result


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    # One row of the payload table after the other.
    "id too long": ("schema", {"id": "x" * 129}),
    "channel": ("unsupported", {"channel": "sms"}),
    "tenant of another": ("tenant_mismatch", {"tenant": "evil"}),
    "tenant no token": ("schema", {"tenant": "Ac.me"}),
    "campaign no token": ("schema", {"campaign": "Spring Sale"}),
    "campaign too long": ("schema", {"campaign": "x" * 65}),
    "campaign _ under another subject": ("schema", {"campaign": "_"}),
    "campaign of another subject": ("schema", {"campaign": "autumn-sale"}),
    "stream no token": ("schema", {"stream": "mta.>"}),
    "pool no token": ("schema", {"pool": "*"}),
    "pool of others": ("pool_not_allowed", {"pool": "warm-b"}),
    "lane of another subject": ("schema", {"lane": "transactional"}),
    "from no address": ("bad_address", {"sender": {"email": "news"}}),
    "from two addresses": ("bad_address", {"sender": {"email": "a@acme.test,b@acme.test"}}),
    "from beyond ASCII": ("unsupported", {"sender": {"email": "zoë@acme.test"}}),
    "from domain": ("from_not_allowed", {"sender": {"email": "news@evil.test"}}),
    "from subdomain": ("from_not_allowed", {"sender": {"email": "news@x.acme.test"}}),
    "from name": ("bad_header", {"sender": {"email": "news@acme.test", "name": "A\r\nBcc: x@y.test"}}),
    "from name reversed": ("bad_header", {"sender": {"email": "news@acme.test", "name": "a\u202eb"}}),
    "reply_to beside rfc822": (
        "schema",
        {"content": {"rfc822": "AAAA"}, "reply_to": [{"email": "h@acme.test"}]},
    ),
    "attachments beside rfc822": (
        "schema",
        {"content": {"rfc822": "AAAA"}, "attachments": [{"name": "a", "type": "text/csv", "data": ""}]},
    ),
    "reply_to no address": ("bad_address", {"reply_to": [{"email": "help@"}]}),
    "reply_to name": ("bad_header", {"reply_to": [{"email": "h@acme.test", "name": "\x00"}]}),
    "reply_to too many": ("schema", {"reply_to": [{"email": "h@acme.test"}] * 11}),
    "reply_to templated": ("unsupported", {"reply_to": [{"email": "{{rep}}@acme.test"}]}),
    "header denied": ("bad_header", {"headers": {"Bcc": "x@y.test"}}),
    "attachment denied": (
        "attachment_type",
        {"attachments": [{"name": "a.exe", "type": "text/plain", "data": ""}]},
    ),
    "content empty": ("schema", {"content": {}}),
    "unsubscribe missing": ("unsubscribe_required", {"stream": "marketing"}),
    "unsubscribe without a way": ("unsubscribe_required", {"stream": "marketing", "unsubscribe": {}}),
    "tags too many": ("schema", {"tags": [str(n) for n in range(11)]}),
    "tags too long": ("too_large", {"tags": ["x" * 2001]}),
    "send_at without zone": ("schema", {"send_at": "2026-12-01T08:00:00"}),
    "send_at far away": ("schema", {"send_at": render(NOW + 30 * 86_400)}),
    "expires_at before send_at": ("schema", {"send_at": render(NOW + 600), "expires_at": render(NOW + 600)}),
    "expires_at far from send_at": (
        "schema",
        {"send_at": render(NOW + 600), "expires_at": render(NOW + 601 + 5 * 86_400)},
    ),
    "expires_at without zone": ("schema", {"expires_at": "2026-11-23T08:00:00"}),
    "expires_at passed": ("expired", {"expires_at": render(NOW - 6)}),
    "expires_at far away": ("schema", {"expires_at": render(NOW + 5 * 86_400)}),
    "return_path": ("from_not_allowed", {"return_path": "b.evil.test"}),
    "skip_suppression": ("unsupported", {"skip_suppression": True}),
    "no recipients": ("schema", {"recipients": []}),
    "too many recipients": ("too_many_recipients", {"recipients": people(1001)}),
}


@pytest.mark.parametrize("row", REFUSED)
def test_a_broken_rule_refuses_the_payload(row: str) -> None:
    """Each with its stable code and a reason, and without quoting what may be secret."""
    code, changes = REFUSED[row]
    result = judged(**changes)
    assert isinstance(result, Rejected), result
    assert result.code == code
    assert result.detail


GOOD: dict[str, dict[str, Any]] = {
    "id": {"id": "x" * 128},
    "channel": {"channel": "email"},
    "campaign": {"campaign": "spring-sale"},
    "lane": {"lane": "bulk"},
    "pool": {"pool": "warm-a"},
    "reply_to": {"reply_to": [{"email": "h@acme.test", "name": "Hilfe für Sie"}] * 10},
    "template": {"content": {"template": {"name": "spring", "version": "7"}}},
    "mime": {"content": {"rfc822": "RnJvbTogYQ0KDQo="}},
    "static": {"content": {"text": "x", "html": "y", "amp": "z", "subject": "s", "engine": "static"}},
    "header": {"headers": {"X-Acme-Ref": "{{ ref }}"}},
    "marketing": {"stream": "marketing", "unsubscribe": {"mailto": "u@acme.test", "one_click": True}},
    "tags": {"tags": [str(n) for n in range(10)]},
    "expires_at": {"expires_at": render(NOW + 5 * 86_400 - 5)},
    "return_path": {"return_path": "B.acme.test"},
    **{f"tls {tls}": {"tls": tls} for tls in ("none", "opportunistic", "require", "verify", "requiretls")},
    "dry run": {"dry_run": True},
    "international domain": {"sender": {"email": "n@straße.test"}},
}


@pytest.mark.parametrize("row", GOOD)
def test_what_keeps_the_rules_is_admitted(row: str) -> None:
    """At the limits, too."""
    assert len(admitted(**GOOD[row]).recipients) == 1


@pytest.mark.parametrize("url", ["", "http://mta.acme.test"])
def test_one_click_needs_an_address_that_can_answer(url: str) -> None:
    """RFC 8058 wants https; without it the feature is refused, not ignored."""
    rules = msgspec.structs.replace(RULES, public_url=url)
    result = judged(rules, unsubscribe={"mailto": "u@acme.test", "one_click": True})
    assert isinstance(result, Rejected)
    assert result.code == "unsupported"


def test_an_unknown_tenant_is_refused() -> None:
    """Although subject and payload agree."""
    arrival = msgspec.structs.replace(ARRIVAL, tenant="globex")
    result = judged(arrival=arrival, tenant="globex")
    assert isinstance(result, Rejected)
    assert result.code == "tenant_mismatch"


def test_a_campaign_may_have_a_pool_of_its_own() -> None:
    """Where the payload asks for none; now, and when it comes back after the configuration has changed."""
    policy = msgspec.structs.replace(RULES.tenants["acme"], campaign_pools={"spring*": "warm-a"})
    rules = msgspec.structs.replace(RULES, tenants={"acme": policy})
    for asked, given in ((None, "warm-a"), ("default", "default")):
        result = judged(rules=rules, pool=asked)
        assert isinstance(result, Admitted)
        assert result.pool == given
    back = admit_due(due(), ARRIVAL, rules)
    assert isinstance(back, Admitted)
    assert back.pool == "warm-a"


def test_what_an_admitted_payload_carries() -> None:
    """Defaults come from the subject, the tenant and the lane."""
    result = admitted(id="order-1", reply_to=[{"email": "H@ACME.test"}], stream="receipts")
    assert (result.payload_id, result.lane, result.tenant) == ("order-1", Lane.BULK, "acme")
    assert (result.campaign, result.stream, result.pool) == ("spring-sale", "receipts", "default")
    assert result.payload_key == ids.payload_key("acme", "order-1")
    assert (result.from_domain, result.return_path) == ("acme.test", "b.acme.test")
    assert result.expires_at == NOW - 5 + 72 * 3600
    assert (result.accepted_at, result.first_at) == (NOW - 5, NOW)
    assert (result.source_stream, result.source_sequence) == ("MTA_PAYLOADS", 7)
    assert [mailbox.text for mailbox in result.reply_to] == ["H@acme.test"]
    recipient = result.recipients[0]
    assert (recipient.index, recipient.attempt, recipient.source, recipient.last) == (0, 0, "", None)
    assert (recipient.queued_at, recipient.mailbox.text, recipient.domain) == (
        NOW,
        "bob@example.test",
        "example.test",
    )


@pytest.mark.parametrize("campaign", ["Spring Sale", "x" * 65, "=zz", "", "a.b"])
def test_a_campaign_that_only_the_subject_names_is_a_token(campaign: str) -> None:
    """Else it would be written differently in the events of one recipient."""
    arrival = msgspec.structs.replace(ARRIVAL, campaign=campaign)
    for named in (None, campaign):
        result = judged(arrival=arrival, campaign=named)
        assert isinstance(result, Rejected)
        assert result.code == "schema"


def test_no_campaign_is_none_in_a_retry_too() -> None:
    """However the sender said so."""
    arrival = msgspec.structs.replace(ARRIVAL, campaign="_")
    for campaign in (None, "_"):
        fresh = judged(arrival=arrival, campaign=campaign)
        assert isinstance(fresh, Admitted)
        returned = waiting_recipient(fresh.recipients[0], attempt=1, source="", last=None)
        due = decode_due(encode_retry(fresh, "00", [returned]))
        assert isinstance(due, DecodedDue)
        again = admit_due(due, arrival, RULES)
        assert isinstance(again, Admitted)
        assert again.campaign == fresh.campaign == ""


def test_no_campaign_in_the_subject_is_no_campaign() -> None:
    """`_` is only its token."""
    arrival = msgspec.structs.replace(ARRIVAL, campaign="_")
    for campaign in (None, "_"):
        result = judged(arrival=arrival, campaign=campaign)
        assert isinstance(result, Admitted)
        assert result.campaign == ""


def test_without_an_id_a_redelivery_has_the_same() -> None:
    """Derived from the source message, whatever the clock says now."""
    later = judged(arrival=msgspec.structs.replace(ARRIVAL, now=NOW + 60))
    assert isinstance(later, Admitted)
    assert admitted().payload_id == later.payload_id
    other = judged(arrival=msgspec.structs.replace(ARRIVAL, sequence=8))
    assert isinstance(other, Admitted)
    assert admitted().payload_id != other.payload_id


def test_an_expiry_that_passes_in_the_queue_is_no_rejection() -> None:
    """A redelivery after it must find the payload admitted as before: its recipients expire, each with its event."""
    arrival = msgspec.structs.replace(ARRIVAL, now=NOW + 3600)
    assert isinstance(judged(arrival=arrival, expires_at=render(NOW + 60)), Admitted)


BAD_PEOPLE: dict[str, tuple[str, dict[str, Any]]] = {
    "no address": ("bad_address", {"email": "bob"}),
    "injection": ("bad_address", {"email": "bob@example.test\r\nRSET"}),
    "encoded word": ("bad_address", {"email": "=?utf-8?q?x?=@example.test"}),
    "single label": ("bad_address", {"email": "bob@localhost"}),
    "not in NFC": ("bad_address", {"email": "zoe\u0308@example.test"}),
    "name": ("bad_header", {"email": "a@b.test", "name": "A\nBcc: x@y.test"}),
    "name too long": ("schema", {"email": "a@b.test", "name": "x" * 129}),
    "id too long": ("schema", {"email": "a@b.test", "id": "x" * 129}),
    "tags": ("schema", {"email": "a@b.test", "tags": [str(n) for n in range(11)]}),
    "tags with those of the payload": ("schema", {"email": "a@b.test", "tags": [str(n) for n in range(10)]}),
    "metadata with that of the payload": ("too_large", {"email": "a@b.test", "metadata": {"x": "y" * 1985}}),
    "data": ("too_large", {"email": "a@b.test", "data": {"x": "y" * 16_000}}),
    "same address": ("duplicate", {"email": "r0@EXAMPLE.test"}),
    "same address, quoted": ("duplicate", {"email": '"r0"@example.test'}),
    "same id": ("duplicate", {"email": "a@b.test", "id": "c0"}),
}


@pytest.mark.parametrize("row", BAD_PEOPLE)
def test_E10_a_bad_recipient_is_refused_alone(row: str) -> None:
    """With its place, what it called itself, and a code; the others keep their places."""
    code, person = BAD_PEOPLE[row]
    result = admitted(recipients=[*people(2), person, people(3)[2]], tags=["t"], metadata={"batch": "x" * 10})
    assert [recipient.index for recipient in result.recipients] == [0, 1, 3]
    assert result.recipients_total == 4
    [rejected] = result.rejected
    assert (rejected.index, rejected.code) == (2, code)
    assert rejected.email == person["email"][:320]
    assert rejected.recipient_id == person.get("id", "")[:128]
    assert rejected.detail


LABEL_63 = "d" * 63
NO_DOMAIN = {
    "NUL": "ok.test\0.evil",
    "NUL in another script": "\u00fck.test\0.evil",
    "empty label": "a..b",
    "leading hyphen": "-x",
    "leading hyphen of a label": "-x.test",
    "trailing hyphen": "x-.test",
    "bad punycode": "xn--zz.test",
    "empty punycode": "xn--.test",
    "punycode of ASCII": "xn--abc-.test",
    "punycode of an emoji": "xn--ls8h.test",
    "bad punycode beside another script": "bücher.xn--zz.test",
    "trailing dot": "ok.test.",
    "trailing ideographic dot": "ok.test。",
    "254 bytes": ".".join([LABEL_63] * 3 + ["d" * 57, "test"]),
    "label of 64": f"{LABEL_63}d.test",
    "too long as A-labels": f"{'ü' * 62}.test",
    "symbol": "☃.net",
    "emoji": "💩.test",
    "joiner out of place": "exam\u200dple.test",
    "soft hyphen": "exa\u00admple.test",
    "another slash": "ok.test\u2215evil.test",
    "question mark": "ok.test?evil.test",
    "escaped dot": "ok\\.test",
    "port": "ok.test:25",
    "route": "ok.test@evil.test",
}
EXACT = {
    "mapped": ("Straße.DE", "xn--strae-oqa.de"),
    "A-label": ("XN--STRAE-OQA.de", "xn--strae-oqa.de"),
    "decomposed": ("bu\u0308cher.test", "xn--bcher-kva.test"),
    "full width": ("\uff41\uff42\uff0etest", "ab.test"),
    "joiner in its place": ("क्\u200dष.test", "xn--11b2ezcw70k.test"),
    "non-joiner in its place": ("نامه\u200cای.test", "xn--mgba3gch31f060k.test"),
    "hyphens": ("r3---sn.test", "r3---sn.test"),
    "label of 63": (f"{LABEL_63}.test", f"{LABEL_63}.test"),
    "254 bytes of address": (f"{'d' * 59}.{'.'.join(['d' * 63] * 2)}.{'d' * 59}.test", None),
}


@pytest.mark.parametrize("row", NO_DOMAIN)
def test_C16_what_is_no_domain_is_refused_wherever_it_stands(row: str) -> None:
    """C16: a recipient alone, the payload where the domain is the sender's; never another domain, nothing cut off."""
    email = f"bob@{NO_DOMAIN[row]}"
    result = admitted(recipients=[{"email": email}, *people(1)])
    assert [recipient.index for recipient in result.recipients] == [1]
    [rejected] = result.rejected
    assert (rejected.code, rejected.email) == ("bad_address", email[:320])
    for code, change in (
        ("bad_address", {"sender": {"email": email}}),
        ("bad_address", {"reply_to": [{"email": email}]}),
        ("bad_address", {"unsubscribe": {"mailto": email}}),
        ("schema", {"unsubscribe": {"mailto": "u@acme.test", "list_id": NO_DOMAIN[row]}}),
    ):
        refused = judged(**change)
        assert isinstance(refused, Rejected), change
        assert refused.code == code


@pytest.mark.parametrize("row", EXACT)
def test_C16_another_spelling_is_the_same_domain(row: str) -> None:
    """C16, UTS-46 and IDNA2008: the mailbox is in A-labels, the address is told as it was given."""
    domain, wanted = EXACT[row]
    result = admitted(recipients=[{"email": f"b@{domain}"}])
    [recipient] = result.recipients
    assert recipient.mailbox.text == f"b@{wanted or domain}"
    assert recipient.recipient.email == f"b@{domain}"


def test_a_local_part_beyond_ascii_is_admitted_for_a_recipient_only() -> None:
    """What becomes of it is decided by what the receiving server offers; a sender's own would need it everywhere."""
    result = admitted(recipients=[{"email": "δοκιμή@Straße.test"}])
    assert [recipient.mailbox.text for recipient in result.recipients] == ["δοκιμή@xn--strae-oqa.test"]
    for change in ({"reply_to": [{"email": "δ@x.test"}]}, {"unsubscribe": {"mailto": "δ@x.test"}}):
        refused = judged(**change)
        assert isinstance(refused, Rejected)
        assert refused.code == "unsupported"


def test_C16_two_spellings_are_one_recipient() -> None:
    """C16: else he gets it twice."""
    result = admitted(recipients=[{"email": "b@straße.test"}, {"email": "b@XN--STRAE-OQA.test"}])
    assert [rejected.code for rejected in result.rejected] == ["duplicate"]


def test_all_recipients_may_be_refused() -> None:
    """The payload is accepted, and each of them gets its rejection."""
    result = admitted(recipients=[{"email": "x"}, {"email": "y"}])
    assert not result.recipients
    assert len(result.rejected) == 2


def test_no_two_recipients_share_a_key() -> None:
    """Message ids and event ids come from it: a repeated id falls back to the place, also behind a bad one."""
    same = [{"email": email, "id": "c0"} for email in ("bad", "a@b.test", "c@d.test", 7)]
    result = admitted(recipients=[*same, {"email": "e@f.test"}, {"email": 8}, {"email": 9}])
    keys = [r.key for r in result.recipients] + [r.key for r in result.rejected]
    assert sorted(keys) == ["ic0", "n1", "n2", "n3", "n4", "n5", "n6"]
    assert [r.code for r in result.rejected] == [
        "bad_address",
        "duplicate",
        "duplicate",
        "schema",
        "schema",
        "schema",
    ]


def test_send_at_moves_everything_that_is_counted_from_the_beginning() -> None:
    """Life and retries of a recipient begin then; acceptance and ids stay what they are."""
    late = NOW + 86_400
    result = admitted(id="order-1", send_at=render(late))
    assert (result.accepted_at, result.first_at, result.send_at) == (NOW - 5, NOW, late)
    assert result.expires_at == late + 72 * 3600
    assert [one.queued_at for one in result.recipients] == [late] * len(result.recipients)
    longest = admitted(send_at=render(NOW - 5 + 30 * 86_400), expires_at=render(NOW - 5 + 35 * 86_400))
    assert longest.expires_at - longest.send_at == 5 * 86_400


@pytest.mark.parametrize("given", [{}, {"send_at": render(NOW - 3600)}, {"send_at": render(NOW - 5)}])
def test_a_time_that_has_passed_means_now(given: dict[str, Any]) -> None:
    """As no time at all."""
    result = admitted(**given)
    assert result.send_at == result.accepted_at
    assert [one.queued_at for one in result.recipients] == [NOW] * len(result.recipients)


def due(**changes: Any) -> DecodedDue:
    retry = {
        "payload_id": "order-1",
        "accepted_at": render(NOW - 100),
        "first_at": render(NOW - 90),
        "expires_at": render(NOW + 900),
        "recipients_total": 5,
    }
    person = {
        "email": "Bob@Example.test",
        "index": 3,
        "attempt": 2,
        "queued_at": render(NOW - 80),
        "source": "a1",
    }
    fields = payload(content={"sha256": "ab"}, retry=retry, recipients=[person]) | changes
    result = decode_due(json.dumps(fields).encode())
    assert isinstance(result, DecodedDue), result
    return result


def test_a_due_payload_keeps_its_history() -> None:
    """Its times, its id and its recipients' attempts are those of the first acceptance."""
    result = admit_due(due(id="ignored", pool="warm-a"), ARRIVAL, RULES)
    assert isinstance(result, Admitted)
    assert (result.payload_id, result.payload_key) == ("order-1", ids.payload_key("acme", "order-1"))
    assert (result.accepted_at, result.first_at, result.expires_at) == (NOW - 100, NOW - 90, NOW + 900)
    assert (result.pool, result.recipients_total) == ("warm-a", 5)
    assert result.retry is not None
    [recipient] = result.recipients
    assert (recipient.index, recipient.attempt, recipient.source) == (3, 2, "a1")
    assert (recipient.recipient.email, recipient.mailbox.text) == ("Bob@Example.test", "Bob@example.test")
    assert recipient.queued_at == NOW - 80
    assert recipient.key == "n3"


def test_a_due_payload_is_not_admitted_again() -> None:
    """Rules and configuration may have changed meanwhile: a missing tenant is for the flow to defer."""
    old = due(expires_at=datetime.now(UTC).isoformat(), headers={"Bcc": "x"}, stream="marketing")
    result = admit_due(old, ARRIVAL, msgspec.structs.replace(RULES, tenants={}))
    assert isinstance(result, Admitted)
    assert (result.pool, result.return_path) == ("", "")


@pytest.mark.parametrize("person", [{"email": "bob"}, {"index": -1}, {"queued_at": "2026-11-22T07:00:00"}])
def test_a_due_payload_that_cannot_be_read(person: dict[str, Any]) -> None:
    """No daemon wrote that."""
    base = {"email": "bob@example.test", "index": 3, "queued_at": render(NOW)}
    result = admit_due(due(recipients=[base | person]), ARRIVAL, RULES)
    assert isinstance(result, Rejected)
    assert result.code == "schema"
