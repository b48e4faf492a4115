"""A report for people: tables and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.query.jobs import GROUPS as JOB_GROUPS
from cmfd.query.runtime import GROUPS
from cmfd.report import units
from cmfd.report.costs.card_text import card_lines
from cmfd.report.costs.groups import NAMES
from cmfd.report.costs.phrases import grades_of, missing_lines, provenance_lines, uncertainty
from cmfd.report.runtime import runtime_tables, waste_table
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cmfd.report.costs.model import Energy, Group, NodeDay, Pareto, Report, Top


_OF_PARTS = {"pipeline", "stage", "artifact"}
_UNKNOWN = (
    "Nothing is known of the energy of these runs (`cmfd doctor --energy` says what can be read)."
)
_UNKNOWN_PARTS = (
    "Nothing is known of the energy of these executions; of their runs there may be "
    "(without --pipeline, --stage, --artifact)."
)


def pages(report: Report) -> Iterator[str | Table]:
    """
    Yield the lines and tables of a report.

    Parameters
    ----------
    report : Report
        What to show.
    """
    if report.about == "runtime":
        yield from runtime_tables(GROUPS[report.by], report.runtimes)
    elif report.about == "waste":
        if report.wastes:
            yield waste_table(JOB_GROUPS[report.by], report.wastes)
    elif report.pareto is not None:
        yield _pareto(report.pareto)
    elif report.cards:
        for number, card in enumerate(report.cards):
            yield from ([""] if number else [])
            yield from card_lines(card)
    else:
        yield from _aggregates(report)


def problems(report: Report) -> Iterator[str]:
    """Yield what to say beside a report: why it has no lines, and what is not in it."""
    n_hidden = report.privacy.n_hidden
    if n_hidden:
        what = "run of another user is" if n_hidden == 1 else "runs of other users are"
        yield f"{n_hidden} {what} not in this report: see [report] in the site's site.toml."
    elif report.about == "waste" and not report.wastes:
        yield "Of no job among these runs is SLURM's accounting known (cmfd slurm enrich)."
    elif report.total is not None and not report.total.n_runs:
        yield "No such runs."
    if report.pareto is not None and report.pareto.n_without_energy:
        left_out = units.count(report.pareto.n_without_energy, "execution")
        yield f"{left_out} left out: nothing is known of their energy."


def _aggregates(report: Report) -> Iterator[str | Table]:
    total = report.total
    if total is None or not total.n_runs:
        return
    yield _groups(report, total)
    yield _lost(total)
    yield _top(report.top)
    yield _unattributed(report, total)
    yield _reconciliation(report.reconciliation)
    if total.energy is None:
        yield ""
        yield _UNKNOWN_PARTS if _OF_PARTS & set(report.chosen) else _UNKNOWN
    if total.carbon is not None:
        yield ""
        yield from provenance_lines(total.carbon)
        yield from missing_lines(total.carbon)


def _groups(report: Report, total: Group) -> Table:
    names = NAMES[report.by]
    of_carbon = report.about == "carbon"
    figures = ["runs", "wall", "core hours", "GPU hours", "energy", "uncertainty", "grade",
               "measured"]  # fmt: skip
    figures += ["operational", "market-based", "embodied"] if of_carbon else ["lost", "p50", "p95"]
    columns = [*map(Column, names), *(Column(figure, right=True) for figure in figures)]
    short = units.short_ids([one.names["run"] for one in report.groups if "run" in one.names])
    rows = [
        (
            *(short.get(group.names[name], group.names[name]) or units.NOTHING for name in names),
            *_figures(group), *(_emissions(group) if of_carbon else _spread(group)),
        )
        for group in report.groups
    ]  # fmt: skip
    if len(rows) > 1:
        all_figures = _emissions(total) if of_carbon else _spread(total)
        label = ("all", *("" for _ in names[1:]))
        rows.append((*label, *_figures(total), *all_figures))
    return Table(columns, rows)


def _figures(group: Group) -> tuple[str, ...]:
    energy = group.energy
    return (
        str(group.n_runs), units.duration(group.wall_s * 1e9), hours(group.core_s),
        hours(group.gpu_s), units.energy(energy.energy_j if energy else None),
        uncertainty(energy), energy.grade if energy else units.NOTHING,
        units.share(energy.measured_share if energy else None),
    )  # fmt: skip


def hours(seconds: float | None) -> str:
    """Return core or GPU time in hours."""
    return f"{seconds / 3600:,.1f}" if seconds else units.NOTHING


def _emissions(group: Group) -> tuple[str, ...]:
    carbon = group.carbon
    if carbon is None:
        return (units.NOTHING,) * 3
    figures = (carbon.operational_gco2e, carbon.market_gco2e, carbon.embodied_gco2e)
    return tuple(map(units.mass, figures))


def _spread(group: Group) -> tuple[str, ...]:
    lost_j = sum(one.energy_j for one in group.lost)
    spread = group.run_energy_j
    return (
        units.energy(lost_j) if lost_j else units.NOTHING,
        units.energy(spread.p50 if spread else None),
        units.energy(spread.p95 if spread else None),
    )


def _lost(total: Group) -> Table:
    figures = ("runs", "core hours", "energy", "operational")
    columns = [Column("outcome"), *(Column(figure, right=True) for figure in figures)]
    rows = [
        (
            one.outcome.replace("_", " "), str(one.n_runs), hours(one.core_s),
            units.energy(one.energy_j) if one.energy_j else units.NOTHING,
            units.mass(one.operational_gco2e),
        )
        for one in total.lost
    ]  # fmt: skip
    return Table(columns, rows, "what came to nothing")


def _top(top: Sequence[Top]) -> Table:
    columns = [
        Column("run"), Column("job"), Column("user"), Column("stages"), Column("state"),
        *(Column(name, right=True) for name in ("wall", "core hours", "energy", "operational",
                                                "of all")),
    ]  # fmt: skip
    short = units.short_ids([one.run for one in top])
    rows = [
        (
            short[one.run], one.job, one.user, ", ".join(one.stages), one.state,
            units.duration(one.wall_s * 1e9), hours(one.core_s), units.energy(one.energy_j),
            units.mass(one.operational_gco2e), units.share(one.share),
        )
        for one in top
    ]  # fmt: skip
    return Table(columns, rows if len(rows) > 1 else [], "the largest runs")


def _unattributed(report: Report, total: Group) -> Table:
    whole_j = sum(
        one.energy_j for one in (total.energy, report.idle, report.system) if one is not None
    )
    columns = (Column("whose"), Column("energy", right=True), Column("share", right=True),
               Column("grades"))  # fmt: skip

    def row(whose: str, energy: Energy) -> tuple[str, ...]:
        return (
            whose, units.energy(energy.energy_j),
            units.share(energy.energy_j / whole_j if whole_j else None), grades_of(energy),
        )  # fmt: skip

    known = [("runs", total.energy), ("idle", report.idle), ("system", report.system)]
    rows = [row(whose, energy) for whose, energy in known if energy is not None]
    return Table(columns, rows if report.idle or report.system else [], "what nodes took")


def _reconciliation(days: Sequence[NodeDay]) -> Table:
    figures = ("counter", "runs", "idle", "system", "difference")
    columns = [
        Column("node"), Column("day"), Column("component"), Column("source"),
        *(Column(figure, right=True) for figure in figures),
    ]  # fmt: skip
    rows = [
        (
            one.node, one.day, one.component, one.source,
            *(units.energy(joules) for joules in (
                one.counter_j, one.runs_j, one.idle_j, one.system_j, one.difference_j
            )),
        )
        for one in days
    ]  # fmt: skip
    return Table(columns, rows, "counters of nodes, and whose that was")


def _pareto(pareto: Pareto) -> Table:
    keys = sorted({key for one in pareto.points for key in one.params})
    columns = (
        Column("front"), Column("execution"), Column("energy", right=True), Column("grade"),
        Column("operational", right=True), Column(pareto.metric, right=True), *map(Column, keys),
    )  # fmt: skip
    short = units.short_ids([one.execution for one in pareto.points])
    rows = [
        (
            "*" if one.on_front else "", short[one.execution], units.energy(one.energy_j),
            one.grade, units.mass(one.operational_gco2e), units.number(one.value),
            *(one.params.get(key, units.NOTHING) for key in keys),
        )
        for one in pareto.points
    ]  # fmt: skip
    return Table(columns, rows)
