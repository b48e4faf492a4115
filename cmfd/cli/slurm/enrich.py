"""`cmfd slurm enrich`: what SLURM knows of jobs, joined to their runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from cmfd import config, identity
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.output import print_json
from cmfd.errors import IncompleteError
from cmfd.merge.batch import merge_site
from cmfd.merge.enrich import EnrichReport, enrich_runs, runs_of_job
from cmfd.query import runs as query
from cmfd.query.index import open_index
from cmfd.report import units
from cmfd.report.text import printable_lines

if TYPE_CHECKING:
    from pathlib import Path

    from cmfd.model import Id

_MOST_REASONS = 5


@example(
    "cmfd slurm enrich",
    "cmfd slurm enrich 4711 --wait 30",
)
@click.command("enrich")
@click.argument("names", nargs=-1, metavar="[JOB|RUN]...")
@click.option(
    "--wait",
    "wait_s",
    type=click.FloatRange(0, 86400),
    metavar="S",
    help="How long to wait for a job that has just ended: SLURM's accounting is some seconds "
    "behind. Default: 10, or 0 without JOB or RUN.",
)
@options.site
@options.as_json
@options.quiet
def command(
    *, site: Path, names: tuple[str, ...], wait_s: float | None, as_json: bool, quiet: bool
) -> None:
    """
    Join to runs what SLURM's accounting knows of their jobs.

    Account, partition, QOS, times, limits, what was asked for and allotted, state, exit code,
    memory, processor time and energy of each step, the submit line and the script's digest. Without
    JOB or RUN: to all runs of this site that have nothing of it yet. It can be repeated: what is
    known already is not stored again, and what is no longer so of another start of the same job is
    corrected. Without SLURM's accounting, what the controller still
    remembers is joined.

    JOB is a job id and stands for all its starts, of an array for all its tasks. RUN is as for
    `cmfd show`.
    """
    chosen = _chosen(site, names) if names else None
    if wait_s is None:
        wait_s = 10.0 if names else 0.0
    keep_script = config.load().job_script
    done = enrich_runs(site, chosen, wait_s=wait_s, keep_script=keep_script)
    if done.joined or done.corrected:
        merge_site(site, wait=True)
    if as_json:
        print_json(_document(done))
    elif not quiet:
        click.echo(_text(done))
    if names and (left_out := {**done.unfinished, **done.unknown}):
        lines = [f"  {identity.short(run)}: {why}" for run, why in left_out.items()]
        told = printable_lines("\n".join(("Nothing is joined to these runs yet:", *lines)))
        raise IncompleteError(told)


def _chosen(site: Path, names: tuple[str, ...]) -> list[Id]:
    """Return the runs that are meant, each once."""
    found: list[Id] = []
    with open_index(site) as db:
        for name in names:
            own = runs_of_job(site, name)
            found += own or [identity.parse(query.run_of(db, query.find(db, name)).run)]
    return list(dict.fromkeys(found))


def _document(done: EnrichReport) -> dict[str, Any]:
    return {
        "joined": [run.hex() for run in done.joined],
        "corrected": [run.hex() for run in done.corrected],
        "unchanged": [run.hex() for run in done.unchanged],
        "unfinished": {run.hex(): state for run, state in done.unfinished.items()},
        "unknown": {run.hex(): why for run, why in done.unknown.items()},
    }


def _text(done: EnrichReport) -> str:
    parts = [f"{units.count(len(done.joined), 'run')} joined"]
    for runs, word in (
        (done.corrected, "corrected"),
        (done.unchanged, "unchanged"),
        (done.unfinished, "not over"),
        (done.unknown, "unknown to SLURM"),
    ):
        parts += [f"{len(runs)} {word}"] if runs else []
    why = Counter(done.unknown.values()).most_common(_MOST_REASONS)
    reasons = [f"  {units.count(n_runs, 'run')}: {reason}" for reason, n_runs in why]
    return printable_lines("\n".join((", ".join(parts), *reasons)))
