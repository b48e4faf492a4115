"""
Stores of ML Metadata in SQLite, as its own library writes and reads them.

The tables are those of its schema 10. Older ones, from the first on, lack columns and whole tables,
which are taken as empty.
"""

from __future__ import annotations

import base64
import json
import math
import sqlite3
from collections import defaultdict
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cmfd.errors import FormatError
from cmfd.formats.mlmd.graph import Artifact, Context, Event, Execution, Graph, Type
from cmfd.formats.mlmd.numbers import numbers
from cmfd.store.connection import named, sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from cmfd.formats.mlmd.graph import Kind, Node

_KINDS: tuple[Kind, ...] = ("execution", "artifact", "context")
"""By `type_kind`."""

_INT, _DOUBLE, _STRING, _STRUCT, _BOOLEAN = 1, 2, 3, 4, 6
_VALUES = (
    "int_value", "double_value", "string_value", "byte_value", "proto_value", "bool_value"
)  # fmt: skip
_BYTES, _PROTO = "mlmd-bytes::", "mlmd-proto::"
"""Begin the texts that values which are no texts are kept as; `mlmd-struct::` is MLMD's own."""

_NEWEST = 10
_SINCE = {
    "context": 3, "context_properties": 3, "associations": 4, "attributions": 4, "parent_types": 6,
    "parents": 6,
}  # fmt: skip
"""The schemas that some tables came with, by what asks them."""
_INT64 = range(-(1 << 63), 1 << 63)

Row = dict[str, Any]


def read(path: Path) -> Graph:
    """
    Read a store.

    Raises
    ------
    FormatError
        It is none, or of a schema that is not known.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as db:
            db.execute("PRAGMA trusted_schema = OFF")
            db.execute("BEGIN")  # one state, whoever writes to it
            return _Reader(db).graph(path)
    except (sqlite3.Error, KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path} is no store of ML Metadata that can be read: {error}. Nothing of it was "
            "taken in. It must be the SQLite file that programs with ml-metadata write; what "
            "`cmf metadata export` writes, takes cmfd import cmf"
        ) from error


class _Reader:
    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.sql = named("mlmd/store")
        self.version = _NEWEST

    def rows(self, query: str) -> list[Row]:
        if self.version < _SINCE.get(query, 0):
            return []
        cursor = self.db.execute(self.sql[query])
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def graph(self, path: Path) -> Graph:
        version = 0 if self.rows("is_first") else self.rows("version")[0]["version"]
        if not isinstance(version, int) or version > _NEWEST:
            raise FormatError(
                f"{path} has schema {version} of ML Metadata; this cmfd knows {_NEWEST}. "
                "Nothing of it was taken in"
            )
        self.version = version
        graph = Graph()
        self.types = self._types(graph)
        contexts = self._contexts(graph)
        artifacts = self._artifacts(graph, contexts)
        self._executions(graph, contexts, artifacts)
        return graph

    def _types(self, graph: Graph) -> dict[int, Type]:
        kind = "type_kind" if self.version > 1 else "is_artifact_type"
        found = {
            row["id"]: Type(
                kind=_KINDS[row[kind]], name=row["name"], id=row["id"],
                version=row.get("version") or "", description=row.get("description") or "",
                external_id=row.get("external_id") or "",
            )
            for row in self.rows("type")
        }  # fmt: skip
        for row in self.rows("type_properties"):
            if row["type_id"] in found:  # MLMD leaves those of types that an older schema lacks
                found[row["type_id"]].properties[row["name"]] = row["data_type"]
        for row in self.rows("parent_types"):
            found[row["type_id"]].parents.append(found[row["parent_type_id"]].ref)
        for one in found.values():
            graph.add(one)
        return found

    def _properties(self, kind: str) -> tuple[dict[int, Row], dict[int, Row]]:
        """Return properties and custom properties by number."""
        both: tuple[dict[int, Row], dict[int, Row]] = (defaultdict(dict), defaultdict(dict))
        for row in self.rows(f"{kind}_properties"):
            both[bool(row["is_custom_property"])][row[f"{kind}_id"]][row["name"]] = _value(row)
        return both

    def _nodes(self, kind: str) -> Iterator[tuple[Row, Row]]:
        """Yield rows, and what nodes of any kind have of them."""
        properties, custom = self._properties(kind)
        for row in self.rows(kind):
            yield row, {
                "type": self.types[row["type_id"]].key, "name": row.get("name") or "",
                "id": row["id"],
                "created_ms": row.get("create_time_since_epoch") or 0,
                "updated_ms": row.get("last_update_time_since_epoch") or 0,
                "external_id": row.get("external_id") or "",
                "properties": properties.get(row["id"], {}), "custom": custom.get(row["id"], {}),
            }  # fmt: skip

    def _contexts(self, graph: Graph) -> dict[int, Context]:
        found = {row["id"]: Context(**common) for row, common in self._nodes("context")}
        for row in self.rows("parents"):
            found[row["context_id"]].parents.append(found[row["parent_context_id"]].ref)
        for one in found.values():
            graph.add(one)
        return found

    def _artifacts(self, graph: Graph, contexts: dict[int, Context]) -> dict[int, Artifact]:
        found = {
            row["id"]: Artifact(**common, uri=row["uri"] or "", state=row.get("state") or 0)
            for row, common in self._nodes("artifact")
        }
        for row in self.rows("attributions"):
            found[row["artifact_id"]].contexts.append(contexts[row["context_id"]].ref)
        for one in found.values():
            graph.add(one)
        return found

    def _executions(
        self, graph: Graph, contexts: dict[int, Context], artifacts: dict[int, Artifact]
    ) -> None:
        found = {
            row["id"]: Execution(**common, state=row.get("last_known_state") or 0)
            for row, common in self._nodes("execution")
        }
        for row in self.rows("associations"):
            found[row["execution_id"]].contexts.append(contexts[row["context_id"]].ref)
        paths: dict[int, list[str | int]] = defaultdict(list)
        for row in self.rows("event_paths"):
            step = row["step_index"] if row["is_index_step"] else row["step_key"]
            paths[row["event_id"]].append(step)
        for row in self.rows("events"):
            found[row["execution_id"]].events.append(
                Event(
                    artifact=artifacts[row["artifact_id"]].ref, type=row["type"],
                    at_ms=row["milliseconds_since_epoch"] or 0, path=paths.get(row["id"], []),
                )
            )  # fmt: skip
        for one in found.values():
            graph.add_execution(one)


def _value(row: Row) -> Any:
    for column in _VALUES:
        value = row.get(column)
        if value is None:
            continue
        if column == "bool_value":
            return bool(value)
        if isinstance(value, bytes):
            mark = _PROTO if column == "proto_value" else _BYTES
            return mark + base64.b64encode(value).decode()
        return value
    return None


def write(graph: Graph, path: Path) -> None:
    """
    Write a store.

    Parameters
    ----------
    graph : Graph
        Numbers are those of the file that all of it came from, else new ones.
    path : Path
        A file that is not there yet.

    Raises
    ------
    OSError, sqlite3.Error
        It cannot be written.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        # What is not finished is removed, so there is nothing to bring back after a crash.
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(f"BEGIN;{sql('mlmd/schema')}")
        _Writer(db, graph).write()
        db.execute("COMMIT")


class _Writer:
    def __init__(self, db: sqlite3.Connection, graph: Graph) -> None:
        self.db, self.graph = db, graph
        self.sql = named("mlmd/store")
        self.contexts = numbers(graph.contexts)
        self.artifacts = numbers(graph.artifacts)
        self.executions = numbers(graph.executions)
        self.taken: set[tuple[Any, ...]] = set()

    def _add(self, what: str, *row: Any) -> None:
        self.db.execute(self.sql[f"add_{what}"], row)

    def write(self) -> None:
        """Write all of it."""
        self.types = self._types()
        for ref, context in self.graph.contexts.items():
            self._node("context", self.contexts[ref], ref, context)
        for ref, artifact in self.graph.artifacts.items():
            rest = (artifact.uri or None, artifact.state or None)
            self._node("artifact", self.artifacts[ref], ref, artifact, *rest)
        for ref, execution in self.graph.executions.items():
            state = execution.state or None
            self._node("execution", self.executions[ref], ref, execution, state)
        self._edges()

    def _types(self) -> dict[tuple[Kind, str], int]:
        """Write the types that were known, and those that nodes have."""
        kinds: tuple[dict[str, Any], ...] = (
            self.graph.executions, self.graph.artifacts, self.graph.contexts
        )  # fmt: skip
        every = {(one.kind, one.key): one for one in self.graph.types.values()}
        for kind, nodes in zip(_KINDS, kinds, strict=True):
            for node in nodes.values():
                type_ = every.setdefault((kind, node.type), Type(kind=kind, name=node.type))
                for name, value in node.properties.items():
                    type_.properties.setdefault(name, _data_type(value))
        order = sorted(every, key=lambda key: (every[key].id or len(every), key))
        found = {key: number for number, key in enumerate(order, 1)}
        by_ref = {one.ref: found[key] for key, one in every.items()}
        for (kind, key), number in found.items():
            one = every[kind, key]
            self._add(
                "type", number, one.name, one.version or None, _KINDS.index(kind),
                one.description or None, self._external_id("type", one),
            )  # fmt: skip
            for name, data_type in one.properties.items():
                self._add("type_property", number, name, data_type)
            for parent in _there(by_ref, one.parents):
                self._add("parent_type", number, parent)
        return found

    def _external_id(self, kind: str, one: Node | Type) -> str | None:
        """Return what another system calls something, unless another store had that, too."""
        return one.external_id if one.external_id and self._take(kind, one.external_id) else None

    def _take(self, *what: Any) -> bool:
        """Take something that may be there once; tell whether it was free."""
        is_free = what not in self.taken
        self.taken.add(what)
        return is_free

    def _node(self, kind: Kind, number: int, ref: str, node: Node, *rest: Any) -> None:
        type_ = self.types[kind, node.type]
        named_ = node.name or None  # of what has no name there may be several
        if named_ and not self._take(kind, type_, named_):  # what several stores call the same
            named_ = f"{named_}:{ref}"
        times = (node.created_ms, node.updated_ms)
        self._add(kind, number, type_, named_, self._external_id(kind, node), *times, *rest)
        for is_custom, properties in enumerate((node.properties, node.custom)):
            for name, value in properties.items():
                values = [None] * len(_VALUES)
                column, stored = _stored(value)
                values[_VALUES.index(column)] = stored
                self._add(f"{kind}_property", number, name, is_custom, *values)

    def _edges(self) -> None:
        for ref, context in self.graph.contexts.items():
            for parent in _there(self.contexts, context.parents):
                self._add("parent", self.contexts[ref], parent)
        for ref, artifact in self.graph.artifacts.items():
            for number in _there(self.contexts, artifact.contexts):
                self._add("attribution", number, self.artifacts[ref])
        events = 0
        for ref, execution in self.graph.executions.items():
            for number in _there(self.contexts, execution.contexts):
                self._add("association", number, self.executions[ref])
            for event in _distinct(execution.events):
                if event.artifact in self.artifacts:
                    events += 1
                    self._event(events, self.executions[ref], event)

    def _event(self, number: int, execution: int, event: Event) -> None:
        artifact = self.artifacts[event.artifact]
        self._add("event", number, artifact, execution, event.type, event.at_ms or None)
        for step in event.path:
            is_index = isinstance(step, int)
            self._add(
                "event_path", number, is_index, step if is_index else None,
                None if is_index else step,
            )  # fmt: skip


def _there(numbers: Mapping[str, int], refs: Iterable[str]) -> list[int]:
    """Return the numbers of what is there, each once: a pack from elsewhere may say anything."""
    return [numbers[ref] for ref in dict.fromkeys(refs) if ref in numbers]


def _distinct(events: list[Event]) -> list[Event]:
    """Leave out events that a store has once only."""
    return list({(event.artifact, event.type): event for event in reversed(events)}.values())[::-1]


def _data_type(value: Any) -> int:
    column, stored = _stored(value)
    if column == "string_value" and str(stored).startswith("mlmd-struct::"):
        return _STRUCT
    return {"int_value": _INT, "double_value": _DOUBLE, "bool_value": _BOOLEAN}.get(column, _STRING)


def _stored(value: Any) -> tuple[str, Any]:  # noqa: PLR0911 - one a type
    """Return where a value is kept, and as what: what SQLite or MLMD cannot hold, as its text."""
    if isinstance(value, bool):
        return "bool_value", int(value)
    if isinstance(value, int) and value in _INT64:
        return "int_value", value
    if isinstance(value, float) and not math.isnan(value):
        return "double_value", value
    if isinstance(value, str):
        for mark, column in ((_BYTES, "byte_value"), (_PROTO, "proto_value")):
            if value.startswith(mark):
                with suppress(ValueError):  # a text that only begins so
                    return column, base64.b64decode(value.removeprefix(mark), validate=True)
        return "string_value", value
    if isinstance(value, (list, dict)):
        return "string_value", json.dumps(value)
    return "string_value", str(value)
