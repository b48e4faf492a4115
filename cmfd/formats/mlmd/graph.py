"""
What a store of ML Metadata holds, however it is written down.

Its numbers are those of one file; here things are known by ids that follow from what they are, so
that everybody who takes them in, at any site and however often, takes in the same.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from typing import Annotated, Any, Literal

import msgspec

from cmfd.identity import NAMESPACE, uuid5

INPUTS = frozenset((2, 3, 5))
"""Types of events (`Event.Type` in MLMD's proto): declared, plain, internal; others are outputs."""

INPUT, OUTPUT = 3, 4

Kind = Literal["execution", "artifact", "context"]

PIPELINE, STAGE = "Parent_Context", "Pipeline_Stage"
"""Types of the contexts that CMF makes."""

KEY = "mlmd."
"""Begins the keys of the facts that keep what a store said last of something."""

TYPE_FACT, NAME_FACT = "cmf.type", "cmf.name"
END_COMMIT_FACT = "git.end_commit"
PIPELINE_FACT, STAGE_FACT, ARTIFACT_FACT = "cmf.pipeline", "cmf.stage", "cmf.artifact."
"""Facts of an execution that a program written for CMF logged to; the last three: properties."""

_MOST_MS = (1 << 63) // 1_000_000 - 1
"""The latest time that nanoseconds can tell."""

_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_DIGEST = re.compile(r"(md5|hdf5|slice|quick|stat|mlmd):[0-9a-f]+(\.dir)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


Int = Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)]
"""A number that a store has room for."""


class Node(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What contexts, artifacts and executions have in common."""

    type: str
    name: str = ""
    id: Int = 0
    """Its number in the file that it came from."""
    created_ms: Int = 0
    updated_ms: Int = 0
    properties: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    external_id: str = ""
    extra: dict[str, Any] = {}
    """What else the file says of it, in the file's words."""

    def __post_init__(self) -> None:
        for at_ms in (self.created_ms, self.updated_ms):
            _check_time(at_ms, f"{self.type} {self.name}")

    @property
    def original_ms(self) -> int | None:
        """When it was made, of a copy that CMF's server made; None: it is none."""
        said = str(self.custom.get("original_create_time_since_epoch", ""))
        return int(said) if len(said) < 16 and said.isdecimal() else None

    @property
    def made_ms(self) -> int:
        """When it was made, wherever that was."""
        return self.created_ms if self.original_ms is None else self.original_ms

    @property
    def said_ms(self) -> int:
        """When the last was said of it; a copy says less than what it is of."""
        return self.updated_ms if self.original_ms is None else self.original_ms


class Context(Node, kw_only=True, omit_defaults=True):
    """A pipeline, a stage, a run: whatever executions and artifacts belong to."""

    parents: list[str] = []

    @property
    def ref(self) -> str:
        """Its id, in hexadecimal; MLMD has one context of a type and name."""
        return _ref("context", self.type, self.name)


class Artifact(Node, kw_only=True, omit_defaults=True):
    """Content, or something that stands for it."""

    uri: str = ""
    state: Int = 0
    contexts: list[str] = []

    @property
    def digest(self) -> str:
        """Its identity in cmfd: the MD5 that CMF and DVC know it by, else derived from itself."""
        if _MD5.fullmatch(self.uri):
            return f"md5:{self.uri}"
        if _DIGEST.fullmatch(self.uri):
            return self.uri
        if _UUID.fullmatch(self.uri):
            return f"mlmd:{self.uri.replace('-', '')}"
        said = json.dumps([self.type, self.uri, self.name, self.created_ms])
        return f"mlmd:{hashlib.sha256(said.encode()).hexdigest()}"

    @property
    def ref(self) -> str:
        """Its id, in hexadecimal; one content may stand there under several names."""
        return _ref("artifact", self.digest, self.type, self.name)


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An artifact going into or out of an execution."""

    artifact: str
    type: Int
    at_ms: Int = 0
    path: list[str | Int] = []

    def __post_init__(self) -> None:
        _check_time(self.at_ms, "an event")


class Execution(Node, kw_only=True, omit_defaults=True):
    """One time something ran."""

    state: Int = 0
    """`Execution.State` in MLMD's proto; 0: not known."""
    contexts: list[str] = []
    events: list[Event] = []

    @property
    def uuid(self) -> str:
        """The first of the UUIDs that CMF gave it; empty if it is none of CMF's."""
        found = str(self.properties.get("Execution_uuid", "")).partition(",")[0].strip().lower()
        return found if _UUID.fullmatch(found) else ""

    @property
    def is_copy(self) -> bool:
        """Whether cmfd recorded it and gave it out: CMF makes UUIDs of version 1 only."""
        return bool(self.uuid) and uuid.UUID(self.uuid).version in (5, 7)

    @property
    def execution(self) -> bytes:
        """Its id in cmfd; a copy has that of what it is a copy of."""
        if self.is_copy:
            return uuid.UUID(self.uuid).bytes
        if self.uuid:
            return bytes.fromhex(_ref("execution", self.uuid))
        where = (*sorted(self.contexts), str(self.created_ms), str(self.id))
        if not self.created_ms:  # as MLMD once told no times: what it used tells it from others
            where += tuple(sorted(event.artifact for event in self.events))
        return bytes.fromhex(_ref("execution", self.type, self.name, *where))


class Kept(Execution, kw_only=True, omit_defaults=True):
    """
    An execution as a fact keeps it.

    A copy of what cmfd recorded brings along what it belongs to and uses: a site that has the
    execution itself keeps nothing of the copy.
    """

    around_contexts: list[Context] = []
    around_artifacts: list[Artifact] = []


class Type(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A type of one of the kinds ``execution``, ``artifact`` and ``context``."""

    kind: Kind
    name: str
    id: Int = 0
    """Its number in the file that it came from."""
    properties: dict[str, Int] = {}
    """How their values are kept (`PropertyType` in MLMD's proto), by name."""
    version: str = ""
    description: str = ""
    external_id: str = ""
    parents: list[str] = []

    @property
    def key(self) -> str:
        """What nodes call it."""
        return f"{self.name}@{self.version}" if self.version else self.name

    @property
    def ref(self) -> str:
        """Its id, in hexadecimal."""
        return _ref("type", self.kind, self.key)


class Graph(msgspec.Struct):
    """All of it, each in the order of its file, by its id in hexadecimal."""

    contexts: dict[str, Context] = {}
    artifacts: dict[str, Artifact] = {}
    executions: dict[str, Execution] = {}
    types: dict[str, Type] = {}
    places: dict[str, tuple[str, str]] = {}
    """Pipeline and stage of each execution."""

    def add(self, node: Context | Artifact | Type) -> str:
        """Add something, or what is said of it later; return its id."""
        some: dict[str, Any] = self._of(node)
        some[node.ref] = node
        return node.ref

    def _of(self, node: Context | Artifact | Type) -> dict[str, Any]:
        if isinstance(node, Context):
            return self.contexts
        return self.artifacts if isinstance(node, Artifact) else self.types

    def add_execution(self, execution: Execution) -> str:
        """Add an execution; return its id."""
        ref = execution.execution.hex()
        self.executions[ref] = execution
        self.places[ref] = self._place(execution)
        return ref

    def _place(self, execution: Execution) -> tuple[str, str]:
        """Tell pipeline and stage: of CMF's contexts, of TFX's, or of whatever there is."""
        around = [self.contexts[ref] for ref in execution.contexts if ref in self.contexts]
        above = [
            self.contexts[ref] for one in around for ref in one.parents if ref in self.contexts
        ]
        every = around + above
        stage = next((one for one in around if one.type == STAGE), None)
        named = [one.name for one in every if one.type in (PIPELINE, "pipeline")]
        outer = next(iter(named or [one.name for one in above or around]), "mlmd")
        if stage is not None:
            return outer, stage.name.removeprefix(f"{outer}/")
        return outer, execution.type or "execution"


def contexts_of(pipeline: str, stage: str) -> tuple[Context, Context]:
    """Return the contexts that CMF would make for a stage."""
    outer = Context(type=PIPELINE, name=pipeline, properties={"Pipeline": pipeline})
    name = f"{pipeline}/{stage}"
    inner = Context(type=STAGE, name=name, properties={"Pipeline_Stage": name}, parents=[outer.ref])
    return outer, inner


def uuid_text(identity: bytes) -> str:
    """Write an id as CMF writes those of its executions."""
    return str(uuid.UUID(bytes=identity))


def _check_time(at_ms: int, of: str) -> None:
    if not -_MOST_MS <= at_ms <= _MOST_MS:
        raise ValueError(f"{of} has the time {at_ms}, which is beyond the year 2261")


def _ref(*parts: str) -> str:
    return uuid5(NAMESPACE, "mlmd/" + "".join(f"{len(part)}:{part}," for part in parts)).hex()
