"""
Which nodes may still have something of a run that is not in the site.

A node has delivered a run when the newest pack that it sealed of it says that none of the run's
processes was left there, and when no step of the run began there later. Which nodes were to deliver
is known from where its steps ran; and, where a daemon of the operator's has said that the job was
over, from the job's own nodes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.errors import SlurmError
from cmfd.query.index import fetch
from cmfd.slurm.hostlist import expand

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


@dataclass
class _Run:
    """What is known of one run's nodes."""

    due_ns: dict[str, int] = field(default_factory=dict)
    """By node: when the last step began there."""
    job_nodes: list[str] = field(default_factory=list)
    delivered_ns: dict[str, int] = field(default_factory=dict)
    unfinished: set[str] = field(default_factory=set)
    job_over: bool = False

    def add(self, row: dict[str, Any]) -> None:
        if row["what"] == "delivery":
            self._deliver(row)
            return
        names = _names(row["nodes"])
        if row["what"] == "job":
            self.job_nodes = names
            return
        for name in names:
            self.due_ns[name] = max(self.due_ns.get(name, 0), row["at_ns"] or 0)

    def _deliver(self, row: dict[str, Any]) -> None:
        if row["final"]:
            self.delivered_ns[row["nodes"]] = row["at_ns"]
        else:
            self.unfinished.add(row["nodes"])
        self.job_over = self.job_over or bool(row["job_over"])

    def nodes(self) -> Nodes:
        late = {
            name for name, due_ns in self.due_ns.items() if self.delivered_ns.get(name, -1) < due_ns
        }
        silent = set(self.job_nodes) - set(self.delivered_ns) if self.job_over else set()
        missing = late | silent | self.unfinished
        return Nodes(sorted(set(self.delivered_ns) - missing), sorted(missing))


class Nodes(NamedTuple):
    """
    The nodes of a run, by name.

    Attributes
    ----------
    delivered : list of str
        Those that have delivered all they had.
    missing : list of str
        Those that have not, as far as it is known that they took part.
    """

    delivered: list[str]
    missing: list[str]


def nodes_of(db: sqlite3.Connection, run_ids: Iterable[int]) -> dict[int, Nodes]:
    """
    Return which nodes have delivered all they had of runs, and which have not.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index, from `open_index`.
    run_ids : iterable of int
        Numbers of runs in this index.

    Returns
    -------
    dict of int to Nodes
        By run; those of which no node is known are not in it.
    """
    known: defaultdict[int, _Run] = defaultdict(_Run)
    for row in fetch(db, "deliveries", run_ids=json.dumps(list(run_ids))):
        known[row["run_id"]].add(row)
    return {run_id: run.nodes() for run_id, run in known.items()}


def _names(text: str) -> list[str]:
    """Read a host list; one that is none, from somebody's own pack, names no nodes."""
    try:
        return expand(text)
    except SlurmError:
        return []


def nodes_of_run(db: sqlite3.Connection, run: bytes) -> Nodes | None:
    """Return the nodes of the run of this id; None while nothing of it is in the site."""
    row = db.execute("SELECT id FROM run WHERE run = ?", (run,)).fetchone()
    return None if row is None else nodes_of(db, row).get(row[0], Nodes([], []))
