"""
SLURM's short form of node names: ``node[01-03,7]`` is node01, node02, node03, node7.

Names may have several such groups.
"""

from __future__ import annotations

import re
from itertools import groupby, product
from typing import TYPE_CHECKING

from cmfd.errors import SlurmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_NODES = 1 << 17
"""No list of nodes is longer: a text from elsewhere must not fill the memory."""

_COMMA_OUTSIDE = re.compile(r",(?![^\[]*\])")
_NAME = re.compile(r"(?:[^\[\],\s]|\[[^\[\]]+\])+")
_GROUP = re.compile(r"\[([^\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_LAST_NUMBER = re.compile(r"(.*?)(\d{1,18})(\D*)")


def expand(text: str) -> list[str]:
    """
    Return the names that a host list stands for, in its order.

    Parameters
    ----------
    text : str
        As SLURM writes it; empty, ``(null)`` and ``None assigned`` are no nodes.

    Raises
    ------
    SlurmError
        It is no host list.
    """
    if text in ("", "(null)", "None assigned", "None"):
        return []
    names: list[str] = []
    for part in _COMMA_OUTSIDE.split(text):
        if not _NAME.fullmatch(part):
            raise _no_list(text)
        # Alternately what stands between groups, and what stands in one.
        pieces = _GROUP.split(part)
        choices = [_numbers(piece, text) if i % 2 else [piece] for i, piece in enumerate(pieces)]
        n_names = len(names)
        for choice in choices:
            n_names = max(n_names, 1) * len(choice)
        if n_names > MOST_NODES:
            raise _no_list(text)
        names.extend("".join(words) for words in product(*choices))
    return names


def _numbers(group: str, text: str) -> list[str]:
    """Return the numbers of one group, each as wide as it is written."""
    found: list[str] = []
    for part in group.split(","):
        ends = _RANGE.fullmatch(part)
        if ends is None:
            raise _no_list(text)
        first, last = ends[1], ends[2] or ends[1]
        if not int(first) <= int(last) < int(first) + MOST_NODES:
            raise _no_list(text)
        found += [f"{n:0{len(first)}d}" for n in range(int(first), int(last) + 1)]
    return found


def _no_list(text: str) -> SlurmError:
    return SlurmError(f"{text[:80]!r} is no list of nodes as SLURM writes it.")


def compress(names: Iterable[str]) -> str:
    """
    Return a host list of node names, each once, ordered by their last numbers.

    Parameters
    ----------
    names : iterable of str
        Names of nodes: without brackets, commas and blanks.
    """
    keys = sorted({_key(name) for name in names})
    parts = []
    for (prefix, suffix, _), same in groupby(keys, key=lambda key: (*key[:2], key[2] < 0)):
        ranges = list(_ranges([digits for *_, digits in same]))
        one = len(ranges) == 1 and "-" not in ranges[0]
        parts.append(prefix + (ranges[0] if one else f"[{','.join(ranges)}]") + suffix)
    return ",".join(parts)


def _key(name: str) -> tuple[str, str, int, str]:
    """Return what stands before and after a name's last number, the number, and its digits."""
    found = _LAST_NUMBER.fullmatch(name)
    if found is None:
        return name, "", -1, ""
    prefix, digits, suffix = found.groups()
    return prefix, suffix, int(digits), digits


def _ranges(numbers: Iterable[str]) -> Iterator[str]:
    """Yield ranges of numbers that follow each other and are written alike."""
    first = last = ""
    for digits in numbers:
        if last and digits == f"{int(last) + 1:0{len(first)}d}":
            last = digits
            continue
        if last:
            yield first if first == last else f"{first}-{last}"
        first = last = digits
    yield first if first == last else f"{first}-{last}"
