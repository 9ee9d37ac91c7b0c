"""The TXT records of a name, for those who read policies out of them."""

from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, DnsTrouble, LookupFailed, chain_end, is_askable


async def texts(nameservers: Nameservers, name: str) -> tuple[str, ...] | DnsTrouble:
    """The text of each record, its strings joined, at `name` or where its CNAMEs lead; () where there is none, or can
    be none."""
    name = name.lower()
    if not is_askable(name):
        return ()
    try:
        records = (await nameservers.ask(name, "TXT")).records
    except Absent:
        return ()
    except LookupFailed as failure:
        return failure.trouble
    end = chain_end(name, records)
    if isinstance(end, DnsTrouble):
        return end
    return tuple(record.value for record in records if record.kind == "TXT" and record.owner == end[0])
