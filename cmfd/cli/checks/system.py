"""What this node has: versions, MPI, SLURM, clock."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sqlite3
import time
from datetime import datetime, timezone
from importlib import metadata
from typing import TYPE_CHECKING

from cmfd import __version__, slurm
from cmfd.cli.checks.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST_SQLITE = (3, 37, 0)
"""STRICT tables."""

_LIBRARIES = ("click", "msgspec", "numpy", "psutil", "pyzmq", "rich", "sqlite-utils", "zstandard")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # more than struct timex has anywhere
_BUILT_S = datetime(2025, 1, 1, tzinfo=timezone.utc).timestamp()


def check_system() -> Iterator[Finding]:
    """Look at the software and hardware of this node."""
    yield _versions()
    yield _mpi()
    yield _slurm()
    yield _clock()


def _versions() -> Finding:
    found = [f"{name} {_version(name)}" for name in _LIBRARIES]
    python = platform.python_version()
    what = f"cmfd {__version__}, Python {python}, SQLite {sqlite3.sqlite_version}, "
    what += ", ".join(found)
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        advice = "Use a Python whose SQLite is 3.37 or newer."
        return Finding("versions", "fail", what, advice)
    missing = [line for line in found if line.endswith("missing")]
    advice = "Install cmfd again: pip install cmfd." if missing else ""
    return Finding("versions", "fail" if missing else "ok", what, advice)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _mpi() -> Finding:
    launchers = [name for name in ("mpirun", "mpiexec", "srun") if shutil.which(name)]
    mpi4py = _version("mpi4py")
    seen = f"launchers: {', '.join(launchers) or 'none'}; mpi4py: {mpi4py}"
    if "mpirun" in launchers and mpi4py == "missing":
        advice = "For comm= in Python programs: pip install 'cmfd[mpi]'. Others need nothing."
        return Finding("MPI", "warn", seen, advice)
    return Finding("MPI", "ok", seen)


def _slurm() -> Finding:
    job = slurm.job_from(os.environ)
    if job is not None:
        return Finding("SLURM", "ok", f"in job {job.name} of cluster {job.cluster or '(no name)'}")
    commands = shutil.which("sbatch")
    where = f"seen ({commands}), not in a job" if commands else "not here"
    return Finding("SLURM", "ok", where)


def _clock() -> Finding:
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    advice = "Times in records will be wrong. An administrator can set it: chrony, ntp."
    if time.time() < _BUILT_S:
        return Finding("clock", "fail", f"it says {now}", advice)
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    if state == _TIME_ERROR:
        advice = "Times of different nodes may not compare. An administrator can start chrony."
        return Finding("clock", "warn", f"{now}, not synchronised", advice)
    return Finding("clock", "ok", f"{now}" + (", synchronised" if state >= 0 else ""))
