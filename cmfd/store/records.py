"""
What processes say of themselves, record by record, into the content tables.

A record that is malformed, or that speaks of another user's run, is counted,
logged and dropped; the rest of its journal goes on.
"""

from __future__ import annotations

import hashlib
import logging
import re
import sqlite3
from collections import Counter
from dataclasses import dataclass
from functools import singledispatchmethod
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.content.slices import slice_digest
from cmfd.errors import CmfdError
from cmfd.model import Direction, Relation
from cmfd.store.connection import named
from cmfd.store.content import upsert
from cmfd.store.jobs import evict_execution, evict_run
from cmfd.store.rows import RejectedError, Source, artifact_and_event, check, storable
from cmfd.wire import messages as m
from cmfd.wire.messages import decode_record, encode

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

_SERIES = range(1 << 32)
_DIGEST = re.compile(r"[a-z0-9]+:[0-9a-zA-Z.]+")
_RELATIONS = frozenset(relation.value for relation in Relation)
_DIRECTIONS = frozenset(direction.value for direction in Direction)
_MAX_PARTS = 1 << 16
_MAX_CACHED = 1 << 16


_MALFORMED = (
    RejectedError,
    msgspec.MsgspecError,
    RecursionError,  # nested deeper than any record is
    sqlite3.IntegrityError,
    sqlite3.DataError,
)


@dataclass
class Figures:
    """What a store took since it was opened, and what it could not take."""

    slices: int = 0
    values: int = 0
    records: int = 0
    malformed: int = 0
    refused: int = 0


class _RefusedError(CmfdError):
    """The run or execution that a record speaks of is another user's; it is dropped."""


class Records:
    """
    Applies records within the transaction of a node store.

    Parameters
    ----------
    db : sqlite3.Connection
        The node store.
    figures : Figures
        Where to count.

    Attributes
    ----------
    changed : set of bytes
        Runs and executions of which something was said in this transaction.
    resend : set of bytes
        Instances whose values must be sealed anew, since only now it is known
        what they are values of.
    recount : set of (bytes, int)
        Series that turned out to be integers after values of them had come.
    late_groups : set of (bytes, int)
        Row groups that were named after rows of theirs may have come.
    """

    def __init__(self, db: sqlite3.Connection, figures: Figures) -> None:
        self._db = db
        self._figures = figures
        self._sql = named("node/queries")
        self._dropped: Counter[tuple[bytes, str]] = Counter()
        self._announced: dict[bytes, int] = {}  # runs of jobs, as root said
        self.forget()

    def forget(self) -> None:
        """Forget what is known of the database and of this transaction, which was rolled back."""
        self._forget_known()
        self.clear()

    def _forget_known(self) -> None:
        self._owners: dict[bytes, int] = {}
        self._runs: dict[bytes, bytes] = {}
        self._ranks: dict[tuple[bytes, bytes], int] = {}
        self._mentions: set[tuple[bytes, bytes]] = set()

    def clear(self) -> None:
        """Start a new transaction; what the last one said is stored."""
        self.changed: set[bytes] = set()
        self.resend: set[bytes] = set()
        self.recount: set[tuple[bytes, int]] = set()
        self.late_groups: set[tuple[bytes, int]] = set()
        for known in (self._owners, self._runs, self._ranks, self._mentions):
            if len(known) > _MAX_CACHED:
                known.clear()

    def apply(self, source: Source, payload: bytes) -> None:
        """Store what one record says; one that cannot be stored is dropped."""
        try:
            record = decode_record(payload)
            check(record)
            self._store(record, source)
            self._figures.records += 1
        except _RefusedError as error:
            self.refuse(source, error)
        except _MALFORMED as error:
            self.reject(source, error)

    def refuse(self, source: Source, error: object) -> None:
        """Count and log what is dropped because it is about another user's."""
        self._figures.refused += 1
        self._tell("refused", source, error)

    def reject(self, source: Source, error: object) -> None:
        """Count and log something malformed that is dropped."""
        self._figures.malformed += 1
        self._tell("malformed", source, error)

    def _tell(self, what: str, source: Source, error: object) -> None:
        self._dropped[source.instance, what] += 1
        count = self._dropped[source.instance, what]
        # At 1, 2, 4, 8 ...: a broken writer must not fill the disk with what is said of it.
        if count & (count - 1) == 0:
            log.warning(
                "%s record or slice dropped, the %d. of instance %s of user %d: %s",
                what, count, source.instance.hex(), source.uid, error,
            )  # fmt: skip

    def run_of(self, execution: bytes) -> bytes | None:
        """Return the run of an execution, if it is known yet."""
        run = self._runs.get(execution)
        if run is None:
            row = self._db.execute(self._sql["run_of"], (execution,)).fetchone()
            if row is None:
                return None
            run = self._runs[execution] = bytes(row[0])
        return run

    def _put(self, table: str, *row: Any) -> None:
        self._db.execute(upsert(table), row)

    def state(self, record: m.AnyRecord, source: Source) -> None:
        """Store what the daemon itself has to say of a user's run."""
        self._store(record, source)

    def announce(self, run: bytes, uid: int) -> None:
        """Take root's word whose run this is; what others said of it is dropped."""
        owner = self._owner(run)
        if owner not in (None, uid, 0):
            evict_run(self._db, run, uid)
            self._forget_known()
            owner = None
        if owner is None:
            self._db.execute(self._sql["own"], (run, uid))
            self._owners[run] = uid
        elif owner != uid:
            self._reown(run, uid)
        self._announced[run] = uid

    def _reown(self, subject: bytes, uid: int) -> None:
        self._db.execute(self._sql["reown"], (uid, subject))
        self._owners[subject] = uid

    def purged(self, runs: Iterable[bytes]) -> None:
        """Forget runs that were dropped."""
        for run in runs:
            self._announced.pop(run, None)
        self._forget_known()

    def _make_way(self, source: Source, run: bytes, execution: bytes) -> None:
        """Take an execution of a job's run from who has no job to speak of it for."""
        owner = self._owner(execution)
        if owner in (None, source.uid) or self._announced.get(run) != source.uid:
            return
        if owner == 0:  # root speaks for everybody, and owns nothing by it
            self._reown(execution, source.uid)
        elif self._announced.get(self.run_of(execution) or b"") != owner:
            evict_execution(self._db, execution, source.uid)
            self._forget_known()

    # -- whose it is, and who speaks of it --------------------------------------------------

    def _claim(self, source: Source, *subjects: bytes) -> None:
        """Let a source write of runs and executions that are its user's, or nobody's yet."""
        for subject in subjects:
            owner = self._owner(subject)
            if owner is None:
                self._db.execute(self._sql["own"], (subject, source.uid))
                self._owners[subject] = source.uid
            elif source.uid not in (owner, 0):
                raise _RefusedError(f"{subject.hex()} is a run or execution of user {owner}")
        for subject in subjects:
            self.changed.add(subject)
            if (subject, source.instance) not in self._mentions:
                self._db.execute(self._sql["mention"], (subject, source.instance))
                self._mentions.add((subject, source.instance))

    def _owner(self, subject: bytes) -> int | None:
        owner = self._owners.get(subject)
        if owner is None:
            row = self._db.execute(self._sql["owner"], (subject,)).fetchone()
            if row is None:
                return None
            owner = self._owners[subject] = row[0]
        return owner

    def _claim_run(self, source: Source, run: bytes, *others: bytes) -> None:
        self._claim(source, run, *others)
        self._db.execute(self._sql["stand"], (run,))

    def _rank(self, execution: bytes, instance: bytes) -> int:
        """Return the rank of a process; 0 until it has said it."""
        rank = self._ranks.get((execution, instance))
        if rank is None:
            row = self._db.execute(self._sql["rank"], (execution, instance)).fetchone()
            if row is None:
                return 0
            rank = self._ranks[execution, instance] = row[0]
        return rank

    # -- one method a record ----------------------------------------------------------------

    @singledispatchmethod
    def _store(self, record: m.AnyRecord, source: Source) -> None:
        raise RejectedError(f"nothing is known of {type(record).__name__} from {source}")

    @_store.register
    def _run_begin(self, r: m.RunBegin, source: Source) -> None:
        self._claim_run(source, r.run)
        self._put(
            "run", r.run, r.at_ns, source.instance, source.uid, r.cluster, r.job, r.restart,
            r.user, r.name, r.command, r.cwd,
        )  # fmt: skip
        if r.site:
            site = {"run": r.run, "site": r.site, "at_ns": r.at_ns}
            self._db.execute(self._sql["set_site"], site)

    @_store.register
    def _run_end(self, r: m.RunEnd, source: Source) -> None:
        self._claim_run(source, r.run)
        self._put("run_end", r.run, r.at_ns, source.instance, r.status, r.exit_code, r.signal)

    @_store.register
    def _execution_begin(self, r: m.ExecutionBegin, source: Source) -> None:
        self._make_way(source, r.run, r.execution)
        before = self.run_of(r.execution)
        mentioned = self._db.execute(self._sql["mentioned_by"], (r.execution,)).fetchall()
        self._claim_run(source, r.run, r.execution)
        self._put(
            "execution", r.execution, r.at_ns, source.instance, r.run, r.parent, r.pipeline,
            r.stage, r.step,
        )  # fmt: skip
        self._runs.pop(r.execution, None)
        if before != self.run_of(r.execution):
            self.resend.update(bytes(instance) for (instance,) in mentioned)

    @_store.register
    def _execution_end(self, r: m.ExecutionEnd, source: Source) -> None:
        self._claim(source, r.execution)
        self._put(
            "execution_end", r.execution, r.at_ns, source.instance, r.status, r.exit_code, r.signal
        )

    @_store.register
    def _process_begin(self, r: m.ProcessBegin, source: Source) -> None:
        self._claim(source, r.execution)
        key = (r.execution, source.instance)
        before = self._rank(*key)
        self._put(
            "process", *key, r.at_ns, source.instance, r.rank, r.size, r.local_rank, r.host,
            r.pid, r.role,
        )  # fmt: skip
        self._ranks.pop(key, None)
        rank = self._rank(*key)
        if rank != before:
            self._db.execute(self._sql["set_param_rank"], (rank, *key))
            self._db.execute(self._sql["set_event_rank"], (rank, *key))

    @_store.register
    def _process_state(self, r: m.ProcessState, source: Source) -> None:
        self._claim(source, r.execution)
        self._put(
            "process_state", r.execution, source.instance, r.at_ns, source.instance, r.status,
            r.exit_code, r.signal, r.cpu_user_ns, r.cpu_system_ns, r.max_rss_bytes, r.dropped,
        )  # fmt: skip

    @_store.register
    def _series(self, r: m.Series, source: Source) -> None:
        if r.kind not in ("float", "int") or r.id not in _SERIES or r.id == 0:
            raise RejectedError(f"no series: number {r.id}, kind {r.kind!r}")
        self._claim(source, r.execution)
        self._put("series", source.instance, r.id, r.execution, r.name, r.kind)
        if self._db.execute(self._sql["has_stat"], (source.instance, r.id)).fetchone():
            self.resend.add(source.instance)
            if r.kind == "int":
                self.recount.add((source.instance, r.id))

    @_store.register
    def _group(self, r: m.Group, source: Source) -> None:
        if not all(number in _SERIES for number in r.series):
            raise RejectedError(f"group {r.id} names no series: {r.series}")
        key = (source.instance, r.id)
        row = self._db.execute(self._sql["row_group"], key).fetchone()
        self._db.execute(self._sql["add_row_group"], (*key, msgspec.json.encode(r.series).decode()))
        if row == ("",):
            self.late_groups.add(key)
            self.resend.add(source.instance)

    @_store.register
    def _param(self, r: m.Param, source: Source) -> None:
        value = storable(r.type, r.value)
        self._claim(source, r.execution)
        rank = self._rank(r.execution, source.instance)
        self._put("param", r.execution, r.key, r.type, value, r.at_ns, source.instance, rank)

    @_store.register
    def _fact(self, r: m.Fact, source: Source) -> None:
        value = storable(r.type, r.value)
        self._claim(source, r.subject)
        self._put("fact", r.subject, r.key, r.at_ns, source.instance, r.type, value)

    @_store.register
    def _environment(self, r: m.Environment, source: Source) -> None:
        self._claim(source, r.execution)
        digest = "sha256:" + hashlib.sha256(r.document.encode()).hexdigest()
        self._put("environment", digest, r.document)
        self._put("execution_environment", r.execution, r.at_ns, source.instance, digest)

    @_store.register
    def _link(self, r: m.Link, source: Source) -> None:
        if r.relation not in _RELATIONS or not all(map(_DIGEST.fullmatch, (r.subject, r.object))):
            raise RejectedError(f"no link: {r.subject!r} {r.relation!r} {r.object!r}")
        self._claim(source, r.execution)
        self._put("link", r.subject, r.relation, r.object, r.name, r.at_ns, source.instance)

    @_store.register
    def _slice_members(self, r: m.SliceMembers, source: Source) -> None:
        if r.digest != slice_digest(r.document):
            raise RejectedError(f"{r.digest!r} is not the digest of these members")
        self._claim(source, r.execution)
        self._put("slice_members", r.digest, r.document)

    @_store.register
    def _touch(self, r: m.Touch, source: Source) -> None:
        if r.direction not in _DIRECTIONS or r.size_bytes < -1:
            raise RejectedError(f"no touch: {r.direction!r}, {r.size_bytes} bytes")
        self._claim(source, r.execution)
        hashed = self._other_half(source, r, r.execution, m.Hashed)
        if hashed is not None:
            self._event(source, r, hashed)

    @_store.register
    def _hashed(self, r: m.Hashed, source: Source) -> None:
        if r.size_bytes < -1 or r.n_files < 0 or not (r.problem or _DIGEST.fullmatch(r.digest)):
            raise RejectedError(f"no digest: {r.digest!r}, {r.size_bytes} bytes, {r.n_files} files")
        touch = self._other_half(source, r, None, m.Touch)
        if touch is not None:
            self._claim(source, touch.execution)
            self._event(source, touch, r)

    def _other_half(
        self, source: Source, record: Any, execution: bytes | None, wanted: type[Any]
    ) -> Any:
        """Return the record that completes this one, or keep this one until it comes."""
        key = (source.instance, record.token)
        row = self._db.execute(self._sql["touch"], key).fetchone()
        if row is None:
            self._db.execute(self._sql["add_touch"], (*key, execution, encode(record)))
            return None
        other = decode_record(row[1])
        if not isinstance(other, wanted):
            raise RejectedError(f"token {record.token} was used before")
        self._db.execute(self._sql["forget_touch"], key)
        return other

    def _event(self, source: Source, touch: m.Touch, hashed: m.Hashed) -> None:
        rank = self._rank(touch.execution, source.instance)
        artifact, event = artifact_and_event(source, touch, hashed, rank)
        self._put("artifact", *artifact)
        self._put("event", *event)

    @_store.register
    def _part(self, r: m.Part, source: Source) -> None:
        if not 0 <= r.index < r.total <= _MAX_PARTS:
            raise RejectedError(f"no part: {r.index} of {r.total}")
        key = (source.instance, r.token)
        self._db.execute(self._sql["add_part"], (*key, r.index, r.total, r.data))
        if self._db.execute(self._sql["n_parts"], key).fetchone()[0] < r.total:
            return
        parts = self._db.execute(self._sql["parts"], key).fetchall()
        self._db.execute(self._sql["forget_parts"], key)
        if [(part, total) for part, total, _ in parts] != [(i, r.total) for i in range(r.total)]:
            raise RejectedError(f"the parts of token {r.token} do not fit together")
        whole = decode_record(b"".join(data for _, _, data in parts))
        if isinstance(whole, m.Part):
            raise RejectedError("a part of parts")
        check(whole)
        self._store(whole, source)

    @_store.register
    def _sealed(self, r: m.Sealed, source: Source) -> None:
        """Let it pass: it is for who reads a journal after its process died."""
