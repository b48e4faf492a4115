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
