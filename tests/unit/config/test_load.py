import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mta.config.load import find, load, shipped, shipped_rules, state_dir
from mta.config.problems import ConfigError
from mta.config.settings import Config
from mta.jetstream.credentials import EXPECTED
from mta.model.login import Login
from tests.fakes.keys import rsa_pem
from tests.fakes.nats_jwt import trust
from tests.fakes.nobody import as_nobody
from tests.unit.config.conftest import write

CONF = Path(__file__).parents[3] / "conf"
TENANT = """
[tenants.acme]
return_path = "b.acme.test"
domains."acme.test" = { dkim = [{ selector = "s1", key = "acme.pem" }] }
"""

Loaded = Callable[..., Config]
Refused = Callable[..., list[str]]


def test_the_shipped_configuration_loads_as_it_is() -> None:
    """A newcomer can start from it unchanged; three warnings say what it does not do yet."""
    config = load(CONF / "mta.toml", {})
    assert [warning.path for warning in config.warnings] == ["sources", "tenants", "tokens.keys"]
    assert config.shaping_origin == CONF / "shaping.toml"


def test_the_examples_of_the_shipped_configuration_load(tmp_path: Path) -> None:
    """Every commented-out key is right, too, once its key files are there."""
    text = re.sub(r"(?m)^# (?=\[|\w+ = |\w+\.\"|\")", "", (CONF / "mta.toml").read_text())
    write(tmp_path / "mta.toml", text)
    write(tmp_path / "token-k1", "x" * 16)
    write(tmp_path / "acme.example.s2026.pem", rsa_pem())
    config = load(tmp_path / "mta.toml", {})
    assert config.warnings == ()
    assert config.tenants["acme"].domains["acme.example"].selectors == ("s2026",)
    assert config.keys.tokens[-1].key_id == "k1"
    assert config.routes[0].pattern == "*.test"
    assert config.sources["a1"].address == "192.0.2.10"


def test_the_shipped_configuration_says_every_default(loaded: Loaded) -> None:
    """An empty file means the same as the shipped one."""
    empty = loaded("")
    shown = load(CONF / "mta.toml", {}, host_name="box")
    fields = ("nats", "http", "intake", "hold", "compose", "retry", "dns", "events", "index_recipients")
    for field in fields:
        assert getattr(empty, field) == getattr(shown, field), field
    assert empty.node == shown.node


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"x = ", "mta.toml: is not TOML: Invalid value (at end of document)"),
        (b"[node]\n[node]", "mta.toml: is not TOML: Cannot declare ('node',) twice (at line 2, column 6)"),
        (b"x = '\xff'", "mta.toml: is not UTF-8 at byte 5"),
    ],
)
def test_a_file_that_cannot_be_parsed_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    """Line and column, as the parser knows them."""
    with pytest.raises(ConfigError) as error:
        load(write(tmp_path / "mta.toml", content), {})
    assert str(error.value) == f"{tmp_path}/{said}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """And so is a directory in its place."""
    with pytest.raises(ConfigError, match=r"nope.toml: cannot be read: No such file or directory"):
        load(tmp_path / "nope.toml", {})
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory"):
        load(tmp_path, {})


def test_unknown_keys_name_the_nearest_one(refused: Refused) -> None:
    """In every section, all at once."""
    text = "[nats]\nack_wiat = '30s'\n[retry.bulk]\nschedule = ['5m']\nmaxage = '1h'\n[nod]\n"
    assert refused(text) == [
        'mta.toml: nod: unknown key; did you mean "node"?',
        'mta.toml: nats.ack_wiat: unknown key; did you mean "ack_wait"?',
        'mta.toml: retry.bulk.maxage: unknown key; did you mean "max_age"?',
        "mta.toml: retry.bulk.max_age: is missing",
    ]


def test_rules_beside_the_configuration_win_over_the_shipped_ones(tmp_path: Path, loaded: Loaded) -> None:
    """A file of the default name beside it is the operator's."""
    write(tmp_path / "shaping.toml", "[default]\nconnections = 2")
    config = loaded("")
    assert (config.shaping.default.connections, config.shaping.providers) == (2, ())
    assert config.shaping_origin == tmp_path / "shaping.toml"


def test_rules_of_another_name_must_be_there(tmp_path: Path, refused: Refused) -> None:
    """What was asked for by name is not replaced in silence."""
    assert refused('[node]\nshaping = "mine.toml"') == [
        "mine.toml: cannot be read: No such file or directory"
    ]
    assert refused('[node]\nbounces = "mine.toml"') == [
        "mine.toml: cannot be read: No such file or directory"
    ]


def test_problems_of_rules_name_their_file(tmp_path: Path, refused: Refused) -> None:
    """Two files are told apart."""
    write(tmp_path / "shaping.toml", "[defualt]")
    assert refused("[node]\nworkers = -1") == [
        'shaping.toml: defualt: unknown key; did you mean "default"?',
        "mta.toml: node.workers: expected 0 (one per core) to 1024",
    ]


def test_of_a_file_that_cannot_be_parsed_nothing_else_is_said(tmp_path: Path, refused: Refused) -> None:
    """Providers that it would name are not unknown, neither to routes nor to rules."""
    write(tmp_path / "shaping.toml", "[providers.google\n")
    write(tmp_path / "bounces.toml", '[[rule]]\nprovider = "google"\n')
    (problem,) = refused('[routes."d.test"]\nhost = "mx.d.test:25"\nprovider = "google"\n')
    assert problem.startswith("shaping.toml: is not TOML: ")


def test_an_operators_bounce_rules_stand_in_front(tmp_path: Path, loaded: Loaded) -> None:
    """Beside the configuration: an overlay, not a replacement; events name the layer."""
    write(
        tmp_path / "bounces.toml",
        """
        [generic.ours]
        class = "policy"
        text = ["no such user"]
        since = "2026-11"
        source = "our relay"
        example = ["550 no such user"]
        counter = ["550 no"]
        """,
    )
    config = loaded("")
    assert [rule.label for rule in config.bounces.operator] == ["operator:generic.ours"]
    assert config.bounces.shipped == shipped_rules().shipped
    assert config.bounces_origin == tmp_path / "bounces.toml"


def test_without_an_operators_rules_the_shipped_ones_hold(loaded: Loaded) -> None:
    """They always do."""
    config = loaded("")
    assert config.bounces == shipped_rules()
    assert config.bounces_origin == CONF / "bounces.toml"


def test_a_bounce_rule_that_cannot_be_is_refused(tmp_path: Path, refused: Refused) -> None:
    """With its file, its place, and what may have been meant."""
    write(tmp_path / "bounces.toml", "[gogle.x]\n")
    (problem,) = refused("")
    assert problem == 'bounces.toml: gogle: unknown provider or layer; did you mean "google"?'


@pytest.mark.parametrize("place", ["acme.pem", "dkim/acme.pem"])
def test_keys_are_found_beside_the_configuration(tmp_path: Path, loaded: Loaded, place: str) -> None:
    """Under their name or in the directory of their kind."""
    write(tmp_path / place, rsa_pem(), 0o400)
    assert loaded(TENANT).keys.dkim["acme", "acme.test"][0].pem == rsa_pem()


@pytest.mark.parametrize("place", ["acme.pem", "dkim_acme.pem"])
def test_credentials_win(tmp_path: Path, loaded: Loaded, place: str) -> None:
    """systemd names a file of a loaded directory dkim_<name>; its group bit is the mask of an access list."""
    write(tmp_path / "acme.pem", "not this one")
    write(tmp_path / "credentials" / place, rsa_pem(), 0o440)
    config = loaded(TENANT, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert config.keys.dkim["acme", "acme.test"][0].pem == rsa_pem()


def test_a_key_in_a_directory_is_found_as_the_credential_of_that_name(tmp_path: Path, loaded: Loaded) -> None:
    """`dkim/acme.pem` beside the file is `dkim_acme.pem` among the credentials."""
    write(tmp_path / "credentials" / "dkim_acme.pem", rsa_pem(), 0o400)
    text = TENANT.replace("acme.pem", "dkim/acme.pem")
    assert loaded(text, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials")).keys.dkim["acme", "acme.test"]


def test_an_absolute_path_is_taken_as_it_is(tmp_path: Path, loaded: Loaded) -> None:
    """No look-up elsewhere."""
    key = write(tmp_path / "elsewhere" / "k", rsa_pem())
    assert loaded(TENANT.replace("acme.pem", str(key))).keys.dkim["acme", "acme.test"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, refused: Refused, mode: int) -> None:
    """The file must be its owner's alone."""
    write(tmp_path / "acme.pem", rsa_pem(), mode)
    (problem,) = refused(TENANT)
    path = 'tenants.acme.domains."acme.test".dkim[0].key'
    assert problem == f"mta.toml: {path}: others may read acme.pem (mode {mode:04o}): chmod 600"


def test_a_credential_that_all_may_read_is_refused(tmp_path: Path, refused: Refused) -> None:
    """systemd never makes one."""
    write(tmp_path / "credentials" / "acme.pem", rsa_pem(), 0o444)
    (problem,) = refused(TENANT, CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"))
    assert "others may read credentials/acme.pem (mode 0444)" in problem


def test_a_missing_key_names_every_place_that_was_looked_at(tmp_path: Path, refused: Refused) -> None:
    """So that the operator knows where to put it."""
    (problem,) = refused(TENANT, CREDENTIALS_DIRECTORY="/run/c")
    assert problem.endswith(
        "no such key file: /run/c/acme.pem, /run/c/dkim_acme.pem, acme.pem, dkim/acme.pem"
    )


def test_a_key_that_cannot_be_read_says_why(tmp_path: Path, refused: Refused) -> None:
    """A directory here, because the superuser may read every file."""
    (tmp_path / "acme.pem").mkdir()
    assert "acme.pem cannot be read: Is a directory" in refused(TENANT)[0]


OWN_NATS = '[nats]\nembedded = false\nservers = ["nats://a.test"]\ncredentials = "mta.creds"'


@pytest.fixture
def locked() -> Iterator[Path]:
    """A directory that others may enter, with `dkim/` in it that nobody but root may; and we are not root."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        write(place / "mta.toml", TENANT, 0o644)
        write(place / "dkim" / "acme.pem", rsa_pem())
        with as_nobody(place / "dkim"):
            yield place


def test_a_key_that_this_user_may_not_read_is_a_finding(locked: Path) -> None:
    """Also where he may not even look whether it is there."""
    with pytest.raises(ConfigError) as error:
        load(locked / "mta.toml", {})
    said = "cannot be read: Permission denied: run as root, or let this user read it (chown, chmod)"
    assert str(error.value).endswith(f"dkim[0].key: {locked}/dkim/acme.pem {said}")


def test_a_configuration_that_this_user_may_not_read_is_a_finding(locked: Path) -> None:
    """The system's own is then not taken for one that is not there."""
    hidden = locked / "dkim" / "mta.toml"
    assert find(None, {}, hidden) == hidden
    with pytest.raises(ConfigError, match=r"mta.toml: cannot be read: Permission denied: run as root"):
        load(hidden, {})


def test_who_does_not_sign_needs_no_keys(locked: Path) -> None:
    """Everything else is there."""
    config = load(locked / "mta.toml", {}, with_keys=False)
    assert config.tenants["acme"].domains["acme.test"].selectors == ("s1",)
    assert config.keys.dkim == {("acme", "acme.test"): ()}


def test_a_name_that_no_file_can_have_is_a_finding(refused: Refused) -> None:
    """Not a failure of the program."""
    assert refused(TENANT.replace("acme.pem", "x" * 300))[0].endswith("cannot be read: File name too long")


def test_nats_credentials_are_looked_up_like_a_key(tmp_path: Path, loaded: Loaded, refused: Refused) -> None:
    """What the client gets is the path of a credentials file, or the login that the file holds."""
    assert "nats.credentials: no such key file" in refused(OWN_NATS)[0]
    place = write(tmp_path / "mta.creds", trust().creds)
    nats = loaded(OWN_NATS).nats
    assert (nats.credentials, nats.login) == (str(place), None)
    write(place, "mta:s3cret\n")
    nats = loaded(OWN_NATS).nats
    assert (nats.credentials, nats.login) == ("", Login("mta", "s3cret"))
    assert loaded("").nats.credentials == ""


def test_credentials_that_are_none_are_refused(tmp_path: Path, refused: Refused) -> None:
    """With what is expected, and without what is there."""
    write(tmp_path / "mta.creds", "s3cret")
    (problem,) = refused(OWN_NATS)
    assert problem == f"mta.toml: nats.credentials: mta.creds is neither: {EXPECTED}"


def test_credentials_beside_the_embedded_server_are_refused(tmp_path: Path, refused: Refused) -> None:
    """It has a password of its own."""
    write(tmp_path / "mta.creds", trust().creds)
    assert refused('[nats]\ncredentials = "mta.creds"') == [
        "mta.toml: nats.credentials: has no effect beside the embedded server: set nats.embedded = false"
    ]


def test_the_state_directory_is_systemds_where_it_gave_one() -> None:
    """The first of several."""
    assert state_dir("/var/lib/mta", {}) == Path("/var/lib/mta")
    assert state_dir("/var/lib/mta", {"STATE_DIRECTORY": "/s/a:/s/b"}) == Path("/s/a")
    assert state_dir("/var/lib/mta", {"STATE_DIRECTORY": ""}) == Path("/var/lib/mta")


def test_the_configuration_is_found_by_option_environment_and_place(tmp_path: Path) -> None:
    """In this order; None where there is none."""
    system, option = tmp_path / "system.toml", tmp_path / "option.toml"
    assert find(None, {}, system) is None
    assert find(None, {"MTA_CONFIG": ""}, system) is None
    system.touch()
    assert find(None, {}, system) == system
    assert find(None, {"MTA_CONFIG": "/e.toml"}, system) == Path("/e.toml")
    assert find(option, {"MTA_CONFIG": "/e.toml"}, system) == option


def test_shipped_files_are_found_in_a_source_tree() -> None:
    """The package finds conf/ beside itself."""
    assert shipped("shaping.toml") == CONF / "shaping.toml"


def test_loading_does_not_depend_on_the_working_directory(tmp_path: Path) -> None:
    """Names in the file are relative to the file."""
    shutil.copy(CONF / "mta.toml", tmp_path / "mta.toml")
    write(tmp_path / "shaping.toml", "[default]\nwindow = 2")
    relative = Path(os.path.relpath(tmp_path / "mta.toml"))
    config = load(relative, {})
    assert (config.origin, config.shaping.default.window) == (tmp_path / "mta.toml", 2)


def test_a_configuration_never_shows_its_keys(tmp_path: Path, loaded: Loaded) -> None:
    """Neither whole nor in part: it may end in a traceback."""
    write(tmp_path / "acme.pem", rsa_pem())
    config = loaded(TENANT)
    assert "PRIVATE" not in repr(config)
    assert "PRIVATE" not in repr(config.keys)
