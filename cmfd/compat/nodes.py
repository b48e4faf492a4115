"""
Contexts, executions and artifacts as programs written for CMF know them.

They have the names of ML Metadata's messages: ``execution.properties["x"].string_value``. Values
are kept as they are, and not as texts of six decimals.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from cmfd.formats.mlmd import graph

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cmfd.formats.mlmd.graph import Artifact as GraphArtifact
    from cmfd.formats.mlmd.graph import Context as GraphContext
    from cmfd.formats.mlmd.graph import Execution as GraphExecution

_FIELDS: dict[str, tuple[type, Any]] = {
    "string_value": (str, ""), "int_value": (int, 0), "double_value": (float, 0.0),
    "bool_value": (bool, False),
}  # fmt: skip


class Value:
    """A property's value; of another type than its own it is that type's nothing."""

    def __init__(self, value: Any = None) -> None:
        object.__setattr__(self, "value", value)

    def __getattr__(self, name: str) -> Any:
        if name not in _FIELDS:
            raise AttributeError(name)
        kind, nothing = _FIELDS[name]
        return self.value if type(self.value) is kind else nothing

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in _FIELDS:
            raise AttributeError(name)
        object.__setattr__(self, "value", _FIELDS[name][0](value))

    def HasField(self, name: str) -> bool:  # noqa: N802 - its name in ML Metadata
        """Tell whether the value is of this type."""
        return type(self.value) is _FIELDS[name][0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Value) and (type(self.value), self.value) == (
            type(other.value), other.value
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment] # it changes

    def __repr__(self) -> str:
        for name in _FIELDS:
            if self.HasField(name):
                shown = f'"{self.value}"' if name == "string_value" else self.value
                return f"{name}: {shown}\n"
        return f"value: {self.value}\n"


class Properties(dict[str, Value]):
    """Values by name; one that is asked for and not there is made, as in ML Metadata."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Properties:
        """Return values as properties."""
        return cls({str(key): Value(value) for key, value in values.items()})

    def __missing__(self, key: str) -> Value:
        self[key] = Value()
        return self[key]

    def values_of(self) -> dict[str, Any]:
        """Return the values as they are."""
        return {key: one.value for key, one in self.items()}


class Node:
    """What all of them have."""

    def __init__(self, node: GraphContext | GraphExecution | GraphArtifact, ref: str) -> None:
        self.ref = ref
        """Its id in hexadecimal."""
        self.id = number_of(ref)
        self.type = node.type
        self.name = node.name
        self.properties = Properties.of(node.properties)
        self.custom_properties = Properties.of(node.custom)
        self.create_time_since_epoch = node.created_ms
        self.last_update_time_since_epoch = node.updated_ms

    def __str__(self) -> str:
        lines = [f"id: {self.id}", f'type: "{self.type}"', f'name: "{self.name}"']
        for title in ("properties", "custom_properties"):
            for key, value in getattr(self, title).items():
                lines.append(f'{title} {{\n  key: "{key}"\n  value {{\n    {value!r}  }}\n}}')
        lines.append(f"create_time_since_epoch: {self.create_time_since_epoch}")
        lines.append(f"last_update_time_since_epoch: {self.last_update_time_since_epoch}\n")
        return "\n".join(lines)


class Context(Node):
    """A pipeline or a stage."""


class Execution(Node):
    """One time a stage ran."""


class Artifact(Node):
    """A dataset, model, or what else goes in and out."""

    def __init__(self, node: GraphArtifact, ref: str) -> None:
        super().__init__(node, ref)
        self.uri = node.uri


def artifact(
    type_: str, name: str, uri: str, properties: dict[str, Any], custom: dict[str, Any]
) -> Artifact:
    """Return an artifact as it is now."""
    now_ms = time.time_ns() // 1_000_000
    made = graph.Artifact(
        type=type_, name=name, uri=uri, properties=properties, custom=custom, created_ms=now_ms,
        updated_ms=now_ms,
    )  # fmt: skip
    return Artifact(made, made.ref)


def number_of(ref: str) -> int:
    """Return the number that programs know something by, the same in all processes."""
    return int(ref[:12], 16)
