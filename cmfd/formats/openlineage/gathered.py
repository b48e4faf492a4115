"""What events of OpenLineage tell of a run together, whichever order they came in."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from cmfd.formats.openlineage.received import Dataset, Event, Facets, Job, parameters
from cmfd.identity import uuid5
from cmfd.model import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATES = {"COMPLETE": Status.COMPLETED, "FAIL": Status.FAILED, "ABORT": Status.CANCELLED}


class Used(msgspec.Struct):
    """A dataset, and when it was named first."""

    at_ns: int
    dataset: Dataset


class Told(msgspec.Struct):
    """All that was told of a run of theirs, as events add to each other."""

    id: bytes
    job: Job
    began_ns: int
    ended_ns: int = 0
    code_ns: int = 0
    """When its code was told last."""
    status: Status = Status.RUNNING
    facets: Facets = {}
    params: dict[str, dict[str, Any]] = {}
    inputs: dict[tuple[str, str], Used] = {}
    outputs: dict[tuple[str, str], Used] = {}

    def add(self, event: Event) -> None:
        """Add an event, which is later than those before."""
        at_ns = event.at_ns
        self.job.facets |= event.job.facets
        self.facets |= event.run.facets
        if "sourceCodeLocation" in event.job.facets:
            self.code_ns = at_ns
        if event.eventType in _STATES:
            self.status, self.ended_ns = _STATES[event.eventType], at_ns
        for key, values in parameters(event).values.items():
            # By their text, since 1 and True are the same to Python.
            self.params.setdefault(key, {}).update((json.dumps(one), one) for one in values)
        for mine, theirs in ((self.inputs, event.inputs), (self.outputs, event.outputs)):
            for dataset in theirs:
                name = dataset.namespace, dataset.name
                used = mine.setdefault(name, Used(at_ns, Dataset(*name, facets={})))
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
        """What it is in, if anything."""
        return self._named("parent")

    @property
    def root(self) -> bytes | None:
        """What it is in at the outside, if anything."""
        return self._named("root") or self.parent

    @property
    def root_job(self) -> Job:
        """The job of its root, as far as it says."""
        said = self._parent("root" if self._named("root") else "parent").get("job")
        try:
            return msgspec.convert(said, Job)
        except msgspec.ValidationError:
            return self.job


def gathered(events: Mapping[str, Event]) -> Told:
    """Put all events of a run together, by their names, in the order of time."""
    order = sorted(events, key=lambda name: (events[name].at_ns, name))
    first = events[order[0]]
    job = Job(first.job.namespace, first.job.name, facets={})
    one = Told(first.run.runId.bytes, job, first.at_ns)
    for name in order:
        one.add(events[name])
    return one
