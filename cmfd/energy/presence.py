"""Who is on a node, and what was read of it at one time: what the sampler is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from cmfd.energy.readings import Component, Grade  # noqa: TC001 - msgspec reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cmfd.energy.readings import Reading
    from cmfd.energy.usage import Usage

Role = Literal["count", "check"]
"""``count``: of one source for each component; ``check``: of others, added to nothing."""

WHOLE_GPU = 1000
"""Thousandths."""
NOBODY = bytes(16)
"""In place of a run or an execution."""


class Allocation(NamedTuple):
    """
    What a batch system gave a job on this node.

    Attributes
    ----------
    cpus, memory_bytes : int or None
        None: not known.
    gpus : tuple of (str, int) or None
        Domains of the devices, and how much of each, in thousandths.
    exclusive : bool
        The node is the job's alone.
    """

    cpus: int | None = None
    memory_bytes: int | None = None
    gpus: tuple[tuple[str, int], ...] | None = None
    exclusive: bool = False


class Work(NamedTuple):
    """A run that is on the node, and those of its executions that are."""

    run: bytes
    allocation: Allocation = Allocation()
    executions: tuple[bytes, ...] = ()


class Measured(NamedTuple):
    """A reading, and what it is from."""

    source: str
    grade: Grade
    role: Role
    reading: Reading


class Counted(NamedTuple):
    """
    What the counters of one component, or GPU, have moved since a daemon began.

    Attributes
    ----------
    component, domain, source, grade : str
        As in a `Row`.
    uj : int
        Microjoules.
    """

    component: Component
    domain: str
    source: str
    grade: Grade
    uj: int


class Sample(NamedTuple):
    """
    All that was read at one time.

    Attributes
    ----------
    boot_ns, utc_ns : int
        When.
    readings : list of Measured
        Of each domain.
    node : Usage
        Of the whole node.
    runs : mapping
        Of runs that are or were just now on the node; without those of whom it is not known.
    processes : mapping or None
        Processor time of each instance's process since it was first read, likewise. None: they
        were not looked at, and nobody came or went.
    works : tuple of Work
        Who is on the node from now on.
    """

    boot_ns: int
    utc_ns: int
    readings: list[Measured]
    node: Usage
    runs: Mapping[bytes, Usage]
    processes: Mapping[bytes, int] | None
    works: tuple[Work, ...]


class Row(NamedTuple):
    """
    The energy of somebody and a component over a stretch of time.

    Attributes
    ----------
    owner : str
        ``run``, ``idle``, ``system``, or ``counter``: what the counter itself moved.
    run, execution : bytes
        Whose; zeroes: of no run, of no execution but the run as a whole.
    component, domain, source : str
        Of what, by which source; the domain only of GPUs.
    t0_ns, dur_ns : int
        UTC; what was known for less of it is in `covered_ns`.
    uj, static_uj : int
        Microjoules, and those of them that are static.
    cpu_ns : int
        Processor time of the owner in that time, in the rows of one component of each.
    grade, role, method : str
        How good, added or not, how attributed.
    flags : int
        `cmfd.energy.readings.Flag`.
    """

    owner: str
    run: bytes
    execution: bytes
    component: str
    domain: str
    source: str
    t0_ns: int
    dur_ns: int
    uj: int
    static_uj: int
    cpu_ns: int
    covered_ns: int
    grade: Grade
    role: Role
    method: str
    flags: int
