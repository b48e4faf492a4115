"""
The node store: what the processes of one node said, safe on its disk.

One process writes it, the node's daemon, in group commits: slices of journals
are appended, then committed together, and acknowledged after that. Appending
what is committed already changes nothing, so whoever is in doubt sends again.
"""

from __future__ import annotations

import dataclasses
import sqlite3
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cmfd.errors import StoreError
from cmfd.model import Status
from cmfd.store import energy, purging
from cmfd.store.connection import connect, named
from cmfd.store.content import upsert
from cmfd.store.jobs import record_job
from cmfd.store.migrations import migrate, refresh_views
from cmfd.store.records import Figures, Records
from cmfd.store.rows import Source
from cmfd.wire import ranges
from cmfd.wire.journal import EVENTS, POINT, POINTS, ROWS, events, values_per_row

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from cmfd.store.jobs import JobWord
    from cmfd.store.series import Series

_ID_BYTES = 16
_UINT32 = range(1 << 32)

_ENERGY_ROW_BYTES = 256

_MAX_BLOCKS = 1 << 12
"""How many blocks' committed ranges are kept in memory."""

_WAL_BYTES = 64 << 20
"""What the write-ahead log shrinks to after a burst."""


@dataclass(frozen=True)
class JournalSlice:
    """
    Units ``[first, end)`` of one block of a journal.

    Attributes
    ----------
    instance : bytes
        Whose journal it is.
    uid : int
        The user, from the kernel.
    journal, host : str
        Where the journal is.
    block, kind, record_bytes, group : int
        As in the block's header.
    first, end : int
        Slots, or bytes of an event block, which begin and end at records.
    payload : bytes
        The units' bytes; every slot bears the block's mark.
    """

    instance: bytes
    uid: int
    journal: str
    host: str
    block: int
    kind: int
    record_bytes: int
    group: int
    first: int
    end: int
    payload: bytes


@dataclass(frozen=True)
class RunStanding:
    """
    A run of which not everything is published.

    Attributes
    ----------
    run : bytes
        Its id.
    site : str
        Path of the site repository it is to be published to; empty: not known.
    uid : int
        Whose it is.
    open_instances : int
        How many of its processes on this node have not ended.
    has_new : bool
        Whether something was said of it since it was sealed last.
    """

    run: bytes
    site: str
    uid: int
    open_instances: int
    has_new: bool


class NodeStore:
    """
    The database of a node's daemon.

    Methods that write do so in the transaction that the next `commit` ends;
    methods that read see what is committed. One thread at a time may use it.

    Parameters
    ----------
    path : Path
        The database; made if missing. It must be on a node-local disk.
    durable : bool
        Whether a commit waits for the disk; of a copy that is thrown away it need not.

    Attributes
    ----------
    figures : Figures
        For those who ask how it is.

    Raises
    ------
    StoreError
        The database cannot be used; it was left unchanged.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self.figures = Figures()
        self._sql = named("node/queries")
        self._db = connect(path, wal=True)
        try:
            if not durable:
                self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            migrate(self._db, "node")
            refresh_views(self._db, "node/views")
            # A connection of its own sees nothing that may still be rolled back.
            self._reader = connect(path, readonly=True)
        except BaseException:
            self._db.close()
            raise
        self._records = Records(self._db, self.figures)
        self._seq = 0
        self._series_or_none: Series | None = None
        self._forget()

    def _forget(self) -> None:
        self._sources: dict[bytes, Source] = {}
        self._ranges: dict[tuple[bytes, int], ranges.Ranges] = {}
        self._dirty: set[tuple[bytes, int]] = set()
        self._before = dataclasses.replace(self.figures)

    def close(self) -> None:
        """Close the database; what was appended and not committed is rolled back."""
        self._reader.close()
        self._db.close()

    # -- transactions -------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Write in the current transaction; an error of the database ends it."""
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN IMMEDIATE")
                self._before = dataclasses.replace(self.figures)
                self._seq = self._db.execute(self._sql["seq"]).fetchone()[0] + 1
                if self._series_or_none is not None:
                    self._series_or_none.begin(self._seq)
            yield
        except sqlite3.Error as error:
            self.rollback()
            raise StoreError(
                f"cannot write to the node store: {error}. Nothing since the last commit was"
                " kept, nor acknowledged: the journals have it. Free some disk space, if that is it"
            ) from error

    def commit(self) -> None:
        """
        Make everything since the last commit durable.

        Raises
        ------
        StoreError
            It could not be, and was rolled back.
        """
        if not self._db.in_transaction:
            return
        with self._writing():
            self._write_ranges()
            late = self._records.late_groups or self._records.recount
            if late or self._series_or_none is not None:
                self._series.flush()
            for instance in self._records.resend:
                self._resend(instance)
            self._number_commit()
            self._db.execute("COMMIT")
        self._records.clear()
        if len(self._ranges) > _MAX_BLOCKS:
            self._ranges.clear()

    def rollback(self) -> None:
        """Forget everything since the last commit."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        if self._series_or_none is not None:
            self._series_or_none.forget()
        self._records.forget()
        for field in dataclasses.fields(Figures):
            setattr(self.figures, field.name, getattr(self._before, field.name))
        self._forget()

    @property
    def _series(self) -> Series:
        """What sums values up; made for the first: NumPy takes as long to import as all else."""
        if self._series_or_none is None:
            from cmfd.store.series import Series  # noqa: PLC0415 - as it says

            self._series_or_none = Series(self._db, self._records)
            self._series_or_none.begin(self._seq)
        return self._series_or_none

    def _number_commit(self) -> None:
        changed = self._records.changed
        runs = {self._records.run_of(subject) or subject for subject in changed}
        self._db.executemany(self._sql["touch_run"], [(self._seq, run) for run in runs])
        self._db.execute(self._sql["set_seq"], (self._seq,))

    def _resend(self, instance: bytes) -> None:
        """Make all values of an instance new to those who seal."""
        now = {"seq": self._seq, "instance": instance}
        self._db.execute(self._sql["resend_slices"], now)
        self._db.execute(self._sql["resend_stats"], now)

    # -- appending ----------------------------------------------------------------------------

    def append(self, slices: Iterable[JournalSlice]) -> None:
        """
        Take slices of journals; of each, what is not here already.

        What is malformed, or says something of another user's run, is counted,
        logged and dropped.

        Raises
        ------
        StoreError
            The database cannot be written; everything since the last commit
            was rolled back.
        """
        with self._writing():
            # Records say what points mean; having them first saves work, no more.
            for piece in sorted(slices, key=lambda piece: piece.kind != EVENTS):
                self._take(piece)

    def _take(self, piece: JournalSlice) -> None:
        problem = _problem(piece)
        if problem:
            self._records.reject(Source(piece.instance, piece.uid, piece.host), problem)
            return
        source = self._source(piece)
        if piece.uid not in (source.uid, 0):
            self._records.refuse(
                source._replace(uid=piece.uid), f"its instance is user {source.uid}'s"
            )
            return
        key = (piece.instance, piece.block)
        known = self._ranges.get(key)
        if known is None:
            rows = self._db.execute(self._sql["committed_of_block"], key)
            known = self._ranges[key] = rows.fetchall()
        for first, end in ranges.missing(known, piece.first, piece.end):
            self._store(source, piece, first, end)
            self._dirty.add(key)
        self._ranges[key] = ranges.add(known, piece.first, piece.end)
        self.figures.slices += 1

    def _source(self, piece: JournalSlice) -> Source:
        """Return who a journal's owner is; whoever brings it first says so."""
        source = self._sources.get(piece.instance)
        if source is None:
            row = self._db.execute(self._sql["instance"], (piece.instance,)).fetchone()
            if row is None:
                row = (piece.uid, piece.host)
                # A path of bytes that are no text must not stop what it holds.
                journal = piece.journal.encode(errors="backslashreplace").decode()
                self._db.execute(
                    self._sql["add_instance"],
                    (piece.instance, piece.uid, journal, piece.host, time.time_ns()),
                )
            source = self._sources[piece.instance] = Source(piece.instance, *row)
        return source

    def _store(self, source: Source, piece: JournalSlice, first: int, end: int) -> None:
        """Store units that are not here yet."""
        size = piece.record_bytes if piece.kind != EVENTS else 1
        payload = memoryview(piece.payload)[
            (first - piece.first) * size : (end - piece.first) * size
        ]
        if piece.kind == EVENTS:
            for record in events(payload):
                self._records.apply(source, record)
            return
        data, n_values = self._series.take(piece, first, end, payload)
        if n_values:
            group = piece.group if piece.kind == ROWS else 0
            row = (piece.instance, piece.block, first, end, piece.kind, group, self._seq, data)
            self._db.execute(self._sql["add_slice"], row)
            self.figures.values += n_values

    def _write_ranges(self) -> None:
        for key in self._dirty:
            self._db.execute(self._sql["forget_committed"], key)
        self._db.executemany(
            self._sql["add_committed"],
            [(*key, first, end) for key in self._dirty for first, end in self._ranges[key]],
        )
        self._dirty.clear()

    def announce(self, word: JobWord) -> None:
        """Take root's word of a job that began on this node, or ended here."""
        with self._writing():
            record_job(self._db, self._records, word)

    def add_energy(self, measured: energy.Measured, memory: bytes = b"") -> None:
        """
        Take what was measured of the node's energy; of rows with one key, what covers more stays.

        A run of which nothing else is known is sealed with its energy alone.

        Parameters
        ----------
        measured : Measured
            What is new.
        memory : bytes
            For `energy_memory`, in the same transaction; empty: it stays as it is.
        """
        with self._writing():
            runs = energy.record(self._db, measured, self._seq)
            self._records.changed.update(runs)
            if memory:
                self._db.execute(self._sql["remember_energy"], (memory,))

    # -- processes that end -------------------------------------------------------------------

    def end_instance(self, instance: bytes, at_ns: int) -> None:
        """Note that a journal is complete: its process closed it, or died and it was read."""
        with self._writing():
            self._db.execute(self._sql["end_instance"], (at_ns, instance))

    def mark_lost(self, instance: bytes, at_ns: int) -> None:
        """Note that a process vanished, wherever it has not said how it ended."""
        with self._writing():
            rows = self._db.execute(self._sql["running_processes"], {"instance": instance})
            for execution, read_ns, *usage in rows.fetchall():
                # Later than its last reading even if the clock was set back in between.
                lost_ns = max(at_ns, read_ns + 1)
                state = (execution, instance, lost_ns, instance, Status.LOST.value, None, None)
                self._db.execute(upsert("process_state"), (*state, *usage))
                self._records.changed.add(execution)

    # -- sealing ------------------------------------------------------------------------------

    def mark_sealed(self, run: bytes, upto: int, *, final: bool, at_ns: int) -> None:
        """
        Note that a pack of a run is published.

        Parameters
        ----------
        run : bytes
            The run.
        upto : int
            `SealedPack.upto` of the pack.
        final : bool
            Whether it was sealed as the run's last one on this node.
        at_ns : int
            The time now.
        """
        with self._writing():
            self._db.execute(
                self._sql["mark_sealed"],
                {"run": run, "upto": upto, "final": final, "at_ns": at_ns},
            )

    def mark_ledger_sealed(self, site: str, upto: int, used_ns: int) -> None:
        """
        Note that a pack of the node's ledger is published.

        Parameters
        ----------
        site : str
            Path of the site repository that has it.
        upto : int
            `cmfd.store.ledger.SealedLedger.upto` of the pack.
        used_ns : int
            The time now, if a run's last pack went there as well; else 0.
        """
        with self._writing():
            mark = {"site": site, "upto": upto, "used_ns": used_ns}
            self._db.execute(self._sql["mark_ledger_sealed"], mark)

    def ledger_sites(self, since_ns: int = 0) -> list[str]:
        """Return the sites that have something of the node's ledger and got a run's end since."""
        return [site for (site,) in self._read("ledger_sites", {"since_ns": since_ns})]

    def purge(self, before_ns: int, uids: Collection[int] = ()) -> list[bytes]:
        """
        Drop runs that were published as a whole before a time; of some users, at any time.

        Which units of a journal were committed is kept as long as the journal
        is there: it would be taken in anew.

        Returns
        -------
        list of bytes
            The runs that are no longer here.
        """
        with self._writing():
            runs = purging.purge(self._db, before_ns, uids)
            self._records.purged(runs)
            return runs

    # -- reading what is committed ------------------------------------------------------------

    def committed(self, instance: bytes) -> list[tuple[int, int, int]]:
        """Return the ranges ``(block, first, end)`` of a journal that are on disk."""
        return self._read("committed", (instance,))

    def open_instances(self) -> list[tuple[bytes, int, str]]:
        """Return ``(instance, uid, journal)`` of those that have not ended."""
        return self._read("open_instances")

    def energy_memory(self) -> bytes:
        """Return what was given to `add_energy` last; empty if nothing was."""
        rows = self._read("energy_memory")
        return bytes(rows[0][0]) if rows else b""

    def owner(self, instance: bytes) -> int | None:
        """Return the user whose journal this is, if it is known here."""
        rows = self._read("instance", (instance,))
        return rows[0][0] if rows else None

    def bytes_by_uid(self) -> dict[int, int]:
        """Return how many bytes of metric values, and about how many of energy, each user has."""
        found = dict(self._read("bytes_by_uid"))
        for uid, n_rows in self._read("rows_by_uid"):
            found[uid] = found.get(uid, 0) + n_rows * _ENERGY_ROW_BYTES
        return found

    def runs_of(self, instance: bytes) -> list[bytes]:
        """Return the runs that a process took part in."""
        return [run for (run,) in self._read("runs_of", {"instance": instance})]

    def unsealed_runs(self) -> list[RunStanding]:
        """Return the runs of which not everything is published."""
        return [
            RunStanding(run, site, uid, open_instances, bool(has_new))
            for run, site, uid, open_instances, has_new in self._read("unsealed_runs")
        ]

    def _read(self, query: str, parameters: Any = ()) -> list[Any]:
        return self._reader.execute(self._sql[query], parameters).fetchall()


def _problem(piece: JournalSlice) -> str:
    """Return what is wrong with a slice, or nothing."""
    size = 1 if piece.kind == EVENTS else piece.record_bytes
    if piece.kind not in (EVENTS, POINTS, ROWS) or (piece.kind == POINTS and size != POINT.size):
        return f"a block of kind {piece.kind} with records of {size} bytes"
    if piece.kind == ROWS and values_per_row(size) < 1:
        return f"rows of {size} bytes"
    if len(piece.instance) != _ID_BYTES or piece.block not in _UINT32 or piece.group not in _UINT32:
        return f"block {piece.block}, group {piece.group} of {piece.instance.hex()}"
    n_units = piece.end - piece.first
    if piece.first < 0 or n_units < 1 or piece.end not in _UINT32:
        return f"units {piece.first} to {piece.end}"
    if len(piece.payload) != n_units * size:
        return f"{len(piece.payload)} bytes for {n_units} units of {size}"
    return ""
