"""What waits is counted once, by whose it is and where it goes, however many nodes tell of it."""

from collections import Counter

from mta.admin.eta import FOREVER, EtaKind, Load, eta
from mta.admin.lately import Key
from mta.admin.sums import Cause, Part, Sums, fresh_in_hand, load_of, ranked
from mta.admin.view import FreshRow, HandRow, HandView
from mta.jetstream.schedule import Held

NOW = 1_795_000_020.0  # the begin of a minute


def view(node: str, *rows: HandRow, fresh: tuple[FreshRow, ...] = ()) -> HandView:
    return HandView(node, NOW, rows, fresh, (), ())


def test_a_message_of_the_retry_stream_is_shared_out_by_provider() -> None:
    """Each part waits until then, for that reason; what is due may go now."""
    sums = Sums()
    held = Held(5, {"google": 3, "": 2}, "greylisted")
    sums.add_held("bulk", "acme", "c", NOW + 61, held)
    sums.add_held("bulk", "acme", "c", NOW + 1, held)
    sums.add_held("bulk", "acme", "c", 0.0, held)
    part = sums.parts[Key("bulk", "acme", "c", "google")]
    assert part.later == Counter({NOW + 60: 3, NOW + 120: 3})
    assert (part.now, part.next_due, part.reasons) == (3, NOW + 1, Counter(greylisted=6))
    assert sums.parts[Key("bulk", "acme", "c", "")].now == 2


def test_two_nodes_add_up() -> None:
    """Counts and rates; the oldest is the older one's. No campaign is `_`, as everywhere else."""
    sums = Sums()
    sums.add_hand(view("a", HandRow("bulk", "acme", "", "google", 5, 3, 2, 0, 40, 4.0, NOW - 9)))
    sums.add_hand(view("b", HandRow("bulk", "acme", "", "google", 1, 0, 1, 0, 10, 1.0, NOW - 3)))
    part = sums.parts[Key("bulk", "acme", "_", "google")]
    assert (part.now, part.in_hand, part.ready, part.on_wire) == (12, 12, 3, 3)
    assert (part.ended, part.rate, part.oldest) == (50, 5.0, NOW - 9)
    assert eta(load_of(part, 0.0, is_routed=True), NOW).at == NOW + 12 / 5


def test_who_is_about_to_be_stored_waits_for_later() -> None:
    """He was deferred, and is in neither the hand nor the stream."""
    sums = Sums()
    sums.add_hand(view("a", HandRow("bulk", "acme", "c", "google", later=4)))
    part = sums.parts[Key("bulk", "acme", "c", "google")]
    assert (part.now, part.later.total()) == (0, 4)


def test_payloads_in_hand_are_known_by_campaign() -> None:
    """Of all nodes together, so that the stream's count of them is not taken twice."""
    rows = (FreshRow("bulk", "acme", "c", 2), FreshRow("bulk", "acme", "", 1))
    assert fresh_in_hand([view("a", fresh=rows), view("b", fresh=rows[:1])]) == Counter(
        {("bulk", "acme", "c"): 4, ("bulk", "acme", "_"): 1}
    )


def test_what_is_fresh_is_not_routed() -> None:
    """And an estimate, unless every payload was read."""
    sums = Sums()
    sums.add_fresh("bulk", "acme", "c", 100, is_exact=True)
    part = sums.parts[Key("bulk", "acme", "c", "")]
    assert (part.now, part.is_about) == (100, False)
    sums.add_fresh("bulk", "acme", "c", 50, is_exact=False)
    assert (part.now, part.is_about) == (150, True)


def test_what_is_paused_goes_when_the_pause_is_over() -> None:
    """What is due later than that, later; without an end it is held, and said to be."""
    part = Part(now=10, later=Counter({NOW + 60: 5, NOW + 7200: 1}), rate=1.0)
    until = load_of(part, NOW + 3600, is_routed=True)
    assert until == Load(later=((NOW + 3600, 15), (NOW + 7200, 1)), rate=1.0)
    assert eta(load_of(part, FOREVER, is_routed=True), NOW).kind is EtaKind.NOT_BEFORE
    assert load_of(part, FOREVER, is_routed=True).held == 16
    assert load_of(part, 0.0, is_routed=True).now == 10


def test_the_same_cause_is_said_once() -> None:
    """With the sum of whom it keeps and the latest time; the heaviest first."""
    causes = [
        Cause(3, "later", "greylisted"),
        Cause(2, "backed_off", "x", 5.0, is_grave=True),
        Cause(2, "backed_off", "x", 9.0, is_grave=True),
    ]
    assert ranked(causes) == [
        Cause(4, "backed_off", "x", 9.0, is_grave=True),
        Cause(3, "later", "greylisted"),
    ]
