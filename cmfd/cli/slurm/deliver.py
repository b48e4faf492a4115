"""`cmfd slurm deliver`: what the last task of a step does on its node, or a job's end on each."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cmfd import config, identity
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.slurm.leaving import dismiss, turn
from cmfd.cli.stored import journals_of
from cmfd.cli.wrapped import await_daemon
from cmfd.client.launch import daemon_runs, ensure_daemon
from cmfd.daemon.clearing import forget_steps, has_anything, unsealed_runs
from cmfd.errors import CmfdError, DaemonUnavailableError, IncompleteError, NotFoundError
from cmfd.wire.control import request
from cmfd.wire.messages import Refused, SealReply, SealRequest

if TYPE_CHECKING:
    from cmfd.config import Settings
    from cmfd.model import Id

_TRIES = 5
"""How often a daemon is asked: each may have begun in a step that ends just now."""


@example(
    "cmfd slurm deliver",
    'srun --overlap --ntasks-per-node=1 -N "$SLURM_NNODES" cmfd slurm deliver',
)
@click.command("deliver")
@click.option("--run", "named", metavar="RUN", help="Its id in full; default: that of this job.")
@options.site_if_given
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0, 3600),
    default=20.0,
    show_default=True,
    metavar="S",
    help="How long to wait until it is there.",
)
def command(*, named: str | None, site: Path | None, timeout_s: float) -> None:
    """
    Put into the site's inbox what this node has of a run.

    The site is the one that the run named, unless --site names another. A daemon that was used for
    this and has nothing else to do then ends at once. cmfd-srun calls this at the end of each step
    on each node. Where the whole cluster is set up, it does nothing: the job's end delivers.

    What cannot be delivered in time stays in the node directory, and the exit code is 12.
    """
    settings = config.load()
    if settings.system:
        return
    _live_through_signals()
    run = _run(named)
    try:
        with turn(settings.node_dir, timeout_s) as is_there:
            if is_there and has_anything(settings):
                _deliver(run, site, settings, timeout_s)
    except (CmfdError, OSError) as error:
        raise IncompleteError(
            f"node {os.uname().nodename} has not delivered its part of run {run.hex()}: {error}. "
            f"It is kept in {settings.node_dir}; later, there: cmfd merge {settings.node_dir}"
        ) from error


def _live_through_signals() -> None:
    """Go on where a whole step is told to end; what is started from here hears signals again."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)


def _run(named: str | None) -> Id:
    if named:
        return identity.parse(named)
    found = identity.run_from(os.environ)
    if found is None:
        raise NotFoundError("nothing here says which run: give --run, or call this within a job.")
    return found.run


def _deliver(run: Id, site: Path | None, settings: Settings, timeout_s: float) -> None:
    """
    Have the daemon publish the run's part; without one, publish what the journals have.

    The daemon may have begun in a step that ends just now, and be killed with it: then another is
    asked, while there is time.
    """
    until_s = time.monotonic() + timeout_s
    for tries_left in reversed(range(_TRIES)):
        try:
            if _by_daemon(run, site, settings, until_s):
                return
        except DaemonUnavailableError:
            if time.monotonic() >= until_s:
                raise
        was_killed = settings.autostart and _had_daemon(settings)
        if not (was_killed and tries_left and time.monotonic() < until_s):
            break
    if not _publish_journals(run, site, settings) and daemon_runs(settings.node_dir):
        _seal(run, site, settings, until_s)
    elif _had_daemon(settings) and unsealed_runs(settings.node_dir).get(run):
        raise IncompleteError("a daemon that was killed has more of it, and no other is there")
    forget_steps(settings.node_dir)
    dismiss(settings)


def _by_daemon(run: Id, site: Path | None, settings: Settings, until_s: float) -> bool:
    """Have a daemon publish, and end; tell whether one was there, and that is all."""
    if settings.autostart:
        ensure_daemon(settings)
    if not await_daemon(settings.node_dir):
        return False
    _seal(run, site, settings, until_s)
    forget_steps(settings.node_dir)
    return dismiss(settings)


def _seal(run: Id, site: Path | None, settings: Settings, until_s: float) -> None:
    question = SealRequest(run=run, site=str(site) if site else "")
    answer = request(settings.node_dir, question, max(0.0, until_s - time.monotonic()))
    if isinstance(answer, SealReply) and answer.problem:
        raise IncompleteError(answer.problem)
    if isinstance(answer, Refused):
        raise IncompleteError(f"the daemon refused to seal it: {answer.reason}")


def _had_daemon(settings: Settings) -> bool:
    """Tell whether one was there: it may have more of a run than the journals."""
    return (settings.node_dir / "node.db").exists()


def _publish_journals(run: Id, site: Path | None, settings: Settings) -> bool:
    """Publish what journals have; tell whether no daemon that began late after all took one."""
    # Not imported otherwise: the libraries it needs take longer than all the rest.
    from cmfd.merge.journals import seal_all  # noqa: PLC0415
    from cmfd.merge.report import MergeReport  # noqa: PLC0415
    from cmfd.merge.sources import Found  # noqa: PLC0415
    from cmfd.store.pack import publish  # noqa: PLC0415

    journals = list(journals_of(run, settings.own_journal_dir))
    found = Found(loose=journals) if _had_daemon(settings) else Found(journals=journals)
    report = MergeReport()
    with tempfile.TemporaryDirectory(prefix="cmfd-deliver-") as scratch:
        for pack, home in seal_all(found, Path(scratch), report):
            publish(pack, site or Path(home))
    for path, reason in report.skipped:
        if path.exists():
            raise IncompleteError(f"{path}: {reason}")
    return bool(journals) and not report.skipped
