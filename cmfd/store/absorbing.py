"""What takes packs in: a site's index, in whatever database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cmfd.errors import PackError


class Store(Protocol):
    """A site's index, open for absorbing packs, or only to be looked at."""

    def close(self) -> None:
        """Close the index; what was absorbed is on disk."""

    def has(self, digest: str) -> bool:
        """Say whether the pack of this sha256 was absorbed."""
        raise NotImplementedError

    def ledger(self) -> set[str]:
        """Return the sha256 of every absorbed pack."""
        raise NotImplementedError

    def packs_together(self) -> list[tuple[int, str, str]]:
        """Return run, node and sha256 of packs of one run each, in that order, the last first."""
        raise NotImplementedError

    def digest(self) -> str:
        """
        Return the sha256 of the logical content: equal for equal content, in whatever database.

        Raises
        ------
        StoreError
            The index cannot be read, or who asks may not see all of it.
        """
        raise NotImplementedError

    def damage(self) -> str:
        """Return what is wrong with the index's file, if it has one; else nothing."""
        raise NotImplementedError

    def absorb_group(self, packs: Sequence[tuple[Path, str]]) -> list[bool | PackError]:
        """
        Take in up to `cmfd.store.site.MAX_GROUP` packs in one transaction.

        Each is taken wholly or not at all. Whoever else reads the index sees all of them, or none.

        Parameters
        ----------
        packs : sequence of (Path, str)
            Files that `cmfd.store.pack.open_pack` has checked, and their sha256.

        Returns
        -------
        list of bool or PackError
            For each pack whether it was new, or why nothing of it was taken.

        Raises
        ------
        SiteBusyError
            Others kept the index busy for too long; nothing of any of them was taken.
        StoreError
            The index cannot be written (no space, no right, no server, damaged); likewise.
        """
        raise NotImplementedError

    def sum_up(self) -> None:
        """
        Make anew what sums of reports are out of date: to be done when a merge is.

        Raises
        ------
        SiteBusyError, StoreError
            As for `absorb_group`; those that are still out of date are made by the next merge, and
            until then by who reads.
        """
