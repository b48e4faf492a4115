"""
Other programs' OpenLineage events into a site: each of their runs becomes an execution.

Ids are theirs, so that what comes again, from whichever file, says the same of the same. What has
no parent is a run; what it reads and writes itself is said of an execution in it. Each event is
kept as it was told, in a fact, and what is said here follows from all events that are known: they
may come in parts, in any order.
"""

from __future__ import annotations

import hashlib
import json
import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import msgspec

from cmfd.client.values import typed
from cmfd.errors import FormatError, NotFoundError
from cmfd.formats.ingested import Ingested, imported_origin
from cmfd.identity import uuid5
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
"""Begins the keys of the facts that keep events."""

_ORIGIN, _HEARSAY = map(imported_origin, (2, 3))
"""Of what a run says of itself, and of what others say of their root: the former counts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIMES = range(1 << 63)
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
        at = (
            self.eventTime if self.eventTime.tzinfo else self.eventTime.replace(tzinfo=timezone.utc)
        )
        since = at - _EPOCH
        return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


class _Used(msgspec.Struct):
    """A dataset, and when it was named first."""

    at_ns: int
    dataset: _Dataset


class _Told(msgspec.Struct):
    """All that was told of a run of theirs, as events add to each other."""

    id: bytes
    job: _Job
    began_ns: int
    ended_ns: int = 0
    code_ns: int = 0
    """When its code was told last."""
    status: Status = Status.RUNNING
    facets: Facets = {}
    params: dict[str, dict[str, Any]] = {}
    inputs: dict[tuple[str, str], _Used] = {}
    outputs: dict[tuple[str, str], _Used] = {}

    def add(self, event: _Event) -> None:
        """Add an event, which is later than those before."""
        at_ns = event.at_ns
        self.job.facets |= event.job.facets
        self.facets |= event.run.facets
        if "sourceCodeLocation" in event.job.facets:
            self.code_ns = at_ns
        if event.eventType in _STATES:
            self.status, self.ended_ns = _STATES[event.eventType], at_ns
        for key, values in _params(event).items():
            # By their text, since 1 and True are the same to Python.
            self.params.setdefault(key, {}).update((json.dumps(one), one) for one in values)
        for mine, theirs in ((self.inputs, event.inputs), (self.outputs, event.outputs)):
            for dataset in theirs:
                name = dataset.namespace, dataset.name
                used = mine.setdefault(name, _Used(at_ns, _Dataset(*name, facets={})))
                used.dataset.facets |= dataset.facets

    @property
    def is_run_only(self) -> bool:
        """Tell whether all that is known of it is that it is what others may be in."""
        return self.is_root and not (self.inputs or self.outputs or self.params)

    @property
    def is_root(self) -> bool:
        """Tell whether it is in no other."""
        return self.root in (None, self.id)

    @property
    def execution(self) -> bytes:
        """Its id as an execution: theirs, unless that is the run's."""
        return uuid5(self.id, "execution") if self.is_root else self.id

    @property
    def place(self) -> tuple[str, str]:
        """Pipeline and stage: the first part of a job's name, and the rest."""
        pipeline, _, stage = self.job.name.partition(".")
        return (pipeline, stage) if stage else (self.job.namespace, self.job.name)

    def _parent(self, of: str) -> dict[str, Any]:
        """Return whom the parent facet names: in itself, or as its root."""
        parent = self.facets.get("parent")
        said = parent.get("root") if of == "root" and isinstance(parent, dict) else parent
        return said if isinstance(said, dict) else {}

    def _named(self, of: str) -> bytes | None:
        try:
            return UUID(self._parent(of)["run"]["runId"]).bytes
        except (KeyError, TypeError, ValueError, AttributeError):
            return None

    @property
    def parent(self) -> bytes | None:
        return self._named("parent")

    @property
    def root(self) -> bytes | None:
        return self._named("root") or self.parent

    @property
    def root_job(self) -> _Job:
        """The job of its root, as far as it says."""
        said = self._parent("root" if self._named("root") else "parent").get("job")
        try:
            return msgspec.convert(said, _Job)
        except msgspec.ValidationError:
            return self.job


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
                found.append(_event(piece))
        except (msgspec.DecodeError, RecursionError, OverflowError) as error:
            raise FormatError(
                f"{name}: event {number} is none of OpenLineage's: {error}; nothing of the file was"
                " taken in."
            ) from error
    return found


def _event(text: bytes | str) -> _Event:
    event = msgspec.json.decode(text, type=_Event)
    if event.at_ns not in _TIMES:
        raise OverflowError(f"its time {event.eventTime} is of no year from 1970 to 2261")
    return event


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
    by_run: dict[bytes, dict[str, _Event]] = {}
    for event in events:
        by_run.setdefault(event.run.runId.bytes, {})[_name_of(event)] = event
    known = _known(site_dir, by_run)
    rows = _Rows()
    done = []
    for name, said in by_run.items():
        kept = known[name]
        every = {**(kept or {}), **said}
        one = _gathered(every)
        state = "own" if kept is None else "new" if not kept else "changed"
        if kept is not None:
            state = "known" if len(every) == len(kept) else state
        if state in ("new", "changed"):
            rows.add(one)
            rows.keep(name, said)
        if not one.is_run_only:
            pipeline, stage = one.place
            done.append(
                Ingested(execution=one.execution.hex(), pipeline=pipeline, stage=stage, state=state)
            )
    if rows.some:
        add_rows(site_dir, rows.some)
    return done


def _name_of(event: _Event) -> str:
    return hashlib.sha256(_text(event).encode()).hexdigest()[:32]


def _text(event: _Event) -> str:
    return json.dumps(msgspec.to_builtins(event), sort_keys=True, separators=(",", ":"))


def _gathered(events: dict[str, _Event]) -> _Told:
    """Put all events of a run together, in the order of time."""
    order = sorted(events, key=lambda name: (events[name].at_ns, name))
    first = events[order[0]]
    job = _Job(first.job.namespace, first.job.name, facets={})
    one = _Told(first.run.runId.bytes, job, first.at_ns)
    for name in order:
        one.add(events[name])
    return one


def _known(site_dir: Path, names: Iterable[bytes]) -> dict[bytes, dict[str, _Event] | None]:
    """Return the events of each that the site has; None if it is this site's own."""
    try:
        with open_index(site_dir) as db:
            return {name: _events_of(db, name) for name in names}
    except NotFoundError:
        return {name: {} for name in names}


def _events_of(db: sqlite3.Connection, name: bytes) -> dict[str, _Event] | None:
    queries = named("query/openlineage")
    found = {}
    for key, value in db.execute(queries["kept"], {"id": name}):
        try:
            event = _event(value)
            _params(event)
        except (msgspec.DecodeError, RecursionError, OverflowError, TypeError, FormatError):
            continue  # a pack from elsewhere may say anything
        found[key.partition(".")[2]] = event
    if not found and db.execute(queries["is_own"], {"id": name}).fetchone():
        return None
    return found


def _params(event: _Event) -> dict[str, list[Any]]:
    """Return parameters, of cmfd's facet or of the standard one."""
    found: dict[str, list[Any]] = {}
    own = event.run.facets.get("cmfd_hyperparameters", {})
    standard = event.run.facets.get("executionParameters", {})
    try:
        for key, values in own.get("parameters", {}).items():
            found[str(key)] = list(values)
        for each in standard.get("parameters", []):
            found.setdefault(str(each["key"]), [each.get("value")])
    except (AttributeError, KeyError, TypeError) as error:
        raise FormatError(
            f"parameters of run {event.run.runId} are not of their facet's form"
            f" ({error!r}); nothing was taken in."
        ) from error
    return found


class _Rows:
    """Rows by table."""

    def __init__(self) -> None:
        self.some: dict[str, list[tuple[Any, ...]]] = {}

    def _put(self, table: str, *row: Any) -> None:
        self.some.setdefault(table, []).append(row)

    def keep(self, run: bytes, events: dict[str, _Event]) -> None:
        """Keep events as they were told."""
        for name, event in events.items():
            self._put("fact", run, f"{KEY}.{name}", event.at_ns, _ORIGIN, "json", _text(event))

    def add(self, one: _Told) -> None:
        """Add a run of theirs: one here if it is in no other, and an execution."""
        run = one.id if one.is_root else one.root
        if one.is_root:
            self._run(one.id, one, one.job, _ORIGIN)
            if one.status is not Status.RUNNING:
                self._put("run_end", run, one.ended_ns, _ORIGIN, one.status.value, None, None)
        else:
            self._run(run, one, one.root_job, _HEARSAY)
        if not one.is_run_only:
            self._execution(one, run)

    def _execution(self, one: _Told, run: bytes | None) -> None:
        name = one.execution
        parent = None if one.is_root or one.parent == run else one.parent
        self._put("execution", name, one.began_ns, _ORIGIN, run, parent, *one.place, KEY)
        if one.status is not Status.RUNNING:
            self._put("execution_end", name, one.ended_ns, _ORIGIN, one.status.value, None, None)
        for key, values in one.params.items():
            for value in values.values():
                kind, plain = typed(value)
                stored = storable(kind.value, plain)
                self._put("param", name, key, kind.value, stored, one.began_ns, _ORIGIN, 0)
        self._code(one)
        for direction, some in ((Direction.INPUT, one.inputs), (Direction.OUTPUT, one.outputs)):
            for used in some.values():
                self._dataset(name, direction, used)

    def _run(self, run: bytes | None, one: _Told, of: _Job, origin: bytes) -> None:
        cluster = of.namespace.removeprefix("slurm://")
        cluster = cluster if cluster != of.namespace else ""
        slurm = one.facets.get("cmfd_slurm", {})
        job = slurm.get("job") if isinstance(slurm, dict) else None
        self._put(
            "run", run, one.began_ns, origin, os.getuid(), cluster,
            job if isinstance(job, str) else "", 0, "", of.name, "", "",
        )  # fmt: skip

    def _code(self, one: _Told) -> None:
        where = one.job.facets.get("sourceCodeLocation")
        if not isinstance(where, dict):
            return
        told = {"remote": "repoUrl", "commit": "version", "branch": "branch"}
        code = {key: where[its] for key, its in told.items() if isinstance(where.get(its), str)}
        document = json.dumps({"code": code}, sort_keys=True)
        digest = f"openlineage:{uuid5(_ORIGIN, document).hex()}"
        self._put("environment", digest, document)
        self._put("execution_environment", one.execution, one.code_ns, _ORIGIN, digest)

    def _dataset(self, execution: bytes, direction: Direction, used: _Used) -> None:
        dataset = used.dataset
        content = dataset.facets.get("cmfd_content")
        content = content if isinstance(content, dict) else {}
        digest = content.get("digest")
        if not isinstance(digest, str) or digest.find(":") < 1:
            version = dataset.facets.get("version")
            version = version.get("datasetVersion") if isinstance(version, dict) else None
            said = json.dumps([dataset.namespace, dataset.name, version])
            digest = f"openlineage:{hashlib.sha256(said.encode()).hexdigest()}"
        local = dataset.namespace == "file" or dataset.namespace.startswith("file://")
        path = dataset.name if local else f"{dataset.namespace}/{dataset.name}"
        kind = _KINDS.get(str(content.get("kind")), ArtifactKind.DATASET)
        self._put("artifact", digest, "", -1, 1)  # whatever else is known of it, counts before
        self._put(
            "event", execution, direction.value, digest, path, used.at_ns, _ORIGIN, kind.value,
            dataset.namespace.removeprefix("file://") if local else "", path if local else "", 0,
            "", "" if digest.partition(":")[0] != KEY else "known by name only",
        )  # fmt: skip
