"""
Packs of what no daemon published: journals, and the node stores of daemons that are gone.

Everything is done to a temporary copy. Made again of the same files, the packs
are the same bytes, so that merging a directory twice adds nothing.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from cmfd.errors import JournalError, StoreError
from cmfd.store.adopt import DeadJournal
from cmfd.store.connection import connect, named
from cmfd.store.interpret import seal
from cmfd.store.ledger import seal_ledger
from cmfd.store.node import NodeStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.report import MergeReport
    from cmfd.merge.sources import Found
    from cmfd.store.node import JournalSlice

_SLICES = 64
"""How many slices of a journal are held in memory at once."""


def seal_all(
    found: Found, scratch: Path, report: MergeReport, *, published: bool = True
) -> Iterator[tuple[Path, str]]:
    """
    Make packs of all runs in node stores and journals.

    Parameters
    ----------
    found : Found
        Node stores, of which each takes the journals that lie below its directory; journals of
        processes that ended, or still run: then what they hold so far.
    scratch : Path
        An empty directory on a node-local disk.
    report : MergeReport
        Files that cannot be read are noted in its `skipped`, and passed over.
    published : bool
        Whether to seal again what daemons published: the site that is merged into may not be the
        one that it went to.

    Yields
    ------
    (Path, str)
        A pack, which may be removed, and the site that its run named; empty if none, or another
        user did: where one writes is not for others to say.
    """
    left = list(found.journals)
    for number, store in enumerate(found.stores):
        own = [journal for journal in left if store.parent in journal.parents]
        left = [journal for journal in left if journal not in own]
        yield from _packs(store, own, scratch / str(number), report, published=published)
    if left:
        yield from _packs(None, left, scratch / "journals", report)
    if found.loose:
        yield from _packs(None, found.loose, scratch / "loose", report, whole=False)


def _packs(  # noqa: PLR0913 - as `seal_all`, and of what
    store: Path | None,
    journals: list[Path],
    scratch: Path,
    report: MergeReport,
    *,
    whole: bool = True,
    published: bool = True,
) -> Iterator[tuple[Path, str]]:
    scratch.mkdir()
    copy = scratch / "node.db"
    newest_ns = 0
    if store is not None:
        try:
            _copy(store, copy, published=published)
        except (StoreError, sqlite3.Error) as error:
            report.skipped.append((store, f"cannot be read: {error}"))
            return
        newest_ns = store.stat().st_mtime_ns
    with closing(NodeStore(copy, durable=False)) as node:
        for journal in journals:
            newest_ns = max(newest_ns, _append(node, journal, report))
        yield from _seal(node, copy, newest_ns, whole=whole)


def _copy(store: Path, copy: Path, *, published: bool) -> None:
    """Copy a node store at one moment, while its daemon may be writing it."""
    with closing(connect(store, readonly=True)) as source, closing(connect(copy)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.backup(target)
        for name in ("forget_published", "forget_ledger") if published else ():
            target.execute(named("node/republish")[name])


def _append(node: NodeStore, journal: Path, report: MergeReport) -> int:
    """Append a journal, as far as it can be read; return when it was written last."""
    try:
        with DeadJournal(journal) as opened:
            # Asked first: what a process writes after this is not taken for its last word.
            has_ended = _has_ended(opened)
            written_ns = journal.stat().st_mtime_ns
            _append_slices(node, opened.slices())
            if has_ended:
                node.mark_lost(opened.header.instance, written_ns)
                node.end_instance(opened.header.instance, written_ns)
                node.commit()
    except (JournalError, OSError) as error:
        report.skipped.append((journal, str(error)))
        return 0
    return written_ns


def _append_slices(node: NodeStore, slices: Iterator[JournalSlice]) -> None:
    while batch := list(islice(slices, _SLICES)):
        node.append(batch)
        node.commit()


def _has_ended(journal: DeadJournal) -> bool:
    """Say whether the process that wrote a journal has ended: it holds the lock while it lives."""
    try:
        fcntl.flock(journal.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _seal(
    node: NodeStore, path: Path, newest_ns: int, *, whole: bool
) -> Iterator[tuple[Path, str]]:
    for standing in node.unsealed_runs():
        with closing(connect(path, readonly=True)) as db:
            row = db.execute(named("node/republish")["label"], {"run": standing.run}).fetchone()
        cluster, host = row or ("", "")
        sealed = seal(
            path,
            standing.run,
            path.parent / "packs",
            final=standing.open_instances == 0,
            # Not the time now: it is in the pack.
            now_ns=newest_ns,
            cluster=cluster,
            node=host,
            whole=whole,
        )
        if sealed is not None:
            yield sealed.path, standing.site if standing.uid == os.geteuid() else ""
    yield from _seal_ledger(path, newest_ns)


def _seal_ledger(path: Path, newest_ns: int) -> Iterator[tuple[Path, str]]:
    with closing(connect(path, readonly=True)) as db:
        row = db.execute(named("node/republish")["ledger_label"]).fetchone()
    if row is not None:
        cluster, node = row
        sealed = seal_ledger(
            path, path.parent / "packs", site="", now_ns=newest_ns, cluster=cluster, node=node
        )
        if sealed is not None:
            yield sealed.path, ""
