"""A made-up report with everything in it that a report can have, and names that mean harm."""

from __future__ import annotations

import math

from cmfd.carbon.model import Carbon, Provenance
from cmfd.report.costs.model import (
    Check,
    Component,
    Energy,
    Factors,
    Group,
    Histogram,
    JobCard,
    Lost,
    NodeDay,
    NodeUse,
    Note,
    Pareto,
    ParetoPoint,
    Power,
    Privacy,
    RankLoad,
    Report,
    Spread,
    Top,
    Unit,
)  # fmt: skip

T0_NS = 1_790_000_000_000_000_000
HOSTILE = """<script>alert(1)</script>"'&$x_1$\x1b[31m</style><b onmouseover=x>é 中文"""
"""What a user might call a job."""


def _run(number: int) -> str:
    return f"{number + 400:04x}" + "cd" * 14


def energy(scale_j: float = 4.58e6) -> Energy:
    """Return energy of four components."""
    shares = {"cpu": (0.55, "B"), "gpu": (0.28, "B"), "dram": (0.09, "B"), "other": (0.08, "A")}
    components = [
        Component(
            component=name, energy_j=scale_j * share, static_j=scale_j * share * 0.3,
            low_j=scale_j * share * 0.9, high_j=scale_j * share * 1.1, grade=grade,
            sources=["rapl" if name != "gpu" else "nvml"],
        )
        for name, (share, grade) in shares.items()
    ]  # fmt: skip
    return Energy(
        energy_j=scale_j, static_j=scale_j * 0.3, low_j=scale_j * 0.9, high_j=scale_j * 1.1,
        grade="B", grades_j={"A": scale_j * 0.08, "B": scale_j * 0.92}, measured_share=1.0,
        coverage=0.996, components=components, methods_j={"shared_static_dynamic": scale_j},
    )  # fmt: skip


def carbon(scale_j: float = 4.58e6) -> Carbon:
    """Return the emissions of some energy."""
    grams = scale_j / 3.6e6 * 270 * 1.2
    factors = (
        ("intensity", "series", 270.0, "gCO2e/kWh", "NESO, national, actual"),
        ("pue", "configured", 1.2, "1", "this site's operator"),
        ("embodied", "configured", 1100.0, "kgCO2e", "ARCHER2, 2022"),
    )
    return Carbon(
        energy_j=scale_j, operational_gco2e=grams, low_gco2e=grams * 0.9, high_gco2e=grams * 1.1,
        market_gco2e=grams * 0.2, embodied_gco2e=grams * 0.13, intensity_gco2e_per_kwh=270.0,
        pue=1.2, covered_share=1.0,
        provenance=[
            Provenance(
                factor=factor, kind=kind, value=value, unit=unit, source=source, version="ab" * 32,
                share=1.0, basis="average" if factor == "intensity" else None,
            )
            for factor, kind, value, unit, source in factors
        ],
        factor_set_id="c0ffee" * 10 + "0000", factor_set_name="2026-11", missing=[],
    )  # fmt: skip


def power(n: int = 96, bucket_s: float = 900.0) -> Power:
    """Return a day's power, with the grid's intensity but for an hour."""
    busy = [0.35 + 0.5 * (20 < i < 70) + 0.06 * math.sin(i * 1.7) for i in range(n)]
    return Power(
        began_ns=[T0_NS + int(i * bucket_s * 1e9) for i in range(n)], bucket_s=bucket_s,
        ended_ns=T0_NS + int(n * bucket_s * 1e9),
        components_w={
            "cpu": [300 * one for one in busy], "gpu": [420 * max(one - 0.35, 0) for one in busy],
            "dram": [60 * one for one in busy], "other": [45.0] * n,
        },
        intensity_gco2e_per_kwh=[
            None if 50 <= i < 54 else 210 + 90 * math.cos(i / n * 2 * math.pi) for i in range(n)
        ],
    )  # fmt: skip


def card(job: str = "4711", name: str = "md_relax", *, n_ranks: int = 16) -> JobCard:
    """Return the card of a job of four nodes, one of them hardly used."""
    uses = [
        NodeUse(
            node=f"node{i:03}", n_ranks=n_ranks // 4, cpu_s=8000.0, capacity_s=11000.0,
            cpu_efficiency=(0.93, 0.91, 0.88, 0.31)[i], max_rss_bytes=20 << 30,
            memory_bytes=64 << 30, memory_efficiency=(0.35, 0.33, 0.36, 0.12)[i], n_gpus=1,
            gpu_j=3.2e5, energy_j=1.145e6, coverage=0.996,
        )
        for i in range(4)
    ]  # fmt: skip
    ranks = [
        RankLoad(
            execution="ab" * 16, stage="relax.train", rank=i, host=f"node{i * 4 // n_ranks:03}",
            began_ns=T0_NS + i * 10**9, ended_ns=T0_NS + 8388 * 10**9 - (i % 5) * 4 * 10**10,
            busy_s=7400.0 - 4800 * (i >= n_ranks * 3 // 4) + 70 * (i % 3), energy_j=2.8e5,
        )
        for i in range(n_ranks)
    ]  # fmt: skip
    return JobCard(
        run="0190" + "ab" * 14, job=job, name=name, user="ana", account="chem1", partition="gpu",
        project="chem1", cluster="alps", restart=1, status="completed", state="COMPLETED",
        exit_code=0, stages=["relax.train"], began_ns=T0_NS, ended_ns=T0_NS + 8388 * 10**9,
        nodes=["node000", "node001", "node002", "node003"], n_cores=64, n_gpus=4,
        memory_bytes=256 << 30, queued_s=190.0, wall_s=8388.0, limit_s=28800.0, of_limit=0.29,
        core_s=8388.0 * 64, gpu_s=8388.0 * 4, cpu_s=381000.0, cpu_efficiency=0.71,
        memory_efficiency=0.29, imbalance=1.26, stragglers=[], uses=uses, ranks=ranks,
        energy=energy(), carbon=carbon(), average_w=545.0, gco2e_per_core_h=2.76,
        units=[
            Unit(
                execution="ab" * 16, stage="relax.train", energy_j=4.58e6, n_steps=20000,
                j_per_step=229.0, n_samples=2.56e6, j_per_sample=1.789,
            )
        ],
        check=Check(slurm_energy_j=4.61e6, difference=0.007, explanation=""),
        power=power(56, 150.0),
        notes=[
            Note(kind="memory", text="Asked for 256.0 GiB, used 75.0 GiB at most: 96G would do."),
            Note(kind="imbalance", text="Ranks on node003 were busy for a third of the time."),
        ],
    )  # fmt: skip


def pareto(n: int = 24) -> Pareto:
    """Return an experiment's executions, some on the front."""
    points = []
    best = -1.0
    for i in range(n):
        value = 0.97 - 0.5 / (i + 2) - 0.05 * ((i * 7) % 5)
        on_front = value > best
        best = max(best, value)
        points.append(
            ParetoPoint(
                run=_run(i), execution=f"{i + 500:032x}", energy_j=2e5 * (i + 1), grade="B",
                operational_gco2e=18.0 * (i + 1), value=value, on_front=on_front,
                params={"depth": str(i % 4), "rate": f"{10.0 ** -(i % 3)}"},
            )
        )  # fmt: skip
    return Pareto(
        pipeline="relax", stage="train", metric="accuracy", goal="max", points=points,
        n_without_energy=2,
    )  # fmt: skip


def _group(names: dict[str, str], scale_j: float) -> Group:
    return Group(
        names=names, n_runs=round(scale_j / 2e5), n_users=3,
        states={"COMPLETED": 31, "TIMEOUT": 2, "FAILED": 4}, wall_s=scale_j / 40,
        core_s=scale_j / 2, gpu_s=0.0, energy=energy(scale_j), carbon=carbon(scale_j),
        lost=[
            Lost(
                outcome=outcome, n_runs=n, core_s=7e4 * n, energy_j=9e5 * n,
                operational_gco2e=81.0 * n,
            )
            for outcome, n in (("failed", 4), ("timed_out", 2))
        ],
        run_energy_j=Spread(p50=1.2e5, p95=2.2e6), run_wall_s=Spread(p50=900.0, p95=9000.0),
    )  # fmt: skip


def a_report(*, by: str = "user", cards: int = 0, name: str = "md_relax") -> Report:
    """
    Return a report with all parts.

    Parameters
    ----------
    by : str
        What it is grouped by.
    cards : int
        How many jobs' cards it has.
    name : str
        A name that a user chose: of groups, jobs and metrics.
    """
    return Report(
        about="carbon", site="1f" * 16, made_ns=T0_NS + 10**15, chosen={"account": "chem1"},
        since_ns=T0_NS, until_ns=T0_NS + 86400 * 10**9, by=by,
        factors=Factors(id="c0ffee" * 10 + "0000", name="2026-11"),
        privacy=Privacy(others="aggregates", is_operator=False, n_hidden=3),
        total=_group({}, 3.4e7),
        groups=[_group({by: one}, 1.9e7 / (i + 1)) for i, one in enumerate((name, "bob", "cleo"))],
        cards=[card(str(4711 + i), name) for i in range(cards)],
        top=[
            Top(
                run=_run(i), job=str(4711 + i), user="ana", stages=["relax.train"],
                state="COMPLETED", wall_s=8388.0 / (i + 1), core_s=5e5 / (i + 1),
                energy_j=4.58e6 / (i + 1), grade="B", operational_gco2e=412.0 / (i + 1),
                share=0.13 / (i + 1),
            )
            for i in range(5)
        ],
        idle=energy(2.2e6), system=energy(3e5), power=power(),
        histogram=Histogram(
            edges_s=[60.0 * 2**i for i in range(11)], counts=[1, 3, 9, 14, 22, 17, 12, 8, 2, 1]
        ),
        reconciliation=[
            NodeDay(
                node=f"node{i:03}", day="2026-09-21", source="rapl", component="cpu",
                counter_j=8.2e6, runs_j=7.0e6, idle_j=1e6, system_j=2e5, difference_j=0.0,
            )
            for i in range(4)
        ],
        runtimes=[], wastes=[], pareto=pareto(),
        notes=[Note(kind="source", text="dram of 2 nodes is modelled: let cmfd read RAPL there.")],
    )  # fmt: skip
