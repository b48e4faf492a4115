"""
Other programs' OpenLineage events into a site: each of their runs becomes an execution.

Ids are theirs, so that what comes again, from whichever file, says the same of the same. What is
root of others, and reads and writes nothing itself, is the run that those are in. Facets that have
no place here are kept as they are, in a fact.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec

from cmfd.client.values import typed
from cmfd.errors import FormatError, NotFoundError
from cmfd.formats.mlmd.ingest import Ingested
from cmfd.identity import NAMESPACE, uuid5
from cmfd.merge.additions import add_rows
from cmfd.merge.layout import init_site
from cmfd.model import ArtifactKind, Direction, Status
from cmfd.query.index import open_index
from cmfd.store.connection import named
from cmfd.store.rows import storable

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

KEY = "openlineage"
"""The fact that keeps the facets."""

_ORIGIN = uuid5(NAMESPACE, "openlineage")
_STATES = {"COMPLETE": Status.COMPLETED, "FAIL": Status.FAILED, "ABORT": Status.CANCELLED}
_KINDS = {kind.value: kind for kind in ArtifactKind}

Facets = dict[str, Any]


class _Dataset(msgspec.Struct):
    namespace: str
    name: str
    facets: Facets = {}


class _Job(msgspec.Struct):
    namespace: str
    name: str
    facets: Facets = {}


class _Run(msgspec.Struct):
    runId: UUID  # noqa: N815 - OpenLineage's name
    facets: Facets = {}


class _Any(msgspec.Struct):
    """Any event; those of datasets and jobs have no run."""

    run: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct):
    """A run event of https://openlineage.io/spec/2-0-2/OpenLineage.json, as far as it is used."""

    eventTime: datetime  # noqa: N815 - OpenLineage's name
    run: _Run
    job: _Job
    eventType: Literal[  # noqa: N815 - OpenLineage's name
        "START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"
    ] = "OTHER"
    inputs: list[_Dataset] = []
    outputs: list[_Dataset] = []

    @property
    def at_ns(self) -> int:
        whole = int(self.eventTime.timestamp())
        return whole * 1_000_000_000 + self.eventTime.microsecond * 1000


class _Told(msgspec.Struct):
    """All that was told of a run of theirs, as events add to each other."""

    id: bytes
    job: _Job
    began_ns: int
    last_ns: int
    status: Status = Status.RUNNING
    facets: Facets = {}
    inputs: dict[tuple[str, str], _Dataset] = {}
    outputs: dict[tuple[str, str], _Dataset] = {}

    def _named(self, of: str) -> bytes | None:
        """Return an id that the parent facet names: `run` in itself, or in its root."""
        parent = self.facets.get("parent", {})
        said = parent.get("root", {}) if of == "root" else parent
        try:
            return UUID(said["run"]["runId"]).bytes
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @property
    def parent(self) -> bytes | None:
        return self._named("parent")

    @property
    def root(self) -> bytes | None:
        return self._named("root") or self.parent


def read(content: bytes, name: str) -> list[_Event]:
    """
    Read events, a line of JSON each, or all of them in one JSON array.

    Parameters
    ----------
    content : bytes
        Of the file. Events of datasets and jobs without a run are passed over.
    name : str
        What to call it in errors.

    Raises
    ------
    FormatError
        A line is no event; it says which, and why.
    """
    if content.lstrip()[:1] == b"[":
        try:
            pieces = [
                bytes(piece) for piece in msgspec.json.decode(content, type=list[msgspec.Raw])
            ]
        except msgspec.DecodeError as error:
            raise FormatError(f"{name}: {error}; nothing of it was taken in.") from error
    else:
        pieces = content.splitlines()
    found = []
    for number, piece in enumerate(pieces, 1):
        if not piece.strip():
            continue
        try:
            if msgspec.json.decode(piece, type=_Any).run:
                found.append(msgspec.json.decode(piece, type=_Event))
        except (msgspec.DecodeError, RecursionError) as error:
            raise FormatError(
                f"{name}: event {number} is none of OpenLineage's: {error}; nothing of the file was"
                " taken in."
            ) from error
    return found


def ingest(site_dir: Path, events: Iterable[_Event]) -> list[Ingested]:
    """
    Put events into a site, and merge them.

    Parameters
    ----------
    site_dir : Path
        The site; made one if it is none yet.
    events : iterable
        From `read`, in any order.

    Returns
    -------
    list of Ingested
        What became of each run that they tell of and that becomes an execution.

    Raises
    ------
    StoreError, IncompleteError
        As `cmfd.merge.additions.add_rows`.
    """
    init_site(site_dir)
    told = _gathered(events)
    roots = {one.root for one in told.values()}
    states = _states(site_dir, told)
    rows = _Rows(told, roots)
    done = []
    for one in told.values():
        pipeline, stage = rows.place(one)
        state = states[one.id]
        if state in ("new", "changed"):
            rows.add(one)
        if not rows.is_root(one):
            done.append(
                Ingested(execution=one.id.hex(), pipeline=pipeline, stage=stage, state=state)
            )
    if rows.some:
        add_rows(site_dir, rows.some)
    return done


def _gathered(events: Iterable[_Event]) -> dict[bytes, _Told]:
    found: dict[bytes, _Told] = {}
    for event in sorted(events, key=lambda event: event.at_ns):
        name, at_ns = event.run.runId.bytes, event.at_ns
        one = found.setdefault(
            name, _Told(name, event.job, at_ns, at_ns, facets={}, inputs={}, outputs={})
        )
        one.last_ns = at_ns
        one.job.facets |= event.job.facets
        one.facets |= event.run.facets
        one.status = _STATES.get(event.eventType, one.status)
        for mine, theirs in ((one.inputs, event.inputs), (one.outputs, event.outputs)):
            for dataset in theirs:
                known = mine.setdefault((dataset.namespace, dataset.name), dataset)
                known.facets |= dataset.facets
    return found


def _kept(one: _Told) -> str:
    """Return what is kept of something as it was told."""
    said = msgspec.to_builtins(one)
    datasets = {of: [*getattr(one, of).values()] for of in ("inputs", "outputs")}
    said |= {of: msgspec.to_builtins(some) for of, some in datasets.items()}
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def _states(site_dir: Path, told: dict[bytes, _Told]) -> dict[bytes, str]:
    """Tell of each whether it is ``new``, ``known``, ``changed``, or of this site's ``own``."""
    try:
        with open_index(site_dir) as db:
            return {name: _state(db, one) for name, one in told.items()}
    except NotFoundError:
        return dict.fromkeys(told, "new")


def _state(db: sqlite3.Connection, one: _Told) -> str:
    queries = named("query/openlineage")
    asked = {"id": one.id, "key": KEY}
    row = db.execute(queries["kept"], asked).fetchone()
    if row is None:
        return "own" if db.execute(queries["is_known"], asked).fetchone() else "new"
    return "known" if tuple(row) >= (one.last_ns, _kept(one)) else "changed"


class _Rows:
    """Rows by table."""

    def __init__(self, told: dict[bytes, _Told], roots: set[bytes | None]) -> None:
        self.told, self.roots = told, roots
        self.some: dict[str, list[tuple[Any, ...]]] = {}

    def _put(self, table: str, *row: Any) -> None:
        self.some.setdefault(table, []).append(row)

    def place(self, one: _Told) -> tuple[str, str]:
        """Return pipeline and stage: the first part of a job's name, and the rest."""
        pipeline, _, stage = one.job.name.partition(".")
        return (pipeline, stage) if stage else (one.job.namespace, one.job.name)

    def is_root(self, one: _Told) -> bool:
        """Tell whether it is the run that others are in."""
        return one.id in self.roots and not (one.inputs or one.outputs)

    def add(self, one: _Told) -> None:
        """Add a run of theirs: one here if others are in it, else an execution."""
        self._put("fact", one.id, KEY, one.last_ns, _ORIGIN, "json", _kept(one))
        if self.is_root(one):
            self._run(one.id, one)
            return
        run = one.root if one.root and one.root != one.id else uuid5(one.id, "run")
        if run not in self.told:
            self._run(run, one)
        parent = one.parent if one.parent != run else None
        place = self.place(one)
        self._put("execution", one.id, one.began_ns, _ORIGIN, run, parent, *place, KEY)
        if one.status is not Status.RUNNING:
            self._put("execution_end", one.id, one.last_ns, _ORIGIN, one.status.value, None, None)
        for key, values in self._params(one).items():
            for value in values:
                kind, plain = typed(value)
                stored = storable(kind.value, plain)
                self._put("param", one.id, key, kind.value, stored, one.last_ns, _ORIGIN, 0)
        self._code(one)
        for direction, datasets in ((Direction.INPUT, one.inputs), (Direction.OUTPUT, one.outputs)):
            for dataset in datasets.values():
                self._dataset(one, direction, dataset)

    def _run(self, run: bytes, one: _Told) -> None:
        cluster = one.job.namespace.removeprefix("slurm://")
        cluster = cluster if cluster != one.job.namespace else ""
        slurm = one.facets.get("cmfd_slurm", {})
        job = slurm.get("job") if isinstance(slurm, dict) else None
        self._put(
            "run", run, one.began_ns, _ORIGIN, os.getuid(), cluster,
            job if isinstance(job, str) else "", 0, "", one.job.name, "", "",
        )  # fmt: skip
        if one.status is not Status.RUNNING:
            self._put("run_end", run, one.last_ns, _ORIGIN, one.status.value, None, None)

    @staticmethod
    def _params(one: _Told) -> dict[str, list[Any]]:
        """Return parameters, of cmfd's facet or of the standard one."""
        found: dict[str, list[Any]] = {}
        own = one.facets.get("cmfd_hyperparameters", {})
        standard = one.facets.get("executionParameters", {})
        try:
            for key, values in own.get("parameters", {}).items():
                found[str(key)] = list(values)
            for each in standard.get("parameters", []):
                found.setdefault(str(each["key"]), [each.get("value")])
        except (AttributeError, KeyError, TypeError) as error:
            raise FormatError(
                f"parameters of run {UUID(bytes=one.id)} are not of their facet's form"
                f" ({error!r}); nothing was taken in."
            ) from error
        return found

    def _code(self, one: _Told) -> None:
        where = one.job.facets.get("sourceCodeLocation")
        if not isinstance(where, dict):
            return
        told = {"remote": "repoUrl", "commit": "version", "branch": "branch"}
        code = {key: where[its] for key, its in told.items() if isinstance(where.get(its), str)}
        document = json.dumps({"code": code}, sort_keys=True)
        digest = f"openlineage:{uuid5(_ORIGIN, document).hex()}"
        self._put("environment", digest, document)
        self._put("execution_environment", one.id, one.began_ns, _ORIGIN, digest)

    def _dataset(self, one: _Told, direction: Direction, dataset: _Dataset) -> None:
        content = dataset.facets.get("cmfd_content")
        content = content if isinstance(content, dict) else {}
        digest = content.get("digest")
        if not isinstance(digest, str):
            version = dataset.facets.get("version")
            version = version.get("datasetVersion") if isinstance(version, dict) else None
            said = json.dumps([dataset.namespace, dataset.name, version])
            digest = f"openlineage:{hashlib.sha256(said.encode()).hexdigest()}"
        strong = content.get("strong")
        local = dataset.namespace == "file" or dataset.namespace.startswith("file://")
        path = dataset.name if local else f"{dataset.namespace}/{dataset.name}"
        kind = _KINDS.get(str(content.get("kind")), ArtifactKind.DATASET)
        self._put("artifact", digest, strong if isinstance(strong, str) else "", -1, 1)
        self._put(
            "event", one.id, direction.value, digest, path, one.began_ns, _ORIGIN, kind.value,
            dataset.namespace.removeprefix("file://") if local else "", path if local else "", 0,
            "", "" if digest.partition(":")[0] != KEY else "known by name only",
        )  # fmt: skip
