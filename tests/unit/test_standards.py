"""Where the rules of SMTP, of TLS and of feedback, and the faults of a peer, of DNS, of TLS and of
who sends reports are tested: by their ids, so that a rule without a test is seen.

The id of a rule of TLS, and of a fault of DNS or TLS, stands in the docstring of a test of each file named; that of
another one there or in the name. Rules of other parts (MIME, DKIM) are not of this table.
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
BAD_TLS, USED = "integration/delivery/test_bad_tls", "scenarios/test_tls_is_used_where_it_works"
BOUND, RESTART = (
    "scenarios/test_policies_bind_their_domain",
    "scenarios/test_policies_outlive_a_restart",
)
SECURITY, MEMORY, REPORTS = (
    "unit/delivery/test_security",
    "unit/delivery/test_hosts",
    "unit/delivery/test_tls_reports",
)
MX, RESOLVER, ANSWERS, TROUBLE = (
    "unit/dns/test_mx",
    "integration/dns/test_resolver",
    "integration/dns/test_answers",
    "integration/dns/test_trouble",
)
DANE, VALIDATING, STS, FETCH, POLICY = (
    "integration/dns/test_dane",
    "integration/dns/test_validating",
    "integration/dns/test_sts",
    "integration/dns/test_fetch",
    "unit/dns/test_policy",
)
ASTRAY, COUNTED, RELAY = (
    "scenarios/test_dns_goes_wrong",
    "scenarios/test_tls_sessions_are_counted",
    "scenarios/test_smart_hosts_are_logged_in_to",
)

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
    "REQUIRETLS": (COMMAND, TRANSACTION, SMTP, OPENING, ATTEMPT, HOSTS, BOUND),
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
SECURE = {
    "T-01": (OPENING, BAD_TLS, USED),
    "T-02": (OPENING, BAD_TLS, HOSTS),
    "T-03": (OPENING, BAD_TLS, HOSTS, MEMORY, USED),
    "T-04": (MX, RESOLVER, DANE, "unit/admin/preflight/test_domains"),
    "T-05": (STS, FETCH, POLICY, "unit/dns/test_shelf", RESTART),
    "T-06": (STS, POLICY, SECURITY, HOSTS, POOL, REPORTS, BOUND),
    "T-07": (DANE, "unit/dns/test_dane", "unit/smtp/test_dane", SECURITY, HOSTS, BOUND),
    "T-08": (SECURITY, BOUND),
    "T-09": (DANE, VALIDATING, "unit/dns/test_dane", "unit/dns/test_wire", "unit/smtp/test_dane"),
    "T-10": (SECURITY, TRANSACTION, SMTP, ATTEMPT, HOSTS, BOUND),
    "T-11": (
        *("unit/tlsrpt/test_tally", "unit/tlsrpt/test_report", "unit/tlsrpt/test_rua"),
        *("integration/tlsrpt/test_reporter", "integration/tlsrpt/test_post", POOL),
        *(COUNTED, "scenarios/test_tls_reports_are_mailed"),
    ),
}
NAMES = {
    "C1": (ANSWERS, RESOLVER, TROUBLE, ASTRAY),
    "C2": (ANSWERS, RESOLVER, TROUBLE, ASTRAY),
    "C3": (ANSWERS, RESOLVER, TROUBLE, "integration/dns/test_nameservers", ASTRAY),
    "C4": (ANSWERS, RESOLVER, ASTRAY),
    "C5": (ANSWERS, RESOLVER, DANE, ASTRAY),
    "C6": (MX, ANSWERS, RESOLVER, ASTRAY),
    "C8": (MX, ANSWERS, HOSTS, MEMORY, ASTRAY),
    "C10": (MX, ANSWERS, RESOLVER, ASTRAY),
    "C12": (MX, RESOLVER, TROUBLE),
    "C13": (RESOLVER, TROUBLE, "unit/dns/test_hosts"),
    "C14": (RESOLVER, TROUBLE, DANE, VALIDATING, ASTRAY),
    "C15": (RESOLVER, TROUBLE, STS, VALIDATING, "unit/dns/test_cache", "integration/test_loadtest"),
    "C16": (MX, ADDRESS, "unit/dns/test_resolver", "unit/intake/test_admission"),
}
TLS = {
    "D1": (OPENING, BAD_TLS, HOSTS, USED),
    "D2": (OPENING, BAD_TLS, HOSTS, USED),
    "D3": (HOSTS, BOUND),
    "D4": (HOSTS, MEMORY, USED),
    "D5": (OPENING, BAD_TLS, USED),
    "D6": (OPENING, LOGIN, USED),
    "D9": (OPENING,),
    "D10": (STS, FETCH, BOUND, RESTART),
    "D12": ("integration/smtp/test_handshakes",),
    "D13": (LOGIN, HOSTS, "unit/smtp/test_tls", RELAY),
}
MESSAGE, REPORT, SERVICE = (
    "unit/compose/test_message",
    "unit/classify/test_report",
    "integration/inbound/test_service",
)
DIALOGUE, ADMISSION, JUDGE = (
    "integration/inbound/listener/test_dialogue",
    "unit/inbound/test_admission",
    "unit/inbound/test_judge",
)
WIRE, BACK, WEB = (
    "unit/inbound/test_wire",
    "scenarios/test_reports_come_back_by_mail",
    "integration/inbound/test_web",
)
FEEDBACK = {
    "L-01": (MESSAGE,),
    "L-02": (MESSAGE,),
    "L-03": (WEB, "scenarios/test_unsubscribing_takes_one_click"),
    "L-04": (MESSAGE,),
    "L-05": (MESSAGE,),
    "L-06": (MESSAGE, SERVICE),
    "L-08": (REPORT, ADMISSION, "unit/compose/test_job"),
    "F-10": (MESSAGE,),
    "B-01": (REPORT,),
    "B-02": ("unit/classify/test_dsn",),
    "B-03": (REPORT, "unit/classify/test_arf"),
    "B-04": (REPORT, JUDGE, "unit/classify/test_autoreply"),
    "H1": (SERVICE, BACK),
    "H3": (WEB, "integration/inbound/listener/test_listener"),
    "H4": (DIALOGUE, WIRE),
    "H6": (DIALOGUE, WIRE),
    "H7": (DIALOGUE,),
    "H8": (SERVICE, REPORT, "integration/inbound/test_workers"),
    "H9": (DIALOGUE, ADMISSION),
    "H11": (DIALOGUE, ADMISSION, "unit/model/test_token"),
    "H12": (SERVICE, "integration/inbound/test_recorder"),
    "H14": (SERVICE, JUDGE, REPORT),
    "H15": (SERVICE, BACK),
    "H16": ("integration/inbound/listener/test_tls", "unit/admin/test_check"),
}
WHERE = [
    (rule, place)
    for table in (CLIENT, EXTENSIONS, PEER, FEEDBACK)
    for rule, places in table.items()
    for place in places
]
IN_DOCSTRINGS = [
    (rule, place) for table in (SECURE, NAMES, TLS) for rule, places in table.items() for place in places
]


@cache
def docstrings(place: str) -> str:
    """What its tests say of themselves."""
    tree = ast.parse((TESTS / f"{place}.py").read_text())
    tests = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return "\n".join(ast.get_docstring(node) or "" for node in tests if node.name.startswith("test_"))


@cache
def words(place: str) -> str:
    """And of their names each is the ids in it: test_b2_b3_cut says B2 and B3."""
    tree = ast.parse((TESTS / f"{place}.py").read_text())
    tests = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    names = (part.upper() for node in tests for part in node.name.split("_") if node.name.startswith("test_"))
    return "\n".join((docstrings(place), *names))


def is_named(rule: str, said: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(rule)}(?![\w-])", said) is not None


@pytest.mark.parametrize(("rule", "place"), WHERE, ids=lambda value: str(value))
def test_a_rule_is_tested_where_the_table_says(rule: str, place: str) -> None:
    """Whoever takes the test of a rule away, or renames it, hears of it."""
    assert is_named(rule, words(place)), f"{rule} is not in {place}"


@pytest.mark.parametrize(("rule", "place"), IN_DOCSTRINGS, ids=lambda value: str(value))
def test_a_rule_is_told_of_where_the_table_says(rule: str, place: str) -> None:
    """Here a docstring has to say so."""
    assert is_named(rule, docstrings(place)), f"{rule} is in no docstring of {place}"


def test_the_table_is_whole() -> None:
    """S-01 to S-19, T-01 to T-11, the experiments of DNS and of TLS: none left out."""
    assert list(CLIENT) == [f"S-{number:02}" for number in range(1, 20)]
    assert list(SECURE) == [f"T-{number:02}" for number in range(1, 12)]
    assert list(NAMES) == [f"C{number}" for number in (1, 2, 3, 4, 5, 6, 8, 10, 12, 13, 14, 15, 16)]
    assert list(TLS) == [f"D{number}" for number in (1, 2, 3, 4, 5, 6, 9, 10, 12, 13)]
