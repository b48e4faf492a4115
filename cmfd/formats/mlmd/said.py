"""What a site says of executions, of many at once: a few queries, however many there are."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from cmfd.formats.mlmd.graph import ARTIFACT_FACT
from cmfd.query.index import value_of
from cmfd.store.connection import named

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator


class Used(NamedTuple):
    """An event, of whatever execution."""

    execution: str
    pipeline: str
    path: str
    at_ns: int
    kind: str
    place: str
    properties: str


class Said:
    """
    What is said of some executions, by their numbers in the index, and of what they use.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    executions, own : iterable of int
        All of them, and those of which more than their events is asked for.
    but : collection of str
        Digests of which nothing is asked for.
    """

    def __init__(
        self, db: sqlite3.Connection, executions: Iterable[int], own: Iterable[int],
        but: Collection[str],
    ) -> None:  # fmt: skip
        self._db, self._sql = db, named("query/mlmd")
        mine = list(own)
        self.facts: dict[int, dict[str, Any]] = defaultdict(dict)
        for number, key, *rest in self._rows("facts", mine):
            self.facts[number][key] = value_of(*rest)
        self.params: dict[int, dict[str, Any]] = defaultdict(dict)
        for number, key, *rest in self._rows("params", mine):
            self.params[number][key] = value_of(*rest)
        self.metrics: dict[int, list[tuple[str, float | None, int]]] = defaultdict(list)
        for number, *metric in self._rows("metrics", mine):
            self.metrics[number].append(tuple(metric))
        self.events: dict[int, list[tuple[str, str, int]]] = defaultdict(list)
        """Direction, digest and time."""
        asked, there = set(mine), set()
        for number, artifact, *event in self._rows("events", executions):
            self.events[number].append(tuple(event))
            if number in asked and event[1] not in but:
                there.add(artifact)
        self._of_artifacts(sorted(there))

    def _of_artifacts(self, artifacts: list[int]) -> None:
        self.uses: dict[str, list[Used]] = defaultdict(list)
        """Of an artifact, by its digest, in the order of time."""
        for digest, *use in self._rows("uses", artifacts):
            self.uses[digest].append(Used(*use))
        self.told: dict[str, list[Any]] = defaultdict(list)
        """What was said of it afterwards."""
        for key, *rest in self._rows("said", artifacts):
            self.told[key.removeprefix(ARTIFACT_FACT)].append(value_of(*rest))

    def _rows(self, query: str, numbers: Iterable[int]) -> Iterator[Any]:
        return self._db.execute(self._sql[query], {"ids": json.dumps(list(numbers))})
