"""
What a report says: the one model that text, JSON, CSV, HTML and Prometheus are made from.

Machine figures are seconds (``_s``), joules (``_j``), watts (``_w``) and grams of CO2 equivalent
(``_gco2e``), never rounded; times are UTC nanoseconds (``_ns``); ids are hexadecimal. None is what
is not known: never a zero, and never a guess.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cmfd.query.results import Result, Runtime, Straggler, Waste

if TYPE_CHECKING:
    from cmfd.carbon.model import Carbon


class Component(Result, frozen=True, kw_only=True):
    """Energy of one component: ``cpu``, ``dram``, ``gpu`` or ``other``; components add up."""

    component: str
    energy_j: float
    static_j: float
    """Of this, what it would have taken idle as well."""
    low_j: float
    high_j: float
    """Within the uncertainty of its grades."""
    grade: str
    """The worst of those that at least a tenth of it is of."""
    sources: list[str]


class Energy(Result, frozen=True, kw_only=True):
    """Energy of runs, executions or nodes, with how well it is known."""

    energy_j: float
    static_j: float
    low_j: float
    high_j: float
    """Bounds, those of the components added linearly."""
    grade: str
    """The worst grade of a component that contributes at least a tenth."""
    grades_j: dict[str, float]
    """How much of it is of which grade, best first."""
    measured_share: float
    """Share that counters or meters gave (grades A, B, C); the rest is modelled."""
    coverage: float | None
    """Share of the wall time for which there was a reading, of the component with the least."""
    components: list[Component]
    methods_j: dict[str, float]
    """How much was attributed in which way: ``exclusive``, ``shared_static_dynamic``, ..."""


class Check(Result, frozen=True, kw_only=True):
    """Energy as the batch system counted it: of whole nodes, and only while a step ran."""

    slurm_energy_j: float
    difference: float
    """How much larger it is than ours, over ours: 0.007 is 0.7 % more."""
    explanation: str
    """Why the two may differ here; empty if nothing is known that would make them."""


class NodeUse(Result, frozen=True, kw_only=True):
    """How a run used one of its nodes."""

    node: str
    n_ranks: int
    cpu_s: float
    capacity_s: float | None
    """Cores allotted there times wall time; of several nodes, an even share of the job's cores."""
    cpu_efficiency: float | None
    max_rss_bytes: int | None
    """Sum over its processes there of the most that each ever held."""
    memory_bytes: int | None
    """Allotted there."""
    memory_efficiency: float | None
    n_gpus: int
    """With readings of energy."""
    gpu_j: float | None
    energy_j: float | None
    coverage: float | None


class RankLoad(Result, frozen=True, kw_only=True):
    """What a rank of an execution was busy with, and when."""

    execution: str
    stage: str
    """``pipeline.stage``."""
    rank: int
    host: str
    began_ns: int
    ended_ns: int
    busy_s: float
    energy_j: float | None
    """Its share of the execution's energy by processor time: derived, not measured."""


class Unit(Result, frozen=True, kw_only=True):
    """What one unit of an execution's work took: derived from its share of the run's energy."""

    execution: str
    stage: str
    """``pipeline.stage``."""
    energy_j: float
    n_steps: int | None
    """Different steps under which metrics were logged; None without any."""
    j_per_step: float | None
    n_samples: float | None
    """Sum of the metric ``samples``, else the parameter of that name; None without either."""
    j_per_sample: float | None
    sci_gco2e_per_step: float | None = None
    sci_gco2e_per_sample: float | None = None
    """
    Scores after SCI, ``((E * I) + M) per R`` (ISO/IEC 21031:2024), with its share of the run's
    emissions by energy; None while any part of these is not known.
    """


class Note(Result, frozen=True, kw_only=True):
    """One line of advice that a person can act on."""

    kind: str
    """``memory``, ``gpu``, ``imbalance``, ``failed``, ``limit``, ``cores``, ``source``, ..."""
    text: str


class Power(Result, frozen=True, kw_only=True):
    """Power over time by component, in columns: one entry of each list for each bucket."""

    began_ns: list[int]
    """When each bucket begins; equally long but for the last, ascending, without gaps."""
    bucket_s: float
    ended_ns: int
    """When the last one ends, which may be shorter."""
    components_w: dict[str, list[float]]
    """Mean power in the bucket."""
    intensity_gco2e_per_kwh: list[float | None]
    """Of the grid; None where it is not known."""


class Histogram(Result, frozen=True, kw_only=True):
    """How many runs took how long."""

    edges_s: list[float]
    """One more than `counts`."""
    counts: list[int]


class JobCard(Result, frozen=True, kw_only=True):
    """All there is to say of one start of a job."""

    run: str
    job: str
    name: str
    user: str
    account: str
    partition: str
    project: str
    cluster: str
    restart: int
    status: str
    state: str | None
    """The batch system's word, as ``TIMEOUT``."""
    exit_code: int | None
    stages: list[str]
    """``pipeline.stage`` of its executions."""
    began_ns: int | None
    ended_ns: int | None
    nodes: list[str]
    n_cores: int | None
    n_gpus: int | None
    memory_bytes: int | None
    """Asked for, in all."""
    queued_s: float | None
    wall_s: float | None
    limit_s: float | None
    of_limit: float | None
    core_s: float | None
    gpu_s: float | None
    cpu_s: float | None
    cpu_efficiency: float | None
    memory_efficiency: float | None
    imbalance: float | None
    """Of the execution where it is worst: busiest rank / mean rank."""
    stragglers: list[Straggler]
    uses: list[NodeUse]
    ranks: list[RankLoad]
    energy: Energy | None
    carbon: Carbon | None
    average_w: float | None
    gco2e_per_core_h: float | None
    """Operational."""
    units: list[Unit]
    check: Check | None
    power: Power | None
    notes: list[Note]


class Lost(Result, frozen=True, kw_only=True):
    """What runs took that came to nothing, by how they ended."""

    outcome: str
    """As the part of a field of `Waste` before ``_core_s``: ``failed``, ``timed_out``, ..."""
    n_runs: int
    core_s: float | None
    energy_j: float
    operational_gco2e: float | None


class Spread(Result, frozen=True, kw_only=True):
    """Median and 95th percentile over runs (nearest rank)."""

    p50: float
    p95: float


class Group(Result, frozen=True, kw_only=True):
    """Runs put together: those of a user, account, pipeline, stage, month or node; or all."""

    names: dict[str, str]
    """What it goes by, as ``{"pipeline": "digits", "stage": "train"}``; empty for all."""
    n_runs: int
    n_users: int
    states: dict[str, int]
    """How many ended in which state: the batch system's, else the run's status."""
    wall_s: float
    core_s: float | None
    """Of those of which it is known what they held; None where that is known of none, as below."""
    gpu_s: float | None
    energy: Energy | None
    carbon: Carbon | None
    lost: list[Lost]
    """What came to nothing; empty if nothing did."""
    run_energy_j: Spread | None
    """Over runs that have any energy."""
    run_wall_s: Spread | None


class Top(Result, frozen=True, kw_only=True):
    """A run among those that took the most energy (without any known: the most core time)."""

    run: str
    job: str
    user: str
    stages: list[str]
    state: str
    wall_s: float
    core_s: float | None
    energy_j: float | None
    grade: str | None
    operational_gco2e: float | None
    share: float
    """Of all that was chosen."""


class NodeDay(Result, frozen=True, kw_only=True):
    """A node on a day (UTC): what its counters moved, and who was given it."""

    node: str
    day: str
    """``2026-11-22``."""
    source: str
    component: str
    counter_j: float
    runs_j: float
    idle_j: float
    system_j: float
    difference_j: float
    """Counter less the rest: 0, but for packs that are not here yet."""


class ParetoPoint(Result, frozen=True, kw_only=True):
    """An execution with what it took and what it reached."""

    run: str
    execution: str
    energy_j: float
    grade: str
    operational_gco2e: float | None
    value: float
    on_front: bool
    """No other reached as much with as little."""
    params: dict[str, str]
    """Those in which the executions differ."""


class Pareto(Result, frozen=True, kw_only=True):
    """Energy against a metric over the executions of an experiment."""

    pipeline: str
    stage: str | None
    metric: str
    goal: str
    """``max`` or ``min``."""
    points: list[ParetoPoint]
    """By energy."""
    n_without_energy: int
    """Executions that logged the metric, and of whose energy nothing is known: left out."""


class Factors(Result, frozen=True, kw_only=True):
    """The factor set that emissions were reckoned with."""

    id: str
    """SHA-256 of it; empty if the site has none."""
    name: str


class Privacy(Result, frozen=True, kw_only=True):
    """Whose runs a report is made of."""

    others: str
    """What the site shows of other users' runs: ``all``, ``aggregates`` or ``nothing``."""
    is_operator: bool
    n_hidden: int
    """Runs that were left out of it."""


class Report(Result, frozen=True, kw_only=True):
    """A report."""

    about: str
    """``energy``, ``carbon``, ``runtime``, ``waste`` or ``pareto``."""
    site: str
    """Id of the site."""
    made_ns: int
    chosen: dict[str, str]
    """What it was narrowed to, by option; empty: all runs of the site."""
    since_ns: int | None
    until_ns: int | None
    by: str
    """What runs are put together by; ``run``: one by one."""
    privacy: Privacy
    factors: Factors | None = None
    """None where nothing is said of emissions."""
    total: Group | None = None
    groups: list[Group] = msgspec.field(default_factory=list)
    """The most energy first; of months, the latest."""
    cards: list[JobCard] = msgspec.field(default_factory=list)
    """Of runs one by one, the latest first."""
    top: list[Top] = msgspec.field(default_factory=list)
    idle: Energy | None = None
    system: Energy | None = None
    """What no run was given, on nodes in the period; only where all runs were chosen."""
    power: Power | None = None
    histogram: Histogram | None = None
    """Of wall times."""
    reconciliation: list[NodeDay] = msgspec.field(default_factory=list)
    runtimes: list[Runtime] = msgspec.field(default_factory=list)
    wastes: list[Waste] = msgspec.field(default_factory=list)
    pareto: Pareto | None = None
    notes: list[Note] = msgspec.field(default_factory=list)
