"""Runs, had they begun at other times: what they emitted, and what they might have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.carbon.shift import Start, starts
from cmfd.query.energy import Which, rows
from cmfd.query.reported import run_lines
from cmfd.query.results import Result
from cmfd.report import units
from cmfd.report.text import Column, Table

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cmfd.carbon.book import CarbonBook
    from cmfd.carbon.shift import Window
    from cmfd.query.reported import RunLine


class ShiftedRun(Result, frozen=True, kw_only=True):
    """A run, and the best time at which it might have begun."""

    run: str
    job: str
    user: str
    energy_j: float
    began_ns: int
    operational_gco2e: float | None
    """What it emitted; None where no series covers its time."""
    best_began_ns: int | None
    best_gco2e: float | None
    """None where no series covers any of the times."""
    worst_gco2e: float | None
    n_starts: int
    n_unknown: int
    """Of the starts: those of which nothing can be said."""
    starts: list[Start]

    @property
    def saved_gco2e(self) -> float | None:
        """What it would have emitted less; None where either is not known."""
        if self.operational_gco2e is None or self.best_gco2e is None:
            return None
        return self.operational_gco2e - self.best_gco2e


class Shifts(Result, frozen=True, kw_only=True):
    """Runs, had each of them begun at its best time."""

    factor_set_id: str
    before_ns: int
    after_ns: int
    step_ns: int
    n_known: int
    """Runs of which both figures are known; the sums are of them."""
    operational_gco2e: float
    best_gco2e: float
    runs: list[ShiftedRun]
    """Those that would have saved the most first."""


def shifts(db: sqlite3.Connection, book: CarbonBook, window: Window) -> Shifts:
    """
    Return what chosen runs would have emitted, had they begun at other times.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, after `cmfd.query.selection.choose`.
    book : CarbonBook
        With intensities.
    window : Window
        When else each might have begun.
    """
    found = [one for line in run_lines(db, "run") if (one := _shifted(db, book, line, window))]
    found.sort(key=lambda one: -(one.saved_gco2e if one.saved_gco2e is not None else -1.0))
    known = [one for one in found if one.saved_gco2e is not None]
    return Shifts(
        factor_set_id=book.factor_set_id,
        before_ns=window.before_ns,
        after_ns=window.after_ns,
        step_ns=window.step_ns,
        n_known=len(known),
        operational_gco2e=sum(one.operational_gco2e or 0.0 for one in known),
        best_gco2e=sum(one.best_gco2e or 0.0 for one in known),
        runs=found,
    )


def _shifted(
    db: sqlite3.Connection, book: CarbonBook, line: RunLine, window: Window
) -> ShiftedRun | None:
    """Return a run at other times; None for one without energy."""
    energy = list(rows(db, Which([line.run_id])))
    if not energy:
        return None
    began_ns = line.began_ns or min(row.t0_ns for row in energy)
    found = starts(book, energy, began_ns, window)
    known = [
        (one.operational_gco2e, abs(one.began_ns - began_ns), one.began_ns)
        for one in found if one.operational_gco2e is not None
    ]  # fmt: skip
    best = min(known, default=None)  # of equal ones, the nearest
    return ShiftedRun(
        run=line.run, job=line.job, user=line.user,
        energy_j=sum(row.uj for row in energy) / 1e6,
        began_ns=began_ns,
        operational_gco2e=next(
            one.operational_gco2e for one in found if one.began_ns == began_ns
        ),
        best_began_ns=best[2] if best else None,
        best_gco2e=best[0] if best else None,
        worst_gco2e=max(known)[0] if known else None,
        n_starts=len(found), n_unknown=len(found) - len(known), starts=found,
    )  # fmt: skip


def shift_table(found: Sequence[ShiftedRun]) -> Table:
    """Return a line for each run."""
    short = units.short_ids([one.run for one in found])
    figures = ("energy", "emitted", "at best", "at worst", "less")
    return Table(
        [*map(Column, ("run", "job", "user", "began", "best begin")),
         *(Column(name, right=True) for name in figures)],
        [
            (
                short[one.run], one.job, one.user,
                units.when(one.began_ns), units.when(one.best_began_ns),
                units.energy(one.energy_j), units.mass(one.operational_gco2e),
                units.mass(one.best_gco2e), units.mass(one.worst_gco2e), _less(one),
            )
            for one in found
        ],
    )  # fmt: skip


def _less(one: ShiftedRun) -> str:
    if not one.operational_gco2e or one.saved_gco2e is None:
        return units.NOTHING
    return units.share(one.saved_gco2e / one.operational_gco2e)


def summary(found: Shifts) -> str:
    """Return what all of the runs would have saved, in a line."""
    if not found.n_known:
        return (
            "Of no run both is known: what it emitted, and what it would have at another time."
            " Intensity series must cover both (cmfd carbon intensity list)."
        )
    saved = found.operational_gco2e - found.best_gco2e
    share = units.share(saved / found.operational_gco2e) if found.operational_gco2e else "0 %"
    return (
        f"{units.count(found.n_known, 'run')} emitted {units.mass(found.operational_gco2e)};"
        f" each at its best begin, {units.mass(found.best_gco2e)}: {share} less."
    )
