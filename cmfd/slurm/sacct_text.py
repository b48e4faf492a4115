"""
What `sacct --parsable2` prints, read into records.

Names and submit lines may hold any character, bars and line breaks too. So fields are separated by
a control character, the first and last field of each line are ids, and lines are put together by
counting fields.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cmfd.errors import SlurmError
from cmfd.slurm import figures
from cmfd.slurm.records import Record, Step, begun, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DELIMITER = "\x1f"

FIELDS = (
    "JobIDRaw", "JobID", "Cluster", "User", "Account", "Partition", "QOS", "Reservation",
    "JobName", "State", "Reason", "ExitCode", "DerivedExitCode", "Submit", "Eligible", "Start",
    "End", "ElapsedRaw", "Suspended", "TimelimitRaw", "NNodes", "AllocCPUS", "ReqCPUS", "ReqMem",
    "NodeList", "NTasks", "ReqTRES", "AllocTRES", "TotalCPU", "MaxRSS", "TRESUsageInTot",
    "ConsumedEnergyRaw", "Restarts", "SubmitLine",
)  # fmt: skip
"""What is asked for; releases that lack one of them (`sacct --helpformat`) are not asked for it."""

_LAST = "JobIDRaw"
_JOB_ID = re.compile(r"(\d+)(?:_(\d+)|\+(\d+))?")
_TASKS_TO_COME = re.compile(r"\d+_\[")
_RAW_STEP = re.compile(r"(\d+)\.(.+)")


def fields_of(helpformat: str) -> list[str]:
    """Return those of `FIELDS` that a release has, from what its ``--helpformat`` prints."""
    known = {name.lower() for name in helpformat.split()}
    return [name for name in FIELDS if name.lower() in known]


def arguments(fields: Sequence[str]) -> list[str]:
    """Return the arguments of a `sacct` whose output `read` takes."""
    return [
        "--parsable2", "--noheader", "--noconvert", f"--delimiter={DELIMITER}",
        "--format", ",".join((*fields, _LAST)),
    ]  # fmt: skip


def read(output: str, fields: Sequence[str]) -> list[Record]:
    """
    Read what `sacct` printed.

    Parameters
    ----------
    output : str
        Of a call with `arguments`.
    fields : sequence of str
        The fields that were asked for.

    Returns
    -------
    list of Record
        Each with the steps that followed it.

    Raises
    ------
    SlurmError
        It has another form.
    """
    records: list[Record] = []
    for line in _lines(output, fields):
        step = _RAW_STEP.fullmatch(line["JobIDRaw"])
        if _TASKS_TO_COME.match(line["JobID"]):  # all that are left of an array, as one
            continue
        if step is None:
            records.append(_record(line))
        elif records and records[-1].job == int(step[1]):
            records[-1].steps.append(_step(line, step[2]))
    return [begun(record) for record in records]


def _lines(output: str, fields: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield each line's fields, by name; one that the release lacks is empty."""
    pieces = output.removesuffix("\n").split(DELIMITER)
    n_fields = len(fields)
    blank = dict.fromkeys(FIELDS, "")
    while len(pieces) > n_fields:
        last, _, following = pieces[n_fields].partition("\n")
        line = {**blank, **dict(zip(fields, pieces[:n_fields], strict=True))}
        if last != line["JobIDRaw"]:
            raise SlurmError(f"sacct printed what is no line of its: {last[:80]!r}.")
        yield line
        pieces = [following, *pieces[n_fields + 1 :]]
    if pieces not in ([""], []):
        raise SlurmError(f"sacct ended within a line: {DELIMITER.join(pieces)[:80]!r}.")


def _record(line: dict[str, str]) -> Record:
    ids = _JOB_ID.fullmatch(line["JobID"])
    raw = figures.whole(line["JobIDRaw"])
    if ids is None or raw is None:
        raise SlurmError(f"sacct printed {line['JobID'][:80]!r} for a job id.")
    state, cancelled_by = state_of(line["State"])
    exit_code, exit_signal = figures.exit_and_signal(line["ExitCode"])
    derived_code, derived_signal = figures.exit_and_signal(line["DerivedExitCode"])
    nodes, cpus = figures.whole(line["NNodes"]), figures.whole(line["AllocCPUS"])
    limit_min = figures.whole(line["TimelimitRaw"])
    return Record(
        job=raw,
        cluster=line["Cluster"],
        array_job=int(ids[1]) if ids[2] else None,
        array_task=figures.whole(ids[2] or ""),
        het_job=int(ids[1]) if ids[3] else None,
        het_component=figures.whole(ids[3] or ""),
        restart=figures.whole(line["Restarts"]),
        user=line["User"],
        account=line["Account"],
        partition=line["Partition"],
        qos=line["QOS"],
        reservation=line["Reservation"],
        job_name=line["JobName"],
        state=state,
        cancelled_by_uid=cancelled_by,
        reason="" if line["Reason"] == "None" else line["Reason"],
        exit_code=exit_code,
        exit_signal=exit_signal,
        derived_exit_code=derived_code,
        derived_exit_signal=derived_signal,
        submit_time_s=figures.time_s(line["Submit"]),
        eligible_time_s=figures.time_s(line["Eligible"]),
        start_time_s=figures.time_s(line["Start"]),
        end_time_s=figures.time_s(line["End"]),
        elapsed_s=figures.whole(line["ElapsedRaw"]),
        suspended_s=figures.whole_s(line["Suspended"]),
        time_limit_s=None if limit_min is None else limit_min * 60,
        nodes=nodes,
        cpus=cpus,
        requested_cpus=figures.whole(line["ReqCPUS"]),
        requested_memory_bytes=_requested_memory(line, nodes, cpus),
        node_list="" if line["NodeList"] == "None assigned" else line["NodeList"],
        requested_tres=line["ReqTRES"],
        allocated_tres=line["AllocTRES"],
        total_cpu_s=figures.duration_s(line["TotalCPU"]),
        energy_j=figures.whole(line["ConsumedEnergyRaw"]),
        submit_line=line["SubmitLine"],
    )


def _requested_memory(line: dict[str, str], nodes: int | None, cpus: int | None) -> int | None:
    told = figures.tres(line["ReqTRES"]).get("mem")
    if told is not None:
        return figures.memory_bytes(told, unit="M")
    return figures.asked_memory_bytes(line["ReqMem"], nodes, cpus)


def _step(line: dict[str, str], name: str) -> Step:
    component = _JOB_ID.match(line["JobID"])
    of_component = f"{component[3]}+" if component and component[3] not in (None, "0") else ""
    exit_code, exit_signal = figures.exit_and_signal(line["ExitCode"])
    tasks = figures.whole(line["NTasks"])
    largest = figures.memory_bytes(line["MaxRSS"])
    together = figures.memory_bytes(figures.tres(line["TRESUsageInTot"]).get("mem", ""))
    return Step(
        step=of_component + name,
        name=line["JobName"],
        state=state_of(line["State"])[0],
        exit_code=exit_code,
        exit_signal=exit_signal,
        start_time_s=figures.time_s(line["Start"]),
        end_time_s=figures.time_s(line["End"]),
        nodes=figures.whole(line["NNodes"]),
        tasks=tasks,
        cpus=figures.whole(line["AllocCPUS"]),
        node_list=line["NodeList"],
        total_cpu_s=figures.duration_s(line["TotalCPU"]),
        max_rss_bytes=largest,
        used_memory_bytes=together or (largest and largest * (tasks or 1)),
        energy_j=figures.whole(line["ConsumedEnergyRaw"]),
        submit_line=line["SubmitLine"],
    )
