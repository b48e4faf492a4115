"""`cmfd daemon`: the node's daemon itself."""

from __future__ import annotations

import signal
import sys

import click

from cmfd import config
from cmfd.cli.help import example
from cmfd.daemon.main import run_daemon


@example(
    "cmfd daemon --idle 0                 # for ever, as a service",
    "cmfd daemon --detach",
)
@click.command("daemon")
@click.option("--idle", type=click.FloatRange(min=0), metavar="S", help="End when idle for S s.")
@click.option("--detach", is_flag=True, help="Go on in the background.")
@click.option("--if-needed", is_flag=True, help="Only where something was logged already.")
def command(*, idle: float | None, detach: bool, if_needed: bool) -> None:
    """
    Receive what this node's processes log, keep it, and publish it to their sites.

    There is one for each user and node; `cmfd run` starts it where none runs. It ends on SIGTERM,
    after having published what it has, and when it has been idle (default: the setting `idle_s`;
    0: never).
    """
    # Whoever started it may have blocked signals, as `cmfd run` does; this must hear its own.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    sys.exit(run_daemon(config.load(), idle_s=idle, detach=detach, if_needed=if_needed))
