"""
Packs from files into an index: each checked, then taken in groups.

A group is one transaction, because what a commit costs on a network filesystem
is the same for one small pack as for eight.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.store.pack import open_pack
from cmfd.store.site import MAX_GROUP, SiteStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Outcome = bool | PackError | SchemaTooNewError | StoreError
    Progress = Callable[[int, int], None]

AHEAD = 2 * MAX_GROUP
"""How many packs are checked before their turn."""

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
    # Reading and hashing the next packs takes as long as a fifth of absorbing them, and both are
    # done outside of Python's lock.
    with ThreadPoolExecutor(1) as checker:
        ahead: deque[tuple[Path, Future[Outcome | None]]] = deque()
        try:
            for pack in packs:
                ahead.append((pack, checker.submit(_check, pack, known=index.has(pack.stem))))
                if len(ahead) > AHEAD:
                    yield from _there(*ahead.popleft())
            while ahead:
                yield from _there(*ahead.popleft())
        finally:
            checker.shutdown(cancel_futures=True)


def _there(pack: Path, checked: Future[Outcome | None]) -> Iterator[tuple[Path, Outcome | None]]:
    # Gone: another program moved it, so it has nothing more to do with this merge.
    with suppress(FileNotFoundError):
        yield pack, checked.result()


def _check(pack: Path, *, known: bool) -> Outcome | None:
    if known:
        return False
    try:
        open_pack(pack).close()
    except FileNotFoundError:
        raise
    except (PackError, SchemaTooNewError) as refusal:
        return refusal
    except OSError as error:
        return StoreError(f"cannot read {pack}: {error}; it was left where it is")
    return None


def _absorbed(index: SiteStore, group: list[Path]) -> Iterator[tuple[Path, Outcome]]:
    if group:
        outcomes = index.absorb_group([(pack, pack.stem) for pack in group])
        yield from zip(group, outcomes, strict=True)


def _size_bytes(pack: Path) -> int:
    return pack.stat().st_size
