"""What a merge did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path


class MergeReport(msgspec.Struct):
    """
    What a merge did.

    Attributes
    ----------
    absorbed : int
        Packs that were new, those that other mergers left here included.
    repeated : int
        Packs that the site had already.
    quarantined : list of (Path, str)
        Packs that cannot be merged: where they are kept, and why.
    skipped : list of (Path, str)
        What could not be read or moved now, and why; it was left where it is.
    left_in_inbox : int
        Packs that still wait: for the merger at work, or for what `skipped` says.
    busy_holder : str
        Who was merging, so that this merge left it to them; else empty.
    others : dict of str to MergeReport
        By path, the sites that runs in the sources had named instead.
    """

    absorbed: int = 0
    repeated: int = 0
    quarantined: list[tuple[Path, str]] = []
    skipped: list[tuple[Path, str]] = []
    left_in_inbox: int = 0
    busy_holder: str = ""
    others: dict[str, MergeReport] = {}
