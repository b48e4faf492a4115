"""Whether a site is what its packs say."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import CmfdError
from cmfd.merge import inbox
from cmfd.merge.index import is_missing, open_store, place_of
from cmfd.merge.layout import open_site
from cmfd.merge.lock import merge_lock
from cmfd.merge.reindex import build
from cmfd.merge.superseded import superseded
from cmfd.store.pack import open_pack
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from cmfd.merge.absorb import Progress
    from cmfd.merge.layout import Site


@dataclass
class VerifyReport:
    """
    What a verification found.

    Attributes
    ----------
    n_packs : int
        Packs that were read whole.
    problems : list of str
        What is not as it must be, and what to do about it; empty is well.
    digest : str
        Of the index, or empty if it cannot be read.
    """

    n_packs: int = 0
    problems: list[str] = field(default_factory=list)
    digest: str = ""


def verify(site_dir: Path, *, deep: bool = False, progress: Progress | None = None) -> VerifyReport:
    """
    Read every pack of a site, and look whether its index is whole and lists them all.

    Whether what the index says of them is what they say, only `deep` finds out.

    Parameters
    ----------
    site_dir : Path
        The site; nothing in it is changed.
    deep : bool
        Also build a second index from the packs, in a temporary directory, and
        compare its digest with that of the first. This keeps mergers out.
    progress : callable, optional
        Called with the number of packs read and the number of all.

    Raises
    ------
    NotFoundError, ConfigError
        There is no usable site.
    SiteBusyError
        `deep`, and a merger is at work.
    """
    site = open_site(site_dir)
    report = VerifyReport()
    with ExitStack() as lock:
        if deep:
            lock.enter_context(merge_lock(site.lock))
        merged = list(site.merged_packs())
        for n_done, pack in enumerate(merged, 1):
            _check_pack(report, pack)
            if progress is not None:
                progress(n_done, len(merged))
        _check_index(report, site, {pack.stem for pack in merged})
        if deep and report.digest:
            _check_digest(report, site)
    return report


def _check_pack(report: VerifyReport, pack: Path) -> None:
    try:
        open_pack(pack).close()
    except (CmfdError, OSError) as error:
        report.problems.append(
            f"{pack} is damaged: {error}. Its content is still in the index: move the file away,"
            " and bring it again from where it came or another site: cmfd pull --all REMOTE"
        )
    report.n_packs += 1


def _check_index(report: VerifyReport, site: Site, merged: set[str]) -> None:
    try:
        if is_missing(site):
            report.problems.append(f"there is no index {place_of(site)}. Make it: cmfd merge")
            return
        with closing(open_store(site, readonly=True)) as index:
            _check_ledger(report, site, merged, index.ledger())
            if damage := index.damage():
                report.problems.append(
                    f"the index {place_of(site)} is damaged: {damage}."
                    " Rebuild it: cmfd site reindex"
                )
            else:
                report.digest = index.digest()
    except CmfdError as error:
        report.problems.append(f"{error}. To rebuild the index: cmfd site reindex")


def _check_ledger(report: VerifyReport, site: Site, merged: set[str], ledger: set[str]) -> None:
    if unknown := sorted(merged - ledger):
        report.problems.append(
            f"{len(unknown)} packs are kept and not in the index ({unknown[0]}.db, for one)."
            " Take them in: cmfd site reindex"
        )
    # A pack is on its way from the inbox for a moment after its commit.
    absent = ledger - merged - {pack.stem for pack in inbox.waiting(site)} - superseded(site)
    if gone := sorted(digest for digest in absent if not site.merged(digest).exists()):
        report.problems.append(
            f"{len(gone)} packs are in the index and their files are gone ({gone[0]}.db, for one)."
            " Bring them again from where they came or another site: cmfd pull --all REMOTE;"
            " until then, do not reindex"
        )


def _on_their_way(site: Site) -> list[Path]:
    """Return the packs that a merger committed and was killed before it had put them away."""
    with closing(open_store(site, readonly=True)) as index:
        return [pack for pack in inbox.waiting(site) if index.has(pack.stem)]


def _check_digest(report: VerifyReport, site: Site) -> None:
    with tempfile.TemporaryDirectory(prefix="cmfd-verify-") as scratch:
        second = Path(scratch) / "index.db"
        with closing(SiteStore(second)) as index:
            build(site, index, also=_on_their_way(site))
            digest = index.digest()
    if digest != report.digest:
        report.problems.append(
            f"the index has digest {report.digest}, its packs give {digest}."
            " If no pack is missing or damaged, rebuild it: cmfd site reindex"
        )
