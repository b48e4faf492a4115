"""
Joining to runs what SLURM's accounting knows of their jobs.

What is learned becomes a pack of facts in the site's inbox, as everything that a site knows came
in a pack. Only what the site does not know yet is said, so that asking again changes nothing.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cmfd.client.redact import scrub_text
from cmfd.errors import SlurmError
from cmfd.identity import NAMESPACE, uuid5
from cmfd.merge.additions import publish_rows
from cmfd.merge.index import connect_index
from cmfd.merge.layout import open_site
from cmfd.model import ValueType
from cmfd.slurm.accounting import (
    Accounting,
    cluster_name,
    controller_records,
    script_of,
    start_of,
)
from cmfd.slurm.jobfacts import STATE, JobFact, facts_of
from cmfd.slurm.script import as_submitted
from cmfd.store.connection import named
from cmfd.store.rows import storable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from cmfd.model import Id
    from cmfd.slurm.records import Record

    Source = Callable[[Sequence["Target"]], "Answers"]

ORIGIN = uuid5(NAMESPACE, "slurm accounting")
"""Who says these facts, whoever asked SLURM for them."""

ASK_AGAIN_S = 1.0
"""Accounting is some seconds behind: after how long it is asked again."""

SACCT, SCONTROL = "sacct", "scontrol"

_DIGEST, _SCRIPT, _SOURCE = "slurm.script_digest", "slurm.script", "slurm.accounting"


_EXPORT = "--export="
_MANY = 20
"""Of more jobs than this the controller is not asked one by one."""


class Target(NamedTuple):
    """A run, and the start of a job that it is."""

    run: Id
    cluster: str
    job: str
    restart: int
    began_ns: int | None


Answers = dict[Target, "list[Record]"]


@dataclass
class EnrichReport:
    """
    What became of the runs that facts were sought for.

    Attributes
    ----------
    joined : list of bytes
        Runs of which something new became known: a pack of each is in the inbox.
    unchanged : list of bytes
        Runs of which the site knew everything.
    unfinished : dict of bytes to str
        Runs whose jobs are not over, and how these stand.
    unknown : dict of bytes to str
        Runs of whose jobs SLURM says nothing, and why.
    hindrance : str
        Why SLURM's accounting could not be asked; empty: it could.
    """

    joined: list[Id] = field(default_factory=list)
    unchanged: list[Id] = field(default_factory=list)
    unfinished: dict[Id, str] = field(default_factory=dict)
    unknown: dict[Id, str] = field(default_factory=dict)
    hindrance: str = ""


def runs_of_job(site_dir: Path, job: str) -> list[Id]:
    """Return the runs of every start of a job, those of an array's tasks among them."""
    task = job.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "\\_%"
    with closing(connect_index(open_site(site_dir))) as db:
        rows = db.execute(named("site/enrich")["of_job"], {"job": job, "task": task})
        return [run for (run,) in rows]


def enrich_runs(
    site_dir: Path,
    runs: Iterable[Id] | None = None,
    *,
    wait_s: float = 0.0,
    keep_script: bool = False,
) -> EnrichReport:
    """
    Ask SLURM what became of the jobs of runs, and put what is new into the site's inbox.

    Parameters
    ----------
    site_dir : Path
        The site; the runs must be merged there. Merge it afterwards.
    runs : iterable of bytes, optional
        Their ids; all that nothing was joined to yet, if not given.
    wait_s : float
        How long to wait for accounting to catch up with jobs that have just ended.
    keep_script : bool
        Keep job scripts themselves, secrets masked, and not only their digests.

    Returns
    -------
    EnrichReport
        Of every run of a job; other runs are passed over.

    Raises
    ------
    NotFoundError
        There is no site, or nothing is merged there.
    StoreError
        The inbox cannot be written.
    """
    report = EnrichReport()
    with closing(connect_index(open_site(site_dir))) as db:
        targets = list(_targets(db, runs))
        for target, records, source in _ask(targets, report, wait_s):
            known = _known(db, target.run)
            new = _new_facts(target, records, source, known, keep_script=keep_script)
            if not new:
                report.unchanged.append(target.run)
                continue
            now_ns = time.time_ns()
            facts = [
                (target.run, fact.key, now_ns, ORIGIN, fact.type, storable(fact.type, fact.value))
                for fact in new
            ]
            publish_rows(site_dir, {"fact": facts}, cluster=target.cluster)
            report.joined.append(target.run)
    return report


def _targets(db: sqlite3.Connection, runs: Iterable[Id] | None) -> Iterator[Target]:
    queries = named("site/enrich")
    if runs is None:
        yield from map(Target._make, db.execute(queries["not_joined"], {"state": STATE}))
        return
    for run in runs:
        yield from map(Target._make, db.execute(queries["run"], {"run": run}))


def _known(db: sqlite3.Connection, run: Id) -> dict[str, tuple[str, object]]:
    rows = db.execute(named("site/enrich")["facts"], {"run": run})
    return {key: (kind, value) for key, kind, value in rows}


def _ask(
    targets: Sequence[Target], report: EnrichReport, wait_s: float
) -> Iterator[tuple[Target, list[Record], str]]:
    """Yield each target whose job is over, with its records and who told them."""
    until = time.monotonic() + wait_s
    told: Answers = {}
    remembered: Answers = {}
    why = report.hindrance = _poll(_Accounting(), targets, told, until)
    missing = [target for target in targets if not told.get(target)]
    also = _poll(_Controller(), missing, remembered, until) if missing else ""
    for target in targets:
        records = told.get(target) or remembered.get(target) or []
        if not records:
            reasons = (why or "accounting has no such start", also or "the controller forgot it")
            report.unknown[target.run] = "; ".join(reasons)
        elif all(record.is_final for record in records):
            yield target, records, SACCT if told.get(target) else SCONTROL
        else:
            report.unfinished[target.run] = ", ".join(sorted({one.state for one in records}))


def _poll(source: Source, targets: Sequence[Target], answers: Answers, until: float) -> str:
    """Ask until all has settled or the time is over; return why it cannot be asked, or nothing."""
    waiting = list(targets)
    while waiting:
        try:
            answers.update(source(waiting))
        except SlurmError as error:
            return str(error)
        waiting = [target for target in waiting if not _has_settled(answers.get(target))]
        left_s = until - time.monotonic()
        if left_s <= 0:
            break
        if waiting:
            time.sleep(min(ASK_AGAIN_S, left_s))
    return ""


def _has_settled(records: Sequence[Record] | None) -> bool:
    return bool(records) and all(record.is_settled for record in records or ())


class _Accounting:
    """Answers of SLURM's accounting: one question for all jobs of a cluster."""

    def __init__(self) -> None:
        self._accounting = Accounting()

    def __call__(self, targets: Sequence[Target]) -> Answers:
        found = {}
        for cluster in {target.cluster for target in targets}:
            there = [target for target in targets if target.cluster == cluster]
            jobs = list(dict.fromkeys(target.job for target in there))
            records = self._accounting.records(jobs, cluster)
            found.update({target: _own(records, target) for target in there})
        return found


class _Controller:
    """Answers of this machine's controller, which knows only the latest start of a job."""

    def __init__(self) -> None:
        self._cluster: str | None = None

    def __call__(self, targets: Sequence[Target]) -> Answers:
        if self._cluster is None:
            self._cluster = cluster_name()
        there = [target for target in targets if target.cluster in ("", self._cluster)]
        if len(there) > _MANY:
            records = controller_records()
            return {target: _own(records, target) for target in there}
        return {target: _own(controller_records(target.job), target) for target in there}


def _own(records: Sequence[Record], target: Target) -> list[Record]:
    began_s = None if target.began_ns is None else target.began_ns / 1e9
    return start_of(records, target.job, target.restart, began_s)


def _new_facts(
    target: Target,
    records: Sequence[Record],
    source: str,
    known: dict[str, tuple[str, object]],
    *,
    keep_script: bool,
) -> list[JobFact]:
    """Return what is said that the site does not know."""
    if source == SCONTROL and known.get(_SOURCE) == (ValueType.STR.value, SACCT):
        return []  # accounting knew more
    facts = facts_of([_without_secrets(record) for record in records], source)
    if _is_batch(records) and (_DIGEST not in known or (keep_script and _SCRIPT not in known)):
        facts += _script_facts(target.job, keep_script=keep_script)
    return [
        fact
        for fact in facts
        if known.get(fact.key) != (fact.type, storable(fact.type, fact.value))
    ]


def _is_batch(records: Sequence[Record]) -> bool:
    """Tell whether a job may have a script: what has steps, but no batch step, has none."""
    steps = [step.step for record in records for step in record.steps]
    return not steps or "batch" in steps


def _script_facts(job: str, *, keep_script: bool) -> list[JobFact]:
    script = script_of(job)
    if script is None:
        return []
    digest = hashlib.sha256(script.encode()).hexdigest()
    facts = [JobFact(_DIGEST, ValueType.STR.value, f"sha256:{digest}")]
    if keep_script:
        facts.append(JobFact(_SCRIPT, ValueType.STR.value, _scrubbed(script)))
    return facts


def _without_secrets(record: Record) -> Record:
    """Return a record with command lines as users gave them, secrets masked."""
    steps = [
        msgspec.structs.replace(step, submit_line=_scrubbed(step.submit_line))
        for step in record.steps
    ]
    line = _scrubbed(as_submitted(record.submit_line))
    return msgspec.structs.replace(record, submit_line=line, steps=steps)


def _scrubbed(text: str) -> str:
    """Mask secrets, among them those of variables that ``--export`` sets."""
    return scrub_text(text.replace(_EXPORT, _EXPORT + " ")).replace(_EXPORT + " ", _EXPORT)
