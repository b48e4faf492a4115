"""`cmfd slurm batch`: a job's script, run as `cmfd slurm submit` had it submitted."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cmfd import python
from cmfd.cli import child
from cmfd.cli.help import example
from cmfd.cli.run import order_options, run_and_wait
from cmfd.cli.wrapped import Order, Wrapped
from cmfd.client.warn import harmless
from cmfd.errors import SlurmError
from cmfd.slurm.commands import find
from cmfd.slurm.queue import job_of_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cmfd.client import start

_DELIVER_S = 60.0
"""How long all nodes together may take; SLURM gives a job at its time limit 30 s more."""

_MERGE_S = 120.0
"""How long a merge may take: the job holds its nodes meanwhile."""

_KILLED_S = 1.0
"""How long a process may take to end once it is killed; in a file system that hangs it does not."""


# Options end where the command begins.
@example("cmfd slurm batch --pipeline heat -- /bin/bash job.sh")
@click.command("batch", hidden=True, context_settings={"allow_interspersed_args": False})
@order_options
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The job's script, removed at the end with its directory.",
)
@click.option(
    "--script-as",
    metavar="WORDS",
    help="What is recorded in place of FILE: the script as it was submitted.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def command(*, script: Path | None, script_as: str | None, **order: Any) -> None:
    """
    Run a job's script as the whole of a run, and bring to the site what all nodes have of it.

    This is what a job runs that `cmfd slurm submit` submitted; there is no need to call it. As
    `cmfd run`, it ends as COMMAND ended.
    """
    taken = child.take_signals()
    job = JobScript(Order(**order), script, script_as)
    job.begin()
    ended = run_and_wait(job, taken)
    try:
        child.let_signals_interrupt()
        _remove(script)
        job.end(ended)
        job.deliver()
    except KeyboardInterrupt:
        click.echo("cmfd: interrupted; what was recorded is kept on the job's nodes.", err=True)
    finally:
        child.leave_as(ended)


def _remove(script: Path | None) -> None:
    if script is not None:
        with suppress(OSError):
            script.unlink()
            script.parent.rmdir()


class JobScript(Wrapped):
    """
    A job's script: its run ends as it ends, and its end delivers for all of the job's steps.

    Parameters
    ----------
    order : Order
        What to run, and as what.
    script, script_as : Path, str, optional
        The file that the command runs, and the words that are recorded in its place, as a shell
        reads them: that file is there for this job only.
    """

    def __init__(self, order: Order, script: Path | None, script_as: str | None) -> None:
        super().__init__(order)
        self._script = script
        self._script_as = script_as or ""

    def words(self) -> list[str]:
        """Return the command with the script as it was submitted."""
        words = list(self.order.command)
        if self._script is not None and self._script_as and str(self._script) in words:
            at = words.index(str(self._script))
            words[at : at + 1] = _from_here(shlex.split(self._script_as), os.environ)
        return words

    def is_whole_run(self, plan: start.Plan) -> bool:
        """Tell whether the run is this job's."""
        return plan.run.derived_from != "inherited"

    def environ(self) -> dict[str, str]:
        """Return the script's environment: steps leave their nodes' packs to the job's end."""
        return {**super().environ(), "CMFD_DELIVER": "job-unless-killed"}

    @harmless()
    def deliver(self) -> None:
        """Have every node publish what it has of the run, and merge all of it."""
        if self.plan is None or self.settings.system:
            return  # the node's own service does it, once it is told that the job is over
        environ = super().environ()
        deliver = python.module("cmfd", "slurm", "deliver")
        # A job that is being ended gets no more steps, and not much time.
        launches = list(_launches(os.environ)) if _goes_on(os.environ) else []
        rest = (environ, _DELIVER_S, "`cmfd slurm status` tells what is missing")
        done = [_succeeds([*words, *deliver], *rest) for words in launches]
        if not done or not all(done):
            _succeeds(deliver, *rest)
        self._merge(Path(self.plan.site))

    def _merge(self, site: Path) -> None:
        """Merge, in a process of its own: one that a dead file system holds cannot be ended."""
        if self.settings.auto_merge:
            words = python.module("cmfd", "merge", "--quiet", "--site", str(site))
            later = f"packs are kept; later: cmfd merge --site {shlex.quote(str(site))}"
            _succeeds(words, os.environ, _MERGE_S, later)


def _from_here(words: list[str], environ: Mapping[str, str]) -> list[str]:
    """Return a script's path as it is from here: the job may run in another directory."""
    submitted_in = environ.get("SLURM_SUBMIT_DIR", "")
    if len(words) != 1 or submitted_in in ("", os.getcwd()):  # noqa: PTH109 - compared as text
        return words
    return [os.path.join(submitted_in, *words)]  # noqa: PTH118 - kept as it was said


def _goes_on(environ: Mapping[str, str]) -> bool:
    """Tell whether this job still runs, as far as SLURM's controller says."""
    try:
        return any(one.state == "RUNNING" for one in job_of_id(environ.get("SLURM_JOB_ID", "0")))
    except SlurmError:
        return False


def _launches(environ: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield what starts one task on each node of a job of several; nothing for a job of one."""
    srun = find("srun", environ)
    if srun is None:
        return
    n_components = int(environ.get("SLURM_HET_SIZE", "1"))
    for component in range(n_components):
        own = f"_HET_GROUP_{component}" if n_components > 1 else ""
        n_nodes = environ.get(f"SLURM_JOB_NUM_NODES{own}", "1")
        if n_nodes == "1" and n_components == 1:
            return
        words = [
            srun, "--overlap", f"--nodes={n_nodes}", f"--ntasks={n_nodes}", "--ntasks-per-node=1",
            "--cpus-per-task=1", "--mem=0", "--mpi=none", "--kill-on-bad-exit=0", "--wait=0",
            "--quiet", "--input=none", "--output=none", "--job-name=cmfd-deliver",
        ]  # fmt: skip
        yield [*words, f"--het-group={component}"] if n_components > 1 else words


def _succeeds(
    words: Sequence[str], environ: Mapping[str, str], limit_s: float, otherwise: str
) -> bool:
    """
    Run a command, pass on what it complains of, and tell whether it did what it was to.

    One that takes too long is killed, and not waited for much longer.
    """
    # What a script asked for its own steps is not for this one.
    environ = {key: value for key, value in environ.items() if key not in _FOR_STEPS}
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        process = subprocess.Popen(words, stdin=null, stdout=null, stderr=pipe, env=environ)  # noqa: S603 - ourselves, with srun or without
    except OSError as error:
        click.echo(f"cmfd: {words[0]}: {error}; {otherwise}", err=True)
        return False
    try:
        _, said = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        _abandon(process)
        command = shlex.join(words)
        click.echo(f"cmfd: {command}: not done after {limit_s:.0f} s; {otherwise}", err=True)
        return False
    click.echo(said, nl=False, err=True)
    return process.returncode == 0


def _abandon(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_KILLED_S)
    if process.stderr is not None:
        process.stderr.close()


_FOR_STEPS = frozenset((
    "SLURM_CPUS_PER_TASK", "SLURM_DISTRIBUTION", "SLURM_EXACT", "SLURM_GPUS", "SLURM_GPUS_PER_NODE",
    "SLURM_GPUS_PER_TASK", "SLURM_GRES", "SLURM_MEM_PER_CPU", "SLURM_MEM_PER_GPU",
    "SLURM_MEM_PER_NODE", "SLURM_NTASKS", "SLURM_NTASKS_PER_CORE", "SLURM_NTASKS_PER_GPU",
    "SLURM_NTASKS_PER_NODE", "SLURM_NTASKS_PER_SOCKET", "SLURM_TRES_PER_TASK",
    "SRUN_CPUS_PER_TASK",
))  # fmt: skip
"""Variables of the job that srun reads as options."""
