"""Reports as pages: which figures, plots and tables it has, in which order."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.html.cards import card
from cmfd.report.html.figures import core_time, factors_table, missing_table, totals
from cmfd.report.html.page import Page, Part, to_html
from cmfd.report.html.plots import components_plot, histogram_plot, pareto_plot, power_plot
from cmfd.report.runtime import runtime_tables, waste_table
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.report.costs.model import Group, Lost, NodeDay, Report, Top
    from cmfd.report.html.plots import Plot

GRADES = (
    "Grades of energy: A metered node counter, B component counter, C integrated power, D model of "
    "load and rated power, E constant or guess. A grade is that of the worst component of a tenth "
    "or more; bounds of components add up."
)
_TITLES = {
    "energy": "Energy", "carbon": "Energy and emissions", "runtime": "Runtime",
    "waste": "What came to nothing", "pareto": "Energy against result",
}  # fmt: skip


def render(report: Report) -> str:
    """
    Return a report as one self-contained HTML file.

    Parameters
    ----------
    report : Report
        Of any kind; what it does not have is left out.

    Raises
    ------
    ConfigError
        Matplotlib or Jinja is not installed: the extra ``report``.
    """
    title = _TITLES.get(report.about, report.about.capitalize())
    is_card = len(report.cards) == 1 and not report.groups
    if is_card:
        title = f"Job {report.cards[0].job}" if report.cards[0].job else "Run"
    parts = [
        _over_time(report),
        *(card(one, number) for number, one in enumerate(report.cards)),
        _groups(report),
        Part(title="The most energy", tables=[_top(report.top)]),
        _pareto(report),
        Part(title="") if is_card else _lost(report),
        _rest(report),
        Part(title="Runtime", tables=_runtimes(report)),
        Part(title="Counters against shares", tables=[_days(report.reconciliation)]),
        Part(title="Where factors are from", tables=() if is_card else _factors(report)),
    ]  # fmt: skip
    return to_html(
        Page(
            title=title,
            lines=() if is_card else _lines(report),
            tiles=() if is_card else totals(report.total),
            notes=report.notes,
            parts=[part for part in parts if part],
            footer=_footer(report),
        )
    )


def _lines(report: Report) -> list[str]:
    """Say what the report is of, and of when."""
    of = ", ".join(f"{key} {value}" for key, value in report.chosen.items())
    since, until = _day(report.since_ns), _day(report.until_ns)
    when = {
        (True, True): f" from {since} until {until}", (True, False): f" since {since}",
        (False, True): f" until {until}", (False, False): "",
    }[report.since_ns is not None, report.until_ns is not None]  # fmt: skip
    return [f"{'Runs of ' + of if of else 'All runs'}{when}, by {report.by}."]


def _day(at_ns: int | None) -> str:
    if at_ns is None:
        return ""
    return datetime.fromtimestamp(at_ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def _footer(report: Report) -> list[str]:
    lines = [GRADES] if report.total is not None and report.total.energy is not None else []
    if report.factors is not None and report.factors.id:
        known = f"{report.factors.name} {report.factors.id[:12]}".strip()
        lines.append(
            f"Emissions with the factor set {known}; location-based unless said otherwise."
        )
    if report.privacy.n_hidden:
        lines.append(
            f"{units.count(report.privacy.n_hidden, 'run')} of other users left out: this site "
            f"shows {report.privacy.others} of them."
        )
    lines.append(f"Made {_day(report.made_ns)} by cmfd from site {report.site}.")
    return lines


def _over_time(report: Report) -> Part:
    plots: list[Plot | None] = []
    if report.power is not None:
        plots.append(power_plot(report.power, "power"))
    if report.total is not None and report.total.energy is not None and not report.cards:
        plots.append(components_plot(report.total.energy.components, "components"))
    if report.histogram is not None:
        plots.append(histogram_plot(report.histogram, "histogram"))
    return Part(title="At a glance", plots=[plot for plot in plots if plot is not None])


def _groups(report: Report) -> Part:
    if not report.groups:
        return Part(title="")
    keys = list(dict.fromkeys(key for group in report.groups for key in group.names))
    figures = ("runs", "wall", "core time", "energy", "grade", "measured", "CO₂e", "embodied",
               "median", "95 %")  # fmt: skip
    short = units.short_ids([one.names["run"] for one in report.groups if "run" in one.names])
    rows = [
        (
            *(short.get(name, name) for name in (one.names.get(key, "") for key in keys)),
            *_figures(one),
        )
        for one in report.groups
    ]  # fmt: skip
    columns = [*map(Column, keys), *(Column(name, right=name != "grade") for name in figures)]
    return Part(title=f"By {report.by}", tables=[Table(columns, rows)])


def _figures(group: Group) -> tuple[str, ...]:
    energy, carbon, spread = group.energy, group.carbon, group.run_energy_j
    return (
        f"{group.n_runs:,}", units.duration(group.wall_s * 1e9), core_time(group.core_s),
        units.energy(energy.energy_j if energy else None), energy.grade if energy else "",
        units.share(energy.measured_share if energy else None),
        units.mass(carbon.operational_gco2e if carbon else None),
        units.mass(carbon.embodied_gco2e if carbon else None),
        units.energy(spread.p50 if spread else None), units.energy(spread.p95 if spread else None),
    )  # fmt: skip


def _top(top: Sequence[Top]) -> Table:
    short = units.short_ids([one.run for one in top])
    figures = ("wall", "core time", "energy", "grade", "CO₂e", "share")
    return Table(
        [*map(Column, ("run", "job", "user", "stages", "state")),
         *(Column(name, right=name != "grade") for name in figures)],
        [
            (
                short[one.run], one.job, one.user, ", ".join(one.stages), one.state,
                units.duration(one.wall_s * 1e9), core_time(one.core_s),
                units.energy(one.energy_j), one.grade or "", units.mass(one.operational_gco2e),
                units.share(one.share),
            )
            for one in top
        ],
    )  # fmt: skip


def _pareto(report: Report) -> Part:
    if report.pareto is None:
        return Part(title="")
    plot = pareto_plot(report.pareto, "pareto")
    missing = report.pareto.n_without_energy
    lead = "A diamond is on the front: no other run reached as much with as little energy."
    if missing:
        lead += f" {units.count(missing, 'run')} without known energy left out."
    stage = f".{report.pareto.stage}" if report.pareto.stage else ""
    title = f"{report.pareto.pipeline}{stage}: what a result cost"
    return Part(title=title, lead=lead, plots=[plot] if plot else [])


def _lost(report: Report) -> Part:
    lost: Sequence[Lost] = report.total.lost if report.total else ()
    table = Table(
        [Column("outcome"), *(Column(name, right=True) for name in
                              ("runs", "core time", "energy", "CO₂e"))],
        [
            (
                one.outcome.replace("_", " "), str(one.n_runs), core_time(one.core_s),
                units.energy(one.energy_j), units.mass(one.operational_gco2e),
            )
            for one in lost
        ],
    )  # fmt: skip
    return Part(title="What came to nothing", tables=[table, _waste(report)])


def _waste(report: Report) -> Table:
    if not report.wastes:
        return Table([], [])
    by = [name for name in ("run", "job", "user", "account", "partition")
          if any(getattr(one, name) is not None for one in report.wastes)]  # fmt: skip
    return waste_table(by, report.wastes)


def _runtimes(report: Report) -> list[Table]:
    if not report.runtimes:
        return []
    names = ("run", "job", "user", "account", "partition", "pipeline", "stage")
    by = [name for name in names if any(getattr(one, name) is not None for one in report.runtimes)]
    return runtime_tables(by, report.runtimes)


def _rest(report: Report) -> Part:
    """Show what no run was given."""
    rows = [
        (name, units.energy(one.energy_j), units.energy(one.low_j), units.energy(one.high_j),
         one.grade)
        for name, one in (("idle nodes", report.idle), ("system", report.system))
        if one is not None
    ]  # fmt: skip
    headings = ("energy", "at least", "at most", "grade")
    columns = [Column("what"), *(Column(name, right=name != "grade") for name in headings)]
    return Part(title="What no run was given", tables=[Table(columns, rows)])


def _days(days: Sequence[NodeDay]) -> Table:
    figures = ("counter", "runs", "idle", "system", "difference")
    return Table(
        [*map(Column, ("node", "day", "component", "source")),
         *(Column(name, right=True) for name in figures)],
        [
            (
                one.node, one.day, one.component, one.source, units.energy(one.counter_j),
                units.energy(one.runs_j), units.energy(one.idle_j), units.energy(one.system_j),
                f"{one.difference_j:.6g} J",
            )
            for one in days
        ],
    )  # fmt: skip


def _factors(report: Report) -> list[Table]:
    carbon = report.total.carbon if report.total else None
    return [factors_table(carbon), missing_table(carbon)]
