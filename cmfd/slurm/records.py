"""
What SLURM's accounting holds of a start of a job and of its steps, whoever told it.

None is what is not known, or does not apply. Times are UTC seconds.
"""

from __future__ import annotations

import msgspec

FINAL_STATES = frozenset((
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL",
    "OUT_OF_MEMORY", "PREEMPTED", "RECONFIG_FAIL", "REQUEUED", "REVOKED", "TIMEOUT",
))  # fmt: skip
"""A start of a job that is in one of these states never changes it any more."""


class Step(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A step of a job: its batch script, a program started by srun, or ``extern``."""

    step: str
    """``batch``, ``0``; of component 1 of a het job ``1+0``."""
    name: str = ""
    state: str = ""
    exit_code: int | None = None
    exit_signal: int | None = None
    start_time_s: int | None = None
    end_time_s: int | None = None
    nodes: int | None = None
    tasks: int | None = None
    cpus: int | None = None
    node_list: str = ""
    total_cpu_s: float | None = None
    max_rss_bytes: int | None = None
    """Of its largest task."""
    used_memory_bytes: int | None = None
    """The tasks' peaks together."""
    energy_j: int | None = None
    """Of its nodes as long as it ran, whoever else used them."""
    submit_line: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A start of a job; of a het job, of one of its components."""

    job: int
    """The number that SLURM counts by."""
    cluster: str = ""
    array_job: int | None = None
    array_task: int | None = None
    het_job: int | None = None
    het_component: int | None = None
    restart: int | None = None
    """Which start it is, where SLURM says so."""
    user: str = ""
    account: str = ""
    partition: str = ""
    qos: str = ""
    reservation: str = ""
    job_name: str = ""
    state: str = ""
    """One word, as ``CANCELLED``."""
    cancelled_by_uid: int | None = None
    reason: str = ""
    exit_code: int | None = None
    exit_signal: int | None = None
    derived_exit_code: int | None = None
    """The highest of its steps."""
    derived_exit_signal: int | None = None
    submit_time_s: int | None = None
    eligible_time_s: int | None = None
    start_time_s: int | None = None
    end_time_s: int | None = None
    elapsed_s: int | None = None
    suspended_s: int | None = None
    time_limit_s: int | None = None
    nodes: int | None = None
    cpus: int | None = None
    requested_cpus: int | None = None
    requested_memory_bytes: int | None = None
    node_list: str = ""
    requested_tres: str = ""
    allocated_tres: str = ""
    total_cpu_s: float | None = None
    energy_j: int | None = None
    dependency: str = ""
    submit_line: str = ""
    steps: list[Step] = msgspec.field(default_factory=list)

    @property
    def is_final(self) -> bool:
        """Whether this start is over."""
        return self.state in FINAL_STATES

    @property
    def is_settled(self) -> bool:
        """Whether accounting has caught up: it is some seconds behind the controller."""
        steps_ended = all(step.end_time_s for step in self.steps)
        named = bool(self.partition) and self.job_name != "allocation"
        return self.is_final and self.end_time_s is not None and named and steps_ended


def state_of(text: str) -> tuple[str, int | None]:
    """Split a state from who ended it: ``CANCELLED by 20001``."""
    state, _, who = text.partition(" by ")
    return state.partition(" ")[0].strip("+"), int(who) if who.isdecimal() else None


def begun(record: Record) -> Record:
    """
    Say of a start when it began, where accounting says that of its steps only.

    SLURM's controller tells when a job was queued and when it ended, and forgets at times to tell
    when it began.
    """
    times_s = [step.start_time_s for step in record.steps if step.start_time_s]
    if record.start_time_s is not None or not times_s:
        return record
    begin_s, end_s = min(times_s), record.end_time_s
    elapsed_s = record.elapsed_s if end_s is None else max(end_s - begin_s, 0)
    return msgspec.structs.replace(record, start_time_s=begin_s, elapsed_s=elapsed_s)
