"""A new user: an environment of his own, and the end of the daemon that was started for him."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.postgres import VARIABLE
from support.programs import MPI_ENVIRONMENT

from cmfd.client.launch import daemon_runs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAEMON_ENDS_S = 60


@contextmanager
def user_at(home: Path) -> Iterator[dict[str, str]]:
    """Give a new user's environment; wait for his daemon to end."""
    node_dir = home / "node"
    # Of all daemons that look for counters at one place, one counts: those of other tests, mostly.
    counters = home.with_name(f"{home.name}.sys")
    counters.symlink_to("/sys")
    kept = {name: os.environ[name] for name in ("PATH", "LANG", VARIABLE) if name in os.environ}
    yield {
        **kept,
        **MPI_ENVIRONMENT,
        "HOME": str(home),
        "USER": "ada",
        "CMFD_NODE_DIR": str(node_dir),
        "CMFD_IDLE_S": "2",
        "CMFD_ENERGY_SYSFS": str(counters),
    }
    patience_s = time.monotonic() + DAEMON_ENDS_S
    while daemon_runs(node_dir):
        assert time.monotonic() < patience_s, "the daemon did not end when it was idle"
        time.sleep(0.05)
