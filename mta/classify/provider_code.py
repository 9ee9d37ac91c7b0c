"""Codes of their own that providers put into refusals: they say more than the prose around them, and stay the same.

Each form with the provider it was seen at. A code that no rule knows is reported all the same: it is the best thing to
group refusals by.
"""

import re

_FORMS = re.compile(
    r"[?&]p=(?P<google>[A-Za-z][A-Za-z0-9]{3,40})"  # Gmail: https://support.google.com/mail/?p=NoSuchUser
    r"|(?P<net>(?:gmx\.|web\.de|mail\.com|ionos|1und1|1and1|kundenserver)"
    r"[^\s]{0,200}[?&]c=(?P<gmx>[a-z0-9]{1,12}))"  # United Internet
    r"|\b(?P<spam>AS)\(?(?P<number>\d{3,12})\b"  # Microsoft: AS(4810)
    r"|[\[(](?P<bracket>[A-Z]{1,6}-?\d{1,6}[A-Z]?)[\])]"  # [TSS04], [CS01], (S3150), (AU01), [HM07], [IPTS04]
    r"|(?P<tonline>(?<=\()BL(?=\)))"  # T-Online
    r"|\b(?P<cox>AUP#[A-Za-z0-9-]{2,20})"  # Cox, Charter
    r"|\b(?P<laposte>(?:OFR|LPN)\d{0,4}_\d{2,4})\b"  # Orange, La Poste
    r"|\b(?P<comcast>(?:RL|BL)\d{6})\b"  # Comcast
    r"|\b(?P<godaddy>IB\d{3,4}[a-z]?)\b"  # GoDaddy
    r"|\b(?P<exchange>(?:RESOLVER|STOREDRV|QUEUE|ROUTING|SMTPSEND|TRANSPORT|AGENT|APPROVAL)\.[A-Za-z]{2,30}(?:\.[A-Za-z]{2,40}){0,3})"
    r"|\b(?P<outlook>(?:RP|SC|DY|OU|DNT|HCA)-\d{3})\b"  # Outlook.com until 2020, and gateways that quote it
    r"|\b(?P<netease>(?:DT|HL|RP|MI|IP):[A-Z]{3})\b"  # NetEase
    r"|\b(?P<snds>S(?:3\d{3}|775|844))\b"  # Outlook.com without its parentheses
    r"|\b(?P<sfr>MXIN\d{3})\b"  # SFR
)


def provider_code(word: str) -> str:
    """The code in one word of a refusal, as written; empty where there is none."""
    found = _FORMS.search(word)
    if found is None:
        return ""
    if found["spam"]:
        return f"AS({found['number']})"
    if found["gmx"]:
        return found["gmx"]
    return found[found.lastgroup or 0]
