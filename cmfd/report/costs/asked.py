"""What is asked of a report."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import NotFoundError
from cmfd.query.selection import Selection, choose, hide_others
from cmfd.report.costs.model import Privacy

if TYPE_CHECKING:
    import sqlite3

    from cmfd.report.costs.policy import Policy


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a report is to be about, and who asks."""

    about: str
    by: str
    selection: Selection
    chosen: dict[str, str] = {}
    """What it is narrowed to, in the words of who asked."""
    factors: str | None = None
    """Id of a factor set, or the beginning of one; None: the site's current one."""
    now_ns: int
    is_operator: bool


def choose_visible(db: sqlite3.Connection, asked: Asked, policy: Policy) -> Privacy:
    """
    Choose what is asked for, of it what the site shows to who asks.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index; see `cmfd.query.selection.choose` for what changes in it.
    asked : Asked
        What, and who asks.
    policy : Policy
        Of the site.

    Raises
    ------
    NotFoundError
        A run was asked for that this site does not show.
    """
    choose(db, asked.selection)
    n_hidden = 0
    if not asked.is_operator and policy.others != "all":
        least = policy.least_users if policy.others == "aggregates" else None
        n_hidden = hide_others(
            db, os.geteuid(), asked.by, least, is_cut=asked.selection.when == "during"
        )
    if n_hidden and asked.selection.run_id is not None:
        raise NotFoundError(
            "This run is another user's, and this site's reports show other users' runs "
            + ("only put together." if policy.others == "aggregates" else "to its operator only.")
        )
    return Privacy(others=policy.others, is_operator=asked.is_operator, n_hidden=n_hidden)
