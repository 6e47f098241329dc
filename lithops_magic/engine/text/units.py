"""Human-readable numbers: durations, money, counts."""

from __future__ import annotations

import math


def duration(seconds: float) -> str:
    """Return seconds as `under 1 ms`, `38 ms`, `1.9 s`, `12 s`, `2 min 05 s` or `1 h 02 min`."""
    if 0 < seconds < 0.0005:
        return "under 1 ms"
    # Bounds are where rounding would change the unit: 0.0995 s would read 100 ms, 9.95 s 10.0 s.
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def money(usd: float) -> str:
    """Return US dollars with cents, or with two significant digits below one cent: `$0.00021`."""
    if usd <= 0:
        return "$0"
    if usd >= 0.01:
        return f"${usd:,.2f}"
    digits = 1 - math.floor(math.log10(usd))
    return f"${usd:.{digits}f}".rstrip("0")


def price(usd: float, *, local: bool) -> str:
    """Return a job's price, requests included, in the one wording used everywhere."""
    return f"≈ {money(usd)} on AWS{', free here' if local else ''}"


def rate(per_second: float) -> str:
    """Return a frequency as `120/s`, `2.7/s`, `13/min` or `4/h`."""
    for seconds, unit in ((1, "s"), (60, "min")):
        if per_second * seconds >= 1:
            return _rate(per_second * seconds, unit)
    return _rate(per_second * 3600, "h")


def _rate(value: float, unit: str) -> str:
    return f"{value:.1f}/{unit}" if value < 9.95 else f"{value:,.0f}/{unit}"


def size(octets: float) -> str:
    """Return bytes as `45 B`, `12 KB`, `85.8 MB`."""
    if octets < 1000:
        return f"{octets:.0f} B"
    if octets < 999_500:
        return f"{octets / 1000:,.0f} KB"
    return f"{octets / 1_000_000:,.1f} MB"


def factor(value: float) -> str:
    """Return a factor as `1.7 ×`, `23 ×`."""
    return f"{value:.1f} ×" if value < 9.95 else f"{value:,.0f} ×"


def plural(number: int, noun: str, many: str = "") -> str:
    """Return `1 task`, `1,000 tasks`; `many` is an irregular plural."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {many or f'{noun}s'}"
