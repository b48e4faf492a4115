"""The service of a node for all its users: directories as root makes them, a user of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.daemons import Daemon, as_user

from cmfd.slurm.spool import BEGIN, END, JobNote, file_name, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVICE, ALICE, BOB = 20100, 20001, 20002
"""User ids, and those of their groups."""
TESTS = Path(__file__).parents[1]


def why_not() -> str:
    """Return why users' programs cannot be run here, or nothing."""
    if os.getuid() != 0:
        return "needs root, to be several users"
    program = as_user(ALICE, sys.executable, "-c", "import cmfd")
    done = subprocess.run(program, capture_output=True, check=False, cwd="/")
    return "" if done.returncode == 0 else "other users cannot read this Python or cmfd"


class Service(Daemon):
    """
    A daemon for all users.

    Parameters
    ----------
    base : Path
        A directory that all may enter.
    site : str
        Template of the places where it publishes, under `base`.
    """

    def __init__(
        self, base: Path, *, log: Path, site: str = "sites/{user}", **settings: str
    ) -> None:
        super().__init__(base / "node", log=log)
        self.settings |= settings
        self.base = base
        self.settings |= {"system": "true", "system_site": str(base / site)}
        self._make(self.node_dir, 0o1771, 0)
        self._make(self.node_dir / "jobs", 0o770, 0)
        self._make(self.node_dir / "journals", 0o751, 0)
        self._make(base / "sites", 0o755, SERVICE)

    @staticmethod
    def _make(path: Path, mode: int, uid: int, gid: int = SERVICE) -> None:
        path.mkdir(exist_ok=True)
        os.chown(path, uid, gid)
        path.chmod(mode)

    def command(self, *arguments: str) -> list[str]:
        """Return how it is started."""
        return as_user(SERVICE, *super().command(*arguments))

    def environ(self) -> dict[str, str]:
        """Return the environment of the daemon, which has no home."""
        return {**super().environ(), "HOME": "/nonexistent"}

    # -- what the batch system's hooks do ----------------------------------------------------

    def prolog(self, note: JobNote) -> None:
        """Tell that a job begins, as root."""
        self.make_journals(note.uid)
        self._tell(note, BEGIN)

    def epilog(self, note: JobNote) -> None:
        """Tell that a job has left the node."""
        self._tell(note, END)

    def make_journals(self, uid: int) -> Path:
        """Make the directory for a user's journals."""
        path = self.node_dir / "journals" / str(uid)
        self._make(path, 0o2770, uid)
        return path

    def _tell(self, note: JobNote, kind: str) -> None:
        path = self.node_dir / "jobs" / f"{file_name(note)}{kind}"
        partial = self.node_dir / "partial"
        partial.write_text(text_of(note), "utf-8")
        partial.rename(path)

    def told(self) -> set[str]:
        """Return which notes are there."""
        return {path.name for path in (self.node_dir / "jobs").iterdir()}

    # -- users -------------------------------------------------------------------------------

    def user_environ(self, note: JobNote | None = None, **variables: str) -> dict[str, str]:
        """Return the environment of a user's process, in a job perhaps."""
        environ = {**self.environ(), "PYTHONPATH": str(TESTS)}
        if note is not None:
            environ |= {
                "SLURM_JOB_ID": note.job,
                "SLURM_CLUSTER_NAME": note.cluster,
                "SLURM_RESTART_COUNT": str(note.restart),
            }
        return environ | variables

    def start_as(
        self, uid: int, program: str, *arguments: str, note: JobNote | None = None, **variables: str
    ) -> subprocess.Popen[str]:
        """Start a Python program of a user's."""
        return subprocess.Popen(
            as_user(uid, sys.executable, "-c", program, *arguments),
            env=self.user_environ(note, **variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def run_as(
        self, uid: int, program: str, *arguments: str, note: JobNote | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python program of a user's to its end."""
        process = self.start_as(uid, program, *arguments, note=note, **variables)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def packs(self, site: str) -> Iterator[Path]:
        """Yield the packs that are published to a site under `base`."""
        yield from (self.base / site / "inbox").glob("*.db")
