"""A report goes out as every mail: composed, signed, told of, and once."""

import gzip
import json
import time
from email.message import EmailMessage

import pytest

from mta.model.address import parse
from mta.model.tls import PolicyType
from mta.tlsrpt.report import payload, report
from mta.tlsrpt.rua import ByMail
from mta.tlsrpt.settings import TlsRptSettings
from mta.tlsrpt.tally import PolicyCount
from tests.fakes.rig import DOMAIN, TENANT, Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_t11_a_report_arrives_signed(rig: Rig) -> None:
    """T-11, RFC 8460 section 3: with a DKIM signature of our domain, its file whole; the same one again is not sent."""
    settings = TlsRptSettings(True, "Acme", f"postmaster@{DOMAIN}", TENANT, f"tls-reports@{DOMAIN}")
    async with rig.destination() as place:
        to = ByMail(f"mailto:tls@{place.domain}", parse(place.to("tls")))
        made = report(settings, "n1", 20_413, [PolicyCount(place.domain, PolicyType.NONE, successes=7)])
        outgoing = payload(made, settings, "n1", to, time.time())
        whole = json.loads(outgoing.body)
        for is_again in (False, True):
            ack = await rig.pump.publish_acked(outgoing.subject, outgoing.body, msg_id=outgoing.msg_id)
            assert ack.is_duplicate is is_again
        told = await rig.ended(whole)
        assert told.end(place.to("tls"))["type"] == "delivered"
        assert told.end(place.to("tls"))["campaign"] == "tls-reports"
        (received,) = place.of(place.to("tls"))
        assert rig.verifies(received)
        mail = place.mail(place.to("tls"))
    assert isinstance(mail, EmailMessage)
    assert mail["Subject"] == f"Report Domain: {place.domain} Submitter: {DOMAIN} Report-ID: <{made.id}>"
    assert mail["TLS-Required"] == "No"
    assert mail["To"] == place.to("tls")
    assert mail["Date"]
    _, file = mail.iter_parts()
    (policy,) = json.loads(gzip.decompress(file.get_content()))["policies"]
    assert policy["summary"]["total-successful-session-count"] == 7
