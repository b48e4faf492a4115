"""
Energy in a node store: rows of whose it was, and the node's ledger of what was nobody's.

A row is written again, whole, while its stretch of time lasts; of two rows with one key the one
that covers more wins, so what is written twice or comes late counts once. Who begins anew in the
middle of a stretch must begin a stretch of its own: a new `t0_ns`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from cmfd.store.connection import named
from cmfd.store.content import upsert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

log = logging.getLogger(__name__)

NOBODY = bytes(16)
"""In place of a run or an execution."""

_NOBODYS = frozenset(("idle", "system", "counter"))
_COMPONENTS = frozenset(("cpu", "dram", "gpu", "other", "node"))
_GRADES = frozenset("ABCDEM")
_LATEST_NS, _LONGEST_NS, _MOST_UJ = 4 * 10**18, 10**18, 10**15
"""As the index checks: see `sql/site/0005.sql`."""


class EnergyRow(NamedTuple):
    """
    A row of the content table `energy`, in its order of columns.

    Attributes
    ----------
    t0_ns, dur_ns : int
        When its stretch of time began (UTC), and how long it is so far.
    node, boot : str, bytes
        Where; the boot as the kernel calls it (``boot_id``), 16 bytes.
    owner : str
        ``run``, ``idle``, ``system``; ``counter``: all that the counter moved.
    run, execution : bytes
        Whose; `NOBODY` where it is no run's, or of none of its executions.
    component, domain, source, role : str
        What was read: ``cpu``, ``dram``, ``gpu``, ``other`` (``node`` with role ``check`` only); a
        GPU's UUID or nothing; the source; ``count`` or ``check``.
    at_ns : int
        When the row was written.
    uj, static_uj : int
        Microjoules, and what of them is static.
    cpu_ns, covered_ns : int
        CPU time of the owner; for how much of the stretch there are readings.
    grade, method : str
        How good, and how it was attributed.
    flags : int
        `cmfd.energy.readings.Flag`.
    origin : bytes
        The id of who measured it.
    """

    t0_ns: int
    node: str
    boot: bytes
    owner: str
    run: bytes
    execution: bytes
    component: str
    domain: str
    source: str
    role: str
    dur_ns: int
    at_ns: int
    uj: int
    static_uj: int
    cpu_ns: int
    covered_ns: int
    grade: str
    method: str
    flags: int
    origin: bytes


class ProbeRow(NamedTuple):
    """A row of the content table `energy_probe`: see `cmfd.energy.readings.Probe`."""

    boot: bytes
    node: str
    source: str
    at_ns: int
    origin: bytes
    status: str
    reason: str
    advice: str
    grade: str
    scope: str
    components: str
    domains: str
    chosen: int


class HardwareRow(NamedTuple):
    """A row of the content table `node_hardware`; `gpus` is a JSON list of objects."""

    boot: bytes
    node: str
    at_ns: int
    origin: bytes
    cluster: str
    cpu_model: str
    n_sockets: int
    n_cores: int
    n_threads: int
    memory_bytes: int
    gpus: str


class Measured(NamedTuple):
    """What was measured since the last time: rows of any of the three kinds."""

    rows: tuple[EnergyRow, ...] = ()
    probes: tuple[ProbeRow, ...] = ()
    hardware: tuple[HardwareRow, ...] = ()


def record(db: sqlite3.Connection, measured: Measured, seq: int) -> set[bytes]:
    """
    Store what was measured, in the current transaction.

    Parameters
    ----------
    db : sqlite3.Connection
        A node store.
    measured : Measured
        Rows; of one key, what covers more stays. What no site would take is left out.
    seq : int
        Number of the commit.

    Returns
    -------
    set of bytes
        Runs of which there is something new.
    """
    queries = named("node/queries")
    add = queries["add_energy"]
    new = [row for row in possible(measured.rows) if db.execute(add, (*row, seq)).rowcount]
    db.executemany(upsert("energy_probe"), measured.probes)
    db.executemany(upsert("node_hardware"), measured.hardware)
    runs = {row.run for row in new if row.owner == "run"}
    db.executemany(queries["stand"], [(run,) for run in runs])
    return runs


def possible(rows: Iterable[EnergyRow]) -> list[EnergyRow]:
    """
    Return the rows that a site takes; the others, a bug of whoever made them, are logged.

    Stored, one of them would have a pack refused with all that its run logged.
    """
    found = []
    for row in rows:
        if _is_somebodys(row) and _is_measured(row) and _is_possible(row):
            found.append(row)
        else:
            log.error("energy that cannot be, which is left out: %s", row)
    return found


def _is_somebodys(row: EnergyRow) -> bool:
    if row.owner == "run":
        return row.run != NOBODY
    return row.owner in _NOBODYS and row.run == row.execution == NOBODY


def _is_measured(row: EnergyRow) -> bool:
    known = row.role == "check" or (row.role == "count" and row.component != "node")
    ids = (row.boot, row.run, row.execution, row.origin)
    return (
        known
        and row.component in _COMPONENTS
        and row.grade in _GRADES
        and all(len(identity) == len(NOBODY) for identity in ids)
    )


def _is_possible(row: EnergyRow) -> bool:
    return (
        0 <= row.t0_ns <= _LATEST_NS
        and 0 <= row.covered_ns <= row.dur_ns <= _LONGEST_NS
        and 0 <= row.cpu_ns <= _LONGEST_NS
        and 0 <= row.static_uj <= row.uj <= _MOST_UJ
    )
