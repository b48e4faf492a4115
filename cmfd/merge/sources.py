"""
What `cmfd merge` is given, into the inbox: packs, and journals that no daemon took.

All of it is only read and stays where it is.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import NotFoundError, PackError, StoreError
from cmfd.merge.quarantine import quarantine
from cmfd.store.pack import is_pack_name, publish, sha256_of
from cmfd.wire.journal import SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cmfd.merge.layout import Site
    from cmfd.merge.report import MergeReport

    Offered = bool | OSError | PackError

COPIES_AT_ONCE = 8


@dataclass
class Found:
    """
    What there is to merge in the sources.

    Attributes
    ----------
    packs : list of Path
        Files that are or claim to be packs.
    journals : list of Path
        Journals of processes, found in directories: all that a node has.
    loose : list of Path
        Journals that were named one by one.
    stores : list of Path
        Node stores.
    """

    packs: list[Path] = field(default_factory=list)
    journals: list[Path] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    stores: list[Path] = field(default_factory=list)

    @property
    def n_files(self) -> int:
        """How many there are of all."""
        return sum(map(len, (self.packs, self.journals, self.loose, self.stores)))


def find(sources: Iterable[Path]) -> Found:
    """
    Look for packs, journals and node stores.

    A file is what its name says, and a pack if that says nothing; below a
    directory, only what is named like one counts, and no quarantine is entered.

    Raises
    ------
    NotFoundError
        A source does not exist, or there is nothing in it.
    """
    found = Found()
    for source in sources:
        before = found.n_files
        if source.is_dir():
            for path in sorted(source.rglob("*")):
                _sort(found, path, path.relative_to(source).parts)
        elif source.suffix == SUFFIX:
            found.loose.append(source)
        elif source.exists():
            found.packs.append(source)
        else:
            raise NotFoundError(f"{source} does not exist; nothing was merged")
        if found.n_files == before:
            raise NotFoundError(f"no packs and no journals in {source}; nothing was merged")
    return found


def _sort(found: Found, path: Path, parts: tuple[str, ...]) -> None:
    if "quarantine" in parts:
        return
    if is_pack_name(path.name):
        found.packs.append(path)
    elif path.suffix == SUFFIX:
        found.journals.append(path)
    elif path.name == "node.db":
        found.stores.append(path)


def gather(
    site: Site, sources: Iterable[Path], report: MergeReport, *, own_sites: bool = False,
    published: bool = True,
) -> set[Path]:  # fmt: skip
    """
    Publish everything in the sources to a site's inbox.

    With `own_sites`, what is in journals and node stores goes to the sites that its runs named.
    Without `published`, what daemons published already is left out.

    Returns
    -------
    set of Path
        The other sites that packs went to.

    Raises
    ------
    NotFoundError
        As from `find`; nothing was published.
    StoreError
        The site cannot be written; sources are as they were.
    """
    found = find(sources)
    others: set[Path] = set()
    _offer_all(site, found.packs, report)
    if found.journals or found.loose or found.stores:
        # Not imported otherwise: the libraries it needs cost a merge of packs more than the merge.
        from cmfd.merge.journals import seal_all  # noqa: PLC0415

        with tempfile.TemporaryDirectory(prefix="cmfd-merge-") as scratch:
            packs = seal_all(found, Path(scratch), report, published=published)
            if own_sites:
                packs = _send_home(site, packs, others, report)
            _offer_all(site, (pack for pack, _ in packs), report)
    return others


def _send_home(
    site: Site, packs: Iterable[tuple[Path, str]], others: set[Path], report: MergeReport
) -> Iterator[tuple[Path, str]]:
    """Publish packs of other sites' runs there, and yield the rest."""
    for pack, named in packs:
        home = Path(named)
        if not home.is_absolute() or home == site.path or site.path.samefile(_nearest(home)):
            yield pack, named
            continue
        try:
            publish(pack, home)
            others.add(home)
        except StoreError as error:  # it names the pack, which was made for now only
            why = (
                f"cannot be written: {error.__cause__ or error}; what is for it stays where it was."
                " Once it can be, repeat this; with --site, all goes to another site"
            )
            report.skipped.append((home, why))


def _nearest(path: Path) -> Path:
    """Return a path if it is there, else the root: no site is that."""
    return path if path.exists() else Path("/")


def _offer_all(site: Site, packs: Iterable[Path], report: MergeReport) -> None:
    # Each copy waits for the disk to have it, and a disk takes many at once as fast as one.
    with ThreadPoolExecutor(COPIES_AT_ONCE) as copiers:
        try:
            for pack, outcome in copiers.map(lambda pack: (pack, _offer(site, pack)), packs):
                _note(site, pack, outcome, report)
        except BaseException:
            copiers.shutdown(cancel_futures=True)
            raise


def _offer(site: Site, pack: Path) -> Offered:
    """Publish a pack; return whether it is new, or why it was not published."""
    try:
        digest = pack.stem if is_pack_name(pack.name) else sha256_of(pack)
        with pack.open("rb"):
            pass
    except OSError as error:
        return error
    try:
        return publish(pack, site.path, digest) != site.merged(digest)
    except PackError as refusal:
        return refusal


def _note(site: Site, pack: Path, outcome: Offered, report: MergeReport) -> None:
    if isinstance(outcome, OSError):
        report.skipped.append((pack, f"cannot be read: {outcome}"))
    elif isinstance(outcome, PackError):
        kept = quarantine(site, pack, str(outcome), keep=True)
        report.quarantined.append((kept, str(outcome)))
    elif not outcome:
        report.repeated += 1
