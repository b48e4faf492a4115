"""
`cmfd merge --watch` of all sites that a template says, as the service of a cluster publishes to.

Jobs that have ended wait in one queue, beside the sites: SLURM's controller need not know which
site is whose. Each is handed on to the queue of its site, where the rest is as with one site.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmfd.cli.watch import PATIENCE_S, QUEUE, Watch, tell
from cmfd.daemon.sites import fixed_part, site_of, sites_of
from cmfd.errors import CmfdError
from cmfd.slurm.spool import read_note

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.slurm.spool import JobNote


@dataclass
class WatchSites:
    """
    All sites of a template.

    Parameters
    ----------
    template : Path
        As `Settings.system_site`.
    is_ended : callable
        As of `Watch`.
    """

    template: Path
    is_ended: Callable[[float], bool]
    _watches: dict[Path, Watch] = field(default_factory=dict)
    _hindrances: dict[Path, str] = field(default_factory=dict)

    def run(self, interval_s: float) -> None:
        """Look again and again until it is told to end."""
        while True:
            self.look()
            if self.is_ended(interval_s):
                return

    def look(self) -> None:
        """Look at each site; one that cannot be used keeps no other waiting."""
        for path in _queued(fixed_part(self.template)):
            self._told(path, _attempt(lambda path=path: self._hand_on(path)))  # type: ignore[misc]
        for path in sites_of(self.template):
            self._told(path, self._watches.setdefault(path, Watch(path, self.is_ended)).attempt())

    def _told(self, path: Path, hindrance: str) -> None:
        if hindrance and hindrance != self._hindrances.get(path):
            tell(hindrance)
        self._hindrances[path] = hindrance

    def _hand_on(self, path: Path) -> None:
        """Move a job that has ended into the queue of its site."""
        site = self._site(read_note(path))
        if site.is_dir():
            (site / QUEUE).mkdir(exist_ok=True)
            path.rename(site / QUEUE / path.name)
        elif time.time() - path.stat().st_mtime >= PATIENCE_S:
            path.unlink()  # nothing of this job was published

    def _site(self, note: JobNote) -> Path:
        fields = {
            "user": note.user, "uid": str(note.uid), "account": note.account,
            "cluster": note.cluster,
        }  # fmt: skip
        return site_of(self.template, fields)


def _attempt(action: Callable[[], None]) -> str:
    """Do something; return what hindered it."""
    try:
        action()
    except (CmfdError, OSError) as error:
        return str(error)
    return ""


def _queued(directory: Path) -> list[Path]:
    """Return the jobs in the queue beside the sites, but those still being written."""
    try:
        found = sorted((directory / QUEUE).iterdir())
    except FileNotFoundError:
        return []
    return [path for path in found if not path.name.startswith(".")]
