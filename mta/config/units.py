"""Values with units, as configuration files write them: times, sizes, rates, shares.

A bare number is refused, because nobody remembers whether it meant seconds or milliseconds; only 0 needs
no unit.
"""

import re

from mta.queue.settings import RateLimit

_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*([A-Za-z]+)", re.ASCII)
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*/\s*([a-z]+)", re.ASCII)
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", re.ASCII)
_TIMES = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_SIZES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_PERIODS = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Seconds(float):
    """Written `"50ms"`, `"30s"`, `"5m"`, `"2h"` or `"7d"`."""

    expected = 'a time such as "50ms", "30s", "5m", "2h" or "7d"'

    @classmethod
    def parse(cls, value: object) -> "Seconds":
        """ValueError for anything else."""
        if _is_zero(value):
            return cls(0.0)
        number, unit = _split(_NUMBER, value)
        if unit not in _TIMES:
            raise ValueError(f"unknown unit of time {unit!r}")
        return cls(round(float(number) * _TIMES[unit], 6))


class Bytes(int):
    """Written `"256kB"`, `"25MB"`, `"2GB"` (thousands) or `"1MiB"` (1024s)."""

    expected = 'a size such as "256kB", "25MB" or "2GB"'

    @classmethod
    def parse(cls, value: object) -> "Bytes":
        if _is_zero(value):
            return cls(0)
        number, unit = _split(_NUMBER, value)
        if unit.lower() not in _SIZES:
            raise ValueError(f"unknown unit of size {unit!r}")
        return cls(round(float(number) * _SIZES[unit.lower()]))


class Share(float):
    """Written `"0.3%"`; a bare number is refused, because 0.3 could be either."""

    expected = 'a share such as "0.3%" or "5%"'

    @classmethod
    def parse(cls, value: object) -> "Share":
        if _is_zero(value):
            return cls(0.0)
        match = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            raise ValueError("not a number with %")
        if float(match[1]) > 100:
            raise ValueError("more than all")
        return cls(round(float(match[1]) / 100, 9))


class PerTime(RateLimit, frozen=True, gc=False):
    """Written `"100/s"`, `"100/min"` or `"10000/h"`."""

    expected = 'a rate such as "100/s", "100/min" or "10000/h"'

    @classmethod
    def parse(cls, value: object) -> "PerTime":
        number, unit = _split(_RATE, value)
        if unit not in _PERIODS:
            raise ValueError(f"unknown period {unit!r}")
        if float(number) <= 0:
            raise ValueError("a rate must be above 0")
        return cls(float(number), _PERIODS[unit])


def time_text(seconds: float) -> str:
    """As a file would have it: `5m`, `1.5h`, in the largest unit that leaves no small part."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0)):
        if seconds >= length and (seconds / length * 2).is_integer():
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 else f"{seconds * 1000:g}ms"


def rate_text(rate: RateLimit) -> str:
    """`100/min`; with a period that has no unit, what it comes to in a second."""
    for unit, length in (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)):
        if rate.period_s == length:
            return f"{rate.count:g}/{unit}"
    return f"{rate.count / rate.period_s:g}/s"


def _is_zero(value: object) -> bool:
    return value == "0" or (isinstance(value, int) and not isinstance(value, bool) and value == 0)


def _split(form: re.Pattern[str], value: object) -> tuple[str, str]:
    match = form.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not a number with its unit")
    return match[1], match[2]
