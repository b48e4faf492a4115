"""A report for people: tables and lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.query.jobs import GROUPS as JOB_GROUPS
from cmfd.query.runtime import GROUPS
from cmfd.report.runtime import runtime_tables, waste_table

if TYPE_CHECKING:
    from cmfd.report.costs.model import Report
    from cmfd.report.text import Table


def pages(report: Report) -> tuple[list[Table], str]:
    """
    Return the tables of a report, and why it has none.

    Parameters
    ----------
    report : Report
        What to show.

    Returns
    -------
    tables : list of Table
        One below the other.
    problem : str
        What to say beside them; mostly empty.
    """
    if report.about == "runtime":
        return runtime_tables(GROUPS[report.by], report.runtimes), hidden(report)
    if report.about == "waste":
        if not report.wastes:
            return [], hidden(report) or "Nothing is known of such jobs (cmfd slurm enrich)."
        return [waste_table(JOB_GROUPS[report.by], report.wastes)], hidden(report)
    return [], ""


def hidden(report: Report) -> str:
    """Say how many runs of others are not in it, if any."""
    n_hidden = report.privacy.n_hidden
    if not n_hidden:
        return ""
    what = "run is" if n_hidden == 1 else "runs are"
    return (
        f"{n_hidden} {what} not in this report: other users', whom this site's reports do not show."
    )
