"""The plots of a report: each with what it shows in words, and its figures as a table."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.report import units
from cmfd.report.html import svg
from cmfd.report.html.svg import COMPONENTS, HATCHES, Size, drawing, plain, written
from cmfd.report.text import Column, Table, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from cmfd.report.costs.model import Component, Histogram, Pareto, Power

NARROW, WIDE = 340.0, 600.0
_ROWS_MOST = 24
"""Of a table beside a plot over time; more moments are put together."""


class Plot(NamedTuple):
    """A drawing, and the same for who cannot see it."""

    name: str
    title: str
    svg: str
    alt: str
    table: Table
    wide: bool = False
    note: str = ""


def power_plot(power: Power, name: str) -> Plot | None:
    """
    Draw power over time, components stacked, the grid's intensity behind.

    Parameters
    ----------
    power : Power
        In buckets; of one without any, nothing is drawn.
    name : str
        Begins the ids in the drawing; no other of the page has it.
    """
    components = [one for one in COMPONENTS if any(power.components_w.get(one, ()))]
    if not power.began_ns or not components:
        return None
    totals = [sum(at) for at in zip(*(power.components_w[one] for one in components), strict=True)]
    mean, most = sum(totals) / len(totals), max(totals)
    known = [one for one in power.intensity_gco2e_per_kwh if one is not None]
    alt = (
        f"Power over time from {_clock(power.began_ns[0])} to {_clock(power.began_ns[-1])} UTC, "
        f"stacked by component ({', '.join(components)}): {units.power(mean)} on average, "
        f"{units.power(most)} at most."
    )
    if known:
        alt += f" The grid's intensity was between {min(known):.0f} and {max(known):.0f} g/kWh."
    with drawing(Size(WIDE, 250)) as figure:
        axes = figure.subplots()
        plain(axes, grid="y")
        _stack(axes, power, components)
        if known:
            _behind(axes, power)
        figure.legend(loc="outside upper left", ncols=len(components) + bool(known))
        text = written(figure, name, alt)
    return Plot(name, "Power over time", text, alt, _power_table(power, components), wide=True)


def _stack(axes: Axes, power: Power, components: Sequence[str]) -> None:
    """Draw steps: what is known is each bucket's mean."""
    edges = [*power.began_ns, power.ended_ns]
    times: list[Any] = [datetime.fromtimestamp(at / 1e9, timezone.utc) for at in edges]
    below = [0.0] * len(edges)
    for one in components:
        watts = power.components_w[one]
        above = [low + more for low, more in zip(below, [*watts, watts[-1]], strict=True)]
        axes.fill_between(
            times, below, above, step="post", facecolor=COMPONENTS[one], hatch=HATCHES[one],
            edgecolor=svg.SURFACE, linewidth=0.4, label=one,
        )  # fmt: skip
        below = above
    axes.set_ylim(bottom=0)
    axes.set_xlim(times[0], times[-1])
    axes.set_ylabel("W")
    _time_axis(axes)


def _time_axis(axes: Axes) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 - an extra

    locator = AutoDateLocator(minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    )
    axes.set_xlabel("UTC")


def _behind(axes: Axes, power: Power) -> None:
    """Draw the grid's intensity on a scale of its own, dashed; where it is unknown, nothing."""
    other = axes.twinx()
    other.spines[:].set_visible(False)
    other.tick_params(length=0)
    values = [float("nan") if one is None else one for one in power.intensity_gco2e_per_kwh]
    edges = [*power.began_ns, power.ended_ns]
    times: list[Any] = [datetime.fromtimestamp(at / 1e9, timezone.utc) for at in edges]
    from matplotlib.patheffects import withStroke  # noqa: PLC0415 - an extra

    other.plot(
        times, [*values, values[-1]], drawstyle="steps-post", color=svg.INTENSITY, linestyle="--",
        linewidth=1.8, label="grid intensity (right)",
        path_effects=[withStroke(linewidth=4, foreground=svg.SURFACE)],
    )  # fmt: skip
    known = [one for one in power.intensity_gco2e_per_kwh if one is not None]
    other.set_ylim(bottom=0, top=max(known) * 1.15 or 1)
    other.set_ylabel("gCO₂e/kWh")


def _power_table(power: Power, components: Sequence[str]) -> Table:
    """Return the figures, neighbouring buckets put together where there are many."""
    step = -(-len(power.began_ns) // _ROWS_MOST)
    rows = []
    for at in range(0, len(power.began_ns), step):
        intensities = [
            one for one in power.intensity_gco2e_per_kwh[at : at + step] if one is not None
        ]
        watts = [_mean(power.components_w[one][at : at + step]) for one in components]
        rows.append(
            (
                _clock(power.began_ns[at]), *(units.power(one) for one in watts),
                units.power(sum(watts)),
                f"{_mean(intensities):.0f}" if intensities else units.NOTHING,
            )
        )  # fmt: skip
    headings = (*components, "all", "g/kWh")
    return Table([Column("from (UTC)"), *(Column(one, right=True) for one in headings)], rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, timezone.utc).strftime("%Y-%m-%d %H:%M")


def components_plot(components: Sequence[Component], name: str) -> Plot | None:
    """
    Draw the energy of each component, with the bounds of what is known of it.

    Parameters
    ----------
    components : sequence of Component
        Those without energy are left out.
    name : str
        As for `power_plot`.
    """
    some = [one for one in components if one.energy_j > 0]
    if not some:
        return None
    table = Table(
        [Column("component"), Column("energy", right=True), Column("static", right=True),
         Column("at least", right=True), Column("at most", right=True), Column("grade"),
         Column("from")],
        [
            (
                one.component, units.energy(one.energy_j), units.energy(one.static_j),
                units.energy(one.low_j), units.energy(one.high_j), one.grade,
                ", ".join(one.sources),
            )
            for one in some
        ],
    )  # fmt: skip
    alt = "Energy by component: " + "; ".join(
        f"{one.component} {units.energy(one.energy_j)}, between {units.energy(one.low_j)} and "
        f"{units.energy(one.high_j)}"
        for one in some
    )
    per, unit = energy_scale(max(one.high_j for one in some))
    with drawing(Size(NARROW, 60 + 38 * len(some))) as figure:
        axes = figure.subplots()
        plain(axes, grid="x")
        for at, one in enumerate(some):
            colour = COMPONENTS.get(one.component, svg.OTHER)
            axes.barh(
                at, one.energy_j / per, height=0.62, facecolor=colour, edgecolor=svg.SURFACE,
                hatch=HATCHES.get(one.component, ""), linewidth=0,
            )  # fmt: skip
            below, above = (one.energy_j - one.low_j) / per, (one.high_j - one.energy_j) / per
            axes.errorbar(
                one.energy_j / per, at, xerr=[[max(below, 0)], [max(above, 0)]], color=svg.INK,
                capsize=4, elinewidth=1.3, fmt="none",
            )  # fmt: skip
        axes.set_yticks(range(len(some)), [one.component for one in some])
        axes.invert_yaxis()
        axes.set_xlabel(unit)
        text = written(figure, name, alt)
    note = "Whiskers: the bounds that follow from the grade of the readings."
    return Plot(name, "Energy by component", text, alt, table, note=note)


def energy_scale(most_j: float) -> tuple[float, str]:
    """Return joules a unit, and the unit, for an axis up to this."""
    for per, unit in ((3.6e9, "MWh"), (3.6e6, "kWh"), (3600.0, "Wh")):
        if most_j >= per:
            return per, unit
    return 1.0, "J"


def histogram_plot(histogram: Histogram, name: str) -> Plot | None:
    """
    Draw how many runs took how long.

    Parameters
    ----------
    histogram : Histogram
        Of wall times; one bar alone says nothing, and is not drawn.
    name : str
        As for `power_plot`.
    """
    if len(histogram.counts) < 2 or not any(histogram.counts):
        return None
    labels = [
        f"{span(low)} to {span(high)}"
        for low, high in zip(histogram.edges_s, histogram.edges_s[1:], strict=False)
    ]
    rows = [
        (label, str(count)) for label, count in zip(labels, histogram.counts, strict=True)
    ]  # fmt: skip
    most = max(range(len(labels)), key=histogram.counts.__getitem__)
    alt = (
        f"How long {units.count(sum(histogram.counts), 'run')} took, from "
        f"{span(histogram.edges_s[0])} to {span(histogram.edges_s[-1])}; most, "
        f"{histogram.counts[most]}, took {labels[most]}."
    )
    with drawing(Size(NARROW, 210)) as figure:
        axes = figure.subplots()
        plain(axes, grid="y")
        places = range(len(labels))
        axes.bar([at + 0.5 for at in places], histogram.counts, width=0.92, facecolor=svg.ACCENT)
        skip = -(-len(histogram.edges_s) // 6)
        shown = range(0, len(histogram.edges_s), skip)
        axes.set_xticks(list(shown), [span(histogram.edges_s[at]) for at in shown])
        axes.locator_params(axis="y", integer=True)
        axes.set_xlabel("wall time")
        axes.set_ylabel("runs")
        text = written(figure, name, alt)
    table = Table([Column("wall time"), Column("runs", right=True)], rows)
    return Plot(name, "How long runs took", text, alt, table)


def span(seconds: float) -> str:
    """Return a duration for an axis: ``20 s``, ``5 min``, ``3 h``."""
    for per, unit in ((86400 * 3, "d"), (3600, "h"), (60, "min")):
        if seconds >= per:
            size = 86400 if unit == "d" else per
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def pareto_plot(pareto: Pareto, name: str) -> Plot | None:
    """
    Draw energy against a metric, and the front that nothing is better than in both.

    Parameters
    ----------
    pareto : Pareto
        The executions of an experiment.
    name : str
        As for `power_plot`.
    """
    if not pareto.points:
        return None
    front = sorted((one for one in pareto.points if one.on_front), key=lambda one: one.energy_j)
    rest = [one for one in pareto.points if not one.on_front]
    better = "more" if pareto.goal == "max" else "less"
    alt = (
        f"Energy against {printable(pareto.metric)} of {units.count(len(pareto.points), 'run')}; "
        f"{better} is better. {len(front)} are on the front: none reached as much with as little."
    )
    per, unit = energy_scale(max(one.energy_j for one in pareto.points))
    with drawing(Size(WIDE, 300)) as figure:
        axes = figure.subplots()
        plain(axes, grid="y")
        axes.scatter(
            [one.energy_j / per for one in rest], [one.value for one in rest], s=34, marker="o",
            facecolors="none", edgecolors=svg.MUTED, linewidths=1.4, label="other runs",
        )  # fmt: skip
        axes.plot(
            [one.energy_j / per for one in front], [one.value for one in front], color=svg.FRONT,
            marker="D", markersize=7, linewidth=1.8, drawstyle="steps-post", label="front",
        )  # fmt: skip
        axes.set_xlabel(f"energy, {unit}")
        axes.set_ylabel(label(pareto.metric))
        axes.margins(0.06, 0.1)
        figure.legend(loc="outside upper left", ncols=2)
        text = written(figure, name, alt)
    title = f"Energy against {printable(pareto.metric)}"
    return Plot(name, title, text, alt, _pareto_table(pareto), wide=True)


def _pareto_table(pareto: Pareto) -> Table:
    keys = list(dict.fromkeys(key for one in pareto.points for key in one.params))
    short = units.short_ids([one.run for one in pareto.points])
    return Table(
        [Column("run"), Column("front"), Column("energy", right=True), Column("grade"),
         Column("carbon", right=True), Column(pareto.metric, right=True), *map(Column, keys)],
        [
            (
                short[one.run], "front" if one.on_front else "", units.energy(one.energy_j),
                one.grade, units.mass(one.operational_gco2e), units.number(one.value),
                *(one.params.get(key, units.NOTHING) for key in keys),
            )
            for one in sorted(pareto.points, key=lambda one: one.energy_j)
        ],
    )  # fmt: skip


def label(text: str) -> str:
    """Return a name that others chose so that it fits beside an axis."""
    text = printable(text)
    return text if len(text) <= 18 else f"{text[:8]}…{text[-8:]}"
