"""What a person can do about what a run took: one line each."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cmfd.query.energy import probes
from cmfd.query.runtime import STRAGGLER_OVER_MEAN
from cmfd.report import units
from cmfd.report.costs.model import Note

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from cmfd.query.energy import EnergySum
    from cmfd.query.results import RunDetail
    from cmfd.report.costs.model import JobCard

WELL_USED = 0.5
"""Below this share of what was asked for, less would have done."""
SHORT_OF_LIMIT = 0.25
IDLE_GPU = 0.02
"""A GPU that took no more than this over what it takes idle did nothing."""
COVERED = 0.95

_SPARE = 1.25
_GIB = 1 << 30

OF_STATES = {
    "TIMEOUT": "It ran into its time limit ({limit}): ask for more, or save and go on from there.",
    "OUT_OF_MEMORY": "It ran out of memory: ask for more than {memory}.",
    "NODE_FAIL": "A node failed under it: submit it again, or with --requeue.",
    "PREEMPTED": "It was preempted: what it had not saved is lost.",
}


def advise(
    db: sqlite3.Connection, card: JobCard, detail: RunDetail, rows: Sequence[EnergySum]
) -> list[Note]:
    """
    Return what can be said to the user of a run.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    card : JobCard
        Of the run, without notes.
    detail : RunDetail
        What else is known of it.
    rows : sequence of EnergySum
        Its energy.
    """
    return [
        *_of_end(card, detail),
        *_of_memory(card),
        *_of_cores(card),
        *_of_gpus(card, rows),
        *_of_limit(card),
        *_of_source(db, card),
    ]


def _of_end(card: JobCard, detail: RunDetail) -> Iterator[Note]:
    if text := OF_STATES.get(card.state or ""):
        limit = units.duration(card.limit_s * 1e9) if card.limit_s else "unknown"
        memory = units.size(card.memory_bytes)
        yield Note(kind="failed", text=text.format(limit=limit, memory=memory))
    elif card.status in ("failed", "lost"):
        what = "was lost" if card.status == "lost" else "failed"
        yield Note(kind="failed", text=f"It {what}: `cmfd show {card.run[:12]}` has what is known.")
    before = [one for one in detail.other_starts if one.restart < card.restart]
    if before:
        n_starts = units.count(len(before), "earlier start")
        yield Note(
            kind="requeued",
            text=f"{n_starts} of this job came to nothing: `cmfd report energy --job {card.job}`.",
        )


def _of_memory(card: JobCard) -> Iterator[Note]:
    asked, share = card.memory_bytes, card.memory_efficiency
    if asked is None or not share or share >= WELL_USED or asked < _GIB:
        return
    used = asked * share
    yield Note(
        kind="memory",
        text=(
            f"Memory was over-requested {1 / share:.1f} times: {units.size(asked)} asked for, "
            f"{units.size(used)} used; {units.size(used * _SPARE)} would leave a quarter to spare."
        ),
    )


def _of_cores(card: JobCard) -> Iterator[Note]:
    share, cores = card.cpu_efficiency, card.n_cores
    if share is not None and cores and cores > 1 and share < WELL_USED:
        yield Note(
            kind="cores",
            text=(
                f"Of {cores} cores, {share * cores:.1f} were busy on average: the program may not "
                "use as many threads or ranks as it could, or may wait for files."
            ),
        )
    if card.imbalance and card.imbalance > STRAGGLER_OVER_MEAN and card.stragglers:
        worst = card.stragglers[0]
        yield Note(
            kind="imbalance",
            text=(
                f"Rank {worst.rank} on {worst.host} was busy {worst.over_mean:.2f} times as long "
                f"as the mean rank of {worst.pipeline}.{worst.stage}: the others waited for it."
            ),
        )


def _of_gpus(card: JobCard, rows: Sequence[EnergySum]) -> Iterator[Note]:
    taken: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        if row.component == "gpu":
            taken[row.node, row.domain][0] += row.uj
            taken[row.node, row.domain][1] += row.static_uj
    idle = [
        f"{domain or 'gpu'} on {node}"
        for (node, domain), (uj, static_uj) in sorted(taken.items())
        if static_uj and uj - static_uj <= IDLE_GPU * uj
    ]
    if idle:
        what = (
            "GPU took no more than it takes"
            if len(idle) == 1
            else "GPUs took no more than they take"
        )
        yield Note(kind="gpu", text=f"{len(idle)} {what} idle: {', '.join(idle[:8])}.")
    elif card.n_gpus and not taken and card.energy:
        yield Note(kind="gpu", text="Nothing was read of its GPUs: their energy is not in here.")


def _of_limit(card: JobCard) -> Iterator[Note]:
    share = card.of_limit
    if share is None or share >= SHORT_OF_LIMIT or not card.limit_s or card.status != "completed":
        return
    yield Note(
        kind="limit",
        text=(
            f"It took {units.share(share)} of its time limit of "
            f"{units.duration(card.limit_s * 1e9)}: with a shorter one it might begin sooner."
        ),
    )


def _of_source(db: sqlite3.Connection, card: JobCard) -> Iterator[Note]:
    energy = card.energy
    if energy is None:
        yield Note(
            kind="source",
            text=(
                "Nothing is known of its energy: no daemon of its user counted on its nodes while"
                " it ran. It began too late, another counts there (`cmfd status`), or there is"
                " nothing to count (`cmfd doctor`)."
            ),
        )
    elif energy.coverage is not None and energy.coverage < COVERED:
        yield Note(
            kind="coverage",
            text=f"For {units.share(1 - energy.coverage)} of the time there was no reading.",
        )
    if energy is not None and energy.grade in "ABC":
        return
    better = [one for one in probes(db, card.nodes) if one.status == "denied" and one.advice]
    if better:
        best = min(better, key=lambda one: one.grade)
        yield Note(
            kind="source",
            text=f"A better figure ({best.source}, grade {best.grade}) is to be had: {best.advice}",
        )
