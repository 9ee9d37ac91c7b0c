"""Codes of their own that providers put into refusals: they say more than the prose around them, and stay the same.

Each form with the provider it was seen at. A code that no rule knows is reported all the same: it is the best thing to
group refusals by.
"""

import re

_FORMS = re.compile(
    r"(?:^|[(\[<\"'#:=;,/-])(?=[A-Z])(?:"  # all begin with a letter: without one nothing more is tried
    r"(?<=[\[(])(?P<bracket>[A-Z]{1,6}-?\d{1,6}[A-Z]?)[\])]"  # [TSS04], [CS01], (S3150), (AU01), [HM07], [IPTS04]
    r"|(?P<spam>AS)\(?(?P<number>\d{3,12})\b"  # Microsoft: AS(4810)
    r"|(?<=\()(?P<tonline>BL)(?=\))"  # T-Online
    r"|(?P<cox>AUP#[A-Z0-9-]{2,20})"  # Cox, Charter
    r"|(?P<orange>(?:OFR|LPN)\d{0,4}_\d{2,4})\b"  # Orange, La Poste
    r"|(?P<comcast>(?:RL|BL)\d{6})\b"  # Comcast
    r"|(?P<godaddy>IB\d{3,4}[a-z]?)\b"  # GoDaddy
    r"|(?P<exchange>(?:RESOLVER|STOREDRV|QUEUE|ROUTING|SMTPSEND|TRANSPORT|AGENT|APPROVAL)\.[A-Z]{2,30}"
    r"(?:\.[A-Z]{2,40}){0,3})"  # Exchange
    r"|(?P<outlook>(?:RP|SC|DY|OU|DNT|HCA)-\d{3})\b"  # Outlook.com until 2020, and gateways that quote it
    r"|(?P<netease>(?:DT|HL|RP|MI|(?-i:IP)):[A-Z]{3})\b"  # NetEase
    r"|(?P<aol>(?-i:(?:CON|URL|HVU|DYN|RLY|DNS):[A-Z][A-Z0-9]))\b"  # AOL, from Yahoo's hosts as well
    r"|(?P<snds>S(?:3\d{3}|775|844))\b"  # Outlook.com without its parentheses
    r"|(?P<sfr>MXIN\d{3})\b)",  # SFR
    re.IGNORECASE,
)
_IN_LINK = re.compile(
    r"[?&]p=(?P<google>[A-Z][A-Z0-9]{3,40})"  # Gmail: https://support.google.com/mail/?p=NoSuchUser
    r"|(?<=[?&])c=(?P<gmx>[a-z0-9]{1,12})"  # United Internet
    r"|#(?P<comcast>(?:RL|BL)\d{6})",
    re.IGNORECASE,
)
_UNITED_INTERNET = ("gmx.", "web.de", "mail.com", "ionos", "1und1", "1and1", "kundenserver")


def provider_code(word: str) -> str:
    """The code in one word of a refusal, as written; empty where there is none."""
    found = _FORMS.search(word)
    if found is None:
        return ""
    return f"AS({found['number']})" if found["spam"] else found[found.lastgroup or 0]


def code_in_link(link: str) -> str:
    """The same for a link: what it asks a page of the provider's for."""
    mark = max(link.find("?"), link.rfind("#"))
    found = _IN_LINK.search(link, mark) if mark > 0 else None
    if found is None or (found["gmx"] and not any(name in link.lower() for name in _UNITED_INTERNET)):
        return ""
    return found[found.lastgroup or 0]
