"""
Figures as people read them: durations, sizes, times, values and ids.

Machines get the raw figures (see `cmfd.report.encode`); nothing here is meant to be parsed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from cmfd.query.results import nonfinite

if TYPE_CHECKING:
    from cmfd.model import Scalar

NOTHING = "-"
"""What stands where there is no value: distinct from 0 and from an empty text."""

MIN_ID_DIGITS = 12
"""A UUIDv7 begins with 48 bits of milliseconds: runs of one site differ within these."""


def duration(ns: float | None) -> str:
    """Return a duration as ``12.3 ms``, ``4.56 s``, ``3 min 07 s`` or ``2 h 05 min``."""
    if ns is None:
        return NOTHING
    seconds = ns / 1e9
    if seconds < 1:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(n_bytes: float | None) -> str:
    """Return a size as ``512 B``, ``1.5 KiB``, ``3.0 GiB``; nothing for a negative one."""
    if n_bytes is None or n_bytes < 0:
        return NOTHING
    amount = float(n_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} PiB"


def energy(joules: float | None) -> str:
    """Return an energy as ``12.0 J``, then ``520 Wh``, ``1.27 kWh``."""
    if joules is None:
        return NOTHING
    if abs(joules) < 1000:
        return f"{_three(joules)} J"
    return _scaled(joules / 3600, ("Wh", "kWh", "MWh", "GWh"))


def mass(grams: float | None) -> str:
    """Return a mass, as of carbon dioxide, as ``0.52 mg``, ``412 g``, ``1.27 kg`` or ``3.1 t``."""
    if grams is None:
        return NOTHING
    if 0 < abs(grams) < 0.1:
        return f"{_three(grams * 1000)} mg"
    return _scaled(grams, ("g", "kg", "t", "kt"))


def power(watts: float | None) -> str:
    """Return a power as ``545 W`` or ``1.27 kW``."""
    return NOTHING if watts is None else _scaled(watts, ("W", "kW", "MW", "GW"))


def _scaled(amount: float, scale: tuple[str, ...]) -> str:
    for unit in scale[:-1]:
        if abs(amount) < 999.5:
            return f"{_three(amount)} {unit}"
        amount /= 1000
    return f"{_three(amount)} {scale[-1]}"


def _three(amount: float) -> str:
    """Return a figure to three digits, without an exponent."""
    digits = 2 if abs(amount) < 9.995 else 1 if abs(amount) < 99.95 else 0
    return f"{amount:.{digits}f}"


def share(ratio: float | None) -> str:
    """Return a ratio as a percentage."""
    return NOTHING if ratio is None else f"{ratio * 100:.1f} %"


def count(n: int, what: str) -> str:
    """Return ``1 pack``, ``2 packs``; some words are of many already: ``2 metrics``."""
    return f"{n} {what}" if n == 1 or what.endswith("s") else f"{n} {what}s"


def when(at_ns: int | None) -> str:
    """Return a time in the reader's time zone, to the second."""
    if at_ns is None:
        return NOTHING
    return datetime.fromtimestamp(at_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | str | None) -> str:
    """Return a metric's value: integers whole, others to six digits."""
    if value is None:
        return NOTHING
    if isinstance(value, float):
        return nonfinite(value) or f"{value:.6g}"
    return str(value)


def literal(value: Scalar) -> str:
    """Return a parameter's value so that ``1``, ``"1"``, ``true`` and ``null`` differ."""
    if isinstance(value, float):
        return nonfinite(value) or repr(value)
    import json  # noqa: PLC0415 - hardly a command shows values

    return json.dumps(value, ensure_ascii=False)


def short_ids(ids: list[str]) -> dict[str, str]:
    """Return, for each id, the shortest prefix of at least 12 digits that names it among `ids`."""
    for digits in range(MIN_ID_DIGITS, 33):
        short = {name: name[:digits] for name in ids}
        if len(set(short.values())) == len(short):
            return short
    return {name: name for name in ids}
