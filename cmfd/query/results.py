"""
What queries return: plain, frozen, ids as hexadecimal text, units in the names.

These are also the JSON that commands print with ``--json``.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all results."""


class Timed(Result, frozen=True, kw_only=True):
    """What begins and ends."""

    began_ns: int | None
    """None while only other records that name it are here."""
    ended_ns: int | None

    @property
    def wall_ns(self) -> int | None:
        """How long it took; None while that is not known."""
        if self.began_ns is None or self.ended_ns is None:
            return None
        return self.ended_ns - self.began_ns


class Run(Timed, frozen=True, kw_only=True):
    """One start of a job, and how it stands."""

    run: str
    status: str
    """Of `cmfd.model.Status`: how its job ended; else what it said at its end; else its parts."""
    job_state: str | None
    """What the batch system says of its job, as ``TIMEOUT``; None where that is not known."""
    exit_code: int | None
    signal: int | None
    cluster: str
    job: str
    restart: int
    user: str
    uid: int | None
    name: str
    command: str
    cwd: str
    n_executions: int
    n_failed: int
    """Of its executions, those that failed or were lost."""
    n_nodes: int
    n_ranks: int
    """The most ranks that one of its executions has."""
    stages: list[str]
    """``pipeline.stage`` of its executions."""
    variants: list[str]
    """What it or its executions try, of several variants: see `cmfd run --variant`."""
    max_rss_bytes: int | None
    """Of its largest process."""
    dropped: int
    """Metric values that full journals could not take."""
    missing_nodes: list[str]
    """Nodes that took part and have not delivered all they had, as far as that is known."""


class Execution(Timed, frozen=True, kw_only=True):
    """One time a stage ran."""

    execution: str
    run: str
    parent: str | None
    pipeline: str
    stage: str
    step: str
    status: str
    exit_code: int | None
    signal: int | None
    n_ranks: int
    environment: str | None
    """Digest of its environment document."""


class Process(Result, frozen=True, kw_only=True):
    """A process that took part in an execution, with its latest reading."""

    execution: str
    instance: str
    rank: int
    size: int
    local_rank: int
    host: str
    pid: int
    role: str
    began_ns: int
    seen_ns: int
    """When it was last heard of."""
    status: str
    exit_code: int | None
    signal: int | None
    cpu_user_ns: int
    cpu_system_ns: int
    max_rss_bytes: int
    dropped: int


class Param(Result, frozen=True, kw_only=True):
    """A value of a parameter; several values of one key in one execution are a conflict."""

    execution: str
    pipeline: str
    stage: str
    key: str
    type: str
    value: Any
    rank: int
    """The first rank that said so."""
    at_ns: int


class Fact(Result, frozen=True, kw_only=True):
    """A tag, note or job fact of a run or execution."""

    subject: str
    key: str
    type: str
    value: Any
    at_ns: int


class Note(Result, frozen=True, kw_only=True):
    """What somebody said of an artifact, execution or run; nothing said later replaces it."""

    note: str
    subject: str
    """Digest of the artifact, or id."""
    kind: str
    """Of `cmfd.model.NoteKind`."""
    text: str
    """The reason, tag, label or note."""
    at_ns: int
    uid: int
    """Of who said so."""
    author: str


class Artifact(Result, frozen=True, kw_only=True):
    """An artifact as one execution consumed or produced it."""

    execution: str
    pipeline: str
    stage: str
    direction: str
    kind: str
    path: str
    absolute: str
    host: str
    rank: int
    digest: str
    strong: str | None
    size_bytes: int | None
    n_files: int | None
    properties: Any
    problem: str
    at_ns: int


class Metric(Result, frozen=True, kw_only=True):
    """
    A metric of one execution, over all its ranks.

    `first` and `last` are of the lowest rank that logged it, so that they belong to one series.
    """

    execution: str
    pipeline: str
    stage: str
    name: str
    n_values: int
    n_nan: int
    n_ranks: int
    step_min: int
    step_max: int
    first: float | int | None
    last: float | int | None
    min: float | int | None
    max: float | int | None
    mean: float | None
    """Over all values that are not NaN; None with infinities among them, or with none."""
    best: float | int | None
    """`min` or `max`, whichever `goal` says; None if the name tells no goal."""
    goal: str | None
    """``min`` or ``max``: see `cmfd.query.metrics.goal_of`."""
    problem: str | None
    """Why `first` cannot be read; the other figures stand beside the values."""


class Point(Result, frozen=True, kw_only=True):
    """One logged value."""

    execution: str
    step: int
    rank: int
    at_ns: int
    value: float | int


class Environment(Result, frozen=True, kw_only=True):
    """Where and with what an execution ran: code, Python, packages, host, variables."""

    execution: str
    pipeline: str
    stage: str
    digest: str
    document: dict[str, Any]
    """As `cmfd.client.environment.capture` made it; empty if it is none that can be read."""


class Start(Result, frozen=True, kw_only=True):
    """Another start of a run's job: before or since it went back into the queue."""

    run: str
    restart: int
    began_ns: int | None
    status: str
    job_state: str | None


class RunDetail(Result, frozen=True, kw_only=True):
    """Everything about a run but its metrics' values."""

    run: Run
    other_starts: list[Start]
    """Of the same job, earliest first; empty unless that went back into the queue."""
    wall_ns: int | None
    cpu_ns: int
    executions: list[Execution]
    processes: list[Process]
    params: list[Param]
    metrics: list[Metric]
    artifacts: list[Artifact]
    environments: list[Environment]
    facts: list[Fact]
    notes: list[Note]
    """On the run, its executions, and what these read or wrote."""

    def code(self, execution: str) -> dict[str, Any]:
        """Return which code an execution ran: `cmfd.client.git.describe_code`; empty: unknown."""
        for environment in self.environments:
            if environment.execution == execution:
                code = environment.document.get("code")
                return code if isinstance(code, dict) else {}
        return {}


class Straggler(Result, frozen=True, kw_only=True):
    """A rank that had so much more to do than the others that they waited for it."""

    run: str
    execution: str
    pipeline: str
    stage: str
    rank: int
    host: str
    busy_ns: int
    over_mean: float
    """Its busy time over the mean of its execution's ranks."""


class JobUsage(Result, frozen=True, kw_only=True):
    """What jobs took, as their batch system counted it."""

    n_jobs: int
    """Starts of jobs of which it is known what became of them."""
    states: dict[str, int]
    """How many ended in which state."""
    queued_s: float | None
    """From when they might have begun until they did; the median."""
    elapsed_s: int
    limit_s: int | None
    """Their time limits together; None without any."""
    of_limit: float | None
    """Elapsed time over time limit, of those that have one."""
    core_s: int | None
    """Elapsed time times cores allotted; None where it is not known how many these were."""
    cpu_efficiency: float | None
    """Processor time over `core_s`."""
    memory_efficiency: float | None
    """Memory used over memory asked for, each job weighted by what it asked for and how long."""


class Runtime(Result, frozen=True, kw_only=True):
    """What a run, user, account, partition, project, month, pipeline or stage took."""

    run: str | None
    job: str | None
    user: str | None
    account: str | None
    partition: str | None
    project: str | None
    month: str | None
    pipeline: str | None
    stage: str | None
    n_runs: int
    n_executions: int
    n_ranks: int
    """The most ranks that one of its executions has."""
    wall_ns: int
    """Sum over its runs or executions, nested ones not counted again."""
    cpu_ns: int
    capacity_ns: int
    """Wall time times cores allotted; where those are not known, times ranks."""
    efficiency: float | None
    """`cpu_ns` / `capacity_ns`; above 1 when ranks have several threads."""
    imbalance: float | None
    """Of the execution where it is worst: busiest rank / mean rank."""
    stragglers: list[Straggler]
    jobs: JobUsage | None
    """None where nothing is known from a batch system."""


class Waste(Result, frozen=True, kw_only=True):
    """What of jobs' time on cores came to nothing, or was held and not used."""

    run: str | None
    job: str | None
    user: str | None
    account: str | None
    partition: str | None
    project: str | None
    month: str | None
    n_jobs: int
    core_s: int
    """All their elapsed time times cores allotted."""
    failed_core_s: int
    node_failed_core_s: int
    out_of_memory_core_s: int
    timed_out_core_s: int
    cancelled_core_s: int
    requeued_core_s: int
    """Of starts that were preempted or requeued, and began anew."""
    lost_core_s: int
    """All that came to nothing: the sum of these."""
    idle_core_s: float
    """Of jobs that completed: core time that no process used."""
    unused_memory_byte_s: int
    """Of jobs that completed: memory asked for and not used, times elapsed time."""


def nonfinite(value: float) -> str:
    """Return the word, in JSON, for a value that is no finite number; or nothing."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return ""
