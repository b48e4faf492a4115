"""`cmfd slurm collect`: what the job does that `cmfd slurm merge-after` submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cmfd import config, identity, python
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.slurm.merge_after import submit
from cmfd.errors import IncompleteError, SlurmError
from cmfd.merge.batch import merge_site
from cmfd.merge.enrich import enrich_runs, runs_of_job
from cmfd.query.delivery import nodes_of_run
from cmfd.query.index import open_index
from cmfd.slurm.accounting import cluster_name, controller_records
from cmfd.slurm.commands import ask
from cmfd.slurm.hostlist import compress, expand

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.model import Id

_ACCOUNTED_S = 30.0
"""How long SLURM's accounting may take."""

_UP = ("allocated", "completing", "idle", "mixed", "planned", "reserved")
"""States of nodes that get jobs, now or later."""


@example("cmfd slurm collect 4711")
@click.command("collect", hidden=True, context_settings={"allow_interspersed_args": False})
@click.argument("job")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[SBATCH OPTION]...")
@options.site
def command(*, site: Path, job: str, words: tuple[str, ...]) -> None:
    """
    Merge what a job that has ended left, and have missing nodes deliver.

    This is what the job runs that `cmfd slurm merge-after` submitted.
    """
    merge_site(site, wait=True)
    runs = runs_of_job(site, job)
    if enrich_runs(site, runs, wait_s=_ACCOUNTED_S, keep_script=config.load().job_script).joined:
        merge_site(site, wait=True)
    missing = {**_unknown(job), **{run: _missing(site, run) for run in runs}}
    up = _up({node for nodes in missing.values() for node in nodes})
    for run, nodes in missing.items():
        for node in nodes:
            if node in up:
                _fetch(site, run, node, list(words))
    if away := {node for nodes in missing.values() for node in nodes} - up:
        raise IncompleteError(
            f"{compress(away)} cannot deliver what job {job} left there: SLURM says that they are"
            f" down. Everything else is merged. When they are back: cmfd slurm merge-after {job}"
        )


def _missing(site: Path, run: Id) -> list[str]:
    with open_index(site) as db:
        found = nodes_of_run(db, run)
    return found.missing if found else []


def _unknown(job: str) -> dict[Id, list[str]]:
    """Return the latest start of a job as a run, with all nodes: nothing of it may be here yet."""
    found: dict[Id, list[str]] = {}
    for record in controller_records(job):
        number = str(record.het_job or record.job)
        run = identity.run_of_job(cluster_name(), number, record.restart or 0)
        found[run] = [*found.get(run, ()), *expand(record.node_list)]
    return found


def _up(nodes: set[str]) -> set[str]:
    """Return those of the nodes that SLURM can give to a job, now or later."""
    if not nodes:
        return set()
    words = ("--noheader", "--Node", f"--nodes={compress(nodes)}", "--format=%N|%T")
    try:
        rows = [line.split("|") for line in ask("sinfo", *words).splitlines()]
    except SlurmError:
        return set()
    return {row[0] for row in rows if len(row) == 2 and row[1].strip() in _UP}


def _fetch(site: Path, run: Id, node: str, chosen: list[str]) -> None:
    deliver = python.module("cmfd", "slurm", "deliver", "--run", run.hex(), "--site", str(site))
    merge = python.module("cmfd", "merge", "--quiet", "--site", str(site))
    options_ = ["--job-name=cmfd-deliver", *chosen, f"--nodelist={node}"]
    number = submit(options_, deliver, merge)
    click.echo(f"job {number} delivers run {run.hex()} from {node}")
