"""
Asking SLURM what became of jobs: its accounting, else its controller.

`sacct` is asked for JSON from SLURM 23.11 on: older ones write exit codes into it that are wrong.
Where it cannot be used, and before, text is asked for, which every release has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.errors import SlurmError
from cmfd.slurm import sacct_json, sacct_text, scontrol
from cmfd.slurm.commands import ask, run, version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmfd.slurm.records import Record

JSON_SINCE = (23, 11)
"""The first release whose JSON has the exit codes that programs ended with."""

SLACK_S = 300
"""By how much the clocks of a node and of the controller may differ."""

_MOST_JOBS = 500
"""In one question: a command line holds many more."""

_SCRIPT_TITLE = "Batch Script for "


class Accounting:
    """What `sacct` says; which form of it this installation has is found out once."""

    def __init__(self) -> None:
        self._fields: list[str] | None = None
        self._has_json: bool | None = None

    def records(self, jobs: Sequence[str], cluster: str = "") -> list[Record]:
        """
        Return every start of jobs that accounting knows.

        Parameters
        ----------
        jobs : sequence of str
            As users name them: ``4711``, ``4711_3``; a het job by its leader.
        cluster : str
            Whose jobs; empty: this machine's.

        Raises
        ------
        SlurmError
            There is no accounting, or it cannot be asked.
        """
        found: list[Record] = []
        for first in range(0, len(jobs), _MOST_JOBS):
            words = ["--allusers", "--duplicates", "--jobs", ",".join(jobs[first:][:_MOST_JOBS])]
            found += self._ask([*words, "--clusters", cluster] if cluster else words)
        return found

    def _ask(self, words: list[str]) -> list[Record]:
        if self._has_json is None:
            self._has_json = version("sacct") >= JSON_SINCE
        if self._has_json:
            try:
                return sacct_json.read(ask("sacct", *words, "--json"))
            except SlurmError:
                # An installation may lack the plugin, and a newer release have another form.
                self._has_json = False
        if self._fields is None:
            self._fields = sacct_text.fields_of(ask("sacct", "--helpformat"))
        return sacct_text.read(
            ask("sacct", *words, *sacct_text.arguments(self._fields)), self._fields
        )


def controller_records(job: str = "") -> list[Record]:
    """
    Return what the controller remembers of a job of this machine's cluster.

    Parameters
    ----------
    job : str
        As users name it; empty: of all jobs.

    Returns
    -------
    list of Record
        Its latest start; of a het job, of all components. Empty when it has forgotten the job.

    Raises
    ------
    SlurmError
        It cannot be asked.
    """
    done = run("scontrol", "--details", "show", "job", *([job] if job else []))
    if done.exit_code:
        if "Invalid job id" in done.complaint:
            return []
        raise SlurmError(f"scontrol failed: {done.complaint}")
    return scontrol.read(done.output)


def cluster_name() -> str:
    """
    Return the name of this machine's cluster.

    Raises
    ------
    SlurmError
        The controller cannot be asked.
    """
    for line in ask("scontrol", "show", "config").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "ClusterName":
            return value.strip()
    return ""


def script_of(job: str) -> str | None:
    """
    Return a job's batch script, from the controller or, where accounting keeps it, from there.

    Returns
    -------
    str or None
        None where neither has it, or tells this user.

    Raises
    ------
    SlurmError
        There is no SLURM here.
    """
    done = run("scontrol", "write", "batch_script", job, "-")
    if not done.exit_code and done.output.startswith("#!"):
        return done.output
    done = run("sacct", "--allusers", "--jobs", job, "--batch-script")
    title, _, rest = done.output.partition("\n")
    script = rest.partition("\n")[2].removesuffix("\n")
    is_script = title.startswith(_SCRIPT_TITLE) and script.startswith("#!")
    return script if is_script and _SCRIPT_TITLE not in script else None


def start_of(
    records: Sequence[Record], job: str, restart: int, began_s: float | None
) -> list[Record]:
    """
    Choose the records of one start of a job.

    Parameters
    ----------
    records : sequence of Record
        Of several jobs and their starts.
    job : str
        As users name it.
    restart : int
        How often it was requeued before.
    began_s : float, optional
        A time at which it ran.

    Returns
    -------
    list of Record
        One; of a het job one for each component, the leader's first. Empty if there is none.
    """
    own = [record for record in records if job in _names(record)]
    chosen = []
    for component in sorted({record.het_component or 0 for record in own}):
        starts = [record for record in own if (record.het_component or 0) == component]
        found = _one_start(starts, restart, began_s)
        if found is not None:
            chosen.append(found)
    return chosen


def _names(record: Record) -> tuple[str, ...]:
    """Return what a record's job is called: of an array's task a Prolog knows only the number."""
    names = [str(record.job)]
    if record.array_task is not None:
        names.append(f"{record.array_job}_{record.array_task}")
    if record.het_job:
        names.append(str(record.het_job))
    return tuple(names)


def _one_start(starts: Sequence[Record], restart: int, began_s: float | None) -> Record | None:
    """
    Choose a start by its number; where that one did not run at the time, by the time.

    Numbers mislead where a job's number was given again to another job.
    """
    told = [record for record in starts if record.restart == restart]
    if not told and not any(record.restart is not None for record in starts):
        told = sorted(starts, key=_order)[restart : restart + 1]
    ran = [record for record in told if _ran_at(record, began_s)]
    if not ran and began_s is not None:
        ran = [record for record in starts if _ran_at(record, began_s)]
    return max(ran, key=_order, default=None)


def _order(record: Record) -> tuple[int, int]:
    return record.submit_time_s or 0, record.start_time_s or 0


def _ran_at(record: Record, at_s: float | None) -> bool:
    if at_s is None:
        return True
    if record.start_time_s is None:
        return False
    end_s = record.end_time_s or at_s
    return record.start_time_s - SLACK_S <= at_s <= end_s + SLACK_S
