"""Power over time of all runs of a report, for where it is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cmfd.carbon.book import CarbonBook
from cmfd.query.power import drawn
from cmfd.report.costs.power import MOST_BUCKETS, power_of

if TYPE_CHECKING:
    import sqlite3

    from cmfd.merge.layout import Site
    from cmfd.report.costs.asked import Asked
    from cmfd.report.costs.model import Report


def with_power(db: sqlite3.Connection, site: Site, asked: Asked, report: Report) -> Report:
    """
    Return a report with the power of its runs over time, which takes as long again to add up.

    Parameters
    ----------
    db : sqlite3.Connection
        The site's index, as the report was made.
    site : Site
        Whose factors are used.
    asked : Asked
        What it is about: of some executions only, as of one stage, there is none.
    report : Report
        Of energy or emissions; of others, and of single runs, which have their own, nothing is
        added.
    """
    if report.about not in ("energy", "carbon") or report.cards or asked.selection.is_of_parts:
        return report
    book = CarbonBook.open(site.path)
    if asked.factors:
        book = book.with_factors(asked.factors)
    rows = drawn(db, MOST_BUCKETS, asked.selection.node, asked.selection.period)
    return msgspec.structs.replace(report, power=power_of(rows, book))
