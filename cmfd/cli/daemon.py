"""`cmfd daemon`: the node's daemon itself."""

from __future__ import annotations

import os
import signal
import sys

import click
import msgspec

from cmfd import config
from cmfd.cli.help import example


@example(
    "cmfd daemon --idle 0                 # for ever, as a service",
    "cmfd daemon --detach",
)
@click.command("daemon")
@click.option("--idle", type=click.FloatRange(min=0), metavar="S", help="End when idle for S s.")
@click.option("--detach", is_flag=True, help="Go on in the background.")
def command(*, idle: float | None, detach: bool) -> None:
    """
    Receive what this node's processes log, keep it, and publish it to their sites.

    There is one for each user and node; `cmfd run` starts it where none runs. It ends on SIGTERM,
    after having published what it has, and when it has been idle (default: the setting `idle_s`;
    0: never).
    """
    # Whoever started it may have blocked signals, as `cmfd run` does; this must hear its own.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    settings = config.load()
    if idle is not None:
        settings = msgspec.structs.replace(settings, idle_s=idle)
    if detach:
        _detach()
    from cmfd.daemon.main import run_daemon  # noqa: PLC0415 - a parent that detaches needs none

    sys.exit(run_daemon(settings))


def _detach() -> None:
    """Leave terminal, session and streams of who started this; the parent ends at once."""
    if os.fork():
        os._exit(0)
    os.setsid()
    if os.fork():  # a session's leader could get a terminal again
        os._exit(0)
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
