"""What a site no longer needs: leftovers, old quarantine, packs that others repeat."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmfd.merge import inbox
from cmfd.merge.layout import GRAPH_PARTIAL_PREFIX, INCOMING, PARTIAL_SUFFIX, open_site
from cmfd.merge.lock import merge_lock
from cmfd.merge.quarantine import REASON_SUFFIX
from cmfd.merge.reindex import PREFIX
from cmfd.merge.superseded import find_superseded, note
from cmfd.store.pack import PARTIAL_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site

DAY_S = 86_400.0
"""A file that is still being written is never this old."""

SUPERSEDED = "later packs of its run have all that it has"


@dataclass(frozen=True)
class Leftover:
    """A file that is not needed, how large it is, and why it is not needed."""

    path: Path
    size_bytes: int
    reason: str


@dataclass
class GcReport:
    """
    What a clean-up found.

    Attributes
    ----------
    leftovers : list of Leftover
        What is not needed.
    strangers : list of Path
        What lies in the inbox and is nothing that cmfd makes; never removed.
    removed : bool
        Whether the leftovers were removed.
    """

    leftovers: list[Leftover] = field(default_factory=list)
    strangers: list[Path] = field(default_factory=list)
    removed: bool = False


def gc(
    site_dir: Path, *, keep_days: float = 30.0, remove: bool = False, packs: bool = False
) -> GcReport:
    """
    Find what a site no longer needs, and remove it if asked to.

    Parameters
    ----------
    site_dir : Path
        The site. Packs that wait are never touched.
    keep_days : float
        How long a pack stays in quarantine.
    remove : bool
        Remove, instead of only telling.
    packs : bool
        Also merged packs whose content others have: see `cmfd.merge.superseded`.

    Raises
    ------
    NotFoundError, ConfigError
        There is no usable site.
    SiteBusyError
        A merger is at work, which may be moving files to the quarantine; nothing was removed.
    OSError
        Something cannot be removed; what came before it is.
    StoreError
        The index cannot be read, to find out what others have; nothing was removed.
    """
    site = open_site(site_dir)
    report = GcReport(removed=remove)
    # Outside of the lock: it takes long, and what other packs have they go on having.
    needless = list(find_superseded(site)) if packs else []
    with ExitStack() as lock:
        if remove:  # what is found must be as it was when it is removed
            lock.enter_context(merge_lock(site.lock))
        for path, reason in _unneeded(site, keep_days):
            with suppress(FileNotFoundError):  # somebody else removed it
                report.leftovers.append(Leftover(path, path.stat().st_size, reason))
        for path in needless:
            with suppress(FileNotFoundError):
                report.leftovers.append(Leftover(path, path.stat().st_size, SUPERSEDED))
        for path in inbox.others(site):
            if not path.name.startswith(PARTIAL_PREFIX):
                report.strangers.append(path)
        if remove:
            if needless:
                note(site, [path.stem for path in needless])
            for leftover in report.leftovers:
                leftover.path.unlink(missing_ok=True)
    return report


def _unneeded(site: Site, keep_days: float) -> Iterator[tuple[Path, str]]:
    for directory, pattern in (
        (site.inbox, f"{PARTIAL_PREFIX}*"),
        (site.quarantine, f"{PARTIAL_PREFIX}*"),
        (site.quarantine, ".*-*"),
        (site.path, f"{PREFIX}*"),
        (site.path, ".site.toml-*"),
        (site.path, ".remotes.toml-*"),
        (site.path / "remotes", ".*-*"),
        *((directory, ".*-*") for directory in sorted(site.path.glob("signatures/*/"))),
        (site.path, f"{GRAPH_PARTIAL_PREFIX}*"),
        *((directory, ".*-*") for directory in _of_factors(site)),
    ):
        for path in sorted(directory.glob(pattern)):
            if _age_s(path) > DAY_S:
                yield path, "left half-written by a process that died"
    yield from _cut(site, keep_days)
    for path in sorted(site.quarantine.glob("*")):
        if path.name.startswith((PARTIAL_PREFIX, ".")):
            continue
        pack = path.with_name(path.name.removesuffix(REASON_SUFFIX))
        if site.merged(pack.stem).exists():
            yield path, "a good copy of it is merged"
        elif _age_s(_reason_of(pack, path)) > keep_days * DAY_S:
            yield path, f"in quarantine for more than {keep_days:g} days"


def _cut(site: Site, keep_days: float) -> Iterator[tuple[Path, str]]:
    """Yield what came of packs that did not come whole, and why it is not needed."""
    for path in sorted((site.path / INCOMING).glob(f"*{PARTIAL_SUFFIX}")):
        # Beside that of its name, one that a second sender began: nobody would go on from there.
        name, _, second = path.name.removesuffix(PARTIAL_SUFFIX).partition("-")
        if _age_s(path) > DAY_S and (second or site.merged(name).exists()):
            yield path, "no exchange goes on from it"
        elif _age_s(path) > keep_days * DAY_S:
            yield path, f"the rest of it has not come for more than {keep_days:g} days"


def _of_factors(site: Site) -> list[Path]:
    """Return where intensity series and factor sets are kept: see `cmfd.carbon.kept`."""
    return [site.path / "factors", *sorted(site.path.glob("factors/*/"))]


def _reason_of(pack: Path, otherwise: Path) -> Path:
    """Return the file that is as old as the quarantine of a pack: the pack itself may be older."""
    reason = pack.with_name(f"{pack.name}{REASON_SUFFIX}")
    return reason if reason.exists() else otherwise


def _age_s(path: Path) -> float:
    """Return how long ago a file was written; one that is gone by now is new."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
