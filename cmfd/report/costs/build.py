"""Making a report of a site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.carbon.book import CarbonBook
from cmfd.query.jobs import wastes
from cmfd.query.reported import named_runs
from cmfd.query.runtime import runtimes
from cmfd.report.costs.asked import choose_visible
from cmfd.report.costs.card import card_of
from cmfd.report.costs.groups import Reckoner, histogram
from cmfd.report.costs.ledger import reconcile, unattributed
from cmfd.report.costs.model import Factors, Report
from cmfd.report.costs.piles import Heap
from cmfd.report.costs.policy import policy_of

if TYPE_CHECKING:
    import sqlite3

    from cmfd.merge.layout import Site
    from cmfd.query.results import Runtime
    from cmfd.report.costs.asked import Asked
    from cmfd.report.costs.model import JobCard
    from cmfd.report.costs.policy import Policy

MOST_CARDS = 20
"""Of the tasks of an array, or the starts of a job, the latest."""


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
        parts["runtimes"] = _runtimes(db, asked)
    elif asked.about == "waste":
        parts["wastes"] = wastes(db, asked.by)
    else:
        parts = _of_energy(db, site, asked, policy, hides=privacy.n_hidden > 0)
    return Report(
        about=asked.about,
        site=site.id,
        made_ns=asked.now_ns,
        chosen=asked.chosen,
        since_ns=asked.selection.since_ns,
        until_ns=asked.selection.until_ns,
        privacy=privacy,
        **{"by": asked.by, **parts},
    )


def _runtimes(db: sqlite3.Connection, asked: Asked) -> list[Runtime]:
    """Return what runs took, without a word on single ones of other users."""
    rows = runtimes(db, asked.by, is_of_parts=asked.selection.is_of_parts)
    own = named_runs(db, {one.run for row in rows for one in row.stragglers})
    return [
        msgspec.structs.replace(row, stragglers=[one for one in row.stragglers if one.run in own])
        for row in rows
    ]


def _of_energy(
    db: sqlite3.Connection, site: Site, asked: Asked, policy: Policy, *, hides: bool
) -> dict[str, Any]:
    selection = asked.selection
    # A card is of a whole run.
    is_of_one = (selection.run_id is not None or selection.job is not None) and not (
        selection.is_of_parts or selection.is_of_a_time
    )
    book = CarbonBook.open(site.path)
    if asked.factors:
        book = book.with_factors(asked.factors)
    # Of single runs, emissions are always told; of many it takes as long again.
    with_carbon = is_of_one or asked.about == "carbon"
    used = book if with_carbon else None
    heap = Heap(db, "run" if is_of_one else asked.by, selection, book=used)
    reckoner = Reckoner(heap, policy, used)
    parts: dict[str, Any] = {
        "factors": Factors(id=book.factor_set_id, name=book.factor_set_name)
        if with_carbon
        else None,
        "total": reckoner.group((), heap.all),
    }
    if is_of_one:
        return parts | {"by": "run", "cards": _cards(db, reckoner)}
    return parts | _of_many(db, asked, reckoner, hides=hides)


def _cards(db: sqlite3.Connection, reckoner: Reckoner) -> list[JobCard]:
    took = {one.run: one for one in runtimes(db, "run")}
    lines = list(reckoner.heap.runs.values())[:MOST_CARDS]
    return [card_of(db, line, took.get(line.run), reckoner) for line in lines]


def _of_many(
    db: sqlite3.Connection, asked: Asked, reckoner: Reckoner, *, hides: bool
) -> dict[str, Any]:
    selection, heap = asked.selection, reckoner.heap
    parts: dict[str, Any] = {
        "groups": reckoner.groups(),
        "top": reckoner.top(db),
        "histogram": histogram([piece.wall_s for piece in heap.all.pieces]),
    }
    if selection.is_all:
        rest = unattributed(db, selection)
        parts["idle"] = rest.idle.energy(reckoner.policy)
        parts["system"] = rest.system.energy(reckoner.policy)
    # What all runs took, less one's own, would be what hidden ones took.
    if selection.is_all and not hides and (asked.by == "node" or selection.node is not None):
        parts["reconciliation"] = reconcile(db, selection)
    return parts
