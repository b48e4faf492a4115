"""
When tasks began and ended on a node, as TaskProlog and TaskEpilog tell it.

They write a line each into a file beside the user's journals; see docs/job-spool.md. It is the
user's file, and read as such: of what it says, only steps, numbers of tasks and times are taken.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

import msgspec

from cmfd.slurm.spool import MOST_BYTES, open_at_once

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".tasks"

MOST_TASKS = 10_000
"""Of one start of a job on one node; more are left out."""

_LINE = re.compile(
    r"(begin|end) ([0-9]{1,10}|batch|interactive) ([0-9]{1,9}) ([0-9]{1,15}|[0-8][0-9]{15})"
)


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """One task of a step: when it began and ended; nothing where nobody said so."""

    step: str
    task: int
    began_ns: int | None = None
    ended_ns: int | None = None


def read_tasks(path: Path, uid: int) -> tuple[Task, ...]:
    """
    Read what was told of a job's tasks.

    Parameters
    ----------
    path : Path
        The file; it may be missing.
    uid : int
        Whose job it is: a file of anybody else's says nothing.

    Returns
    -------
    tuple of Task
        In the order in which they were first mentioned; what is no such line is passed over.
    """
    try:
        with open(path, "rb", opener=open_at_once) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != uid:
                return ()
            text = file.read(MOST_BYTES).decode("ascii", "replace")
    except OSError:
        return ()
    times: dict[tuple[str, int], dict[str, int]] = {}
    for line in text.split("\n")[:-1]:  # without what is not a whole line
        said = _LINE.fullmatch(line)
        if said is None:
            continue
        kind, step, task, at_us = said.groups()
        key = (step, int(task))
        if key in times or len(times) < MOST_TASKS:
            times.setdefault(key, {}).setdefault(kind, int(at_us) * 1000)
    return tuple(Task(*key, at.get("begin"), at.get("end")) for key, at in times.items())


def text_of(tasks: Sequence[Task]) -> str:
    """Return tasks as JSON."""
    return msgspec.json.encode(tasks).decode()
