"""Reading whole what is known by a quick digest only: both are then known to be the same."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from cmfd.content.files import Hash, hash_path
from cmfd.content.quick import quick_hash
from cmfd.identity import NAMESPACE, uuid5
from cmfd.merge.additions import add_rows
from cmfd.model import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ORIGIN = uuid5(NAMESPACE, "rehash")
"""Who says that two digests are the same, whoever read the content."""


class Rehashed(NamedTuple):
    """An artifact that was known by a quick digest."""

    quick: str
    digest: str
    """Of all its bytes; empty with a problem."""
    place: str
    """Where it was read."""
    problem: str
    """Why it could not be."""


def rehash(site_dir: Path, wanted: Mapping[str, Sequence[str]]) -> list[Rehashed]:
    """
    Read artifacts whole, and tell a site what their digests are.

    Parameters
    ----------
    site_dir : Path
        The site; it is merged as well.
    wanted : mapping of str to sequence of str
        Quick digests, each with paths where the content may be.

    Returns
    -------
    list of Rehashed
        One for each. Content that has changed since is left out, as is content that is nowhere.

    Raises
    ------
    StoreError, IncompleteError
        As from `cmfd.merge.additions.add_rows`.
    """
    done: list[Rehashed] = []
    artifacts, links = [], []
    for quick, places in wanted.items():
        place, found = _read(quick, places)
        done.append(Rehashed(quick, found.digest, place, found.problem))
        if not found.problem:
            artifacts.append((found.digest, found.strong, found.size_bytes, found.n_files))
            links.append((quick, Relation.SAME.value, found.digest, "", time.time_ns(), ORIGIN))
    if links:
        add_rows(site_dir, {"artifact": artifacts, "link": links})
    return done


def _read(quick: str, places: Sequence[str]) -> tuple[str, Hash]:
    """Read the content that has a quick digest, at the first place that has it."""
    problems = []
    for place in places:
        if not os.path.lexists(place):
            continue
        now = quick_hash(place)
        if now.problem or now.digest != quick:
            problems.append(now.problem or f"{place} holds something else now")
            continue
        found = hash_path(place)
        # What changed meanwhile between two samples shows in its time, which hashing looks at.
        if not found.problem and quick_hash(place).digest == quick:
            return place, found
        problems.append(found.problem or f"{place} changed while it was read")
    return "", Hash(problem="; ".join(problems) or "it is nowhere on this machine")
