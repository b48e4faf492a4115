"""
Packs from files into an index: each checked, then taken in groups.

A group is one transaction, because what a commit costs on a network filesystem
is the same for one small pack as for eight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.store.pack import open_pack
from cmfd.store.site import MAX_GROUP, SiteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Outcome = bool | PackError | SchemaTooNewError | StoreError
    Progress = Callable[[int, int], None]

GROUP_BYTES = 32 << 20
"""Packs of more bytes than this together are not one group: a commit makes readers wait."""


def absorb_files(index: SiteStore, packs: Iterable[Path]) -> Iterator[tuple[Path, Outcome]]:
    """
    Absorb packs, and tell of each once that is on disk.

    Parameters
    ----------
    index : SiteStore
        Into which.
    packs : iterable of Path
        Named by their sha256. One that is gone is passed over.

    Yields
    ------
    (Path, bool or PackError or SchemaTooNewError or StoreError)
        The pack, and whether it was new, or why it cannot be taken (a
        `StoreError` that is no `PackError`: it cannot be read now).

    Raises
    ------
    SiteBusyError, StoreError
        The index cannot be written; what was told of is on disk.
    """
    group: list[Path] = []
    for pack, refusal in _checked(index, packs):
        if refusal is not None:
            yield pack, refusal
            continue
        group.append(pack)
        if len(group) == MAX_GROUP or sum(map(_size_bytes, group)) > GROUP_BYTES:
            yield from _absorbed(index, group)
            group = []
    yield from _absorbed(index, group)


def _checked(index: SiteStore, packs: Iterable[Path]) -> Iterator[tuple[Path, Outcome | None]]:
    """Yield each pack that is there, with why it need or can not be absorbed."""
    for pack in packs:
        if index.has(pack.stem):
            yield pack, False
            continue
        try:
            open_pack(pack).close()
        except (PackError, SchemaTooNewError) as refusal:
            yield pack, refusal
        except FileNotFoundError:
            continue
        except OSError as error:
            yield pack, StoreError(f"cannot read {pack}: {error}; it was left where it is")
        else:
            yield pack, None


def _absorbed(index: SiteStore, group: list[Path]) -> Iterator[tuple[Path, Outcome]]:
    if group:
        outcomes = index.absorb_group([(pack, pack.stem) for pack in group])
        yield from zip(group, outcomes, strict=True)


def _size_bytes(pack: Path) -> int:
    return pack.stat().st_size
