"""Which version this is."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


def version() -> str:
    """Empty where it runs without being installed."""
    try:
        return installed("mta")
    except PackageNotFoundError:
        return ""
