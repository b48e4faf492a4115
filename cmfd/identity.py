"""
Ids that every rank, node and site derives alone.

A run's id comes from what names the job start in its surroundings (SLURM's job, an MPI launch),
so that all its processes agree without a word. Only where nothing does, a UUIDv7 is made once
and handed down in ``CMFD_RUN``.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from cmfd import slurm
from cmfd.errors import ConfigError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cmfd.model import Id

NAMESPACE = bytes.fromhex("5e0bb8c6b3f15d0c9a4a1d5cbb6c9d1f")
"""Namespace of every UUIDv5 that cmfd derives from a text; never changed."""

RUN_VARIABLE = "CMFD_RUN"
"""Hands a run's id down to the processes below, as 32 hexadecimal digits."""

SHORT_DIGITS = 12


class RunIdentity(NamedTuple):
    """Which run this process belongs to, and how that is known."""

    run: Id
    cluster: str = ""
    job: str = ""
    """The job as users name it; empty without a batch system."""
    restart: int = 0
    derived_from: str = "new"
    """``inherited`` (CMFD_RUN), ``slurm``, ``mpi`` (a launch) or ``new``."""


def uuid7() -> Id:
    """
    Make a new id whose order is that of time (RFC 9562, version 7).

    Returns
    -------
    bytes
        48 bits of milliseconds, 12 of the millisecond's fraction, 62 random ones.
    """
    milliseconds, rest_ns = divmod(time.time_ns(), 1_000_000)
    fraction = (rest_ns << 12) // 1_000_000
    head = milliseconds << 16 | 0x7 << 12 | fraction
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1) | 1 << 63
    return head.to_bytes(8, "big") + tail.to_bytes(8, "big")


def uuid5(namespace: Id, name: str) -> Id:
    """
    Derive the id that `name` has within `namespace` (RFC 9562, version 5).

    Parameters
    ----------
    namespace : bytes
        An id.
    name : str
        Any text; file names that are no UTF-8 included.
    """
    from hashlib import sha1  # noqa: PLC0415 - 2 ms that `import cmfd` need not pay

    text = name.encode("utf-8", "surrogateescape")
    made = bytearray(sha1(namespace + text, usedforsecurity=False).digest()[:16])
    made[6] = made[6] & 0x0F | 0x50
    made[8] = made[8] & 0x3F | 0x80
    return bytes(made)


def new_run() -> RunIdentity:
    """Make the identity of a run that nothing in the surroundings names."""
    return RunIdentity(uuid7())


def run_of_job(cluster: str, job: str, restart: int) -> Id:
    """
    Derive the id of one start of a job of SLURM's.

    Parameters
    ----------
    cluster, job : str
        SLURM's ``ClusterName``, and the job's number: of a het job that of its leader.
    restart : int
        How often the job was requeued before this start.
    """
    return uuid5(NAMESPACE, f"slurm/{cluster}/{job}/{restart}")


def run_from(environ: Mapping[str, str] = os.environ) -> RunIdentity | None:
    """
    Derive which run this process belongs to; the same in all processes of the run.

    ``CMFD_RUN`` comes first, except that a job queued by sbatch is a run of its own even when it
    was queued from within another: sbatch hands all variables on. Then SLURM's job and its restart
    count, then the MPI launch.

    Parameters
    ----------
    environ : mapping
        Environment variables.

    Returns
    -------
    RunIdentity or None
        None where nothing names the run: make one (`new_run`) and hand it down.

    Raises
    ------
    ConfigError
        ``CMFD_RUN`` is no id.
    """
    job = slurm.job_from(environ)
    own = run_of_job(job.cluster, job.id, job.restart) if job else None
    run = _inherited(environ)
    derived_from = "inherited"
    if own and (run is None or (run != own and slurm.is_batch(environ))):
        run, derived_from = own, "slurm"
    elif run is None and (launch := "/".join(_launch(environ))):
        run, derived_from = uuid5(NAMESPACE, f"mpi/{launch}"), "mpi"
    if run is None:
        return None
    if job is None:
        return RunIdentity(run, derived_from=derived_from)
    return RunIdentity(run, job.cluster, job.name, job.restart, derived_from)


def _inherited(environ: Mapping[str, str]) -> Id | None:
    """Return the id that a process above handed down."""
    named = environ.get(RUN_VARIABLE)
    if not named:
        return None
    try:
        return parse(named)
    except NotFoundError:
        raise ConfigError(
            f"{RUN_VARIABLE} is {named!r}, which is no run id (32 hexadecimal digits). Unset it: "
            "cmfd sets it where it is needed."
        ) from None


def step_from(environ: Mapping[str, str] = os.environ) -> str:
    """
    Tell which launch within the run this process belongs to.

    Parameters
    ----------
    environ : mapping
        Environment variables.

    Returns
    -------
    str
        ``mpi:<12 hex>`` below an MPI launcher, which inside of SLURM's steps has one on some nodes
        and none on others; else ``slurm:<step>``; else empty.
    """
    step = slurm.step_of(environ)
    launch = [*_launch(environ), environ.get("PMIX_NAMESPACE", "")]
    if any(launch[:-1]) and not (step and _is_srun_task(environ)):
        return f"mpi:{uuid5(NAMESPACE, '/'.join(launch)).hex()[:SHORT_DIGITS]}"
    return f"slurm:{step}" if step else ""


def _is_srun_task(environ: Mapping[str, str]) -> bool:
    """Tell whether no other launcher stands between SLURM's step and this process."""
    return not any(name in environ for name in _OTHER_LAUNCHERS)


def execution_id(run: Id, step: str, pipeline: str, stage: str, ordinal: int) -> Id:
    """
    Derive the id of an execution from its position under the run.

    Parameters
    ----------
    run : bytes
        The run's id.
    step : str
        What `step_from` says.
    pipeline, stage : str
        Any text.
    ordinal : int
        How many executions of this stage the process started before in this step.

    Returns
    -------
    bytes
        The same in all ranks that start the same execution.
    """
    parts = (step, pipeline, stage, str(ordinal))
    return uuid5(run, "".join(f"{len(part)}:{part}," for part in parts))


def text(identity: Id) -> str:
    """Write an id in full, as RFC 9562 does."""
    digits = identity.hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def short(identity: Id) -> str:
    """Write the beginning of an id, enough to find it on one site."""
    return identity.hex()[:SHORT_DIGITS]


def parse(written: str) -> Id:
    """
    Read an id written in full, with or without hyphens.

    Raises
    ------
    NotFoundError
        It is none.
    """
    first, last = prefix_range(written)
    if first != last:
        raise NotFoundError(f"{written!r} is no id: 32 hexadecimal digits are needed.")
    return first


def prefix_range(written: str) -> tuple[Id, Id]:
    """
    Return the least and the greatest id that begin as `written`.

    Parameters
    ----------
    written : str
        Up to 32 hexadecimal digits, hyphens anywhere between.

    Raises
    ------
    NotFoundError
        No id begins like that.
    """
    digits = written.replace("-", "").lower()
    if not digits or len(digits) > 32 or digits.strip("0123456789abcdef"):
        raise NotFoundError(f"{written!r} is no id nor the beginning of one (hexadecimal digits).")
    return bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))


_LAUNCH_VARIABLES = (
    ("OMPI_MCA_orte_hnp_uri", "OMPI_MCA_orte_precondition_transports"),  # Open MPI 4 and before
    ("PMIX_NAMESPACE",),  # Open MPI 5: prterun-<host>-<pid>@<number of the spawn>
    ("PALS_APID",),  # HPE
    ("FLUX_ENCLOSING_ID", "FLUX_JOB_ID"),
    ("MPIRUN_HOST", "MPIRUN_PORT", "MPIRUN_ID"),  # MVAPICH2
    ("TORCHELASTIC_RUN_ID",),  # "none" unless given or --standalone
)
"""What names a launch, the same in all its ranks on all nodes; the first one set counts."""

_OTHER_LAUNCHERS = ("OMPI_COMM_WORLD_RANK", "PRTE_LAUNCHED", "HYDI_CONTROL_FD")
"""Set by launchers that themselves use srun to start their helpers."""

_LOCAL_AND_WHOLE_SIZE = (
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_SIZE"),
    ("MPI_LOCALNRANKS", "PMI_SIZE"),
    ("LOCAL_WORLD_SIZE", "WORLD_SIZE"),
)
_LAUNCHERS = frozenset((
    "mpirun", "mpiexec", "orterun", "orted", "prterun", "prte", "prted", "mpiexec.hydra",
    "hydra_pmi_proxy", "torchrun",
))  # fmt: skip


def _launch(environ: Mapping[str, str]) -> list[str]:
    """
    Return what names the MPI (or torchrun) launch of this process, nothing where SLURM does.

    Launchers name their launches by host and process id, which come again; a launch whose ranks
    are all on this node is therefore also named by when its launcher was started.
    """
    if environ.get("PMIX_NAMESPACE", "").startswith("slurm."):
        return []
    named = next((v for v in _LAUNCH_VARIABLES if environ.get(v[-1]) not in (None, "", "none")), ())
    parts = [environ.get(name, "").partition("@")[0] for name in named]
    on_one_node = any(
        whole in environ and environ.get(local) == environ[whole]
        for local, whole in _LOCAL_AND_WHOLE_SIZE
    )
    return [*parts, *_launcher(environ)] if on_one_node else parts


def _launcher(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what tells the nearest launcher above this process from every other process ever."""
    pid = os.getppid()
    while pid:
        name, _, rest = _read(f"/proc/{pid}/stat").partition("(")[2].rpartition(")")
        fields = rest.split()  # from the third on: state, parent, ...; the 22nd is the start time
        if name in _LAUNCHERS or "TORCHELASTIC_RUN_ID" in environ:  # whose agent is a Python
            yield from (os.uname().nodename, _read("/proc/sys/kernel/random/boot_id").strip())
            yield from (str(pid), fields[19])
            return
        pid = int(fields[1]) if fields else 0


def _read(path: str) -> str:
    """Return a /proc file's text; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - pathlib: 5 ms
            return file.read()
    except OSError:
        return ""
