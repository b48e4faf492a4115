"""Packs and sites with made-up energy, all of whose sums are known."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from support.packs import an_id
from support.sites import BEGIN_NS, SECOND_NS, a_run

from cmfd.store.energy import NOBODY, EnergyRow, HardwareRow, ProbeRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.packs import Content

BOOT = bytes.fromhex("b0" * 16)
DAEMON = bytes.fromhex("d0" * 16)
BUCKET_NS = 60 * SECOND_NS
E_NS = BEGIN_NS - BEGIN_NS % BUCKET_NS
"""When the energy of these tests begins: a whole minute."""


def a_row(
    *,
    owner: str = "run",
    run: int = 1,
    execution: int | None = None,
    node: str = "n1",
    component: str = "cpu",
    domain: str = "",
    source: str = "rapl",
    role: str = "count",
    bucket: int = 0,
    dur_ns: int = BUCKET_NS,
    uj: int = 6_000_000,
    static_uj: int | None = None,
    cpu_ns: int = 30 * SECOND_NS,
    covered_ns: int | None = None,
    grade: str = "B",
    method: str = "shared_static_dynamic",
    flags: int = 0,
) -> EnergyRow:
    """
    Return a row of energy.

    Parameters
    ----------
    run, execution : int
        As of `support.packs.small_run`; None: of the run and none of its executions.
    bucket : int
        Which minute after `E_NS`.
    uj, static_uj : int
        Microjoules; a third of them static if not said.
    """
    mine = owner == "run"
    return EnergyRow(
        t0_ns=E_NS + bucket * BUCKET_NS,
        node=node,
        boot=BOOT,
        owner=owner,
        run=an_id("run", run) if mine else NOBODY,
        execution=an_id("exec", execution) if mine and execution is not None else NOBODY,
        component=component,
        domain=domain,
        source=source,
        role=role,
        dur_ns=dur_ns,
        at_ns=E_NS + (bucket + 1) * BUCKET_NS,
        uj=uj,
        static_uj=uj // 3 if static_uj is None else static_uj,
        cpu_ns=cpu_ns,
        covered_ns=dur_ns if covered_ns is None else covered_ns,
        grade=grade,
        method=method,
        flags=flags,
        origin=DAEMON,
    )


def a_probe(
    source: str = "rapl", status: str = "available", *, node: str = "n1", reason: str = "",
    advice: str = "", grade: str = "B", scope: str = "package",
    components: Sequence[str] = ("cpu", "dram"), chosen: bool = True,
) -> ProbeRow:  # fmt: skip
    """Return what was found of a source."""
    return ProbeRow(
        BOOT, node, source, E_NS, DAEMON, status, reason, advice, grade, scope,
        json.dumps(list(components)), json.dumps([f"{scope}-0"]), int(chosen),
    )  # fmt: skip


def a_node(
    node: str = "n1", *, cluster: str = "c", n_cores: int = 64, memory_gib: int = 256,
    gpus: Sequence[str] = (),
) -> HardwareRow:  # fmt: skip
    """Return what a node is made of; `gpus`: their UUIDs."""
    known = [{"uuid": uuid, "name": "H100", "memory_bytes": 80 << 30} for uuid in gpus]
    return HardwareRow(
        BOOT, node, E_NS, DAEMON, cluster, "AMD EPYC 7763", 2, n_cores, 2 * n_cores,
        memory_gib << 30, json.dumps(known),
    )  # fmt: skip


@dataclass
class Metered:
    """
    Rows of energy of some nodes, in which owners always add up to the counters.

    Each of `spend` is one counter's minute; `run_contents` and `ledger` are to be merged:
    ``ASite(path).take(*metered.contents())``.
    """

    rows: list[EnergyRow] = field(default_factory=list)

    def spend(
        self,
        bucket: int,
        shares: dict[int | str, int],
        *,
        node: str = "n1",
        component: str = "cpu",
        domain: str = "",
        source: str = "rapl",
        grade: str = "B",
        n_buckets: int = 1,
    ) -> Metered:
        """
        Add minutes of a counter.

        Parameters
        ----------
        bucket : int
            The first minute.
        shares : dict
            Microjoules of each run (its number), of ``"idle"`` and of ``"system"``, in each minute.
        node, component, domain, source, grade : str
            What was read.
        n_buckets : int
            For how many minutes.
        """
        for number in range(bucket, bucket + n_buckets):
            for whose, uj in (*shares.items(), ("counter", sum(shares.values()))):
                self.rows.append(
                    a_row(
                        owner=whose if isinstance(whose, str) else "run",
                        run=whose if isinstance(whose, int) else 1,
                        node=node, component=component, domain=domain, source=source,
                        grade=grade, bucket=number, uj=uj,
                    )
                )  # fmt: skip
        return self

    def contents(self, *runs: Content) -> list[Content]:
        """
        Return the content of packs: one a run, and the nodes' ledgers.

        Parameters
        ----------
        *runs : dict
            Runs' contents, as of `support.sites.a_run`, which get their energy; runs with
            energy that are not among them are made.
        """
        known = {content["run"][0][0]: content for content in runs}
        numbers = {int.from_bytes(row.run[8:], "big") for row in self.rows if row.owner == "run"}
        for number in sorted(numbers):
            known.setdefault(an_id("run", number), a_run(number))
        for run, content in known.items():
            content["energy"] = [tuple(row) for row in self.rows if row.run == run]
        nodes = sorted({row.node for row in self.rows})
        ledger: Content = {
            "energy": [tuple(row) for row in self.rows if row.run == NOBODY],
            "energy_probe": [tuple(a_probe(node=node)) for node in nodes],
            "node_hardware": [tuple(a_node(node)) for node in nodes],
        }
        return [*known.values(), ledger]
