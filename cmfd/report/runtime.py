"""Runtime reports as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.query.results import Runtime, Waste


def runtime_tables(by: Sequence[str], found: Sequence[Runtime]) -> list[Table]:
    """
    Make the tables of a runtime report.

    Parameters
    ----------
    by : sequence of str
        The fields that name a group.
    found : sequence of Runtime
        One a group.
    """
    stragglers = [one for row in found for one in row.stragglers]
    runs = [row.run for row in found if row.run] + [one.run for one in stragglers]
    short = units.short_ids(list(dict.fromkeys(runs)))
    figures = ("runs", "executions", "ranks", "wall", "CPU", "efficiency", "imbalance")
    columns = [*map(Column, by), *(Column(name, right=True) for name in figures)]
    rows = [
        (
            *_names(by, row, short),
            str(row.n_runs), str(row.n_executions), str(row.n_ranks),
            units.duration(row.wall_ns), units.duration(row.cpu_ns), units.share(row.efficiency),
            units.NOTHING if row.imbalance is None else f"{row.imbalance:.2f}",
        )
        for row in found
    ]  # fmt: skip
    return [Table(columns, rows), _jobs(by, found, short), _stragglers(found, short)]


def _names(by: Sequence[str], row: Runtime | Waste, short: dict[str, str]) -> tuple[str, ...]:
    """Return what a row's group goes by, ids shortened."""
    return tuple(short.get(name, name) for name in (str(getattr(row, field)) for field in by))


def _jobs(by: Sequence[str], found: Sequence[Runtime], short: dict[str, str]) -> Table:
    figures = (
        "jobs", "queued", "elapsed", "of limit", "core time", "CPU efficiency",
        "memory efficiency",
    )  # fmt: skip
    columns = [*map(Column, by), *(Column(name, right=True) for name in figures), Column("states")]
    rows = [
        (
            *_names(by, row, short), str(row.jobs.n_jobs), _duration(row.jobs.queued_s),
            _duration(row.jobs.elapsed_s), units.share(row.jobs.of_limit),
            _duration(row.jobs.core_s), units.share(row.jobs.cpu_efficiency),
            units.share(row.jobs.memory_efficiency), _states(row.jobs.states),
        )
        for row in found
        if row.jobs
    ]  # fmt: skip
    return Table(columns, rows, "jobs, as the batch system counted them")


def _duration(seconds: float | None) -> str:
    return units.duration(None if seconds is None else seconds * 1e9)


def _states(states: dict[str, int]) -> str:
    """Return ``COMPLETED``, or how many there are of each: ``3 COMPLETED, 1 TIMEOUT``."""
    if list(states.values()) == [1]:
        return next(iter(states))
    return ", ".join(f"{count} {state}" for state, count in states.items())


def waste_table(by: Sequence[str], found: Sequence[Waste]) -> Table:
    """
    Make the table of a waste report.

    Parameters
    ----------
    by : sequence of str
        The fields that name a group.
    found : sequence of Waste
        One a group.
    """
    lost = {
        "failed": "failed_core_s", "node failed": "node_failed_core_s",
        "out of memory": "out_of_memory_core_s", "timed out": "timed_out_core_s",
        "cancelled": "cancelled_core_s", "requeued": "requeued_core_s", "idle": "idle_core_s",
    }  # fmt: skip
    short = units.short_ids([row.run for row in found if row.run])
    figures = ("jobs", "core time", *lost, "memory unused")
    columns = [*map(Column, by), *(Column(name, right=True) for name in figures)]
    rows = [
        (
            *_names(by, row, short), str(row.n_jobs), _duration(row.core_s),
            *(_duration(getattr(row, name) or None) for name in lost.values()),
            _memory_time(row.unused_memory_byte_s),
        )
        for row in found
    ]  # fmt: skip
    return Table(columns, rows)


def _memory_time(byte_s: int) -> str:
    return f"{byte_s / (1 << 30) / 3600:.1f} GiB h" if byte_s else units.NOTHING


def _stragglers(found: Sequence[Runtime], short: dict[str, str]) -> Table:
    columns = (
        Column("run"), Column("stage"), Column("rank", right=True), Column("host"),
        Column("busy", right=True), Column("over mean", right=True),
    )  # fmt: skip
    rows = [
        (
            short[one.run], f"{one.pipeline}.{one.stage}", str(one.rank), one.host,
            units.duration(one.busy_ns), f"{one.over_mean:.2f}",
        )
        for row in found
        for one in row.stragglers
    ]  # fmt: skip
    return Table(columns, rows, "stragglers: ranks that the others waited for")
