"""
A pipeline of DVC's into a site: each stage as it was run last becomes a run with one execution.

Ids are derived from what `dvc.lock` says of the stage, so that everybody who takes it in, at any
site and however often, takes in the same. What is said is written as a journal, as a process would
have said it, and becomes a pack on the ordinary way.
"""

from __future__ import annotations

import getpass
import json
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.client.deadline import Deadline
from cmfd.client.git import GitError, describe_code, last_change
from cmfd.client.journal import JournalWriter, Stream
from cmfd.client.redact import scrub_text
from cmfd.client.values import typed
from cmfd.content.files import hash_path
from cmfd.content.tracking import tracking_of
from cmfd.dvc.lookup import look_up
from cmfd.dvc.pipeline import LOCK, Item, Stage, metrics_in, stages_of
from cmfd.dvc.repository import Repository
from cmfd.errors import NotFoundError
from cmfd.identity import NAMESPACE, execution_id, uuid5
from cmfd.merge.journals import seal_all
from cmfd.merge.layout import init_site
from cmfd.merge.report import MergeReport
from cmfd.merge.sources import Found
from cmfd.model import Direction, Status, ValueType
from cmfd.query import subject
from cmfd.query.index import open_index
from cmfd.store.pack import publish
from cmfd.wire import journal as form
from cmfd.wire.messages import (
    Environment,
    ExecutionBegin,
    ExecutionEnd,
    Fact,
    Hashed,
    Param,
    RunBegin,
    RunEnd,
    Series,
    Touch,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmfd.dvc.files import Out
    from cmfd.model import Id

_STEP = "dvc"
_GIT_S = 60.0
_JOURNAL_BYTES = 1 << 30
_NO_DIGEST = "dvc.lock has no digest of its bytes"


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a stage."""

    pipeline: str
    stage: str
    execution: str
    new: bool
    """Whether the site did not have it yet."""
    without_digest: list[str]
    """Paths of which DVC says no digest that says what they held."""


class _When(msgspec.Struct, frozen=True):
    """Since when a `dvc.lock` is as it is, and in which version of the code."""

    at_ns: int
    code: dict[str, Any]
    remote: str
    commit: str


def ingest(site_dir: Path, directory: Path, pipeline: str | None = None) -> list[Ingested]:
    """
    Put what a pipeline of DVC's did into a site's inbox; merge it afterwards.

    Parameters
    ----------
    site_dir : Path
        The site; made one if it is none yet.
    directory : Path
        It has the `dvc.lock`.
    pipeline : str, optional
        How to call the pipeline; default: as the git remote, or else the directory.

    Returns
    -------
    list of Ingested
        Each stage.

    Raises
    ------
    NotFoundError
        There is no `dvc.lock`.
    ConfigError, DvcError
        It cannot be read.
    StoreError
        The site cannot be written.
    """
    directory = directory.absolute()
    stages = stages_of(directory)
    when = _when(directory / LOCK)
    name = pipeline or _name_of(when.remote) or directory.name or "dvc"
    init_site(site_dir)
    done = []
    with tempfile.TemporaryDirectory(prefix="cmfd-dvc-") as scratch:
        for number, stage in enumerate(stages):
            run = uuid5(NAMESPACE, f"dvc/{len(name)}:{name}/{stage.name}/{stage.digest}")
            execution = execution_id(run, _STEP, name, stage.name, 0)
            new = not _is_known(site_dir, execution)
            if new:
                own = Path(scratch, str(number))
                own.mkdir()
                said = _Said(stage, run, execution, name, directory, when)
                _publish(_journal(said, own), own, site_dir)
            without = [item.out.path for item in (*stage.deps, *stage.outs) if not item.out.md5]
            done.append(
                Ingested(
                    pipeline=name, stage=stage.name, execution=execution.hex(), new=new,
                    without_digest=without,
                )
            )  # fmt: skip
    return done


def _when(lock: Path) -> _When:
    """Ask git; without an answer, the time of the file counts."""
    deadline = Deadline(_GIT_S)
    try:
        change = last_change(str(lock), deadline)
        code = describe_code(str(lock.parent), deadline)
    except (GitError, TimeoutError, OSError):
        change, code = {}, {}
    commit, seconds = change.get("commit"), change.get("time")
    if commit and seconds:
        # What ran was the version whose lock file this is, whatever lies here now.
        kept = {key: code.get(key) for key in ("repository", "branch", "remote")}
        code = {**kept, "commit": commit, "dirty": False}
        return _When(int(seconds) * 10**9, code, change.get("remote") or "", commit)
    return _When(lock.stat().st_mtime_ns, code, change.get("remote") or "", "")


def _name_of(remote: str) -> str:
    return remote.rstrip("/").rpartition("/")[2].rpartition(":")[2].removesuffix(".git")


def _is_known(site_dir: Path, execution: Id) -> bool:
    try:
        with open_index(site_dir) as db:
            return subject.execution(db, execution.hex()).name == execution.hex()
    except NotFoundError:
        return False


class _Said:
    """What is said of a stage."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a stage is to a site
        self, stage: Stage, run: Id, execution: Id, pipeline: str, directory: Path, when: _When
    ) -> None:
        self.stage, self.run, self.execution = stage, run, execution
        self.pipeline, self.directory, self.when = pipeline, directory, when
        self.at_ns = when.at_ns
        self.repository = Repository.around(directory)

    def records(self) -> Iterator[Any]:
        """Yield the records of the run and its execution, but for metrics."""
        run, execution, at_ns = self.run, self.execution, self.at_ns
        command = scrub_text(self.stage.command)
        completed = Status.COMPLETED.value  # a stage that fails is in no dvc.lock
        yield RunBegin(
            at_ns=at_ns, run=run, user=_user(), name=self.stage.name, command=command,
            cwd=str(self.directory),
        )  # fmt: skip
        yield ExecutionBegin(
            at_ns=at_ns, execution=execution, run=run, pipeline=self.pipeline,
            stage=self.stage.name, step=_STEP,
        )  # fmt: skip
        facts = {"dvc.lock": str(self.directory / LOCK), "dvc.commit": self.when.commit}
        for key, value in facts.items():
            if value:
                kind = ValueType.STR.value
                yield Fact(at_ns=at_ns, subject=execution, key=key, type=kind, value=value)
        for key, value in self.stage.params.items():
            type_, stored = typed(value)
            yield Param(at_ns=at_ns, execution=execution, key=key, type=type_.value, value=stored)
        argv = ["sh", "-c", command]
        document = {"command": {"argv": argv, "cwd": str(self.directory)}, "code": self.when.code}
        yield Environment(at_ns=at_ns, execution=execution, document=json.dumps(document))
        yield from self._content()
        yield ExecutionEnd(at_ns=at_ns, execution=execution, status=completed)
        yield RunEnd(at_ns=at_ns, run=run, status=completed)

    def _content(self) -> Iterator[Touch | Hashed]:
        both = ((Direction.INPUT, self.stage.deps), (Direction.OUTPUT, self.stage.outs))
        items = [(direction, item) for direction, some in both for item in some]
        for token, (direction, (out, kind, _)) in enumerate(items, 1):
            yield Touch(
                at_ns=self.at_ns, token=token, execution=self.execution,
                direction=direction.value, kind=kind.value,
                path=os.path.relpath(out.path, self.directory), absolute=out.path,
                size_bytes=out.size_bytes,
            )  # fmt: skip
            digest = f"md5:{out.md5}" if out.md5 else ""
            yield Hashed(
                at_ns=self.at_ns, token=token, digest=digest, size_bytes=out.size_bytes,
                n_files=out.n_files, problem="" if digest else _NO_DIGEST,
                properties=_tracked(out),
            )  # fmt: skip

    def metrics(self) -> Iterator[tuple[str, float]]:
        """Yield what the stage's files of metrics hold, if they still are to be had."""
        for item in self.stage.outs:
            if item.is_metrics and (path := self._found(item)):
                yield from metrics_in(path, Path(item.out.path).suffix).items()

    def _found(self, item: Item) -> Path | None:
        """Return where content that was written is now: in its place, or in the cache."""
        places = [Path(item.out.path)]
        if self.repository is not None and item.out.md5:
            places.append(self.repository.object(item.out.md5))
        return next((one for one in places if hash_path(one).digest == f"md5:{item.out.md5}"), None)


def _tracked(out: Out) -> str:
    """Return where DVC keeps content, if it does: what a program reads may be none of its."""
    tracking = tracking_of(out.path)
    found = look_up(tracking.root, out.path, tracking.files) if tracking and out.md5 else None
    same = found is not None and found["hash"]["digest"] == f"md5:{out.md5}"
    return str(found["hash"]["properties"]) if found is not None and same else ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _journal(said: _Said, directory: Path) -> Path:
    """Write what is said as a journal of its own, which is the same whoever writes it."""
    instance = uuid5(said.run, f"journal/{said.at_ns}")
    journal = JournalWriter(directory, instance, limit_bytes=_JOURNAL_BYTES)
    try:
        for record in said.records():
            journal.append(record)
        points = Stream(form.POINTS, form.POINT.size, 0)
        for number, (name, value) in enumerate(said.metrics(), 1):
            journal.append(Series(at_ns=said.at_ns, id=number, execution=said.execution, name=name))
            _point(journal, points, said.at_ns, value, number)
        journal.seal(whole=True)
        journal.retire()
    finally:
        journal.close(remove=False)
    os.utime(journal.path, ns=(time.time_ns(), said.at_ns))
    return journal.path


def _point(journal: JournalWriter, points: Stream, at_ns: int, value: float, series: int) -> None:
    cursor = points.cursor
    while (offset := next(cursor[1], -1)) < 0:
        cursor = journal.turn(points, cursor)
    form.POINT.pack_into(cursor[0], offset, at_ns, 0, value, series, cursor[2])


def _publish(journal: Path, scratch: Path, site_dir: Path) -> None:
    for pack, _ in seal_all(Found(loose=[journal]), scratch, MergeReport()):
        publish(pack, site_dir)
