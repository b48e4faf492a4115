"""What the service of a node for all its users needs beside what every daemon does."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.errors import ConfigError
from cmfd.slurm.spool import DIRECTORY as JOBS

if TYPE_CHECKING:
    from cmfd.config import Settings

_MAKE = "Have root make it (`cmfd slurm install` writes what systemd-tmpfiles needs for it)"


def check_service(settings: Settings) -> None:
    """
    Make sure that a daemon for all users was set up so that it is safe for them.

    Raises
    ------
    ConfigError
        It was not; the message says what is to be done.
    """
    if os.geteuid() == 0:
        raise ConfigError(
            "The setting `system` is on, and the service for all users must not be root: it reads "
            "what they write. Start it as a user of its own (`User=cmfd` in its unit)"
        )
    if settings.system_site == Path():
        raise ConfigError(
            "The setting `system` is on, and `system_site` does not say where to publish. "
            "Set it in /etc/cmfd/cmfd.toml"
        )
    _check_directory(settings.node_dir, os.W_OK | os.X_OK, "write to")
    _check_directory(settings.journal_dir, os.R_OK | os.X_OK, "list")
    jobs = settings.node_dir / JOBS
    if jobs.exists():
        _check_directory(jobs, os.R_OK | os.W_OK | os.X_OK, "list and write to")


def _check_directory(path: Path, needed: int, deed: str) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"{path} cannot be used: {error}. {_MAKE}") from error
    if found.st_mode & stat.S_IWOTH:
        raise ConfigError(f"{path} can be written by everybody. {_MAKE}, with mode 1771")
    if not os.access(path, needed):
        raise ConfigError(f"User {os.geteuid()} cannot {deed} {path}. {_MAKE}, for its group")
