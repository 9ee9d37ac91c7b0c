from loadtest.classify import measure


def test_it_measures_a_refusal() -> None:
    """Fresh, with a new word, of a strange wording, once more and hostile; what was seen before costs least."""
    found = measure(30)
    assert set(found) == {"fresh_us", "new_us", "strange_us", "again_us", "hostile_us", "build_ms"}
    assert found["again_us"] < found["fresh_us"]
    assert found["hostile_us"] < 100_000
