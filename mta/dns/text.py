"""The TXT records of a name, for those who read policies out of them."""

from mta.dns.mx import name_fault
from mta.dns.nameservers import Nameservers
from mta.dns.record import Absent, DnsTrouble, LookupFailed, chain_end


async def texts(nameservers: Nameservers, name: str) -> tuple[str, ...] | DnsTrouble:
    """The text of each record, its strings joined, at `name` or where its CNAMEs lead; () where there is none."""
    fault = name_fault(name, is_host=True)
    if fault:
        return DnsTrouble("bad_answer", f"{name[:80]!r} cannot be asked for: {fault}")
    name = name.lower()
    try:
        records = (await nameservers.ask(name, "TXT")).records
    except Absent:
        return ()
    except LookupFailed as failure:
        return failure.trouble
    end = chain_end(name, records)
    if end is None:
        return DnsTrouble("bad_cname", f"the CNAME records of {name} lead in a circle")
    return tuple(record.value for record in records if record.kind == "TXT" and record.owner == end[0])
