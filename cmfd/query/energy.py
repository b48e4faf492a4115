"""
Energy at a site: rows of whose it was, sums of them, and what of a node's counters is whose.

Energies are integer microjoules here. A row belongs to the time in which its stretch began, so
that the periods of a calendar add up to the whole. What executions took is a part of what their
run took, never on top of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.query.index import bindable
from cmfd.query.results import Result
from cmfd.store.connection import named
from cmfd.store.sums import bring_up_to_date

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator

DAY_NS = 86_400_000_000_000
_EVER_NS = 4_000_000_000_000_000_000
_NEVER_NS = 0
_RUN, _METER, _MIXED, _REST = 0, 1, 2, 3
"""Columns of the query `sums`: what follows is an `EnergySum`."""


class EnergyRow(NamedTuple):
    """
    What somebody and one component of a node took in a stretch of time.

    Attributes
    ----------
    node, boot : str
        Where; the boot in hexadecimal.
    component, domain, source, role : str
        ``cpu``, ``dram``, ``gpu``, ``other`` (``node`` in checks only); a GPU's UUID or nothing;
        what was read; ``count`` or ``check``.
    owner : str
        ``run``, ``idle``, ``system``; ``counter``: all that the counter moved.
    run_id, execution_id : int
        Local numbers; 0: of no run, of none of its executions.
    t0_ns, dur_ns, at_ns : int
        UTC; when the stretch began, how long it is, when it was written.
    uj, static_uj : int
        Microjoules; what of them would have been drawn doing nothing.
    cpu_ns, covered_ns : int
        CPU time of the owner; for how much of the stretch there are readings.
    grade, method : str
        ``A`` to ``E``, ``M``; ``exclusive``, ``shared_static_dynamic``, ``alloc_only``,
        ``rank_pids``.
    flags : int
        `cmfd.energy.readings.Flag`.
    """

    node: str
    boot: str
    component: str
    domain: str
    source: str
    role: str
    owner: str
    run_id: int
    execution_id: int
    t0_ns: int
    dur_ns: int
    at_ns: int
    uj: int
    static_uj: int
    cpu_ns: int
    covered_ns: int
    grade: str
    method: str
    flags: int


class EnergySum(NamedTuple):
    """
    The sum of rows that agree in all but time: see `EnergyRow`.

    Attributes
    ----------
    execution_id : int
        0 unless sums by execution were asked for.
    began_ns : int
        Of the step of time that was asked for; 0 without steps.
    dur_ns, covered_ns : int
        Sums over the rows, so that their ratio is the coverage.
    first_ns, end_ns : int
        From the first row's begin to the last one's end.
    """

    node: str
    boot: str
    component: str
    domain: str
    source: str
    owner: str
    run_id: int
    execution_id: int
    began_ns: int
    grade: str
    method: str
    uj: int
    static_uj: int
    cpu_ns: int
    dur_ns: int
    covered_ns: int
    first_ns: int
    end_ns: int


_N_KEYS = EnergySum._fields.index("uj")
"""How many fields of a sum, the first ones, say what it is of."""


class Balance(Result, frozen=True, kw_only=True):
    """What a component's counter of a node moved on a day (UTC), and whose that was."""

    node: str
    day_ns: int
    component: str
    source: str
    counter_uj: int
    runs_uj: int
    idle_uj: int
    system_uj: int

    @property
    def missing_uj(self) -> int:
        """What of the counter nobody was given: 0, unless a pack is not here yet."""
        return self.counter_uj - self.runs_uj - self.idle_uj - self.system_uj


class SourceProbe(Result, frozen=True, kw_only=True):
    """Whether a source could be used on a node: see `cmfd.energy.readings.Probe`."""

    node: str
    boot: str
    source: str
    status: str
    reason: str
    advice: str
    grade: str
    scope: str
    components: list[str]
    domains: list[str]
    chosen: bool
    """Its energy is counted."""
    at_ns: int


class Hardware(Result, frozen=True, kw_only=True):
    """What a node is made of, at one boot."""

    node: str
    boot: str
    cluster: str
    cpu_model: str
    n_sockets: int
    n_cores: int
    n_threads: int
    memory_bytes: int
    gpus: list[dict[str, Any]]
    """Each with ``uuid``, ``name``, ``memory_bytes``."""
    at_ns: int


class Which(NamedTuple):
    """
    Which rows a question is about; what is None does not matter.

    Attributes
    ----------
    run_ids : collection of int, optional
        Local numbers of runs. None: of all runs.
    nodes : collection of str, optional
        Names of nodes.
    since_ns, until_ns : int, optional
        Of stretches that began in this time, half-open.
    role : str
        ``count`` or ``check``.
    """

    run_ids: Collection[int] | None = None
    nodes: Collection[str] | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    role: str = "count"


ALL = Which()
"""All runs on all nodes at any time, as far as they count."""


def rows(
    db: sqlite3.Connection, which: Which = ALL, *, everything: bool = False
) -> Iterator[EnergyRow]:
    """
    Yield rows of energy.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    which : Which
        Of what.
    everything : bool
        Also those of no run: idle, system, counter. Otherwise runs' only.
    """
    parameters = _choose(db, which, everything=everything)
    period = (parameters["since_ns"], parameters["until_ns"])
    # Read now: other questions may be asked on this connection in between.
    for run_id, meter_id, node, boot, *meter in db.execute(_sql("chosen")).fetchall():
        for row in db.execute(_sql("rows"), (run_id, meter_id, *period)):
            yield EnergyRow(node, boot.hex(), *meter, *row)


def sums(
    db: sqlite3.Connection,
    which: Which = ALL,
    *,
    everything: bool = False,
    by_execution: bool = False,
    step_ns: int | None = None,
) -> list[EnergySum]:
    """
    Return sums of rows by run, node, meter, owner, grade and method.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    which : Which
        Of what.
    everything : bool
        Also those of no run: idle, system, counter. Otherwise runs' only.
    by_execution : bool
        Apart for each execution.
    step_ns : int, optional
        Apart for each such step of time (from 1970 on, UTC), as for plots.
    """
    parameters = _choose(db, which, everything=everything)
    return _sums(db, parameters, by_execution=by_execution, step_ns=step_ns)


def sums_of_executions(
    db: sqlite3.Connection, executions: Collection[str], *, nested: bool = True
) -> list[EnergySum]:
    """
    Return what executions took, one by one.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    executions : collection of str
        Ids in hexadecimal.
    nested : bool
        Also those nested in them, at any depth, each as itself.
    """
    asked = {"hex_ids": json.dumps(list(executions)), "nested": nested}
    found = dict(db.execute(_sql("within"), asked))
    parameters = _choose(db, Which(run_ids=set(found.values()) - {None}))
    parameters["executions"] = json.dumps(list(found))
    return _sums(db, parameters, by_execution=True, step_ns=None)


def balances(
    db: sqlite3.Connection,
    nodes: Collection[str] | None = None,
    since_ns: int | None = None,
    until_ns: int | None = None,
) -> list[Balance]:
    """
    Compare what each node's counters moved on each day (UTC) with whose it was said to be.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    nodes : collection of str, optional
        Only these.
    since_ns, until_ns : int, optional
        Of stretches that began on these days: each that has any of this half-open time.
    """
    bring_up_to_date(db)
    asked = bindable({
        "nodes": None if nodes is None else json.dumps(list(nodes)),
        "first_day": 0 if since_ns is None else since_ns // DAY_NS,
        "end_day": _EVER_NS if until_ns is None else -(-until_ns // DAY_NS),
    })  # fmt: skip
    return [
        Balance(
            node=node, day_ns=day * DAY_NS, component=component, source=source,
            counter_uj=counter_uj, runs_uj=runs_uj, idle_uj=idle_uj, system_uj=system_uj,
        )
        for node, day, component, source, counter_uj, runs_uj, idle_uj, system_uj in db.execute(
            _sql("balances"), asked
        )
    ]  # fmt: skip


def probes(db: sqlite3.Connection, nodes: Collection[str] | None = None) -> list[SourceProbe]:
    """Return what was found of each source on each node and boot, latest last."""
    return [
        SourceProbe(
            **{**row, "chosen": bool(row["chosen"])}
            | {name: _list(row[name]) for name in ("components", "domains")}
        )
        for row in _named_rows(db, "probes", nodes)
    ]


def hardware(db: sqlite3.Connection, nodes: Collection[str] | None = None) -> list[Hardware]:
    """Return what each node is made of, for each of its boots, latest last."""
    return [
        Hardware(**row | {"gpus": [gpu for gpu in _list(row["gpus"]) if isinstance(gpu, dict)]})
        for row in _named_rows(db, "hardware", nodes)
    ]


def names_of_executions(db: sqlite3.Connection, execution_ids: Collection[int]) -> dict[int, str]:
    """Return the ids, in hexadecimal, of executions by their local numbers."""
    return dict(db.execute(_sql("executions"), {"executions": json.dumps(list(execution_ids))}))


def _sql(name: str) -> str:
    return named("query/energy")[name]


def _choose(db: sqlite3.Connection, which: Which, *, everything: bool = False) -> dict[str, object]:
    """Note which runs and meters a question is about; return the parameters of what follows."""
    parameters = bindable({
        "run_ids": None if which.run_ids is None else json.dumps(list(which.run_ids)),
        "nodes": None if which.nodes is None else json.dumps(list(which.nodes)),
        "since_ns": _NEVER_NS if which.since_ns is None else which.since_ns,
        "until_ns": _EVER_NS if which.until_ns is None else which.until_ns,
        "role": which.role,
    })  # fmt: skip
    db.execute(_sql("make"))
    db.execute(_sql("clear"))
    if which.run_ids is None:
        db.execute(_sql("choose"), parameters | {"runs_only": not everything})
    else:
        db.execute(_sql("choose_runs"), parameters)
    return parameters


def _sums(
    db: sqlite3.Connection,
    parameters: dict[str, object],
    *,
    by_execution: bool,
    step_ns: int | None,
) -> list[EnergySum]:
    asked = {"executions": None, "step_ns": step_ns or _EVER_NS} | parameters
    if step_ns is None:
        rows = db.execute(_sql("sums"), asked).fetchall()
        mixed = {(row[_RUN], row[_METER]) for row in rows if row[_MIXED]}
        found = [_sum(*row[_REST:]) for row in rows if (row[_RUN], row[_METER]) not in mixed]
        db.execute(_sql("clear"))
        db.executemany(_sql("choose_one"), mixed)
    else:
        found = []
    found += [_sum(*row) for row in db.execute(_sql("sums_apart"), asked)]
    return found if by_execution else _folded(found)


def _sum(node: str, boot: bytes, *rest: Any) -> EnergySum:
    return EnergySum(node, boot.hex(), *rest)


def _folded(sums: Iterable[EnergySum]) -> list[EnergySum]:
    """Add up sums that differ in the execution only."""
    found: dict[tuple[Any, ...], EnergySum] = {}
    for one in sums:
        row = one._replace(execution_id=0)
        key = row[:_N_KEYS]
        found[key] = _added(found[key], row) if key in found else row
    return list(found.values())


def _added(one: EnergySum, other: EnergySum) -> EnergySum:
    return one._replace(
        uj=one.uj + other.uj,
        static_uj=one.static_uj + other.static_uj,
        cpu_ns=one.cpu_ns + other.cpu_ns,
        dur_ns=one.dur_ns + other.dur_ns,
        covered_ns=one.covered_ns + other.covered_ns,
        first_ns=min(one.first_ns, other.first_ns),
        end_ns=max(one.end_ns, other.end_ns),
    )


def _named_rows(
    db: sqlite3.Connection, query: str, nodes: Collection[str] | None
) -> list[dict[str, Any]]:
    asked = {"nodes": None if nodes is None else json.dumps(list(nodes))}
    cursor = db.execute(_sql(query), asked)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _list(text: str) -> list[Any]:
    """Parse a list; anything else, from somebody's own pack, is an empty one."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
