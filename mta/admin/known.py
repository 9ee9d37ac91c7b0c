"""Names that a person gives and the configuration must know: of a misspelt one all would look well. Pure."""

from collections.abc import Iterable

from mta.admin.errors import WrongUsage
from mta.config.problems import nearest


def check_known(what: str, name: str, known: Iterable[str]) -> None:
    """WrongUsage for one that is not among them. Empty: none is named."""
    if name and name not in known:
        raise WrongUsage(f"there is no {what} {name}{nearest(name, known)}")
