"""
Figures as SLURM's commands write them, read into seconds, bytes and counts.

Whatever is none of a figure's forms is None: a newer SLURM may write something else, and no figure
is better than a wrong one.
"""

from __future__ import annotations

import re

_DURATION = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)(\.\d+)?")
_MEMORY = re.compile(r"(\d+(?:\.\d+)?)([KMGTPE]?)([nc]?)")
_UNITS = "KMGTPE"
_MOST = 1 << 63
"""Larger counts are how SLURM writes that it has none."""
_EXIT = re.compile(r"(\d+):(\d+)")


def whole(text: str) -> int | None:
    """Read a count: ``4``; also the least of ``4-8``."""
    first = text.partition("-")[0]
    return int(first) if first.isdecimal() and int(first) < _MOST else None


def duration_s(text: str) -> float | None:
    """Read ``2-03:04:05``, ``03:04:05``, ``04:05`` or ``04:05.678``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    days, hours, minutes, seconds, fraction = found.groups(default="0")
    whole_s = ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return whole_s + float(fraction)


def whole_s(text: str) -> int | None:
    """Read a duration in whole seconds; None where there is no limit."""
    seconds = duration_s(text)
    return None if seconds is None else int(seconds)


def time_s(text: str) -> int | None:
    """Read a time in seconds since 1970; ``Unknown``, ``None`` and 0 are no time."""
    return int(text) or None if text.isdecimal() else None


def memory_bytes(text: str, *, unit: str = "") -> int | None:
    """
    Read an amount of memory.

    Parameters
    ----------
    text : str
        As ``4000M``, ``1.5G``, or without a unit.
    unit : str
        Which unit it is in where it says none: ``M``, for what is asked for; none: bytes.
    """
    found = _MEMORY.fullmatch(text)
    if found is None or found[3]:
        return None
    power = _UNITS.find(found[2] or unit or "-") + 1
    return round(float(found[1]) * (1 << 10 * power))


def asked_memory_bytes(text: str, nodes: int | None, cpus: int | None) -> int | None:
    """
    Read how much memory was asked for, in all.

    Parameters
    ----------
    text : str
        ``4000M``; up to SLURM 21.08 ``4000Mn`` for each node or ``500Mc`` for each CPU.
    nodes, cpus : int or None
        How many the job had.
    """
    per = {"n": nodes, "c": cpus}.get(text[-1:], 1)
    each = memory_bytes(text.rstrip("nc"), unit="M")
    return None if each is None or per is None else each * per


def tres(text: str) -> dict[str, str]:
    """Read a list of trackable resources, ``cpu=4,mem=8000M,gres/gpu=2``, by name."""
    pairs = (part.partition("=") for part in text.split(",") if "=" in part)
    return {name: value for name, _, value in pairs}


def exit_and_signal(text: str) -> tuple[int | None, int | None]:
    """Read ``3:0`` as exit code 3 and no signal, ``0:9`` as no exit code and signal 9."""
    found = _EXIT.fullmatch(text)
    if found is None:
        return None, None
    code, signal = int(found[1]), int(found[2])
    return (None if signal and not code else code), signal or None


def numbers(text: str) -> list[int]:
    """Read a list of numbers as SLURM and the kernel write it: ``0-3,8``."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal():
            found += range(int(first), int(last or first) + 1)
    return found
