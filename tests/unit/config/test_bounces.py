import tomllib

import pytest

from mta.classify.rules import Rule
from mta.config.bounces import rules
from mta.config.problems import Findings
from mta.model.outcome import BounceClass, Stage

WHOLE = """
class = "policy"
since = "2026-11"
source = "our relay"
example = ["550 no"]
counter = ["550 yes"]
"""


def read(text: str, *, is_operators: bool = True) -> tuple[tuple[Rule, ...], list[str]]:
    found = Findings("b")
    made, _ = rules(tomllib.loads(text), found, providers={"google", "yahoo"}, is_operators=is_operators)
    return made, [str(problem) for problem in found.problems]


def wrong(changes: str, layer: str = "generic") -> list[str]:
    """What is found where one key differs from a rule that holds."""
    key = changes.split("=")[0].strip()
    kept = "\n".join(line for line in WHOLE.splitlines() if not line.startswith(f"{key} ="))
    return read(f"[{layer}.x]\n{kept}\n{changes}")[1]


def test_a_rule_with_everything() -> None:
    """Each key becomes what a refusal is held against."""
    made, problems = read(
        """
        [google.x]
        class = "rate_limited"
        stage = ["dot", "rcpt"]
        code = ["421", "450"]
        enhanced = ["X.7.28", "X.7.606-649"]
        text = ["too many", "slow"]
        provider_code = "A[0-9]"
        scope = "dkim_domain"
        confidence = "low"
        retry = "long"
        detail = "d"
        since = "2026-11-02"
        source = "a page"
        example = ["421 too many"]
        counter = ["421 few"]
        """,
        is_operators=False,
    )
    assert problems == []
    assert made == (
        Rule(
            layer="google",
            name="x",
            bounce_class=BounceClass.RATE_LIMITED,
            provider="google",
            stages=frozenset({Stage.END_OF_DATA, Stage.RCPT}),
            codes=frozenset({421, 450}),
            enhanced=((7, 28, 28), (7, 606, 649)),
            text="too many|slow",
            provider_code="A[0-9]",
            accused="dkim_domain",
            confidence="low",
            retry="long",
            detail="d",
            examples=("421 too many",),
            counters=("421 few",),
        ),
    )


def test_an_operators_rule_says_so() -> None:
    """In events it must not be taken for a shipped one."""
    made, _ = read(f"[yahoo.x]\n{WHOLE}[generic.y]\n{WHOLE}code = ['5yz']")
    assert [(rule.label, rule.provider, rule.digit) for rule in made] == [
        ("operator:yahoo.x", "yahoo", 0),
        ("operator:generic.y", "", 5),
    ]


def test_families_name_providers_that_exist() -> None:
    """And hold for them."""
    found = Findings("b")
    table = tomllib.loads("[families]\ngoogle = ['yahoo']\nyahoo = ['gogle']")
    assert rules(table, found, providers={"google", "yahoo"})[1]["google"] == ("yahoo",)
    assert [str(problem) for problem in found.problems] == [
        'b: families.yahoo: unknown provider "gogle"; did you mean "google"?'
    ]
    found = Findings("b")
    rules({"families": {"google": "yahoo"}}, found, providers={"google"})
    rules({"families": 1}, found, providers={"google"})
    assert len(found.problems) == 2


def test_words_stand_for_what_patterns_share() -> None:
    """Each may have earlier ones in it; a repeat in braces is none."""
    made, problems = read(
        "[words]\nwho = 'user|box'\nnobody = 'no {who}'\n"
        f"[generic.x]\n{WHOLE.strip()}\ntext = ['{{nobody}} here', 'un{{1,2}}known {{who}}']"
    )
    assert problems == []
    assert [rule.text for rule in made] == ["(?:no (?:user|box)) here|un{1,2}known (?:user|box)"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("who = 'a'", 'b: generic.x.text: {whom} is no word of [words]; did you mean "who"?'),
        ("whom = '{who}'\nwho = 'a'", "b: words.whom: {who} is no word of [words]"),
        (
            "Who = 'a'\nwhom = 'b'",
            'b: words.Who: expected a name of [a-z0-9-] and a pattern such as "a|b", found "a"',
        ),
        ("whom = 1", 'b: words.whom: expected a name of [a-z0-9-] and a pattern such as "a|b", found 1'),
    ],
)
def test_words_that_cannot_be_are_found(words: str, said: str) -> None:
    """A pattern would be searched for that nobody meant."""
    problems = read(f"[words]\n{words}\n[generic.x]\n{WHOLE.strip()}\ntext = ['unknown {{whom}}']")[1]
    assert problems[0].startswith(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ('class = "polcy"', 'generic.x.class: unknown class; did you mean "policy"?'),
        ('stage = ["rctp"]', "generic.x.stage[0]: no stage is called 'rctp'"),
        ('code = ["250"]', 'generic.x.code[0]: expected "450", or ["4yz"] or ["5yz"] alone, found "250"'),
        ('code = ["4yz", "550"]', 'generic.x.code[0]: expected "450"'),
        ('enhanced = ["5.1.1"]', 'generic.x.enhanced[0]: expected "X.1.1"'),
        ('text = ["a(b"]', "generic.x.text[0]: is no regular expression"),
        ('text = ["(?!a)b"]', "generic.x.text[0]: \"(?!\": of groups only ( ) and (?: ) are allowed"),
        ('text = [""]', "generic.x.text[0]: matches everything: leave it out"),
        ('text = ["User"]', 'generic.x.text[0]: can never match: "U" in "User"'),
        ('provider_code = "("', "generic.x.provider_code: is no regular expression"),
        ('scope = "sende"', 'generic.x.scope: unknown scope; did you mean "sender"?'),
        ('confidence = "sure"', 'generic.x.confidence: expected one of "high", "low"'),
        ('retry = "soon"', 'generic.x.retry: expected one of "", "again", "long"'),
        ('since = "lately"', "generic.x.since: expected a month or day"),
        ('source = " "', "generic.x.source: says nothing"),
        ("example = []", "generic.x.example: needs at least one reply"),
        ("counter = []", "generic.x.counter: needs at least one reply"),
        ('txt = "a"', 'generic.x.txt: unknown key; did you mean "text"?'),
        ('class = "invalid_recipient"', "generic.x.stage: invalid_recipient is about a recipient"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_found(changes: str, said: str) -> None:
    """With its place and what is expected there."""
    (problem,) = wrong(changes)
    assert problem.startswith(f"b: {said}"), problem


def test_S_16_nothing_accuses_a_recipient_before_rcpt() -> None:
    """S-16: nor may a rule make a refusal before MAIL more than tried again, which it is anyway."""
    text = WHOLE.replace("policy", "mailbox_full")
    assert read(f"[generic.x]\n{text}stage = ['mail', 'rcpt']")[1][0].startswith("b: generic.x.stage")
    assert read(f"[generic.x]\n{text}stage = ['rcpt']")[1] == []
    assert "has no effect" in wrong('stage = ["helo"]\nretry = "again"')[0]


def test_a_bare_5_7_1_is_policy() -> None:
    """Whoever wants more of it must name words; a 4yz of it is another thing."""
    text = WHOLE.replace("policy", "spam_content")
    assert "nothing but policy" in read(f"[generic.x]\n{text}enhanced = ['X.7.0-9']")[1][0]
    assert read(f"[generic.x]\n{text}enhanced = ['X.7.1']\ntext = ['junk']")[1] == []
    assert read(f"[generic.x]\n{text}enhanced = ['X.7.1']\ncode = ['4yz']")[1] == []
    assert read(f"[generic.x]\n{WHOLE}enhanced = ['X.7.1']")[1] == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[gogle.x]", 'b: gogle: unknown provider or layer; did you mean "google"?'),
        ("google = 1", "b: google: expected tables such as [google.my-rule], found 1"),
        ("[google]\nx = 1", "b: google.x: expected a table, found 1"),
        (f"[google.'A b']\n{WHOLE}", "b: google.\"A b\": a rule is named by [a-z0-9_-], at most 64 of them"),
    ],
)  # fmt: skip
def test_layers_and_names(text: str, said: str) -> None:
    """A rule that would never be asked is an error."""
    assert read(text)[1] == [said]
