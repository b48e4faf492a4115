"""Reading what root tells of jobs: see `cmfd.slurm.spool` and docs/job-spool.md."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cmfd.daemon.stimuli import JobSeen
from cmfd.errors import ConfigError
from cmfd.slurm.spool import BEGIN, END, read_note
from cmfd.slurm.tasks import SUFFIX, read_tasks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.slurm.spool import JobNote

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


class Spool:
    """
    The directory in which root's notes appear.

    Parameters
    ----------
    directory : Path
        Need not exist: then no batch system tells anything.
    boot : str, optional
        What the kernel calls the time since the node was started; asked of it if not given. A job
        that began before is over: no Epilog could say so when the node went down.
    journals : Path, optional
        Under which each user has a directory, in which it is told when tasks began and ended.
    """

    def __init__(
        self, directory: Path, boot: str | None = None, journals: Path | None = None
    ) -> None:
        self._directory = directory
        self._boot = _boot() if boot is None else boot
        self._journals = journals
        self._known: set[str] = set()
        self._tasks: dict[str, Path | None] = {}

    def news(self) -> Iterator[JobSeen]:
        """Yield what is there since the last call; that a job began comes before that it ended."""
        try:
            names = {path.name for path in self._directory.iterdir()}
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("the job spool %s cannot be read: %s", self._directory, error)  # noqa: TRY400 - says all
            return
        self._known &= names
        for name in sorted(names - self._known):
            stem, dot, kind = name.rpartition(".")
            if dot + kind not in (BEGIN, END):
                continue
            with suppress(FileNotFoundError):  # root has cleared it away
                note = self._read(name)
                self._known.add(name)
                if note is not None:
                    ended = dot + kind == END or self._is_cut_off(note)
                    told = self._tasks[stem] = self._tasks_file(stem, note)
                    tasks = read_tasks(told, note.uid) if ended and told else ()
                    yield JobSeen(stem, note, ended, tasks)

    def _is_cut_off(self, note: JobNote) -> bool:
        return bool(note.boot and self._boot) and note.boot != self._boot

    def _read(self, name: str) -> JobNote | None:
        try:
            return read_note(self._directory / name)
        except FileNotFoundError:
            raise
        except (ConfigError, OSError) as error:
            log.error("a note of the job spool is passed over: %s", error)  # noqa: TRY400 - says all
            return None

    def _tasks_file(self, name: str, note: JobNote) -> Path | None:
        if self._journals is None:
            return None
        # Tasks of a het job know the leader's number only: components on one node share a file.
        cluster = name.rsplit("_", 2)[0]
        told = f"{cluster}_{note.job}_{note.restart}{SUFFIX}"
        return self._journals / str(note.uid) / told

    def remove(self, name: str) -> None:
        """Remove what told of a job; `.end` last, which alone says enough."""
        told = self._tasks.pop(name, None)
        if told and told not in self._tasks.values():
            with suppress(OSError):
                told.unlink()
        for kind in (BEGIN, END):
            self._remove(f"{name}{kind}")

    def _remove(self, name: str) -> None:
        try:
            (self._directory / name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the note %s stays in the job spool: %s", name, error)


def _boot() -> str:
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
