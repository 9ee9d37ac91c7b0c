"""What `mta explain backlog` makes of what it has counted: rows, causes, words, and a table of 80 columns."""

import re
from collections import Counter

import pytest

from mta.admin.backlog import Asked, Chosen, Withheld, rows_of, tell, whole_of
from mta.admin.eta import EtaKind
from mta.admin.output import Output
from mta.admin.sums import Sums
from mta.admin.view import HandRow, HandView, PathRow
from mta.admin.waiting import Scope
from mta.delivery.binding import Bind, Binding
from mta.intake.orders import Order, Orders, OrderVerb, Target, encode_order, order_key
from mta.jetstream.schedule import Held
from mta.queue.settings import RateLimit

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
LONG = "a-campaign-with-a-name-that-somebody-made-up"
BINDING = Binding(Bind.MESSAGE_RATE, rate=RateLimit(20, 60.0))
VIEW = HandView(
    "n1",
    NOW,
    (HandRow("bulk", "acme", LONG, "google", 90_000, 5, 5, 0, 40, 12.5, NOW - 60),),
    (),
    (),
    (PathRow("a1", "aspmx.l.google.com", "google", 90_005, 3, BINDING),),
)


def counted(*views: HandView) -> Sums:
    sums = Sums()
    sums.add_fresh("bulk", "acme", "summer", 1_234_567, is_exact=False)
    sums.add_held("bulk", "acme", "summer", NOW + 600, Held(70, {"google": 40, "yahoo": 30}, "greylisted"))
    for view in views:
        sums.add_hand(view)
    return sums


def nothing_withheld() -> Withheld:
    return Withheld(Orders(), ())


def paused(target: Target, *orders: Order) -> Withheld:
    held = Orders()
    for order in orders:
        held.apply(order_key(OrderVerb.PAUSE, target), encode_order(order))
    return Withheld(held, ())


def test_by_provider_and_by_campaign() -> None:
    """The same counts, told two ways; what is not routed yet is a row of its own among providers only."""
    asked = Asked((VIEW,))
    rows = {row.name: row for row in rows_of(counted(VIEW), Chosen(), nothing_withheld(), asked, NOW)}
    assert list(rows) == ["google", "yahoo", ""]
    assert (rows["google"].part.now, rows["google"].part.later.total()) == (90_010, 40)
    assert rows["google"].eta.kind is EtaKind.AT
    assert rows["google"].eta.at == pytest.approx(NOW + 90_010 / 12.5 + 40 / 12.5)
    assert rows["yahoo"].eta.kind is EtaKind.NOT_BEFORE
    assert rows[""].eta.kind is EtaKind.UNKNOWN
    by = {
        row.name: row for row in rows_of(counted(VIEW), Chosen(tenant="acme"), nothing_withheld(), asked, NOW)
    }
    assert list(by) == [f"acme/{LONG}", "acme/summer"]
    assert by["acme/summer"].eta.kind is EtaKind.STUCK
    assert by[f"acme/{LONG}"].causes[0].text == "message rate 20/min: a1 to aspmx.l.google.com"


def at_other(*rows: HandRow) -> HandView:
    """Most waits at the one of two sites that is limited."""
    paths = (
        PathRow("a1", "mx.slow.test", "other", 900, 1, BINDING),
        PathRow("a1", "mx.quick.test", "other", 100, 1, Binding(Bind.PEER)),
    )
    return HandView("n1", NOW, rows, (), (), paths)


def told(view: HandView, chosen: Chosen) -> dict[str, list[tuple[str, int]]]:
    sums = Sums()
    sums.add_hand(view)
    sums.only(chosen.wants)
    rows = rows_of(sums, chosen, nothing_withheld(), Asked((view,)), NOW)
    return {row.name: [(cause.kind, cause.count) for cause in row.causes] for row in rows}


def test_no_campaign_is_told_of_a_site_where_it_may_have_nothing() -> None:
    """Of all that is `other` no more is known than how much of a campaign waits; which sites do is told by provider."""
    spring = HandRow("bulk", "acme", "spring", "other", 900, 0, 7)
    summer = HandRow("bulk", "acme", "summer", "other", 90, 10, 3)
    both = at_other(spring, summer)
    mixed = {"acme/spring": [("sites", 900)], "acme/summer": [("sites", 100)]}
    assert told(both, Chosen(tenant="acme")) == mixed
    assert told(both, Chosen("other", "summer")) == {"other": [("sites", 100)]}
    assert dict(told(both, Chosen())["other"]) == {"message_rate": 909, "peer": 101}
    # Of one campaign alone all is known.
    assert dict(told(at_other(spring), Chosen(tenant="acme"))["acme/spring"]) == {
        "message_rate": 816,
        "peer": 91,
    }


def test_the_total_counts_what_is_not_routed_at_the_rate_of_the_rest() -> None:
    """It takes its turn among them: 1.3 million at 12.5 a second."""
    rows = rows_of(counted(VIEW), Chosen(), nothing_withheld(), Asked((VIEW,)), NOW)
    rows = [row for row in rows if row.name != "yahoo"]
    whole = whole_of(rows, NOW)
    assert whole.eta.kind is EtaKind.AT
    assert whole.eta.at == pytest.approx(NOW + (1_234_567 + 90_010 + 40) / 12.5)


def test_without_a_node_nothing_goes() -> None:
    """Not even what is due later; where we may not ask, or one is silent, nobody may say so."""
    rows = rows_of(counted(), Chosen(), nothing_withheld(), Asked(()), NOW)
    assert {row.eta.kind for row in rows} == {EtaKind.STUCK}
    for asked in (Asked((), ("not allowed",), False), Asked((), ("n1 did not answer",))):
        kinds = {
            row.name: row.eta.kind for row in rows_of(counted(), Chosen(), nothing_withheld(), asked, NOW)
        }
        assert kinds == {"google": EtaKind.NOT_BEFORE, "yahoo": EtaKind.NOT_BEFORE, "": EtaKind.UNKNOWN}


@pytest.mark.parametrize("target", [Target("acme", "summer"), Target("acme")])
def test_a_pause_of_campaign_or_tenant_holds_all_of_it(target: Target) -> None:
    """Until its end, in the stream as in MTA_RETRY."""
    withheld = paused(target, Order("wrong price", "jane", NOW, NOW + 3600))
    rows = rows_of(counted(), Chosen(), withheld, Asked((VIEW,)), NOW)
    assert {(row.eta.kind, row.eta.at) for row in rows} == {(EtaKind.NOT_BEFORE, NOW + 3600)}
    assert {cause.kind for row in rows for cause in row.causes} == {"paused"}
    over = rows_of(counted(), Chosen(), withheld, Asked((VIEW,)), NOW + 3601)
    assert {cause.kind for row in over for cause in row.causes} == {"later", "stream"}


def test_what_is_asked_about_is_what_is_counted() -> None:
    """The streams by tenant and campaign, the rest afterwards."""
    assert Chosen().scope == Scope()
    assert Chosen(tenant="acme", campaign="c").scope == Scope("acme", "c")
    assert Chosen(campaign="_").scope == Scope("", "")
    names = {
        key.provider for key in counted(VIEW).parts if Chosen(provider="google", campaign="summer").wants(key)
    }
    assert names == {"google"}


def test_the_table_fits_into_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the names and however many wait; a cause has its share of the row."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    output = Output()
    for chosen in (Chosen(), Chosen(tenant="acme")):
        rows = rows_of(
            counted(VIEW), chosen, paused(Target("acme", "summer"), Order("x" * 90)), Asked((VIEW,)), NOW
        )
        tell(output, rows, whole_of(rows, NOW), Asked((VIEW,)), NOW)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in capsys.readouterr().out.splitlines()]
    longest = Counter(len(line) for line in lines if "x" * 90 not in line)
    assert max(longest) <= 80, [line for line in lines if len(line) > 80]
    assert any("~1,234,567" in line for line in lines)
    assert any(line == f"acme/{LONG}" for line in lines)


def test_nothing_waits(capsys: pytest.CaptureFixture[str]) -> None:
    """Said in a word, and with --json in a total of nothing."""
    tell(Output(), [], whole_of([], NOW), Asked((VIEW,)), NOW)
    assert capsys.readouterr().out == "Nothing waits.\n"
