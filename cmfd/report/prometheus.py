"""
Reports as figures for Prometheus: for a textfile that is written now and then, as by cron.

A report is of a period and may be reckoned anew with other factors, so that all of it are gauges;
what only ever grows is what a daemon exposes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.exposition import Family, Sample, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cmfd.report.costs.model import Energy, Group, JobCard, Report

_OUTCOME = "outcome"


def render(report: Report) -> str:
    """
    Return a report in Prometheus' text format.

    Parameters
    ----------
    report : Report
        Its groups; of job cards, one group each. Without either, all of it.

    Returns
    -------
    str
        Only what is known: nothing stands for what is not.
    """
    groups = [(_safe(one.names), one) for one in report.groups]
    if not groups and report.total is not None:
        groups = [({}, report.total)]
    return text(
        [
            *_of_report(report),
            *([] if report.cards else _of_groups(groups)),
            *_of_cards(report.cards),
            *_rest(report),
        ]
    )


def _safe(names: dict[str, str]) -> dict[str, str]:
    """Rename what Prometheus itself calls a job."""
    return {"job_id" if name == "job" else name: value for name, value in names.items()}


def _of_report(report: Report) -> Iterator[Family]:
    times = {
        "made": ("When the report was made.", report.made_ns),
        "since": ("When the report's period begins.", report.since_ns),
        "until": ("When the report's period ends.", report.until_ns),
    }
    for name, (what, at_ns) in times.items():
        known = [] if at_ns is None else [Sample({}, at_ns / 1e9)]
        yield Family(f"cmfd_report_{name}_timestamp_seconds", "gauge", what, known)
    labels = {
        "about": report.about,
        "by": report.by,
        **{f"of_{k}": v for k, v in report.chosen.items()},
    }
    if report.factors is not None:
        labels["factors"] = report.factors.id
    yield Family("cmfd_report_info", "gauge", "What is reported.", [Sample(labels, 1)])


def _energy(labels: dict[str, str], energy: Energy | None) -> list[Sample]:
    if energy is None:
        return []
    return [
        Sample({**labels, "component": one.component, "grade": one.grade}, one.energy_j)
        for one in energy.components
    ]


def _of_groups(groups: Sequence[tuple[dict[str, str], Group]]) -> Iterator[Family]:
    def each(
        figures: Callable[[Group], Sequence[tuple[dict[str, str], float | None]]],
    ) -> list[Sample]:
        return [
            Sample({**labels, **more}, value)
            for labels, group in groups
            for more, value in figures(group)
            if value is not None
        ]

    yield Family(
        "cmfd_report_energy_joules", "gauge", "Energy of runs.",
        [one for labels, group in groups for one in _energy(labels, group.energy)],
    )  # fmt: skip
    yield Family(
        "cmfd_report_emissions_grams", "gauge", "Carbon dioxide equivalent of runs, by kind.",
        each(lambda one: _emissions(one.carbon)),
    )  # fmt: skip
    yield Family(
        "cmfd_report_runs", "gauge", "Runs by how they ended.",
        each(lambda one: [({"state": state}, count) for state, count in one.states.items()]),
    )  # fmt: skip
    yield Family(
        "cmfd_report_wall_seconds",
        "gauge",
        "Wall time of runs.",
        each(lambda one: [({}, one.wall_s)]),
    )
    yield Family(
        "cmfd_report_core_seconds", "gauge", "Wall time of runs times their cores.",
        each(lambda one: [({}, one.core_s)]),
    )  # fmt: skip
    yield Family(
        "cmfd_report_lost_core_seconds", "gauge", "Core time that came to nothing.",
        each(lambda one: [({_OUTCOME: lost.outcome}, lost.core_s) for lost in one.lost]),
    )  # fmt: skip
    yield Family(
        "cmfd_report_lost_energy_joules", "gauge", "Energy that came to nothing.",
        each(lambda one: [({_OUTCOME: lost.outcome}, lost.energy_j) for lost in one.lost]),
    )  # fmt: skip


def _emissions(carbon: object) -> list[tuple[dict[str, str], float | None]]:
    kinds = ("operational", "market", "embodied")
    return [({"kind": kind}, getattr(carbon, f"{kind}_gco2e", None)) for kind in kinds]


def _of_cards(cards: Sequence[JobCard]) -> Iterator[Family]:
    def labels(card: JobCard) -> dict[str, str]:
        return {"run": card.run, "job_id": card.job, "user": card.user, "account": card.account}

    yield Family(
        "cmfd_report_run_energy_joules", "gauge", "Energy of a run.",
        [one for card in cards for one in _energy(labels(card), card.energy)],
    )  # fmt: skip
    yield Family(
        "cmfd_report_run_emissions_grams", "gauge", "Carbon dioxide equivalent of a run, by kind.",
        [
            Sample({**labels(card), **kind}, value)
            for card in cards
            for kind, value in _emissions(card.carbon)
            if value is not None
        ],
    )  # fmt: skip
    figures = {
        "wall_seconds": ("Wall time of a run.", "wall_s"),
        "core_seconds": ("Wall time of a run times its cores.", "core_s"),
        "cpu_efficiency_ratio": ("Processor time over core time.", "cpu_efficiency"),
        "memory_efficiency_ratio": ("Memory used over memory asked for.", "memory_efficiency"),
    }
    for name, (what, field) in figures.items():
        values = [(card, getattr(card, field)) for card in cards]
        yield Family(
            f"cmfd_report_run_{name}", "gauge", what,
            [Sample(labels(card), value) for card, value in values if value is not None],
        )  # fmt: skip


def _rest(report: Report) -> Iterator[Family]:
    owners = (("idle", report.idle), ("system", report.system))
    yield Family(
        "cmfd_report_unattributed_energy_joules", "gauge", "Energy of nodes that no run was given.",
        [one for owner, energy in owners for one in _energy({"owner": owner}, energy)],
    )  # fmt: skip
    yield Family(
        "cmfd_report_node_energy_joules", "gauge", "What counters of a node moved in the period.",
        _days(report),
    )  # fmt: skip


def _days(report: Report) -> list[Sample]:
    """Return what counters moved, the days of the period together."""
    moved: dict[tuple[str, str, str], float] = {}
    for one in report.reconciliation:
        key = (one.node, one.component, one.source)
        moved[key] = moved.get(key, 0.0) + one.counter_j
    return [
        Sample({"node": node, "component": component, "source": source}, value)
        for (node, component, source), value in moved.items()
    ]
