"""Where the rules of SMTP and the faults of a peer are tested: by their ids, so that a rule without a test is seen.

The id stands in the name or the docstring of a test of each file named. Rules of other parts (TLS, MIME, DKIM) are
not of this table.
"""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

SMTP, SESSION, OPENING = "unit/smtp/test_rows", "unit/smtp/test_session", "integration/smtp/test_opening"
COMMAND, CONNECTION, PARSER = (
    "unit/smtp/test_command",
    "integration/smtp/test_connection",
    "unit/smtp/test_parser",
)
CLASSIFIER, ATTEMPT, POOL = (
    "unit/classify/test_classifier",
    "unit/delivery/test_attempt",
    "unit/delivery/test_pool",
)
HOSTS, TRANSACTION, OFFER = (
    "unit/delivery/test_opening",
    "unit/smtp/test_transaction",
    "unit/smtp/test_extensions",
)
MOMENTS, UNKNOWN = (
    "scenarios/test_connections_end_at_bad_moments",
    "scenarios/test_unknown_users_bounce_alone",
)
LOGIN, ADDRESS, MIME = "integration/smtp/test_login", "unit/model/test_address", "unit/compose/test_mime"
AGAIN, EIGHT = (
    "scenarios/test_deferred_mail_is_sent_again",
    "scenarios/test_eight_bits_are_not_forced_on_anybody",
)
BODY, STOP = "unit/smtp/test_body", "scenarios/test_daemon_stops_in_order"

CLIENT = {
    "S-01": (SMTP, BODY),
    "S-02": (COMMAND, ADDRESS, MIME),
    "S-03": (OPENING,),
    "S-04": (SMTP, OPENING, "unit/config/test_shaping"),
    "S-05": (PARSER, TRANSACTION),
    "S-06": (SESSION, CONNECTION, CLASSIFIER, ATTEMPT, MOMENTS),
    "S-07": ("unit/dns/test_mx",),
    "S-08": ("unit/dns/test_mx", "integration/dns/test_resolver", CLASSIFIER),
    "S-09": ("unit/dns/test_mx", "integration/dns/test_resolver"),
    "S-10": ("unit/queue/test_schedule",),
    "S-11": (UNKNOWN,),
    "S-12": (COMMAND,),
    "S-13": (BODY, CONNECTION, MIME),
    "S-14": (ATTEMPT, CLASSIFIER, "unit/events/test_encode", MOMENTS),
    "S-15": (SESSION, SMTP, POOL, STOP),
    "S-16": (CLASSIFIER, ATTEMPT, HOSTS),
    "S-17": (SMTP, ATTEMPT),
    "S-18": (PARSER, CLASSIFIER),
    "S-19": (CONNECTION, POOL, MOMENTS),
}
EXTENSIONS = {
    "PIPELINING": (SMTP, SESSION),
    "CHUNKING": (SESSION, COMMAND),
    "BINARYMIME": (SMTP, CONNECTION),
    "SIZE": (SMTP, TRANSACTION, OFFER),
    "8BITMIME": (MIME, EIGHT),
    "SMTPUTF8": (CONNECTION, ADDRESS),
    "IDNA2008": (ADDRESS,),
    "ENHANCEDSTATUSCODES": (CLASSIFIER,),
    "DSN": ("unit/smtp/test_xtext", COMMAND, TRANSACTION, SMTP, CONNECTION),
    "LIMITS": (OFFER, SMTP, CONNECTION, POOL),
    "521/556": (HOSTS, ATTEMPT, CLASSIFIER, POOL, MOMENTS),
    "REQUIRETLS": (COMMAND, TRANSACTION, SMTP, OPENING),
}
PEER = {
    "B1": (SMTP, SESSION, CONNECTION, OPENING, LOGIN, MOMENTS),
    "B2": (SMTP, SESSION, CONNECTION, OPENING, LOGIN),
    "B3": (SMTP, SESSION, CONNECTION, OPENING, LOGIN),
    "B4": (SESSION, CONNECTION, OPENING, HOSTS),
    "B5": (SESSION, CONNECTION, OPENING, ATTEMPT, HOSTS),
    "B6": (SESSION, CONNECTION, OPENING, ATTEMPT, HOSTS),
    "B8": (PARSER, CONNECTION, OPENING),
    "B9": (SESSION, OPENING),
    "B10": (PARSER, SESSION, SMTP, OPENING),
    "B12": (SESSION, CONNECTION, "unit/smtp/test_contract", MOMENTS),
    "B13": (PARSER, SESSION, CONNECTION, OPENING),
    "B14": (SESSION, CLASSIFIER),
    "B17": (SESSION, SMTP, CONNECTION),
    "B19": (CONNECTION, UNKNOWN),
    "B20": (TRANSACTION, SESSION, CONNECTION),
    "B21": (SMTP, ATTEMPT, AGAIN),
    "B23": (OFFER, TRANSACTION, CONNECTION),
    "B24": (EIGHT,),
    "B25": (CONNECTION, POOL),
    "B27": (OPENING,),
    "B28": (SESSION, OPENING),
    "B29": (AGAIN,),
    "B30": (CONNECTION, "unit/compose/test_dkim"),
}
WHERE = [
    (rule, place)
    for table in (CLIENT, EXTENSIONS, PEER)
    for rule, places in table.items()
    for place in places
]


@cache
def words(place: str) -> str:
    """What its tests say of themselves; a name counts as the ids in it: test_b2_b3_cut says B2 and B3."""
    tree = ast.parse((TESTS / f"{place}.py").read_text())
    said = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            said += [part.upper() for part in node.name.split("_")]
            said.append(ast.get_docstring(node) or "")
    return "\n".join(said)


@pytest.mark.parametrize(("rule", "place"), WHERE, ids=lambda value: str(value))
def test_a_rule_is_tested_where_the_table_says(rule: str, place: str) -> None:
    """Whoever takes the test of a rule away, or renames it, hears of it."""
    assert re.search(rf"(?<![\w-]){re.escape(rule)}(?![\w-])", words(place)), f"{rule} is not in {place}"


def test_the_table_is_whole() -> None:
    """S-01 to S-19, none left out."""
    assert list(CLIENT) == [f"S-{number:02}" for number in range(1, 20)]
