"""
An execution of cmfd's, as what programs written for CMF log to.

What is said goes into the journal at once. Nothing here raises, unless the ``strict`` setting is
on: a failure is one warning.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from cmfd.client import start
from cmfd.client.artifacts import Place
from cmfd.client.execution import Execution
from cmfd.client.ranks import rank_from
from cmfd.client.session import session
from cmfd.client.values import as_json
from cmfd.client.warn import harmless, warn_once
from cmfd.compat import DVC, DVC_PUSH, reading
from cmfd.content.cache import identify
from cmfd.content.files import Hash
from cmfd.errors import NotFoundError
from cmfd.formats.mlmd.graph import (
    ARTIFACT_FACT,
    END_COMMIT_FACT,
    NAME_FACT,
    PIPELINE_FACT,
    STAGE_FACT,
    TYPE_FACT,
)
from cmfd.identity import run_from
from cmfd.wire.messages import Hashed, Touch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cmfd.model import ArtifactKind, Direction

_executions: dict[bytes, Recorder] = {}
_named: dict[tuple[str, str, str], Recorder] = {}


class Recorder:
    """
    Logs to one execution.

    Parameters
    ----------
    execution : Execution
        Of cmfd.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self.strict = execution.strict
        self.logged: set[tuple[Direction, str, str]] = set()
        self.properties: dict[str, dict[str, Any]] = {}
        """Of artifacts, by digest."""
        _executions[execution.id] = self

    @classmethod
    def begin(cls, pipeline: str, stage: str, type_: str) -> Recorder:
        """Start an execution."""
        made = cls(start.start(pipeline, stage))
        made.execution.fact(TYPE_FACT, type_)
        return made

    @classmethod
    def named(cls, pipeline: str, stage: str, name: str) -> Recorder:
        """Return the execution of a name, wherever it was begun; begin it if there is none."""
        key = (pipeline, stage, name)
        if key not in _named:
            known = reading.graph()
            found = [
                ref for ref, one in known.executions.items()
                if one.name == name and known.places[ref] == (pipeline, stage)
            ]  # fmt: skip
            if found:
                _named[key] = cls.again(bytes.fromhex(found[0]), pipeline, stage)
            else:
                _named[key] = cls.begin(pipeline, stage, f"{pipeline}/{stage}")
                _named[key].execution.fact(NAME_FACT, name)
        return _named[key]

    @classmethod
    def again(cls, execution: bytes, pipeline: str, stage: str) -> Recorder:
        """
        Return an execution that was begun before, perhaps by another process.

        Raises
        ------
        NotFoundError
            The site knows none of this id.
        """
        if known := _executions.get(execution):
            return known
        run = reading.run_of(execution)
        if run is None:
            raise NotFoundError(f"no execution {execution.hex()} is known in {reading.site()}")
        rank = rank_from(os.environ)
        where = str(reading.site())
        plan = start.Plan(run, execution, None, pipeline, stage, "", where)
        begin = start.first_records(plan, rank)
        if here := run_from(os.environ):  # so that who stores this run takes this journal, too
            begin.insert(0, start.first_records(plan._replace(run=here), rank)[0])
        return cls(Execution(session(), execution, run.run, pipeline, stage, rank, begin))

    @harmless()
    def describe(self, pipeline: Mapping[str, Any], stage: Mapping[str, Any]) -> None:
        """Record what is said of the pipeline and the stage."""
        for key, said in ((PIPELINE_FACT, pipeline), (STAGE_FACT, stage)):
            if said:
                self.execution.fact(key, dict(said))

    def content(
        self, direction: Direction, path: str, kind: ArtifactKind, properties: Mapping[str, Any]
    ) -> Hash:
        """Record a file or directory as it is now; return what it is."""
        self._store(path)
        found = self._identify(path) or Hash(problem="it could not be read")
        self._record(direction, Place.of(path), kind, found, properties)
        self._show(path, found)
        return found

    @harmless()
    def _store(self, path: str) -> None:
        """Have DVC store it, where that is asked for: now, as it may be another soon."""
        how = os.environ.get(DVC)
        if how and os.path.lexists(path):
            from cmfd.dvc.keep import keep  # noqa: PLC0415 - only where it is asked for

            for problem in keep([path], how, push=bool(os.environ.get(DVC_PUSH))):
                warn_once(problem, f"cmfd: {problem}")

    def _show(self, path: str, found: Hash) -> None:
        """Say that content could not be identified, as CMF's own library would."""
        if found.problem:
            said = f"what {path} holds is not known: {found.problem}; only its name was recorded"
            if self.strict:
                raise NotFoundError(said)
            warn_once(f"content {path}", f"cmfd: {said}")

    @harmless()
    def _identify(self, path: str) -> Hash:
        return identify(Place.of(path).absolute, session().settings.own_journal_dir / "hashes")

    def value(
        self, direction: Direction, path: str, kind: ArtifactKind, found: Hash,
        said: Mapping[str, Any],
    ) -> None:  # fmt: skip
        """Record something that no file here holds."""
        self._record(direction, Place(path, "", -1, -1), kind, found, said)

    def has(self, digest: str) -> bool:
        """Tell whether content goes into this execution or comes out of it."""
        return any(digest == logged for _, logged, _ in self.logged)

    @harmless()
    def _record(
        self, direction: Direction, place: Place, kind: ArtifactKind, found: Hash,
        properties: Mapping[str, Any],
    ) -> None:  # fmt: skip
        execution, token = self.execution, session().token()
        execution.append(
            Touch(
                at_ns=time.time_ns(), token=token, execution=execution.id,
                direction=direction.value, kind=kind.value, path=place.named,
                absolute=place.absolute, size_bytes=place.size_bytes, mtime_ns=place.mtime_ns,
                properties=as_json(dict(properties)) if properties else "",
            )
        )  # fmt: skip
        execution.append(
            Hashed(
                at_ns=time.time_ns(), token=token, digest=found.digest, strong=found.strong,
                size_bytes=found.size_bytes, n_files=found.n_files, problem=found.problem,
                properties=found.properties,
            )
        )  # fmt: skip
        key = (direction, found.digest, place.named)
        if key in self.logged and properties:  # of what is said again, the last word counts
            self.update(found.digest, properties)
        self.logged.add(key)

    @harmless()
    def update(self, digest: str, properties: Mapping[str, Any]) -> None:
        """Record what is said of an artifact afterwards."""
        said = self.properties.setdefault(digest, {})
        said.update(properties)
        self.execution.fact(f"{ARTIFACT_FACT}{digest}", dict(said))

    @harmless()
    def metrics(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record those of some values that are numbers, as metrics."""
        for name, value in values.items():
            if not isinstance(value, (str, bytes)) and hasattr(value, "__float__"):
                self.execution.metric(name, value, step)

    @harmless()
    def end_at(self, commit: str) -> None:
        """Record the commit that the code is at when the execution ends."""
        self.execution.fact(END_COMMIT_FACT, commit)

    @harmless()
    def flush(self) -> None:
        """See to it that what was logged is with the daemon."""
        self.execution.flush()
