"""
Packs from files into an index: each checked, then taken in groups.

A group is one transaction, because what a commit costs on a network filesystem
is the same for one small pack as for eight.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.store.pack import open_pack
from cmfd.store.site import MAX_GROUP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from cmfd.store.absorbing import Store

    Outcome = bool | PackError | SchemaTooNewError | StoreError
    Progress = Callable[[int, int], None]
    _Checked = tuple[Path, Path]

AHEAD = 2 * MAX_GROUP
"""How many packs are checked before their turn."""

GROUP_BYTES = 32 << 20
"""Packs of more bytes than this together are not one group: a commit makes readers wait."""

_FEW_BYTES = 2 << 20


def opened(pack: Path) -> Path:
    """
    Return a pack that is sound, as far as that of one's own must be looked at.

    Raises
    ------
    PackError, SchemaTooNewError, OSError
        As from `cmfd.store.pack.open_pack`.
    """
    open_pack(pack).close()
    return pack


def absorb_files(
    index: Store, packs: Iterable[Path], check: Callable[[Path], Path] = opened
) -> Iterator[tuple[Path, Outcome]]:
    """
    Absorb packs, and tell of each once that is on disk.

    Parameters
    ----------
    index : SiteStore or PostgresStore
        Into which.
    packs : iterable of Path
        Named by their sha256. One that is gone is passed over.
    check : callable
        Given a pack, returns the file to take it from, or raises what is wrong with it.

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
    group: list[_Checked] = []
    for pack, checked in _checked(index, packs, check):
        if not isinstance(checked, Path):
            yield pack, checked
            continue
        group.append((pack, checked))
        if len(group) == MAX_GROUP or sum(_size_bytes(file) for _, file in group) > GROUP_BYTES:
            yield from _absorbed(index, group)
            group = []
    yield from _absorbed(index, group, is_last=True)


def _checked(
    index: Store, packs: Iterable[Path], check: Callable[[Path], Path]
) -> Iterator[tuple[Path, Path | Outcome]]:
    """Yield each pack that is there, with its file, or why it need or can not be absorbed."""
    rest = iter(packs)
    first = list(islice(rest, MAX_GROUP + 1))
    if len(first) < 2 or _are_few(first):
        for pack in first:
            with suppress(FileNotFoundError):
                yield pack, _check(pack, check, known=index.has(pack.stem))
        return
    # Reading and hashing the next packs takes as long as a fifth of absorbing them, and both are
    # done outside of Python's lock.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - as long as some small packs

    with ThreadPoolExecutor(1) as checker:
        ahead: deque[tuple[Path, Future[Path | Outcome]]] = deque()
        try:
            for pack in chain(first, rest):
                known = index.has(pack.stem)
                ahead.append((pack, checker.submit(_check, pack, check, known=known)))
                if len(ahead) > AHEAD:
                    yield from _there(*ahead.popleft())
            while ahead:
                yield from _there(*ahead.popleft())
        finally:
            checker.shutdown(cancel_futures=True)


def _there(pack: Path, checked: Future[Path | Outcome]) -> Iterator[tuple[Path, Path | Outcome]]:
    # Gone: another program moved it, so it has nothing more to do with this merge.
    with suppress(FileNotFoundError):
        yield pack, checked.result()


def _check(pack: Path, check: Callable[[Path], Path], *, known: bool) -> Path | Outcome:
    if known:
        return False
    try:
        return check(pack)
    except FileNotFoundError:
        raise
    except (PackError, SchemaTooNewError, StoreError) as refusal:
        return refusal
    except OSError as error:
        return StoreError(f"cannot read {pack}: {error}; it was left where it is")


def _absorbed(
    index: Store, group: list[_Checked], *, is_last: bool = False
) -> Iterator[tuple[Path, Outcome]]:
    if group:
        files = [(file, pack.stem) for pack, file in group]
        outcomes = index.absorb_group(files, sum_up=is_last)
        yield from zip([pack for pack, _ in group], outcomes, strict=True)


def _are_few(packs: list[Path]) -> bool:
    """Say whether packs are so few and small that they are checked before a thread could start."""
    try:
        return len(packs) <= MAX_GROUP and sum(map(_size_bytes, packs)) <= _FEW_BYTES
    except OSError:
        return False


def _size_bytes(pack: Path) -> int:
    return pack.stat().st_size
