"""
What root says of jobs, in a node store: whose a run is, and that its job was on this node.

A run that is named after a job has an id that anybody can work out before the job begins. So
whoever spoke of it before root did has spoken of what is not his, and that is dropped.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from cmfd.identity import uuid5
from cmfd.model import ValueType
from cmfd.slurm.tasks import text_of
from cmfd.store.connection import named
from cmfd.store.content import upsert
from cmfd.store.purging import drop_run
from cmfd.store.rows import Source
from cmfd.wire.messages import Fact, RunBegin

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from cmfd.slurm.spool import JobNote
    from cmfd.slurm.tasks import Task
    from cmfd.store.records import Records

log = logging.getLogger(__name__)


class JobWord(NamedTuple):
    """
    What root says of a job.

    Attributes
    ----------
    run : bytes
        The run that is named after it. What others than its user said of it is dropped.
    note : JobNote
        Whose it is, and where.
    ended : bool
        It has left the node.
    always : bool
        Record it also where nothing else is known of the run.
    tasks : tuple of Task
        What was told of its tasks on this node.
    """

    run: bytes
    note: JobNote
    ended: bool
    always: bool
    tasks: tuple[Task, ...] = ()


def record_job(db: sqlite3.Connection, records: Records, word: JobWord) -> None:
    """Take root's word in the current transaction; said again, it changes nothing."""
    run, note, ended, always, tasks = word
    records.announce(run, note.uid)
    queries = named("node/queries")
    if always:
        db.execute(queries["stand"], (run,))
    elif db.execute(queries["stands"], (run,)).fetchone() is None:
        return
    what = f"{note.component or note.job}@{note.node} {'ended' if ended else 'began'}"
    source = Source(uuid5(run, what), note.uid, note.node)
    if db.execute(queries["mentions"], (run, source.instance)).fetchone():
        return
    for record in _records(run, note, ended=ended):
        records.state(record, source)
    if tasks:
        records.state(_tasks(run, note, tasks), source)


def _tasks(run: bytes, note: JobNote, tasks: tuple[Task, ...]) -> Fact:
    key, at_ns = f"slurm.tasks.{note.node}", note.time_us * 1000
    return Fact(at_ns=at_ns, subject=run, key=key, type=ValueType.JSON, value=text_of(tasks))


def _records(run: bytes, note: JobNote, *, ended: bool) -> Iterator[Fact | RunBegin]:
    at_ns = note.time_us * 1000
    facts = {"slurm.account": note.account, "slurm.partition": note.partition}
    if note.component in ("", note.job):  # of a het job, the leader's
        facts["slurm.node_list"] = note.nodes
    for key, value in facts.items():
        if value:
            yield Fact(at_ns=at_ns, subject=run, key=key, type=ValueType.STR, value=value)
    if ended:
        # Of what is said of a run's begin, the earliest counts: whatever its processes said is.
        yield RunBegin(
            at_ns=at_ns, run=run, cluster=note.cluster, job=note.job,
            restart=note.restart, user=note.user,
        )  # fmt: skip


def evict_run(db: sqlite3.Connection, run: bytes, uid: int) -> None:
    """Drop what others than its owner, `uid`, said of a run before it was known to be his."""
    log.warning("run %s is a job of user %d: what another said of it is dropped", run.hex(), uid)
    drop_run(db, run)


def evict_execution(db: sqlite3.Connection, execution: bytes, uid: int) -> None:
    """Drop what others than its owner said of an execution that they had no job for."""
    log.warning(
        "execution %s is of a job of user %d: what another said of it is dropped",
        execution.hex(), uid,
    )  # fmt: skip
    scratch = uuid5(execution, "not its owner's")
    moved = db.execute(named("node/queries")["move_execution"], (scratch, execution))
    if not moved.rowcount:
        row = (execution, 0, scratch, scratch, None, "", "", "")
        db.execute(upsert("execution"), row)
    drop_run(db, scratch)
