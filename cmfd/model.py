"""
The words of cmfd as types: what a run is made of, wherever it is stored.

Nothing here knows about journals, sockets or databases. Times are UTC integer
nanoseconds; ids are 16 bytes (see `cmfd.identity`).
"""

from __future__ import annotations

from enum import Enum

Id = bytes
"""A 16-byte UUID in network order: of a run, execution or process instance."""

Scalar = bool | int | float | str | None
"""A parameter's value as stored; JSON values travel as their text."""


class Status(str, Enum):
    """How a run, execution or process stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    """It died or vanished without saying how it ended."""


class Direction(str, Enum):
    """Which way an artifact crosses an execution's border."""

    INPUT = "input"
    OUTPUT = "output"


class ArtifactKind(str, Enum):
    """What an artifact is to its users."""

    DATASET = "dataset"
    MODEL = "model"
    CHECKPOINT = "checkpoint"
    METRICS = "metrics"
    DATASLICE = "dataslice"
    ENVIRONMENT = "environment"
    HDF5_DATASET = "hdf5-dataset"
    LABEL = "label"
    OTHER = "other"


INSIDE = "::"
"""Between the path of a file and the name of what is inside of it."""


OBSERVED = "observed"
"""A property of an event that nobody declared: how it was seen."""


class Relation(str, Enum):
    """What one content has to do with another."""

    CONTAINS = "contains"
    SAME = "same"


GROUP, VARIANT = "group", "variant"
"""Facts of a run or execution: which search it is part of, and what it tries there."""

CONTINUES = "continues"
"""A fact of an execution: the id of the one that it goes on from."""

AROUND = "cmf.around"
"""A fact of an execution that stands around programs which log with CMF's library."""


class NoteKind(str, Enum):
    """What somebody said of an artifact, execution or run afterwards."""

    TAINTED = "tainted"
    CLEARED = "cleared"
    """It is not tainted, or no more."""
    TAG = "tag"
    UNTAG = "untag"
    LABEL = "label"
    """A name for people; the last one counts."""
    NOTE = "note"


class ValueType(str, Enum):
    """
    The type of a stored value, so that nothing is turned to text or rounded.

    SQLite has no boolean, no NaN and no JSON type: a BOOL is stored as 0 or 1,
    a NaN as the text ``NaN`` with type FLOAT, JSON as its text.
    """

    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    STR = "str"
    NULL = "null"
    JSON = "json"
