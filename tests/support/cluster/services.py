"""What runs on the head: munge, MariaDB, slurmdbd and slurmctld."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

from support.cluster import conf, processes
from support.cluster.machine import SYSTEM_PATH, Machine
from support.cluster.processes import Known, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DATA = "/dev/shm/mysql"
"""Where MariaDB keeps its data, on the head: in memory, where nothing waits for a disk."""


class Services:
    """
    The services of a cluster.

    Parameters
    ----------
    root : Path
        The cluster's directory.
    head : Machine
        Where they run.
    """

    def __init__(self, root: Path, head: Machine) -> None:
        self.root = root
        self.head = head

    @staticmethod
    def wanted(*, accounting: bool) -> list[str]:
        """Return which services there are, in the order in which they start."""
        return ["munged", *(["mariadbd", "slurmdbd"] if accounting else []), "slurmctld"]

    def start(self, name: str) -> None:
        """Start a service, and wait until it answers."""
        if self.running(name) is None:
            start: Callable[[], None] = getattr(self, f"_start_{name}")
            start()

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop a service, and wait until it has ended."""
        known = self.running(name)
        if known is not None:
            known.end(number)

    def running(self, name: str) -> Known | None:
        """Return a service's process."""
        return Known.read(self.root / "run" / name)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root on the head, in the services' own environment."""
        words = [*self.head.entering(), *self._environment(), *command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    def _environment(self) -> list[str]:
        return ["env", "-i", f"-C{self.root}/log", f"PATH={SYSTEM_PATH}", "LANG=C.UTF-8",
                f"SLURM_CONF={self.root}/etc/slurm.conf"]  # fmt: skip

    def _spawn(self, name: str, user: str, *command: str) -> None:
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        words = [*self.head.entering(), *become, *self._environment()]
        log = self.root / "log" / f"{name}.out"
        entering = processes.spawn([*words, *command], {"PATH": SYSTEM_PATH}, log)
        wait_for(lambda: processes.children(entering) or processes.has_ended(entering), name)
        started = processes.children(entering)
        if not started:
            raise ChildProcessError(f"{name} did not start: {self._text(name)}")
        Known.of(started[0]).write(self.root / "run" / name)

    def _text(self, name: str) -> str:
        found = [self.root / "log" / f"{name}.{end}" for end in ("out", "log")]
        texts = [path.read_text(errors="replace")[-2000:] for path in found if path.exists()]
        return "\n".join(texts)

    def _await(self, name: str, true: Callable[[], object]) -> None:
        def answered_or_ended() -> bool:
            if self.running(name) is None:
                raise ChildProcessError(f"{name} has ended: {self._text(name)}")
            return bool(true())

        wait_for(answered_or_ended, f"{name} answers: {self._text(name)}")

    def _start_munged(self) -> None:
        munge = self.root / "munge"
        (munge / "munge.socket.lock").unlink(missing_ok=True)
        self._spawn(
            "munged", "munge", "munged", "--foreground", f"--socket={munge}/munge.socket",
            f"--key-file={munge}/munge.key", f"--pid-file={munge}/munged.pid",
            f"--log-file={munge}/munged.log", f"--seed-file={munge}/munged.seed",
        )  # fmt: skip
        self._await("munged", lambda: can_connect(munge / "munge.socket"))

    def install_mariadb(self) -> None:
        """Make the empty database."""
        data = self.head.path(DATA)
        data.mkdir()
        shutil.chown(data, "mysql", "mysql")
        command = ("mariadb-install-db", "--no-defaults", f"--datadir={DATA}", "--user=mysql",
                   "--auth-root-authentication-method=normal", "--skip-test-db")  # fmt: skip
        done = self.run(*command)
        if done.returncode:
            raise ChildProcessError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")

    def _start_mariadbd(self) -> None:
        self._spawn(
            "mariadbd", "mysql", "mariadbd", "--no-defaults", f"--datadir={DATA}",
            f"--socket={DATA}/mysqld.sock", f"--pid-file={DATA}/mysqld.pid",
            "--bind-address=127.0.0.1", f"--port={conf.MARIADB_PORT}", "--skip-name-resolve",
            "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M",
            "--innodb-lock-wait-timeout=900",
            "--innodb-flush-log-at-trx-commit=0", f"--init-file={self.root}/etc/accounting.sql",
        )  # fmt: skip
        self._await("mariadbd", lambda: can_connect(self.head.path(f"{DATA}/mysqld.sock")))

    def _start_slurmdbd(self) -> None:
        self._spawn("slurmdbd", "slurm", "slurmdbd", "-D")
        ask = ("sacctmgr", "--noheader", "--parsable2", "show", "cluster", "format=cluster")
        self._await("slurmdbd", lambda: self.run(*ask).returncode == 0)

    def _start_slurmctld(self) -> None:
        self._spawn("slurmctld", "slurm", "slurmctld", "-D")
        self._await("slurmctld", lambda: "is UP" in self.run("scontrol", "ping").stdout)

    def add_accounts(self, cluster: str, users: list[str]) -> None:
        """Make the cluster, the account `test` and its users known to the accounting."""
        add = ("sacctmgr", "--immediate", "--quiet", "add")
        self.run(*add, "cluster", cluster)
        self.run(*add, "account", "test", f"cluster={cluster}")
        self.run(*add, "user", ",".join(["root", *users]), "account=test", f"cluster={cluster}")


def can_connect(path: Path) -> bool:
    """Whether somebody listens at a socket's path."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            # A path may be longer than an address; from its directory it is not.
            descriptor = os.open(path.parent, os.O_PATH)
            try:
                client.connect(f"/proc/self/fd/{descriptor}/{path.name}")
            finally:
                os.close(descriptor)
        except OSError:
            return False
        return True
