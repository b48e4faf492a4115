"""Making a report of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmfd.query.jobs import wastes
from cmfd.query.runtime import runtimes
from cmfd.report.costs.asked import choose_visible
from cmfd.report.costs.model import Report
from cmfd.report.costs.policy import policy_of

if TYPE_CHECKING:
    import sqlite3

    from cmfd.merge.layout import Site
    from cmfd.report.costs.asked import Asked


def build(db: sqlite3.Connection, site: Site, asked: Asked) -> Report:
    """
    Make a report.

    Parameters
    ----------
    db : sqlite3.Connection
        The site's index.
    site : Site
        What else it holds: factors, and what its operator says of reports.
    asked : Asked
        What it is to be about.

    Raises
    ------
    ConfigError
        The site's configuration cannot be understood.
    NotFoundError
        What is asked for is not there, or not shown to who asks.
    """
    policy = policy_of(site)
    privacy = choose_visible(db, asked, policy)
    parts: dict[str, Any] = {}
    if asked.about == "runtime":
        parts["runtimes"] = runtimes(db, asked.by, is_of_parts=asked.selection.is_of_parts)
    elif asked.about == "waste":
        parts["wastes"] = wastes(db, asked.by)
    return Report(
        about=asked.about,
        site=site.id,
        made_ns=asked.now_ns,
        chosen=asked.chosen,
        since_ns=asked.selection.since_ns,
        until_ns=asked.selection.until_ns,
        by=asked.by,
        privacy=privacy,
        **parts,
    )
