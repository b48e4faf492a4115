"""
Packs whose content others have: found, noted, and done without.

A long run is published as one checkpoint after another, and what a later one says of a run without
many values is all that the earlier ones say. Law: a pack may go if an index of those that stay has
the same digest with it and without it. So nothing is lost by it, here or at any site that exchanges
with this one, in whatever order.

A site notes what it has removed, in the file ``superseded``, a digest a line: those are neither
missing nor asked for again. The note lies beside the packs, because the index can be made anew.
"""

from __future__ import annotations

import os
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import PackError
from cmfd.merge.index import has_index, open_store
from cmfd.store.pack import is_pack_name, open_pack, sync_directory
from cmfd.store.shared import follow
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.merge.layout import Site

NAME = "superseded"


def superseded(site: Site) -> frozenset[str]:
    """Return the sha256 of all packs that a site has removed because others say the same."""
    try:
        lines = (site.path / NAME).read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return frozenset()
    return frozenset(line for line in lines if is_pack_name(f"{line}.db"))


def note(site: Site, digests: Iterable[str]) -> None:
    """Note, on disk, that packs are superseded: before they are removed."""
    path = site.path / NAME
    new = sorted(set(digests) - superseded(site))
    with path.open("a", encoding="ascii") as file:
        # Who was killed may have left half a line.
        file.writelines(("\n", *(f"{digest}\n" for digest in new)))
        file.flush()
        os.fsync(file.fileno())
    follow(path)
    sync_directory(site.path)


def forget(site: Site) -> None:
    """
    Forget which packs are superseded: some that had what they had are gone.

    They are asked for again where others still have them, and may be found superseded again.
    """
    (site.path / NAME).unlink(missing_ok=True)
    sync_directory(site.path)


def find_superseded(site: Site) -> Iterator[Path]:
    """
    Yield the merged packs without which a site would have the same content.

    Packs of a run from one node are compared, those sealed last first. What cannot be read stays.

    Raises
    ------
    StoreError
        The index cannot be read.
    """
    if not has_index(site):
        return
    with closing(open_store(site, readonly=True)) as index:
        together = index.packs_together()
    for _, group in groupby(together, key=lambda row: row[:2]):
        packs = [site.merged(digest) for _, _, digest in group]
        if len(packs) > 1:
            yield from _needless([pack for pack in packs if pack.exists()])


def _needless(packs: list[Path]) -> Iterator[Path]:
    import tempfile  # noqa: PLC0415 - 5 ms, and each exchange asks what is superseded

    with (
        tempfile.TemporaryDirectory(prefix="cmfd-gc-") as scratch,
        closing(SiteStore(Path(scratch, "index.db"))) as kept,
    ):
        before = ""
        for pack in packs:
            try:
                open_pack(pack).close()
                kept.absorb(pack, pack.stem)
            except (PackError, OSError):
                continue
            after = kept.digest()
            if after == before:
                yield pack
            before = after
