"""What very many executions and artifacts are, from columns of a site's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmfd.query.summary import Party, RunOf, Summary, asked, node_name, parties

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from cmfd.query.graph import Graph, Ints


def by_columns(
    db: sqlite3.Connection, graph: Graph, executions: list[int], artifacts: list[int]
) -> Summary:
    """
    Say what some executions and artifacts are: see `cmfd.query.summary.summary`.

    Parameters
    ----------
    db : sqlite3.Connection
        The index that the graph is of, in a transaction. It is asked for hosts, and for the kinds
        of artifacts that have several.
    graph : Graph
        From `cmfd.query.graph`.
    executions, artifacts : list of int
        Their numbers.
    """
    ids = np.array(executions, np.int64)
    began_ns = graph.array("began")[ids]
    runs = graph.array("run")[ids]
    return Summary(
        at_ns=began_ns.tolist(),
        users=_parties(graph.names("user"), graph.array("user")[runs], began_ns),
        pipelines=_parties(graph.names("pipeline"), graph.array("pipeline")[ids], began_ns),
        nodes=_nodes(db, graph, executions),
        runs=_runs(graph, runs),
        kinds=_kinds(db, graph, np.array(artifacts, np.int64)),
    )


def _parties(names: Sequence[str], codes: Ints, at_ns: Ints) -> list[Party]:
    """Count names, which are said by their places; of nothing where that is negative."""
    is_known = codes >= 0
    last_ns = np.full(len(names), np.iinfo(np.int64).min)
    np.maximum.at(last_ns, codes[is_known], at_ns[is_known])
    n_executions = np.bincount(codes[is_known], minlength=len(names))
    found = np.flatnonzero(n_executions)
    numbers = zip(
        found.tolist(), n_executions[found].tolist(), last_ns[found].tolist(), strict=True
    )
    return parties((names[code], n, last) for code, n, last in numbers)


def _nodes(db: sqlite3.Connection, graph: Graph, executions: list[int]) -> list[Party]:
    """Return where they ran."""
    rows = asked(db, "hosts", executions)
    if not rows:
        return []
    numbers, hosts = zip(*rows, strict=True)
    ids = np.array(numbers, np.int64)
    places: dict[str, int] = {}
    on = np.array([places.setdefault(host, len(places)) for host in hosts], np.int64)
    clusters = graph.names("cluster")
    pairs = on * len(clusters) + graph.array("cluster")[graph.array("run")[ids]]
    there, codes = np.unique(pairs, return_inverse=True)
    host_names = [*places]
    names = [
        node_name(host_names[pair // len(clusters)], clusters[pair % len(clusters)])
        for pair in there.tolist()
    ]
    return _parties(names, codes, graph.array("began")[ids])


def _runs(graph: Graph, runs: Ints) -> dict[int, RunOf]:
    found, n_executions = np.unique(runs[runs > 0], return_counts=True)
    at_ns = graph.array("run.began")[found]
    both = zip(at_ns.tolist(), n_executions.tolist(), strict=True)
    return dict(zip(found.tolist(), map(RunOf._make, both), strict=True))


def _kinds(db: sqlite3.Connection, graph: Graph, artifacts: Ints) -> dict[str, int]:
    codes = graph.array("kind")[artifacts]
    is_known = codes >= 0
    n_of = dict.fromkeys(graph.names("kind"), 0)
    for name, n in zip(
        n_of, np.bincount(codes[is_known], minlength=len(n_of)).tolist(), strict=True
    ):
        n_of[name] = n
    if not is_known.all():
        for name, n in asked(db, "n_of_kind", artifacts[~is_known].tolist()):
            n_of[name] = n_of.get(name, 0) + n
    return {name: n for name, n in sorted(n_of.items(), key=lambda one: (-one[1], one[0])) if n}
