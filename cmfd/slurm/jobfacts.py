"""Records of a start of a job, as facts of a run."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cmfd.model import Scalar, ValueType
from cmfd.slurm import figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cmfd.slurm.records import Record, Step

PREFIX = "slurm."
STATE = "slurm.state"
"""The fact that a run has once what became of its job is joined to it."""

MOST_STEPS = 1000
"""Only so many, the first ones, are told one by one."""

_OF_LEADER = (
    "account", "partition", "qos", "reservation", "job_name", "reason", "exit_code", "exit_signal",
    "derived_exit_code", "derived_exit_signal", "cancelled_by_uid", "submit_time_s",
    "eligible_time_s", "start_time_s", "end_time_s", "elapsed_s", "suspended_s", "time_limit_s",
    "requested_tres", "allocated_tres", "dependency", "array_job", "array_task", "het_job",
    "submit_line",
)  # fmt: skip
_SUMS = (
    "nodes", "cpus", "requested_cpus", "requested_memory_bytes", "total_cpu_s", "energy_j",
)  # fmt: skip


class JobFact(NamedTuple):
    """A fact to be stated of a run."""

    key: str
    type: str
    value: Scalar


def facts_of(records: Sequence[Record], source: str) -> list[JobFact]:
    """
    Return the facts that records of one start of a job are.

    Parameters
    ----------
    records : sequence of Record
        One; of a het job one for each component, the leader's first: then counts and sums are of
        all of them, and texts and times of the leader.
    source : str
        ``sacct`` or ``scontrol``: who told.

    Returns
    -------
    list of JobFact
        By key; only what is known.
    """
    leader = records[0]
    steps = [step for record in records for step in record.steps]
    known: dict[str, Any] = {name: getattr(leader, name) for name in _OF_LEADER}
    known |= {name: _total(getattr(record, name) for record in records) for name in _SUMS}
    known |= {
        "accounting": source,
        "state": _worst_state(records),
        "node_list": ",".join(record.node_list for record in records if record.node_list),
        "allocated_memory_bytes": _total(_memory(record) for record in records),
        "allocated_gpus": _total(_gpus(record) for record in records),
        "energy_j": known["energy_j"] or _most(step.energy_j for step in steps),
        "max_rss_bytes": _most(step.max_rss_bytes for step in steps),
        # As SLURM's own seff: steps mostly come one after the other.
        "used_memory_bytes": _most(step.used_memory_bytes for step in steps),
    }
    if leader.array_task is not None:
        known["job"] = f"{leader.array_job}_{leader.array_task}"
    if len(records) > 1:
        known["het_components"] = len(records)
    found = [_fact(key, value) for key, value in known.items() if value not in (None, "")]
    if steps:
        found.append(_fact("n_steps", len(steps)))
        found.append(JobFact(f"{PREFIX}steps", ValueType.JSON.value, _steps(steps)))
    return sorted(found)


def _fact(key: str, value: Scalar) -> JobFact:
    kinds = {int: ValueType.INT, float: ValueType.FLOAT, str: ValueType.STR}
    return JobFact(PREFIX + key, kinds[type(value)].value, value)


def _steps(steps: Sequence[Step]) -> str:
    return msgspec.json.encode(steps[:MOST_STEPS]).decode()


def _total(values: Iterable[float | None]) -> Any:
    known = [value for value in values if value is not None]
    return reduce(lambda one, other: one + other, known) if known else None


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _worst_state(records: Sequence[Record]) -> str:
    """Return the leader's state; where that is COMPLETED, the first component's that is not."""
    states = [record.state for record in records]
    return next((state for state in states if state != "COMPLETED"), states[0])


def _memory(record: Record) -> int | None:
    return figures.memory_bytes(figures.tres(record.allocated_tres).get("mem", ""), unit="M")


def _gpus(record: Record) -> int | None:
    return figures.whole(figures.tres(record.allocated_tres).get("gres/gpu", ""))
