"""Whether something at a place is still what it was: identified in the way that it was then."""

from __future__ import annotations

import os

from cmfd.content.files import Hash, hash_path
from cmfd.content.inside import datasets_in
from cmfd.content.quick import ALGORITHM, quick_hash
from cmfd.model import INSIDE


def hash_like(place: str, digest: str) -> Hash:
    """
    Identify content as a digest does.

    Parameters
    ----------
    place : str
        A file or directory; ``hits.h5::/train/x`` is a data set inside of a file.
    digest : str
        What it was known by: only how that was found counts.
    """
    path, inside, name = place.partition(INSIDE)
    if inside and not os.path.lexists(place):
        found = datasets_in(path, [name])
        if isinstance(found, str):
            return Hash(problem=found)
        return Hash(found[0]["digest"], "", found[0]["size_bytes"])
    return quick_hash(place) if digest.startswith(f"{ALGORITHM}:") else hash_path(place)


def is_there(place: str) -> bool:
    """Tell whether there is something at a place; inside of a file, whether there is that file."""
    return os.path.exists(place) or os.path.exists(place.partition(INSIDE)[0])  # noqa: PTH110 - texts
