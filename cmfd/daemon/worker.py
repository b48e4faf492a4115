"""
The thread that seals runs and publishes their packs, so that the loop need not wait.

It reads the node store through connections of its own. A site on a hanging
file system holds up this thread, and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from cmfd.daemon.border import attempt
from cmfd.daemon.effects import LedgerMark
from cmfd.daemon.stimuli import LedgersSealed, Published, PublishFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from cmfd.content.again import Found
    from cmfd.daemon.effects import Seal
    from cmfd.daemon.sites import Sites
    from cmfd.store.interpret import SealedPack, Unread


log = logging.getLogger(__name__)

Result = Published | PublishFailed | LedgersSealed


class Worker:
    """
    Carries out `Seal` and `SealLedgers` effects, one after the other.

    Parameters
    ----------
    node_db, outbox : Path
        The node store, and where packs lie until they are published.
    cluster, node : str
        For the packs' labels.
    wake : callable
        Called when a result is there.
    known : Path, optional
        Where known content is remembered. Without it, content is not read: a service for all users
        reads nobody's files.

    Attributes
    ----------
    sites : Sites or None
        Where a service for all users publishes; may be replaced at any time.
    """

    def __init__(  # noqa: PLR0913 - what a pack says, and where things are
        self, node_db: Path, outbox: Path, *, cluster: str, node: str,
        wake: Callable[[], object], known: Path | None = None,
    ) -> None:  # fmt: skip
        self._node_db = node_db
        self._outbox = outbox
        self._cluster = cluster
        self._node = node
        self._wake = wake
        self._known = known
        self.sites: Sites | None = None
        self._orders: SimpleQueue[Seal | tuple[str, ...]] = SimpleQueue()
        self._results: SimpleQueue[Result] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def order(self, order: Seal | tuple[str, ...]) -> None:
        """Have a run sealed, or the ledger for sites, and the result in `results` by and by."""
        self._orders.put(order)
        if self._thread is None:
            # A daemon thread: a site that hangs must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="cmfd-seal", daemon=True)
            self._thread.start()

    def results(self) -> list[Result]:
        """Return what has become of earlier orders."""
        return [self._results.get() for _ in range(self._results.qsize())]

    def _run(self) -> None:
        while True:
            order = self._orders.get()
            if isinstance(order, tuple):
                marks = [self._publish_ledger(site) for site in order]
                self._results.put(LedgersSealed(tuple(mark for mark in marks if mark)))
            else:
                self._work_on(order)
            self._wake()

    def _publish_ledger(self, site: str, *, with_run: bool = False) -> LedgerMark | None:
        """Publish what is new of the node's energy that is no run's; what fails waits."""
        marks: list[LedgerMark] = []
        error = attempt(self._seal_ledger, site, marks, with_run)
        if error is not None:
            log.warning("the node's ledger of energy is not at %s yet: %s", site, error)
        return marks[0] if marks else None

    def _seal_ledger(self, site: str, marks: list[LedgerMark], with_run: bool) -> None:  # noqa: FBT001 - as above
        from cmfd.store.ledger import seal_ledger  # noqa: PLC0415 - as below
        from cmfd.store.pack import publish  # noqa: PLC0415 - as below

        sealed = seal_ledger(
            self._node_db, self._outbox, site=site, now_ns=time.time_ns(),
            cluster=self._cluster, node=self._node,
        )  # fmt: skip
        if sealed is not None:
            try:
                publish(sealed.path, Path(site))
            finally:
                sealed.path.unlink(missing_ok=True)
            marks.append(LedgerMark(site, sealed.upto, with_run))

    def _work_on(self, effect: Seal) -> None:
        job = _Job(effect.outbox, effect.site)
        error = attempt(self._seal_and_publish, effect, job)
        if error is not None:
            self._results.put(PublishFailed(effect.run, str(error) or repr(error), job.sealed))
            return
        is_last = effect.final and job.published
        ledger = self._publish_ledger(str(job.site), with_run=True) if is_last else None
        self._results.put(Published(effect.run, job.site, job.sealed, job.published, ledger))

    def _seal_and_publish(self, effect: Seal, job: _Job) -> None:
        # 25 ms of imports that a daemon's start need not wait for.
        from cmfd.store.interpret import seal  # noqa: PLC0415
        from cmfd.store.pack import publish, site_id  # noqa: PLC0415

        if effect.owner is not None and self.sites is not None:
            job.site = self.sites.place(effect.owner)
        if job.sealed is None:
            job.sealed = seal(
                self._node_db,
                effect.run,
                self._outbox,
                final=effect.final,
                now_ns=time.time_ns(),
                cluster=self._cluster,
                node=self._node,
                job_over=effect.job_over,
                apart=effect.apart,
                found=self._read_again(effect.run) if effect.final else None,
                site=site_id(job.site),
            )
        if job.sealed is not None:
            job.published = publish(job.sealed.path, job.site)
            job.sealed.path.unlink(missing_ok=True)

    def _read_again(self, run: bytes) -> dict[Unread, Found]:
        """Read what processes named that were killed before they had read it themselves."""
        if self._known is None:
            return {}
        from cmfd.content.again import Left, read_again  # noqa: PLC0415 - as above
        from cmfd.store.interpret import unread  # noqa: PLC0415 - as above

        left = {one: one.touch for one in unread(self._node_db, run, os.geteuid())}
        places = [
            Left(one, touch.absolute, touch.size_bytes, touch.mtime_ns, touch.at_ns)
            for one, touch in left.items()
            if touch.mtime_ns >= 0
        ]
        found = read_again(places, self._known)
        return {one: found[one] for one in left if one in found}


class _Job:
    """How far an order has come."""

    def __init__(self, sealed: SealedPack | None, site: Path) -> None:
        self.sealed = sealed
        self.site = site
        self.published: Path | None = None
