import pytest

from mta.classify import vocabulary, vocabulary_auto
from mta.classify.vocabulary import fold, has, phrases


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  Undelivered\tMail ", "undelivered mail"),
        ("Übermittlung", "ubermittlung"),
        ("Échec de la remise", "echec de la remise"),
        ("została", "zostala"),
        ("Ошибка", "ошибка"),
        ("ERROR：ａ", "error:a"),
        ("can’t", "can't"),
        ("straße", "strasse"),
    ],
)
def test_case_accents_and_spaces_do_not_matter(text: str, folded: str) -> None:
    """Each alphabet by its own rules."""
    assert fold(text) == folded


def test_phrases_are_parted_by_a_bar() -> None:
    """Folded, each once."""
    assert phrases("A b | ü | a B") == ("a b", "u")
    assert has("x a b y", phrases("a b | c"))


@pytest.mark.parametrize("module", [vocabulary, vocabulary_auto])
def test_no_phrase_is_empty_or_a_single_letter_but_labels(module: object) -> None:
    """An empty one is in every text."""
    for name, value in vars(module).items():
        if name.isupper() and isinstance(value, tuple) and name != "LABELS":
            assert all(len(phrase) > 1 for phrase in value), name
