"""What it takes to do an execution again, what of that is missing, and how two of them differ."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd.query import metrics, runs
from cmfd.query.located import locate
from cmfd.query.results import Artifact, Execution, Metric, Param, Result
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from cmfd.query.subject import Subject

_GIT_S = 20

_OF_A_JOB = frozenset((
    "SLURMD_NODENAME", "SLURM_ARRAY_JOB_ID", "SLURM_GTIDS", "SLURM_HET_JOB_ID", "SLURM_JOBID",
    "SLURM_JOB_END_TIME", "SLURM_JOB_ID", "SLURM_JOB_NODELIST", "SLURM_JOB_START_TIME",
    "SLURM_LAUNCH_NODE_IPADDR", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NODELIST",
    "SLURM_NODE_ALIASES", "SLURM_PROCID", "SLURM_RESTART_COUNT", "SLURM_SRUN_COMM_HOST",
    "SLURM_SRUN_COMM_PORT", "SLURM_STEPID", "SLURM_STEP_ID", "SLURM_STEP_LAUNCHER_PORT",
    "SLURM_STEP_NODELIST", "SLURM_STEP_RESV_PORTS", "SLURM_SUBMIT_HOST", "SLURM_TASK_PID",
    "SLURM_TOPOLOGY_ADDR", "SLURM_WORKING_CLUSTER",
))  # fmt: skip
"""Variables that say which job this is, and where it ran: they differ from job to job."""
_VARIABLES = "variables"


class Input(Result, frozen=True, kw_only=True):
    """Something that an execution read, and where it is now."""

    digest: str
    path: str
    absolute: str
    kind: str
    found: str | None
    """
    A path on this machine at which the same content is now; None: none is known.

    Of a slice, where what it is a part of is.
    """
    problem: str
    """Why it is not to be had, or nothing."""


class Recipe(Result, frozen=True, kw_only=True):
    """An execution as far as it can be done again."""

    execution: Execution
    command: list[str]
    cwd: str
    code: dict[str, Any]
    params: list[Param]
    inputs: list[Input]
    outputs: list[Artifact]
    metrics: list[Metric]
    environment: dict[str, Any]
    """Python, packages, modules, container, host, variables."""
    missing: list[str]
    """What stands in the way of doing exactly the same; empty: nothing that is known."""


class Difference(Result, frozen=True, kw_only=True):
    """What one execution has otherwise than another."""

    section: str
    """``code``, ``parameter``, ``input``, ``output``, ``metric``, ``python``, ``packages``, ..."""
    key: str
    left: Any
    """None: it has none."""
    right: Any


def recipe(db: sqlite3.Connection, subject: Subject, *, check: bool = True) -> Recipe:
    """
    Return what it takes to do an execution again.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    subject : Subject
        From `cmfd.query.subject.execution`.
    check : bool
        Whether to look for the inputs on this machine, which reads them, and for the commit in the
        repository it was made in.
    """
    (run_id,) = db.execute(_sql("run_id"), {"id": subject.start.id}).fetchone()
    name = subject.name
    execution = next(one for one in runs.executions(db, run_id) if one.execution == name)
    documents = [one.document for one in _own(runs.environments(db, run_id), name)]
    document = documents[0] if documents else {}
    code, command = _section(document, "code"), _section(document, "command")
    artifacts = _own(runs.artifacts(db, run_id), name)
    inputs = [_located(db, one, check=check) for one in artifacts if one.direction == "input"]
    return Recipe(
        execution=execution,
        command=_runnable([str(word) for word in command.get("argv", ())]),
        cwd=str(command.get("cwd", "")),
        code=code,
        params=_own(runs.params(db, run_id), name),
        inputs=inputs,
        outputs=[one for one in artifacts if one.direction == "output"],
        metrics=_own(metrics.summaries(db, run_id), name),
        environment={
            key: value for key, value in document.items() if key not in {"code", "command"}
        },
        missing=[*_code_missing(code, check=check), *_command_missing(command), *_lost(inputs)],
    )


def _runnable(argv: list[str]) -> list[str]:
    """Return a command line as one types it: a program in Python knows only its own part of it."""
    return ["python", *argv] if argv and argv[0].endswith(".py") else argv


def _own(rows: Iterable[Any], execution: str) -> list[Any]:
    return [row for row in rows if row.execution == execution]


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _located(db: sqlite3.Connection, one: Artifact, *, check: bool) -> Input:
    found, problem = locate(db, one.digest, one.absolute) if check else (None, "")
    if one.digest.startswith("stat:"):
        then = f" (when it was recorded: {one.problem})" if one.problem else ""
        problem = f"its content was never read{then}"
    return Input(
        digest=one.digest, path=one.path, absolute=one.absolute, kind=one.kind, found=found,
        problem=problem,
    )  # fmt: skip


def _code_missing(code: dict[str, Any], *, check: bool) -> Iterator[str]:
    """Yield why the code cannot be had as it was."""
    if code.get("problem"):
        yield f"the code version is not known (when it was recorded: {code['problem']})"
    elif not code.get("commit"):
        yield "the code version is not known: it was in no git repository, or not committed"
        return
    if code.get("dirty"):
        parts = [f"diff sha256:{str(code.get('diff_sha256', ''))[:12]}"]
        if code.get("untracked"):
            parts.append(f"{code['untracked']} untracked")
        yield f"the work tree had changes that were not committed ({', '.join(parts)})"
    if not code.get("commit"):
        return
    if not code.get("remote"):
        yield f"the repository {code.get('repository', '')} has no remote to clone from"
    elif check and _is_unpushed(str(code.get("repository", "")), str(code["commit"])):
        yield f"commit {code['commit'][:12]} was not pushed to any remote"


def _is_unpushed(repository: str, commit: str) -> bool:
    """Tell whether the repository is here, and knows of no remote branch with a commit."""
    if not Path(repository).is_dir():
        return False
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - no shell; a commit cannot be taken for an option
            ("git", "-C", repository, "branch", "-r", f"--contains={commit}"),  # noqa: S607 - the user's git
            capture_output=True, timeout=_GIT_S, check=False, env=environ,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode != 0 or not done.stdout.strip()


def _command_missing(command: dict[str, Any]) -> Iterator[str]:
    if not command.get("argv"):
        yield "the command is not known"
    elif any("***" in str(word) for word in command["argv"]):
        yield "a secret in the command was not recorded"


def _lost(inputs: Iterable[Input]) -> Iterator[str]:
    yield from (f"input {one.path} ({one.digest}): {one.problem}" for one in inputs if one.problem)


def differences(left: Recipe, right: Recipe) -> list[Difference]:
    """Return in what two executions differ: code, parameters, data, metrics, environment."""
    sections = dict.fromkeys(key for one in (left, right) for key in _facts(one))
    return [
        Difference(section=section, key=key, left=one.get(key), right=other.get(key))
        for section in sections
        for one, other in [(_facts(left).get(section, {}), _facts(right).get(section, {}))]
        for key in sorted({*one, *other})
        if repr(one.get(key)) != repr(other.get(key))  # NaN is not equal to itself
    ]


def _facts(one: Recipe) -> dict[str, dict[str, Any]]:
    """Return what can differ, by section and name."""
    stage = {"pipeline": one.execution.pipeline, "stage": one.execution.stage}
    params: dict[str, Any] = {}
    for param in one.params:
        params.setdefault(param.key, []).append(param.value)
    return {
        "execution": {**stage, "status": one.execution.status, "n_ranks": one.execution.n_ranks},
        "command": {"argv": one.command, "cwd": one.cwd},
        "code": one.code,
        "parameter": {key: _single(values) for key, values in params.items()},
        "input": _digests(one.inputs),
        "output": _digests(one.outputs),
        "metric": {metric.name: metric.last for metric in one.metrics},
        **{key: _comparable(key, value) for key, value in one.environment.items()},
    }  # fmt: skip


def _comparable(section: str, value: Any) -> dict[str, Any]:
    """Return what can differ of a section of the environment."""
    if not isinstance(value, dict):
        return {section: value}
    left_out = _OF_A_JOB if section == _VARIABLES else ()
    return {key: said for key, said in value.items() if key not in left_out}


def _digests(artifacts: Iterable[Input | Artifact]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in artifacts:
        found.setdefault(one.path, []).append(one.digest)
    return {path: _single(sorted(digests)) for path, digests in found.items()}


def _single(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _sql(name: str) -> str:
    return named("query/repro")[name]
