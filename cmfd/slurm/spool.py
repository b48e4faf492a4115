"""
The job spool: small files in which root tells a node's daemon of jobs.

The Prolog writes one when a job has been given the node, the Epilog one when the job has left it.
See docs/job-spool.md for places, modes and keys.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = "jobs"
"""Under the node directory."""
BEGIN, END = ".begin", ".end"
MOST_BYTES = 1 << 20
"""A list of nodes may be long."""


class JobNote(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a job (of one component of a het job) on this node, as root tells it."""

    cluster: str
    job: str
    """The number that the run's id is derived from: of a het job that of its leader."""
    restart: int
    uid: int
    component: str = ""
    gid: int = -1
    user: str = ""
    account: str = ""
    partition: str = ""
    nodes: str = ""
    """All nodes of the job, as SLURM writes them."""
    node: str = ""
    """This one."""
    time_us: int = 0
    boot: str = ""
    """Since when the node is up, as its kernel calls it (boot_id): what began before is over."""


def file_name(note: JobNote) -> str:
    """Return what the note's file is called, without `BEGIN` or `END`."""
    return f"{note.cluster}_{note.component or note.job}_{note.restart}"


def text_of(note: JobNote) -> str:
    """Write a note as the hooks do."""
    return "".join(f"{key}={value}\n" for key, value in msgspec.structs.asdict(note).items())


def read_note(path: Path) -> JobNote:
    """
    Read a note.

    Parameters
    ----------
    path : Path
        A file of the spool. Whoever could write it is believed.

    Raises
    ------
    ConfigError
        It is none, or says too little.
    OSError
        It cannot be read, or is gone.
    """
    with open(path, "rb", opener=open_at_once) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ConfigError(f"{path} is no file")
        text = file.read(MOST_BYTES).decode("utf-8", "replace")
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    try:
        return msgspec.convert(
            {key: said[key] for key in JobNote.__struct_fields__ if said.get(key)},
            JobNote,
            strict=False,
        )
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path} does not say which job of whom it is about: {error}") from error


def open_at_once(path: str, flags: int) -> int:
    """Open a file; what is none (a pipe that nobody writes to) keeps nobody waiting."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
