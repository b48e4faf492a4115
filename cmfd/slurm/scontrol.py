"""
What `scontrol show job` prints, read into records: what the controller still remembers.

It forgets a job some minutes after its end (MinJobAge), knows no start but the latest, and what
was used of nothing. It is asked where there is no accounting.
"""

from __future__ import annotations

import re

from cmfd.errors import SlurmError
from cmfd.slurm import figures
from cmfd.slurm.records import Record, state_of

_WORD = re.compile(r"(?:^|\s)([A-Z][\w:/]*)=(\S*)")
_NAME = re.compile(r"JobId=.*?\bJobName=(.*)")
"""Of a name of several lines, the first."""
_END = "\n   Command="
"""From here on are texts of the user's: nothing after it is read as a figure."""


def read(output: str) -> list[Record]:
    """
    Read what ``scontrol --details show job`` printed.

    Returns
    -------
    list of Record
        Without steps: the controller forgets those at once.

    Raises
    ------
    SlurmError
        It has another form.
    """
    return [_record(block) for block in re.split(r"\n\n(?=JobId=)", output) if "JobId=" in block]


def _record(block: str) -> Record:
    name = _NAME.match(block.lstrip())
    # The name stands first and may hold what looks like fields: later ones are the real ones.
    known = {
        key: "" if value in ("(null)", "N/A", "None", "Unknown") else value
        for key, value in _WORD.findall(block.partition(_END)[0])
    }
    told = {key: known.get(key, "") for key in _KEYS} | known
    job = figures.whole(told["JobId"])
    if name is None or job is None or not told["JobState"]:
        raise SlurmError(f"scontrol show job printed what cannot be read: {block[:80]!r}.")
    state, cancelled_by = state_of(told["JobState"])
    exit_code, exit_signal = figures.exit_and_signal(told["ExitCode"])
    derived_code, derived_signal = figures.exit_and_signal(told["DerivedExitCode"])
    allocated, requested = told["AllocTRES"] or told["TRES"], told["ReqTRES"]
    nodes, cpus = figures.whole(told["NumNodes"]), figures.whole(told["NumCPUs"])
    return Record(
        job=job,
        array_job=figures.whole(told["ArrayJobId"]),
        array_task=figures.whole(told["ArrayTaskId"]),
        het_job=figures.whole(told["HetJobId"]),
        het_component=figures.whole(told["HetJobOffset"]),
        restart=figures.whole(told["Restarts"]),
        user=told["UserId"].partition("(")[0],
        account=told["Account"],
        partition=told["Partition"],
        qos=told["QOS"],
        reservation=told["Reservation"],
        job_name=name[1],
        state=state,
        cancelled_by_uid=cancelled_by,
        reason=told["Reason"],
        exit_code=exit_code,
        exit_signal=exit_signal,
        derived_exit_code=derived_code,
        derived_exit_signal=derived_signal,
        submit_time_s=figures.time_s(told["SubmitTime"]),
        eligible_time_s=figures.time_s(told["EligibleTime"]),
        start_time_s=figures.time_s(told["StartTime"]),
        end_time_s=figures.time_s(told["EndTime"]),
        elapsed_s=figures.whole_s(told["RunTime"]),
        time_limit_s=figures.whole_s(told["TimeLimit"]),
        nodes=nodes,
        cpus=cpus,
        requested_memory_bytes=_requested_memory(told, nodes, cpus),
        node_list=told["NodeList"],
        requested_tres=requested,
        allocated_tres=allocated,
        dependency=told["Dependency"],
    )


_KEYS = (
    "JobId", "ArrayJobId", "ArrayTaskId", "HetJobId", "HetJobOffset", "Restarts", "UserId",
    "Account", "Partition", "QOS", "Reservation", "JobState", "Reason", "ExitCode",
    "DerivedExitCode", "SubmitTime", "EligibleTime", "StartTime", "EndTime", "RunTime", "TimeLimit",
    "NumNodes", "NumCPUs", "MinMemoryNode", "MinMemoryCPU", "NodeList", "TRES", "ReqTRES",
    "AllocTRES", "Dependency",
)  # fmt: skip


def _requested_memory(told: dict[str, str], nodes: int | None, cpus: int | None) -> int | None:
    """Return what was asked for: for each node or each CPU; 0 stands for all there is."""
    each, of = told["MinMemoryNode"], nodes
    if not each:
        each, of = told["MinMemoryCPU"], cpus
    amount = figures.memory_bytes(each, unit="M")
    return amount * of if amount and of else None
