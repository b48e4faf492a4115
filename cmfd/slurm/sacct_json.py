"""
What `sacct --json` prints, read into records.

The shape changes from release to release: a state is a text or a list of them, a number a number or
``{"set": true, "infinite": false, "number": 4}``, a step's id a number, or a text with the job's
before it. Readers here take either. Before SLURM 23.11 the exit codes in it are wrong: 0 for
every program that ended by itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from cmfd.errors import SlurmError
from cmfd.slurm.records import Record, Step, begun, state_of

MEBIBYTE = 1 << 20
_MOST = 1 << 63
"""Larger numbers are how SLURM writes that it has none."""
_TRES_UNIT = {"mem": "M"}


def read(output: str | bytes) -> list[Record]:
    """
    Read what `sacct --json` printed.

    Returns
    -------
    list of Record
        With their steps, in the order they were printed.

    Raises
    ------
    SlurmError
        It has another form, or SLURM says in it that something went wrong.
    """
    try:
        document = msgspec.json.decode(output)
        errors = [_text(one, "description") or _text(one, "error") for one in document["errors"]]
        if errors:
            raise SlurmError(f"sacct failed: {'; '.join(errors)[:500]}")
        return [begun(_record(job)) for job in document["jobs"]]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise SlurmError(f"sacct --json printed what cannot be read: {error!r}.") from error


def _at(document: Any, *path: str) -> Any:
    """Return what lies under keys within each other; None where one is missing."""
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _text(document: Any, *path: str) -> str:
    """Return a text; of a list, the first."""
    found = _at(document, *path)
    if isinstance(found, list):
        found = found[0] if found else ""
    return found if isinstance(found, str) else ""


def _number(document: Any, *path: str) -> int | None:
    """Return a whole number, however it is wrapped; None where none is set."""
    found = _at(document, *path)
    if isinstance(found, dict):
        found = found.get("number") if found.get("set") and not found.get("infinite") else None
    is_number = isinstance(found, int) and not isinstance(found, bool)
    return found if is_number and 0 <= found < _MOST else None


def _time_s(document: Any, *path: str) -> int | None:
    return _number(document, *path) or None


def _cpu_s(document: Any) -> float | None:
    """Return the processor time of a job or step: system and user together."""
    seconds = _number(document, "time", "total", "seconds")
    micros = _number(document, "time", "total", "microseconds")
    return None if seconds is None else seconds + (micros or 0) / 1e6


def _exit_and_signal(document: Any) -> tuple[int | None, int | None]:
    signal = _number(document, "signal", "id") or _number(document, "signal", "signal_id")
    code = _number(document, "return_code")
    return (None if signal and not code else code), signal or None


def _tres(found: Any) -> str:
    """Write a list of resources as `sacct` does in text."""
    parts = []
    for one in found if isinstance(found, list) else []:
        kind, name, count = one["type"], one.get("name"), _number(one, "count")
        if count is not None:
            parts.append(f"{kind}{f'/{name}' if name else ''}={count}{_TRES_UNIT.get(kind, '')}")
    return ",".join(sorted(parts))


def _count(found: Any, kind: str) -> int | None:
    """Return how much of one resource a list has."""
    for one in found if isinstance(found, list) else []:
        if one["type"] == kind:
            return _number(one, "count")
    return None


def _record(job: Any) -> Record:
    het = _number(job, "het", "job_id") or None
    array = _number(job, "array", "task_id")
    exit_code, exit_signal = _exit_and_signal(job["exit_code"])
    derived_code, derived_signal = _exit_and_signal(_at(job, "derived_exit_code"))
    requested, allocated = _at(job, "tres", "requested"), _at(job, "tres", "allocated")
    memory_mib, limit_min = _count(requested, "mem"), _number(job, "time", "limit")
    state, _ = state_of(_text(job, "state", "current"))
    reason = _text(job, "state", "reason")
    steps = [_step(step, _number(job, "het", "job_offset")) for step in job["steps"]]
    return Record(
        job=job["job_id"],
        cluster=_text(job, "cluster"),
        array_job=_number(job, "array", "job_id") or job["job_id"] if array is not None else None,
        array_task=array,
        het_job=het,
        het_component=_number(job, "het", "job_offset") if het else None,
        restart=_number(job, "restart_cnt"),
        user=_text(job, "user") or _text(job, "association", "user"),
        account=_text(job, "account"),
        partition=_text(job, "partition"),
        qos=_text(job, "qos"),
        reservation=_text(job, "reservation", "name"),
        job_name=_text(job, "name"),
        state=state,
        reason="" if reason == "None" else reason,
        exit_code=exit_code,
        exit_signal=exit_signal,
        derived_exit_code=derived_code,
        derived_exit_signal=derived_signal,
        submit_time_s=_time_s(job, "time", "submission"),
        eligible_time_s=_time_s(job, "time", "eligible"),
        start_time_s=_time_s(job, "time", "start"),
        end_time_s=_time_s(job, "time", "end"),
        elapsed_s=_number(job, "time", "elapsed"),
        suspended_s=_number(job, "time", "suspended"),
        time_limit_s=None if limit_min is None else limit_min * 60,
        nodes=_count(allocated, "node") or _number(job, "allocation_nodes"),
        cpus=_count(allocated, "cpu"),
        requested_cpus=_number(job, "required", "CPUs"),
        requested_memory_bytes=None if memory_mib is None else memory_mib * MEBIBYTE,
        node_list="" if _text(job, "nodes") == "None assigned" else _text(job, "nodes"),
        requested_tres=_tres(requested),
        allocated_tres=_tres(allocated),
        total_cpu_s=_total_cpu_s(job, steps),
        energy_j=_count(allocated, "energy"),
        submit_line=_text(job, "submit_line"),
        steps=steps,
    )


def _total_cpu_s(job: Any, steps: list[Step]) -> float | None:
    """Return a job's processor time; where it is left out (0), that of its steps."""
    of_steps = [step.total_cpu_s for step in steps if step.total_cpu_s is not None]
    return _cpu_s(job) or (round(sum(of_steps), 6) if of_steps else None)


def _step(step: Any, component: int | None) -> Step:
    exit_code, exit_signal = _exit_and_signal(step["exit_code"])
    usage = _at(step, "tres", "requested")  # so it is called; what tasks asked of the system
    energy_j = _number(step, "statistics", "energy", "consumed")
    return Step(
        step=(f"{component}+" if component else "") + _step_name(step),
        name=_text(step, "step", "name"),
        state=state_of(_text(step, "state"))[0],
        exit_code=exit_code,
        exit_signal=exit_signal,
        start_time_s=_time_s(step, "time", "start"),
        end_time_s=_time_s(step, "time", "end"),
        nodes=_number(step, "nodes", "count"),
        tasks=_number(step, "tasks", "count"),
        cpus=_count(_at(step, "tres", "allocated"), "cpu"),
        node_list=_text(step, "nodes", "range"),
        total_cpu_s=_cpu_s(step),
        max_rss_bytes=_count(_at(usage, "max"), "mem"),
        used_memory_bytes=_count(_at(usage, "total"), "mem"),
        energy_j=energy_j,
        submit_line=_text(step, "submit_line"),
    )


def _step_name(step: Any) -> str:
    """Return a step's id without its job's: of 0, ``0``, ``4711.0`` or ``4711+1.0``, the 0."""
    found = step["step"]["id"]
    if isinstance(found, dict):  # of 23.02
        found = found["step_id"]
    return str(found).rpartition(".")[2]
