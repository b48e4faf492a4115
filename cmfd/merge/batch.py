"""
Merging: everything that waits in a site's inbox, by one merger at a time.

Whoever comes while another merges leaves its packs in the inbox and returns:
the holder of the lock looks again until the inbox is empty, and once more
after it has let go, so that no pack is left to wait for the next merge.
"""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from cmfd.errors import CmfdError, PackError, SchemaTooNewError, SiteBusyError
from cmfd.merge import inbox
from cmfd.merge.absorb import absorb_files
from cmfd.merge.index import is_missing, open_store
from cmfd.merge.layout import init_site
from cmfd.merge.lock import merge_lock
from cmfd.merge.quarantine import quarantine
from cmfd.merge.report import MergeReport
from cmfd.merge.strangers import checker, is_strangers, keep_copy
from cmfd.merge.superseded import superseded
from cmfd.store.pack import sha256_of
from cmfd.store.shared import make_directory

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cmfd.merge.absorb import Outcome, Progress
    from cmfd.merge.layout import Site


def merge_site(  # noqa: PLR0913 - what a merge may be asked for
    site_dir: Path,
    sources: Iterable[Path] = (),
    *,
    progress: Progress | None = None,
    wait: bool = False,
    own_sites: bool = False,
    published: bool = True,
) -> MergeReport:
    """
    Merge what waits in a site's inbox, and `sources`, into its index.

    Parameters
    ----------
    site_dir : Path
        The site; made one if it is none yet.
    sources : iterable of Path
        Packs, directories of packs, other sites, journals, directories of
        journals, node directories. They are left as they are.
    progress : callable, optional
        Called with the number of packs done and the number known so far.
    wait : bool
        Wait for another merger instead of leaving the packs to it.
    own_sites : bool
        Take runs of journals and node stores to the sites that they named, where that is another.
    published : bool
        Merge again what the daemons of node stores published: it may have gone elsewhere.

    Returns
    -------
    MergeReport
        Whatever could not be merged is in it; the merge goes on without it.

    Raises
    ------
    ConfigError
        The site cannot be made, written or locked; sources are unchanged.
    NotFoundError
        A source does not exist or has nothing to merge; nothing was merged.
    SiteBusyError
        Readers kept the index locked; packs stay in the inbox.
    StoreError
        The site or its index cannot be written; packs stay in the inbox.
    """
    site = init_site(site_dir)
    report = MergeReport()
    others = _gathered(site, sources, report, own_sites=own_sites, published=published)
    merger = _Merger(site, report, progress)
    # Once in any case, which makes a lost index anew and undoes what a killed merger left half
    # done; and once more after letting go: a pack may have come in since the last look.
    while not merger.has_looked or merger.todo():
        with ExitStack() as lock:
            try:
                lock.enter_context(merge_lock(site.lock, wait=wait))
            except SiteBusyError as busy:
                report.busy_holder = str(busy)
                break
            merger.drain()
    report.left_in_inbox = inbox.n_waiting(site)
    for other in sorted(others):
        _merge_other(other, report, progress, wait=wait)
    return report


def _gathered(
    site: Site, sources: Iterable[Path], report: MergeReport, *, own_sites: bool, published: bool
) -> set[Path]:
    sources = list(sources)
    if not sources:
        return set()
    from cmfd.merge.sources import gather  # noqa: PLC0415 - not for what waits in the inbox

    return gather(site, sources, report, own_sites=own_sites, published=published)


def _merge_other(
    site_dir: Path, report: MergeReport, progress: Progress | None, *, wait: bool
) -> None:
    try:
        report.others[str(site_dir)] = merge_site(site_dir, progress=progress, wait=wait)
    except CmfdError as error:
        report.skipped.append((site_dir, str(error)))


class _Merger:
    """Takes what is in the inbox, one look after another."""

    def __init__(self, site: Site, report: MergeReport, progress: Progress | None) -> None:
        self._site = site
        self._report = report
        self._progress = progress
        self._stuck: set[Path] = set()
        self._n_done = 0
        self.has_looked = False

    def todo(self) -> list[Path]:
        return [pack for pack in inbox.waiting(self._site) if pack not in self._stuck]

    def drain(self) -> None:
        self.has_looked = True
        if is_missing(self._site) and any(self._site.merged_packs()):
            from cmfd.merge.reindex import rebuild  # noqa: PLC0415 - only where it was lost

            self._report.skipped += rebuild(self._site)
        check = checker(self._site)
        with closing(open_store(self._site)) as index:
            while packs := self.todo():
                n_known = self._n_done + len(packs)
                for pack, outcome in absorb_files(index, packs, check):
                    self._settle(pack, outcome)
                    self._n_done += 1
                    if self._progress is not None:
                        self._progress(self._n_done, max(n_known, self._n_done))
            index.sum_up()

    def _settle(self, pack: Path, outcome: Outcome) -> None:
        """Put a pack where it belongs now; one that cannot be moved waits for the next merge."""
        try:
            if outcome is True:
                self._report.absorbed += 1
                self._keep(pack)
            elif outcome is False:
                self._report.repeated += 1
                self._put_away(pack)
            else:
                self._refuse(pack, outcome)
        except FileNotFoundError:
            if pack.is_symlink():  # to nothing: it would be found again and again
                self._stuck.add(pack)
        except OSError as error:
            self._stuck.add(pack)
            self._report.skipped.append((pack, f"cannot be moved: {error}"))

    def _put_away(self, pack: Path) -> None:
        """Keep a pack that was absorbed before, by a merger that died, say."""
        if self._site.merged(pack.stem).exists() or pack.stem in superseded(self._site):
            pack.unlink()
        elif is_strangers(pack) or sha256_of(pack) == pack.stem:
            self._keep(pack)
        else:
            self._refuse(pack, PackError("corrupt: its sha256 is not the one in its name"))

    def _keep(self, pack: Path) -> None:
        try:
            _keep(self._site, pack)
        except PackError as refusal:  # somebody else's, and not what it was
            self._refuse(pack, refusal)

    def _refuse(self, pack: Path, refusal: Outcome) -> None:
        if isinstance(refusal, (PackError, SchemaTooNewError)):
            if is_strangers(pack):
                self._site.merged(pack.stem).unlink(missing_ok=True)  # its copy
            kept = quarantine(self._site, pack, str(refusal))
            self._report.quarantined.append((kept, str(refusal)))
        else:
            self._stuck.add(pack)
            self._report.skipped.append((pack, str(refusal)))


def _keep(site: Site, pack: Path) -> None:
    target = site.merged(pack.stem)
    if is_strangers(pack):  # what is kept is a copy that nobody else can change
        if target.exists():
            pack.unlink()
        else:
            keep_copy(site, pack)
        return
    make_directory(target.parent)
    pack.rename(target)
