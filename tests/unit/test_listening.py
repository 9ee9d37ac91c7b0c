import subprocess
import sys
from functools import cache

import pytest

HEAVY = ("aiohttp.web", "aiosmtpd.smtp", "mta.inbound.service", "mta.inbound.web", "mta.classify.report")


@cache
def imported(module: str) -> set[str]:
    """By a Python of its own."""
    shown = [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"]
    return set(subprocess.run(shown, check=True, capture_output=True, text=True).stdout.split())


def test_who_only_sends_imports_no_server() -> None:
    """The daemon wires servers where they are configured."""
    assert imported("mta.daemon").isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["asyncio", "msgspec", "rich.console", "nats"])
def test_help_imports_little(module: str) -> None:
    """Each verb imports what it needs when it is asked for."""
    assert module not in imported("mta.cli")
