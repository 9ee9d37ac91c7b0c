"""What of MTA-STS needs no server: domains that can have no policy, and the state before and after."""

from pathlib import Path

import pytest

from mta.dns.mx import HostAddresses
from mta.dns.nameservers import StubNameservers
from mta.dns.settings import DnsSettings
from mta.dns.sts import NoSts, StsPolicies


async def nowhere(name: str) -> HostAddresses:
    return HostAddresses()


@pytest.mark.parametrize(
    "domain",
    [
        "",
        "ok.test\0.evil",
        "a..b",
        "1.2.3.4",
        "[192.0.2.1]",
        "acme.test.",
        "é.test",
        "a." * 122 + "test",
        "x/y.test",
    ],
)
async def test_a_bad_name_is_refused_without_asking(tmp_path: Path, domain: str) -> None:
    """C16: nothing that is no mail domain, or is too long with a label before it, gets into a question or a URL."""
    nameservers = StubNameservers(DnsSettings(servers=("127.0.0.1:1",)))
    nameservers.start()
    policies = StsPolicies(nameservers, nowhere, tmp_path / "sts.json")
    await policies.start()
    answer = await policies.resolve(domain)
    assert isinstance(answer, NoSts)
    assert "can have no policy" in answer.detail
    assert policies.look_up(domain) is None
    await nameservers.close()
    await policies.close()


async def test_policies_that_do_not_run_say_so(tmp_path: Path) -> None:
    """Before start and after close nothing is asked, and closing twice does no harm."""
    policies = StsPolicies(StubNameservers(DnsSettings()), nowhere, tmp_path / "sts.json")
    assert await policies.resolve("acme.test") == NoSts("not running", is_sure=False)
    await policies.start()
    await policies.close()
    assert await policies.resolve("acme.test") == NoSts("not running", is_sure=False)
    await policies.close()
