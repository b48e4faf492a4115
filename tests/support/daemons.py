"""Real daemons, as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from support.nodes import values_of

from cmfd.store.connection import connect
from cmfd.wire.control import request
from cmfd.wire.endpoint import listener
from cmfd.wire.messages import StatusReply, StatusRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.nodes import Values

PATIENCE_S = 30.0


def wait_until(true: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, f"not in {timeout_s} s: {what}"
        time.sleep(0.01)


def as_user(uid: int, *command: str) -> list[str]:
    """Return a command as it is run by a user."""
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", *command]


class Daemon:
    """
    A daemon of a node directory.

    Parameters
    ----------
    node_dir : Path
        Where it keeps its things.
    user : int, optional
        Whose it is, if root starts it for another.
    settings : str
        As variables without their prefix, in lower case: ``idle_s="0"``.
    """

    def __init__(
        self, node_dir: Path, *, log: Path, user: int | None = None, **settings: str
    ) -> None:
        self.node_dir = node_dir
        self.log = log
        self.user = user
        # Energy only where a test is about it: of all daemons on a machine one counts it.
        self.settings = {"idle_s": "0", "auto_merge": "false", "energy": "false", **settings}
        self.process: subprocess.Popen[bytes] | None = None

    def environ(self) -> dict[str, str]:
        """Return the environment of the daemon."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("CMFD_", "SLURM_"))
        }
        chosen = {f"CMFD_{key.upper()}": value for key, value in self.settings.items()}
        if self.user is not None:
            chosen["HOME"] = str(self.node_dir)
        return {**kept, **chosen, "CMFD_NODE_DIR": str(self.node_dir)}

    def command(self, *arguments: str) -> list[str]:
        """Return how it is started."""
        command = [sys.executable, "-m", "cmfd", "daemon", *arguments]
        return command if self.user is None else as_user(self.user, *command)

    def start(self, *, wait: bool = True) -> Daemon:
        """Start it, and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), env=self.environ(), stderr=log)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self) -> None:
        """Wait until it listens."""
        assert self.process is not None
        process = self.process
        wait_until(lambda: process.poll() is not None or self.is_listening, f"ready: {self.text()}")
        assert process.poll() is None, self.text()

    @property
    def is_listening(self) -> bool:
        """Whether this very process listens."""
        found = listener(self.node_dir)
        return found is not None and self.process is not None and found.pid == self.process.pid

    def status(self) -> dict[str, Any]:
        """Return what it says of itself."""
        system = self.settings.get("system") == "true"
        reply = request(self.node_dir, StatusRequest(), PATIENCE_S, system=system)
        assert isinstance(reply, StatusReply)
        document: dict[str, Any] = json.loads(reply.document)
        return document

    def wait_for(self, true: Callable[[dict[str, Any]], object], what: str) -> None:
        """Wait until its status is so."""
        wait_until(lambda: true(self.status()), what)

    def kill(self) -> None:
        """End it at once, as the kernel does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_S)

    def text(self) -> str:
        """Return its log."""
        return self.log.read_text("utf-8") if self.log.exists() else ""

    def values(self) -> Values:
        """Return the metric values in its store."""
        with closing(connect(self.node_dir / "node.db", readonly=True)) as db:
            return values_of(db)

    def close(self) -> None:
        """End it whatever state it is in."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
