"""`cmfd run` as a user starts it: real processes on a node of their own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cmfd.client.launch import daemon_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CMFD = (sys.executable, "-m", "cmfd")
PATIENCE_S = 60.0
"""For what must happen; a machine may be slow."""


def eventually(found: Callable[[], Any], what: str) -> Any:
    """Wait until `found` returns something true, and return it."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if result := found():
            return result
        time.sleep(0.01)
    raise AssertionError(f"waited in vain for {what}")


@dataclass
class Node:
    """
    A node directory, a working directory and a site for a test.

    Parameters
    ----------
    path : Path
        Everything is below.
    environ : dict
        Added to the environment of what is run here.
    """

    path: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the working directory."""
        self.cwd.mkdir(parents=True, exist_ok=True)

    @property
    def cwd(self) -> Path:
        """Where commands run."""
        return self.path / "work"

    @property
    def node_dir(self) -> Path:
        """Where the daemon lives."""
        return self.path / "node"

    @property
    def site(self) -> Path:
        """Where runs go."""
        return self.path / "site"

    def environment(self) -> dict[str, str]:
        """Return the environment of what is run here: nothing of this process's surroundings."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("CMFD_")}
        own = {"CMFD_NODE_DIR": str(self.node_dir), "CMFD_SITE": str(self.site)}
        return {**kept, **own, **self.environ}

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command of cmfd."""
        return subprocess.Popen((*CMFD, *words), cwd=self.cwd, env=self.environment(), **options)

    def cmfd(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run a command of cmfd to its end."""
        return subprocess.run(
            (*CMFD, *words), cwd=self.cwd, env=self.environment(), input=stdin,
            capture_output=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip

    def json(self, *words: str) -> Any:
        """Return what a command prints with ``--json``."""
        done = self.cmfd(*words, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def last(self) -> Any:
        """Return the latest run, in full."""
        return self.json("show", "last")

    def serve(self) -> Iterator[None]:
        """Have a daemon here while a fixture lasts."""
        daemon = self.start("daemon", "--idle", "0", stderr=subprocess.DEVNULL)
        try:
            eventually((self.node_dir / "daemon.sock").exists, "the daemon")
            yield
        finally:
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE_S) == 0

    def end_daemon(self) -> None:
        """End the daemon that something here started, if there is one, and wait for it."""
        lock = self.node_dir / "daemon.lock"
        pid = lock.read_text().strip() if lock.exists() else ""
        if not pid:
            return
        try:
            daemon = os.pidfd_open(int(pid))
        except ProcessLookupError:
            return
        try:
            # Its number may be another's by now; who holds the lock is the daemon of this node.
            if daemon_runs(self.node_dir) and lock.read_text().strip() == pid:
                signal.pidfd_send_signal(daemon, signal.SIGTERM)
                ended, _, _ = select.select([daemon], [], [], PATIENCE_S)
                assert ended, "the daemon did not end"
        finally:
            os.close(daemon)
