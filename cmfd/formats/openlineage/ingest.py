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
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.client.values import typed
from cmfd.errors import NotFoundError
from cmfd.formats.ingested import Ingested, imported_origin
from cmfd.formats.openlineage.gathered import gathered
from cmfd.formats.openlineage.received import decode
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

    from cmfd.formats.openlineage.gathered import Told, Used
    from cmfd.formats.openlineage.received import Event, Job

KEY = "openlineage"
"""Begins the keys of the facts that keep events."""

_ORIGIN, _HEARSAY = map(imported_origin, (2, 3))
"""Of what a run says of itself, and of what others say of their root: the former counts."""

_KINDS = {kind.value: kind for kind in ArtifactKind}


def ingest(site_dir: Path, events: Iterable[Event]) -> list[Ingested]:
    """
    Put events into a site, and merge them.

    Parameters
    ----------
    site_dir : Path
        The site; made one if it is none yet.
    events : iterable
        From `cmfd.formats.openlineage.received.read`, in any order.

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
    by_run: dict[bytes, dict[str, Event]] = {}
    for event in events:
        by_run.setdefault(event.run.runId.bytes, {})[_name_of(event)] = event
    known = _known(site_dir, by_run)
    rows = _Rows()
    done = []
    for name, said in by_run.items():
        kept = known[name]
        every = {**(kept or {}), **said}
        one = gathered(every)
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


def _name_of(event: Event) -> str:
    return hashlib.sha256(_text(event).encode()).hexdigest()[:32]


def _text(event: Event) -> str:
    return json.dumps(msgspec.to_builtins(event), sort_keys=True, separators=(",", ":"))


def _known(site_dir: Path, names: Iterable[bytes]) -> dict[bytes, dict[str, Event] | None]:
    """Return the events of each that the site has; None if it is this site's own."""
    try:
        with open_index(site_dir) as db:
            return {name: _events_of(db, name) for name in names}
    except NotFoundError:
        return {name: {} for name in names}


def _events_of(db: sqlite3.Connection, name: bytes) -> dict[str, Event] | None:
    queries = named("query/openlineage")
    found = {}
    for key, value in db.execute(queries["kept"], {"id": name}):
        try:
            event = decode(value)
        except (msgspec.DecodeError, RecursionError, OverflowError, TypeError):
            continue  # a pack from elsewhere may say anything
        found[key.partition(".")[2]] = event
    if not found and db.execute(queries["is_own"], {"id": name}).fetchone():
        return None
    return found


class _Rows:
    """Rows by table."""

    def __init__(self) -> None:
        self.some: dict[str, list[tuple[Any, ...]]] = {}

    def _put(self, table: str, *row: Any) -> None:
        self.some.setdefault(table, []).append(row)

    def keep(self, run: bytes, events: dict[str, Event]) -> None:
        """Keep events as they were told."""
        for name, event in events.items():
            self._put("fact", run, f"{KEY}.{name}", event.at_ns, _ORIGIN, "json", _text(event))

    def add(self, one: Told) -> None:
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

    def _execution(self, one: Told, run: bytes | None) -> None:
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

    def _run(self, run: bytes | None, one: Told, of: Job, origin: bytes) -> None:
        cluster = of.namespace.removeprefix("slurm://")
        cluster = cluster if cluster != of.namespace else ""
        slurm = one.facets.get("cmfd_slurm", {})
        job = slurm.get("job") if isinstance(slurm, dict) else None
        self._put(
            "run", run, one.began_ns, origin, os.getuid(), cluster,
            job if isinstance(job, str) else "", 0, "", of.name, "", "",
        )  # fmt: skip

    def _code(self, one: Told) -> None:
        where = one.job.facets.get("sourceCodeLocation")
        if not isinstance(where, dict):
            return
        told = {"remote": "repoUrl", "commit": "version", "branch": "branch"}
        code = {key: where[its] for key, its in told.items() if isinstance(where.get(its), str)}
        document = json.dumps({"code": code}, sort_keys=True)
        digest = f"openlineage:{uuid5(_ORIGIN, document).hex()}"
        self._put("environment", digest, document)
        self._put("execution_environment", one.execution, one.code_ns, _ORIGIN, digest)

    def _dataset(self, execution: bytes, direction: Direction, used: Used) -> None:
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
