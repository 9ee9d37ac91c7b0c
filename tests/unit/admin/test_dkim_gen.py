import json
import os
import resource
import stat
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from mta.admin.dkim_gen import Order, gen, order
from mta.admin.dkim_record import DkimRecord, read_record
from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.output import Output
from mta.config.load import load

SMALL = Order("acme.test", "e1", 0)  # quick to make


def made(
    config: Path, ordered: Order, said: pytest.CaptureFixture[bytes], out: Path | None = None
) -> dict[str, str]:
    assert gen(config, ordered, out, Output(as_json=True)) == 0
    result: dict[str, str] = json.loads(said.readouterr().out)
    return result


@pytest.mark.parametrize(
    ("domain", "selector", "ordered"),
    [
        ("acme.test", "s2026", Order("acme.test", "s2026", 2048)),
        ("ACME.test", "S.Eu-1", Order("acme.test", "s.eu-1", 2048)),
        ("Straße.DE", "s", Order("xn--strae-oqa.de", "s", 2048)),
        ("acme.test", "s" * 63, Order("acme.test", "s" * 63, 2048)),
    ],
)
def test_names_are_as_dns_has_them(domain: str, selector: str, ordered: Order) -> None:
    """Domains in A-labels, all in lower case."""
    assert order(domain, selector) == ordered


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "acme",
        "acme.test.",
        "a..test",
        "-a.test",
        "a_b.test",
        "acme.test\0.evil.test",
        "☃.net",
        "../x.test",
    ],
)
def test_a_domain_that_cannot_stand_in_from_is_refused(domain: str) -> None:
    """C16: by the parser of addresses, since the key is found by what that makes of From."""
    with pytest.raises(WrongUsage, match="cannot stand in From"):
        order(domain, "s1")


@pytest.mark.parametrize(
    "selector",
    ["", ".", "a.", "a..b", "-a", "a-", "a_b", "a b", "é", "\u212a", "s" * 64, "../x", "a/b", "s\0", "s\n"],
)
def test_a_selector_that_is_no_name_is_refused(selector: str) -> None:
    """RFC 6376 section 3.1; it stands in a path as well."""
    with pytest.raises(WrongUsage, match="is no selector"):
        order("acme.test", selector)


def test_a_name_longer_than_dns_has_is_refused() -> None:
    """At the limit and one character above it."""
    domain = ".".join(["d" * 60] * 3 + ["test"])  # 187
    assert order(domain, f"{'a' * 30}.{'b' * 23}")
    with pytest.raises(WrongUsage, match="shorten the selector"):
        order(domain, f"{'a' * 30}.{'b' * 24}")


@pytest.mark.parametrize(
    ("bits", "said"), [(512, "ignore"), (1023, "ignore"), (4097, "4096"), (-1, "ignore")]
)
def test_K_01_sizes_that_receivers_need_not_take_are_refused(bits: int, said: str) -> None:
    """RFC 8301: from 1024 to 4096 bits."""
    with pytest.raises(WrongUsage, match=said):
        order("acme.test", "s1", bits)


def test_an_ed25519_key_has_no_size() -> None:
    """An option without effect is a misunderstanding."""
    assert order("acme.test", "e1", is_ed25519=True) == SMALL
    with pytest.raises(WrongUsage, match="--bits is of RSA"):
        order("acme.test", "e1", 2048, is_ed25519=True)


@pytest.mark.parametrize(("bits", "warns"), [(1024, True), (2048, False)])
def test_an_rsa_key_is_made(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], bits: int, warns: bool
) -> None:
    """PKCS8, for its owner alone, in `dkim/` beside the configuration; the record is that of the key."""
    assert gen(tmp_path / "mta.toml", Order("acme.test", "s1", bits), None, Output(as_json=True)) == 0
    out, err = capsysbinary.readouterr()
    told = json.loads(out)
    place = tmp_path / "dkim" / "acme.test.s1.pem"
    assert (told["file"], told["kind"], told["bits"]) == (str(place), "rsa", bits)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    assert place.read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    record = read_record(told["record"])
    assert isinstance(record, DkimRecord)
    assert record.bits == bits
    assert "PRIVATE" not in out.decode()
    assert (b"1024 bits is weak" in err) is warns


@pytest.mark.parametrize("umask", [0, 0o077])
def test_the_mode_does_not_depend_on_the_umask(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], umask: int
) -> None:
    """Others may not read it, whatever the shell is set to."""
    before = os.umask(umask)
    try:
        place = made(tmp_path / "mta.toml", SMALL, capsysbinary, tmp_path / "k")["file"]
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path(place).stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["file", "link", "dangling", "directory"])
def test_nothing_is_overwritten(tmp_path: Path, kind: str) -> None:
    """Neither a key nor what a link in its place points to."""
    place, other = tmp_path / "k.pem", tmp_path / "other"
    match kind:
        case "file":
            place.write_text("old")
        case "directory":
            place.mkdir()
        case _:
            place.symlink_to(other)
            if kind == "link":
                other.write_text("old")
    with pytest.raises(WrongInput, match="is there already and is left alone"):
        gen(tmp_path / "mta.toml", SMALL, place, Output(as_json=True))
    if kind == "dangling":
        assert not other.exists()
    elif kind != "directory":
        assert place.read_text() == "old"


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is not guessed that somebody wants one."""
    for config, out in ((tmp_path / "no" / "mta.toml", None), (tmp_path / "mta.toml", tmp_path / "no" / "k")):
        with pytest.raises(MissingInput, match=f"{tmp_path}/no: no such directory"):
            gen(config, SMALL, out, Output())
    assert not (tmp_path / "no").exists()


def test_what_is_no_directory_is_told(tmp_path: Path) -> None:
    """Without a traceback, and with no key left anywhere."""
    (tmp_path / "dkim").write_text("")
    for out in (None, tmp_path / "dkim" / "k"):
        with pytest.raises(WrongInput, match=f"{tmp_path}/dkim"):
            gen(tmp_path / "mta.toml", SMALL, out, Output())


def test_a_disk_that_takes_no_more_leaves_no_half_key(tmp_path: Path) -> None:
    """A key that cannot be read later would stop the daemon."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(WrongInput, match="k: File too large"):
            gen(tmp_path / "mta.toml", SMALL, tmp_path / "k", Output())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    """The configuration could not name it."""
    for name in ("a\nb", "\udcff"):
        with pytest.raises(WrongUsage, match="cannot be printed"):
            gen(tmp_path / "mta.toml", SMALL, tmp_path / name, Output())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", ["", "k.pem", 'else"where/k.pem'])
def test_the_line_that_is_shown_configures_the_key(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], out: str
) -> None:
    """As it stands, wherever the key is; the second key as one more entry of the list."""
    config = tmp_path / "mta.toml"
    (tmp_path / 'else"where').mkdir()
    first = made(config, Order("acme.test", "s1", 1024), capsysbinary, tmp_path / out if out else None)
    second = made(config, SMALL, capsysbinary)
    line = first["configuration"]
    assert tomllib.loads(line)["domains"]["acme.test"]["dkim"][0]["key"].startswith("/") is ("else" in out)
    for text, selectors in (
        (line, ["s1"]),
        (line.replace("}] }", f"}}, {second['configuration']}] }}"), ["s1", "e1"]),
    ):
        config.write_text(f'[tenants.acme]\nreturn_path = "b.acme.test"\n{text}\n')
        keys = load(config, {}).keys.dkim["acme", "acme.test"]
        assert [key.selector for key in keys] == selectors
    load_pem_private_key(keys[0].pem, None)


def test_people_read_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the key is, the record in both forms, the line to add, and what to do before a restart."""
    gen(tmp_path / "mta.toml", Order("acme.test", "s1", 2048), None, Output())
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert lines[0] == f"Private key (RSA, 2048 bits): {tmp_path}/dkim/acme.test.s1.pem"
    assert lines[2].startswith('s1._domainkey.acme.test. IN TXT ( "v=DKIM1; k=rsa; p=')
    assert lines[4].startswith("v=DKIM1; k=rsa; p=")
    assert lines[6] == 'domains."acme.test" = { dkim = [{ selector = "s1", key = "acme.test.s1.pem" }] }'
    assert (
        lines[7] == f"Before the daemon is restarted: mta dkim check acme.test --config {tmp_path}/mta.toml"
    )
