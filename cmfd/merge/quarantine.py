"""Packs that cannot be merged: kept whole, out of the way, each with its reason beside it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from cmfd.store.pack import PARTIAL_PREFIX
from cmfd.store.shared import follow, make_directory, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.merge.layout import Site

REASON_SUFFIX = ".reason.txt"


def quarantine(site: Site, pack: Path, reason: str, *, keep: bool = False) -> Path:
    """
    Put a pack out of the way, with a file that says why.

    Parameters
    ----------
    site : Site
        Whose quarantine.
    pack : Path
        The file.
    reason : str
        In words, for people.
    keep : bool
        Leave the file where it is, too.

    Returns
    -------
    Path
        Where it is now. One of the same name that was there is replaced.
    """
    make_directory(site.quarantine)
    target = site.quarantine / pack.name
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    # The reason first: a pack without one would be a riddle.
    why = target.with_name(f"{pack.name}{REASON_SUFFIX}")
    said = f"{reason}\nfound in {pack.parent} at {at}\nto try again: cmfd merge {target}\n"
    # A link that others put there is replaced, and what it leads to stays as it is.
    write_whole(why, said.encode(errors="backslashreplace"))  # paths may have any bytes
    if keep:
        import shutil  # noqa: PLC0415 - most merges put nothing here

        partial = site.quarantine / f"{PARTIAL_PREFIX}{os.urandom(8).hex()}"
        shutil.copyfile(pack, partial)
        partial.rename(target)
    else:
        pack.rename(target)
    follow(target)
    return target
