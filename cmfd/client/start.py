"""
Starting an execution: which run, execution and rank this process is.

All of it follows from the environment (`cmfd run`, SLURM, an MPI launcher) or,
with a communicator, is agreed once over it, so that all ranks of a job log to
one run.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd import config, identity, slurm
from cmfd.client.deadline import Deadline
from cmfd.client.execution import Execution
from cmfd.client.launch import ensure_daemon
from cmfd.client.ranks import Rank, rank_from, rank_of
from cmfd.client.session import session
from cmfd.client.values import legible
from cmfd.client.warn import tell
from cmfd.forks import no_fork
from cmfd.wire.messages import ExecutionBegin, ProcessBegin, Record, RunBegin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cmfd.client.session import Session


class Plan(NamedTuple):
    """What all ranks of an execution must agree on."""

    run: identity.RunIdentity
    execution: bytes
    parent: bytes | None
    pipeline: str
    stage: str
    step: str
    site: str


_current: Execution | None = None
_ordinals: dict[tuple[bytes, str, str, str], int] = {}
_surroundings: list[dict[str, str]] = []  # once known: what a process above handed down
_deciding = threading.RLock()
"""Held while it is decided what an execution is, which the next one's depends on."""
_HANDED_DOWN = ("CMFD_RUN", "CMFD_EXECUTION", "CMFD_PIPELINE", "CMFD_STAGE", "CMFD_SITE")


def start(  # noqa: PLR0913 - each is optional and named
    pipeline: str | None = None,
    stage: str | None = None,
    *,
    comm: Any = None,
    site: str | os.PathLike[str] | None = None,
    name: str = "",
    params: Mapping[str, Any] | None = None,
) -> Execution:
    """
    Start an execution, or join the one that `cmfd run` or the other ranks started.

    Parameters
    ----------
    pipeline, stage : str, optional
        What this is an execution of. Default: what ``cmfd run`` was told, else the name of the
        working directory and of the program.
    comm : mpi4py.MPI.Comm, optional
        Communicator of the ranks; the call is then collective, and identity is agreed over it
        once. Without it, rank and run come from the environment of SLURM, PMIx, Open MPI or PMI.
    site : path, optional
        Site repository to merge into. Default: the nearest ``.cmfd`` directory upward, else
        ``$CMFD_SITE``, else the user's data directory.
    name : str, optional
        A name for the run, for people.
    params : mapping, optional
        Parameters to record at once.

    Returns
    -------
    Execution
        Ends with its ``with`` block, its `Execution.end`, or the process. It is also the
        current one, which the functions of the module ``cmfd`` log to.

    Raises
    ------
    CmfdError
        Only with the ``strict`` setting; otherwise a failure is one warning, and what the
        execution is given goes nowhere.
    """
    global _current  # noqa: PLW0603 - the current execution is the process's
    here = session()
    try:
        rank = rank_of(comm) if comm is not None else rank_from(os.environ)
    except Exception as error:
        if here.settings.strict:
            raise
        tell("start", error)  # law 1: that is no communicator, in no rank
        comm, rank = None, rank_from(os.environ)
    plan = _agree(comm, pipeline, stage, site)
    name = _said(name)
    begin = first_records(plan, rank, name)
    execution = Execution(
        here, plan.execution, plan.run.run, plan.pipeline, plan.stage, rank, begin, comm
    )
    _current = execution
    try:
        _hand_down(plan)
        _open(here, execution, plan)
    except Exception as error:
        if here.settings.strict:
            raise
        tell("start", error)  # law 1: no threads left, no room for the journal, ...
    if name:  # a wrapper may have begun the run without one
        execution.fact("name", name, subject=execution.run)
    if params:
        execution.params(params)
    return execution


def current() -> Execution:
    """Return the execution started last in this process, starting one if there is none."""
    found = _current
    if found is None or found.ended:
        with _deciding:  # of threads that log at once, one starts it
            found = _current
            if found is None or found.ended:
                found = start()
    return found


def _agree(
    comm: Any, pipeline: str | None, stage: str | None, site: str | os.PathLike[str] | None
) -> Plan:
    """Decide on a plan; with a communicator, rank 0 decides for all."""
    if comm is None or comm.Get_size() == 1:
        return _some_plan(pipeline, stage, site)
    plan = _some_plan(pipeline, stage, site) if comm.Get_rank() == 0 else None
    agreed: Plan = comm.bcast(plan, root=0)
    return agreed


def _some_plan(
    pipeline: str | None, stage: str | None, site: str | os.PathLike[str] | None
) -> Plan:
    """Return a plan whatever happens: the other ranks wait for it."""
    pipeline, stage = (None if name is None else _word(_said(name)) for name in (pipeline, stage))
    try:
        with _deciding:
            return _plan(pipeline, stage, site)
    except Exception as error:
        if session().settings.strict:
            raise
        tell("start", error)
    run = identity.new_run()
    names = (pipeline or "default", stage or "default")
    execution = identity.execution_id(run.run, "", *names, 0)
    where = str(site) if isinstance(site, (str, os.PathLike)) else ""
    return Plan(run, execution, None, *names, "", where)


def _plan(pipeline: str | None, stage: str | None, site: str | os.PathLike[str] | None) -> Plan:
    outer = _handed_down()
    run = identity.run_from(os.environ) or identity.new_run()
    os.environ[identity.RUN_VARIABLE] = identity.text(run.run)  # for other threads, at once
    step = identity.step_from(os.environ)
    inherited = outer.get("CMFD_EXECUTION", "")
    names = (outer.get("CMFD_PIPELINE"), outer.get("CMFD_STAGE"))
    pipeline = pipeline or names[0] or _word(default_pipeline(cwd()))
    stage = stage or names[1] or _word(default_stage(next(iter(_argv()), "")))
    parent = identity.parse(inherited) if inherited else None
    if parent is not None and (pipeline, stage) == names:
        execution, parent = parent, None
    else:
        key = (run.run, step or session().instance.hex(), pipeline, stage)
        ordinal = _ordinals[key] = _ordinals.get(key, -1) + 1
        execution = identity.execution_id(*key, ordinal)
    where = os.path.abspath(os.fsdecode(site or site_of(outer)))  # noqa: PTH100 - not resolved, as elsewhere
    return Plan(run, execution, parent, pipeline, stage, step, where)


def _word(name: str) -> str:
    """Make a name fit for a variable, an id and a record: directories may have any bytes."""
    return legible(name).replace("\0", "")


def _said(name: object) -> str:
    """Return a name as text; of an object that fails to say its own, nothing."""
    try:
        return str(name)
    except Exception as error:
        if session().settings.strict:
            raise
        tell("start", error)  # law 1: it is somebody's class
        return ""


def _argv() -> list[str]:
    """Return this program's command line: one that embeds Python may have none, or any objects."""
    return [str(argument) for argument in getattr(sys, "argv", ())]


def site_of(outer: Mapping[str, str]) -> str:
    """Return the site of the run this process was started in, else the default site."""
    if outer.get("CMFD_RUN") and outer.get("CMFD_SITE"):
        return outer["CMFD_SITE"]
    return str(config.find_site(cwd() or "/", os.environ))


def _handed_down() -> dict[str, str]:
    """Return the variables that a process above handed down, not those set here for below."""
    if not _surroundings:
        _surroundings.append({key: os.environ[key] for key in _HANDED_DOWN if key in os.environ})
    return _surroundings[0]


def _hand_down(plan: Plan) -> None:
    """Let programs that this one starts belong to the same run, within this execution."""
    os.environ["CMFD_RUN"] = identity.text(plan.run.run)
    os.environ["CMFD_EXECUTION"] = identity.text(plan.execution)
    os.environ["CMFD_PIPELINE"] = plan.pipeline
    os.environ["CMFD_STAGE"] = plan.stage
    os.environ["CMFD_SITE"] = plan.site


def cwd() -> str:
    """Return the working directory, or nothing if it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109 - cheap
    except OSError:
        return ""


def default_pipeline(cwd: str) -> str:
    """Name a pipeline after the working directory."""
    return os.path.basename(cwd) or "default"  # noqa: PTH119 - cheap


def default_stage(program: str) -> str:
    """Name a stage after the program; a notebook or interactive session has none."""
    base = os.path.basename(program)  # noqa: PTH119 - cheap
    if base in ("", "-c", "-m") or base.startswith(("ipykernel", "colab_kernel")):
        return "interactive"
    return base.removesuffix(".py")


def first_records(
    plan: Plan, rank: Rank, name: str = "", *, role: str = "rank", command: str = ""
) -> list[Record]:
    """Return what every process of an execution says first; `command`: of others than itself."""
    now_ns = time.time_ns()
    run = RunBegin(
        at_ns=now_ns, run=plan.run.run, cluster=plan.run.cluster, job=plan.run.job,
        restart=plan.run.restart, user=_user(), name=name,
        command=command or _command(), cwd=cwd(), site=plan.site,
    )  # fmt: skip
    execution = ExecutionBegin(
        at_ns=now_ns, execution=plan.execution, run=plan.run.run, parent=plan.parent,
        pipeline=plan.pipeline, stage=plan.stage, step=plan.step,
    )  # fmt: skip
    process = ProcessBegin(
        at_ns=now_ns, execution=plan.execution, rank=rank.rank, size=rank.size,
        local_rank=rank.local_rank, host=slurm.node_name(), pid=os.getpid(), role=role,
    )  # fmt: skip
    return [run, execution, process]


def _command() -> str:
    """Return this program's command line; where it cannot be told, no more is missing."""
    try:
        from cmfd.client.redact import scrub_argv  # noqa: PLC0415 - spares `import cmfd` 3 ms

        return " ".join(scrub_argv(_argv()))
    except Exception as error:
        if session().settings.strict:
            raise
        tell("start", error)  # law 1: no descriptors left to import it by, ...
        return ""


def _after_fork() -> None:
    global _deciding  # noqa: PLW0603 - another thread may have held it
    _deciding = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


def _user() -> str:
    """Return who this is; where nobody says, as in many containers, by the list of users."""
    if named := os.environ.get("USER") or os.environ.get("LOGNAME"):
        return named
    try:
        import pwd  # noqa: PLC0415 - not asked otherwise: on a cluster, it may ask the network

        return pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError, OSError):
        return str(os.getuid())


def _open(here: Session, execution: Execution, plan: Plan) -> None:
    """Write the first records; start a daemon and describe the environment in the background."""
    execution.begin()
    settings = here.settings
    if execution.rank.rank == 0:  # first: on a busy node, a daemon takes seconds to start
        here.background.submit(lambda: tell_of_job(execution, plan.run.run))
    if settings.autostart:
        here.background.submit(lambda: ensure_daemon(settings))
    if execution.rank.rank == 0:
        here.describe_later(execution, lambda: describe(execution, here))


def tell_of_job(execution: Execution, run: bytes) -> None:
    """Record the batch system's facts about a run's job."""
    for key, value in slurm.facts(os.environ).items():
        execution.fact(key, value, subject=run)
    if nodes := slurm.step_nodes(os.environ):
        execution.fact("slurm.step_nodes", nodes)


def describe(execution: Execution, here: Session, argv: Sequence[str] = ()) -> None:
    """Record the environment of an execution."""
    with no_fork():
        from cmfd.client.environment import PATIENCE_S, capture  # noqa: PLC0415 - as above
        from cmfd.client.values import as_json  # noqa: PLC0415 - as above

    at_ns = time.time_ns()
    document = capture(
        cwd(), argv or _argv(), here.settings.env_allow,
        deadline=Deadline(PATIENCE_S, within=here.background.deadline),
    )  # fmt: skip
    execution.describe(as_json(document), at_ns)
