"""`cmfd slurm deliver`: what the last task of a step does on its node, or a job's end on each."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cmfd import config, identity
from cmfd.cli import options
from cmfd.cli.help import example
from cmfd.cli.stored import journals_of
from cmfd.cli.wrapped import await_daemon
from cmfd.client.launch import daemon_runs, ensure_daemon
from cmfd.errors import CmfdError, IncompleteError, NotFoundError
from cmfd.wire.control import request
from cmfd.wire.endpoint import listener
from cmfd.wire.messages import Refused, SealReply, SealRequest, StatusReply, StatusRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.config import Settings
    from cmfd.model import Id

_ENDS_S = 10.0
"""How long a daemon that was told to end may take."""

_SETTLES_S = 1.0
"""How long a daemon may take to notice that those who were with it have left."""


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
        _deliver(run, site, settings, timeout_s)
    except CmfdError as error:
        raise IncompleteError(
            f"node {os.uname().nodename} has not delivered its part of run {run.hex()}: {error}. "
            f"It is kept in {settings.node_dir}; later, there: cmfd merge {settings.node_dir}"
        ) from error
    _forget_steps(settings.node_dir / "steps")
    _dismiss(settings)


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
    """Have the daemon publish the run's part; without one, publish what the journals have."""
    if settings.autostart:
        ensure_daemon(settings)
    if not await_daemon(settings.node_dir):
        _publish_journals(run, site, settings)
        return
    question = SealRequest(run=run, site=str(site) if site else "")
    answer = request(settings.node_dir, question, timeout_s)
    if isinstance(answer, SealReply) and answer.problem:
        raise IncompleteError(answer.problem)
    if isinstance(answer, Refused):
        raise IncompleteError(f"the daemon refused to seal it: {answer.reason}")


def _publish_journals(run: Id, site: Path | None, settings: Settings) -> None:
    # Not imported otherwise: the libraries it needs take longer than all the rest.
    from cmfd.merge.journals import seal_all  # noqa: PLC0415
    from cmfd.merge.report import MergeReport  # noqa: PLC0415
    from cmfd.merge.sources import Found  # noqa: PLC0415
    from cmfd.store.pack import publish  # noqa: PLC0415

    journals = list(journals_of(run, settings.own_journal_dir))
    # A daemon that was there may have more of the run: then they are not all that the node has.
    had_daemon = (settings.node_dir / "node.db").exists()
    found = Found(loose=journals) if had_daemon else Found(journals=journals)
    report = MergeReport()
    with tempfile.TemporaryDirectory(prefix="cmfd-deliver-") as scratch:
        for pack, home in seal_all(found, Path(scratch), report):
            publish(pack, site or Path(home))
    for path, reason in report.skipped:
        raise IncompleteError(f"{path}: {reason}")


def _forget_steps(directory: Path) -> None:
    """Remove what tasks locked while they ran; one that is locked belongs to those who run."""
    for path in _listed(directory):
        with suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def _listed(directory: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError):
        yield from directory.iterdir()


def _dismiss(settings: Settings) -> None:
    """End a daemon that serves nobody, and wait until it has."""
    deadline_s = time.monotonic() + _SETTLES_S
    while _serves_somebody(settings):
        if time.monotonic() > deadline_s:
            return
        time.sleep(0.05)
    found = listener(settings.node_dir)
    if found is None or found.uid != os.geteuid():
        return
    with suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
    deadline_s = time.monotonic() + _ENDS_S
    while daemon_runs(settings.node_dir) and time.monotonic() < deadline_s:
        time.sleep(0.02)


def _serves_somebody(settings: Settings) -> bool:
    """Tell whether processes live whose daemon it is; where it does not answer, they may."""
    try:
        answer = request(settings.node_dir, StatusRequest(), _SETTLES_S)
    except CmfdError:
        return True
    if not isinstance(answer, StatusReply):
        return True
    document = msgspec.json.decode(answer.document, type=dict)
    return bool(document["clients"] or document["instances"])
