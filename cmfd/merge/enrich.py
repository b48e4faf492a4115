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
from cmfd.slurm.accounting import Accounting, cluster_name, controller_records, script_of
from cmfd.slurm.jobfacts import STATE, JobFact, facts_of
from cmfd.slurm.script import as_submitted
from cmfd.slurm.starts import Start, by_job, records_of
from cmfd.store.connection import named
from cmfd.store.rows import storable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cmfd.model import Id
    from cmfd.slurm.records import Record

    Job = Sequence["Target"]
    """All starts of a job that the site knows."""
    Source = Callable[[Sequence[Job]], "Answers"]

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
    is_asked: bool
    """Whether facts are sought for it. Other starts of its job count, too: what is theirs is not
    its own, and what they were given in error is corrected."""

    @property
    def start(self) -> Start:
        """Its start, as records are matched with it."""
        return Start(self.restart, None if self.began_ns is None else self.began_ns / 1e9)


Answers = dict[Target, "list[Record]"]


@dataclass
class EnrichReport:
    """
    What became of the runs that facts were sought for.

    Attributes
    ----------
    joined : list of bytes
        Runs of which something new became known: a pack of each is in the inbox.
    corrected : list of bytes
        Other starts of the same jobs, of which the site knew something that is not so.
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
    corrected: list[Id] = field(default_factory=list)
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
        jobs = _jobs(db, runs)
        for target, records, source in _ask(jobs, report, wait_s):
            known = _known(db, target.run)
            if not target.is_asked and STATE not in known:
                continue
            new = _new_facts(target, records, source, known, keep_script=keep_script)
            if not new:
                report.unchanged += [target.run] if target.is_asked else []
                continue
            _publish(site_dir, target, new)
            (report.joined if target.is_asked else report.corrected).append(target.run)
    return report


def _publish(site_dir: Path, target: Target, new: Sequence[JobFact]) -> None:
    now_ns = time.time_ns()
    facts = [
        (target.run, fact.key, now_ns, ORIGIN, fact.type, storable(fact.type, fact.value))
        for fact in new
    ]
    publish_rows(site_dir, {"fact": facts}, cluster=target.cluster)


def _jobs(db: sqlite3.Connection, runs: Iterable[Id] | None) -> list[Job]:
    """Return every start of the jobs that runs are of, job by job."""
    queries = named("site/enrich")
    if runs is None:
        asked = dict(db.execute(queries["not_joined"], {"state": STATE}))
    else:
        asked = dict(row for run in runs for row in db.execute(queries["run"], {"run": run}))
    names = msgspec.json.encode(sorted(set(asked.values()))).decode()
    jobs: dict[tuple[str, str], list[Target]] = {}
    for run, cluster, job, restart, began_ns in db.execute(queries["starts"], {"jobs": names}):
        target = Target(run, cluster, job, restart, began_ns, run in asked)
        jobs.setdefault((cluster, job), []).append(target)
    return [starts for starts in jobs.values() if any(start.is_asked for start in starts)]


def _known(db: sqlite3.Connection, run: Id) -> dict[str, tuple[str, object]]:
    rows = db.execute(named("site/enrich")["facts"], {"run": run})
    return {key: (kind, value) for key, kind, value in rows}


def _ask(
    jobs: Sequence[Job], report: EnrichReport, wait_s: float
) -> Iterator[tuple[Target, list[Record], str]]:
    """Yield each target whose job is over, with its records and who told them."""
    until = time.monotonic() + wait_s
    told: Answers = {}
    remembered: Answers = {}
    why = report.hindrance = _poll(_Accounting(), jobs, told, until)
    missing = [job for job in jobs if not all(told.get(target) for target in _asked(job))]
    also = _poll(_Controller(), missing, remembered, until) if missing else ""
    for target in (target for job in jobs for target in job):
        records = told.get(target) or remembered.get(target) or []
        if records and all(record.is_final for record in records):
            yield target, records, SACCT if told.get(target) else SCONTROL
        elif records and target.is_asked:
            report.unfinished[target.run] = ", ".join(sorted({one.state for one in records}))
        elif target.is_asked:
            reasons = (why or "accounting has no such start", also or "the controller forgot it")
            report.unknown[target.run] = "; ".join(reasons)


def _asked(job: Job) -> list[Target]:
    return [target for target in job if target.is_asked]


def _poll(source: Source, jobs: Sequence[Job], answers: Answers, until: float) -> str:
    """Ask until all has settled or the time is over; return why it cannot be asked, or nothing."""
    waiting = list(jobs)
    while waiting:
        try:
            answers.update(source(waiting))
        except SlurmError as error:
            return str(error)
        waiting = [
            job
            for job in waiting
            if not all(_has_settled(answers.get(target)) for target in _asked(job))
        ]
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

    def __call__(self, jobs: Sequence[Job]) -> Answers:
        found: Answers = {}
        for cluster in {job[0].cluster for job in jobs}:
            there = [job for job in jobs if job[0].cluster == cluster]
            told = by_job(self._accounting.records([job[0].job for job in there], cluster))
            for job in there:
                found |= _own(told, job)
        return found


class _Controller:
    """Answers of this machine's controller, which knows only the latest start of a job."""

    def __init__(self) -> None:
        self._cluster: str | None = None

    def __call__(self, jobs: Sequence[Job]) -> Answers:
        if self._cluster is None:
            self._cluster = cluster_name()
        there = [job for job in jobs if job[0].cluster in ("", self._cluster)]
        found: Answers = {}
        every = by_job(controller_records()) if len(there) > _MANY else None
        for job in there:
            told = by_job(controller_records(job[0].job)) if every is None else every
            found |= _own(told, job)
        return found


def _own(told: Mapping[str, list[Record]], job: Job) -> Answers:
    """Choose from the records of jobs, by their names, those of each start of one."""
    found = records_of(told.get(job[0].job, []), [target.start for target in job])
    return {target: found[target.start] for target in job}


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
