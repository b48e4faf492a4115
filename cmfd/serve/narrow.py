"""
A site as it is there for who may see and push some pipelines only.

What they see are packs, whole; so a pack is there for them only if all that is in it is of runs
whose executions are all of these pipelines, or speaks of these.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import NotFoundError
from cmfd.merge import receipts, signatures
from cmfd.merge.superseded import superseded
from cmfd.store.connection import named
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Entry, Part, Place, Signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site
    from cmfd.merge.rules import Pusher, Rules
    from cmfd.sync.peer import About, Blocks, Guess, Taken, Wanted

_MOST_KEPT = 32

_Key = tuple[str, tuple[str, ...]]
_kept: OrderedDict[_Key, tuple[Place | None, dict[str, Entry]]] = OrderedDict()
"""Of a site and pipelines, which packs of it as it was up to its newest one can be seen."""

_guard = threading.Lock()


class NarrowPeer(SitePeer):
    """
    A site's directory, of which only some pipelines can be seen, and pushed.

    Parameters
    ----------
    site : Site
        The site.
    pipelines : tuple of str
        Which.
    who : Pusher, optional
        As for `SitePeer`.
    """

    def __init__(
        self, site: Site, pipelines: tuple[str, ...], *, who: Pusher | None = None
    ) -> None:
        super().__init__(site, who=who)
        self._pipelines = pipelines

    def about(self, guess: Guess | None = None) -> About:
        """Say who it is, how many packs can be seen, and which of these is the newest."""
        del guess
        seen = self._seen()
        newest = next(reversed(seen.values())).place if seen else None
        return msgspec.structs.replace(super().about(), n_packs=len(seen), newest=newest)

    def count_since(self, place: Place | None) -> int | None:
        """Count the packs that came after a place; None if the order is another by now."""
        if super().count_since(place) is None:
            return None
        return sum(1 for _ in self._after(place))

    def since(self, place: Place | None) -> Iterator[Entry]:
        """Yield those after a place, all where that is no place of it."""
        if super().count_since(place) is None:
            place = None
        gone = superseded(self.site)
        for entry in self._after(place):
            digest = entry.place.digest
            if digest not in gone:
                yield msgspec.structs.replace(entry, signature=signatures.of(self.site, digest))

    def part(self, wanted: Wanted) -> Part:
        """Return the packs of a part of what can be seen."""
        part = super().part(wanted)
        seen = self._seen()
        entries = [entry for entry in part.entries if entry.place.digest in seen]
        return msgspec.structs.replace(part, entries=entries)

    def file_of(self, digest: str) -> Path:
        """Return where a pack is that can be seen."""
        self.see(digest)
        return super().file_of(digest)

    def read(self, digest: str, offset: int) -> Blocks:
        """Yield the bytes of a pack, unless it cannot be seen."""
        self.see(digest)
        yield from super().read(digest, offset)

    def see(self, digest: str) -> None:
        """
        Do nothing if a pack can be seen.

        Raises
        ------
        NotFoundError
            It cannot.
        """
        if digest not in self._seen():
            raise NotFoundError(f"there is no pack {digest[:80]!r} for you here")

    def _rules_now(self) -> Rules:
        return super()._rules_now().within(self._pipelines)

    def signed_since(self, number: int) -> Iterator[Signed]:
        """Yield the signatures of what can be seen that it got after so many."""
        seen = self._seen()
        return (one for one in super().signed_since(number) if one.digest in seen)

    def told(self, taken: Taken) -> Taken:
        """Return what a merge took, but of others not what it refused: why, tells of theirs."""
        brought = receipts.of(self.site, taken.refused)
        own = {one for one, receipt in brought.items() if receipt.by == str(self._who)}
        refused = {one: reason for one, reason in taken.refused.items() if one in own}
        return msgspec.structs.replace(taken, refused=refused)

    def _after(self, place: Place | None) -> Iterator[Entry]:
        number = 0 if place is None else place.number
        return (entry for entry in self._seen().values() if entry.place.number > number)

    def _seen(self) -> dict[str, Entry]:
        """Return what can be seen, by digest; found once for each state of the site."""
        newest = super().about().newest
        key = (self.site.id, self._pipelines)
        with _guard:
            known = _kept.get(key)
            if known is not None and known[0] == newest:
                _kept.move_to_end(key)
                return known[1]
        found = self._find()
        with _guard:
            _kept[key] = (newest, found)
            _kept.move_to_end(key)
            if len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
        return found

    def _find(self) -> dict[str, Entry]:
        names = {f"p{number}": name for number, name in enumerate(self._pipelines)}
        marks = ", ".join(f":{name}" for name in names)
        query = named("site/narrow")["packs"].replace("{pipelines}", marks)
        with self._index() as db:
            rows = [] if db is None else db.execute(query, names).fetchall()
        return {
            digest: Entry(Place(number, digest, merged_ns), size_bytes)
            for number, digest, merged_ns, size_bytes in rows
        }
