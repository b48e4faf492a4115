"""How much a site keeps of what others hand over: of packs that were cut, and of what is none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cmfd.config import load_usable
from cmfd.errors import StoreError
from cmfd.merge.layout import INCOMING

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.layout import Site


def check_incoming(site: Site, more_bytes: int) -> None:
    """
    See to it that so much of a pack may come.

    Raises
    ------
    StoreError
        It would be too much, with what is there of others; nothing of it was taken.
    """
    limit = load_usable()[0].site_incoming_bytes
    there = _size_bytes(site.path / INCOMING)
    if limit and there + more_bytes > limit:
        raise StoreError(
            f"{site.path / INCOMING} has {there} bytes of packs that did not come whole, and with"
            f" {more_bytes} more there would be more than site_incoming_bytes allows ({limit});"
            " nothing was taken. Its operator can make room: cmfd site gc --keep-days 1 --remove"
        )


def has_room(site: Site, pack: Path) -> bool:
    """Say whether the quarantine may take one more file."""
    limit = load_usable()[0].site_quarantine_bytes
    return not limit or _size_bytes(site.quarantine) + pack.stat().st_size <= limit


def _size_bytes(directory: Path) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    except OSError:  # there is none, or one may put packs there and no more
        return 0
