"""Rows of the content tables, made of records whose values are checked."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cmfd.errors import CmfdError
from cmfd.model import Scalar, ValueType

if TYPE_CHECKING:
    from cmfd.wire.messages import AnyRecord, Hashed, Touch

_ID_BYTES = 16
_INT64 = range(-(1 << 63), 1 << 63)


class RejectedError(CmfdError):
    """A record that must not be stored; it is dropped, and what was said before is kept."""


class Source(NamedTuple):
    """Who says something: a journal."""

    instance: bytes
    uid: int
    host: str


def check(record: AnyRecord) -> None:
    """
    Look for what SQLite cannot hold, and for ids that are none.

    Raises
    ------
    RejectedError
        There is such a thing.
    """
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if type(value) is int:
            if value not in _INT64:
                raise RejectedError(f"{name} is out of range: {value}")
        elif type(value) is bytes and name != "data" and len(value) != _ID_BYTES:
            raise RejectedError(f"{name} is no id: {value.hex()}")


def storable(value_type: str, value: Scalar) -> int | float | str:
    """
    Return a typed value as it is stored.

    Raises
    ------
    RejectedError
        The value is not of the type.
    """
    if value_type == ValueType.FLOAT and type(value) is float:
        return "NaN" if math.isnan(value) else value
    if value_type == ValueType.NULL and value is None:
        return "null"
    if value_type == ValueType.BOOL and type(value) is bool:
        return int(value)
    if value_type == ValueType.INT and type(value) is int:
        return value
    if value_type in (ValueType.STR, ValueType.JSON) and type(value) is str:
        return value
    raise RejectedError(f"no value of type {value_type!r}: {value!r}")


def artifact_and_event(
    source: Source, touch: Touch, hashed: Hashed, rank: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """
    Return the rows that a touch is, once it is known what the content was.

    Content that could not be read is known by where it was, its size and its
    time only, and the event says why.
    """
    digest, strong, size_bytes = hashed.digest, hashed.strong, hashed.size_bytes
    if hashed.problem or not digest:
        where = f"{source.host}|{touch.absolute}|{touch.size_bytes}|{touch.mtime_ns}"
        digest = "stat:" + hashlib.sha256(where.encode()).hexdigest()
        strong, size_bytes = "", touch.size_bytes
    artifact = (digest, strong, size_bytes, hashed.n_files)
    event = (
        touch.execution, touch.direction, digest, touch.path, touch.at_ns, source.instance,
        touch.kind, source.host, touch.absolute, rank, _properties(touch, hashed), hashed.problem,
    )  # fmt: skip
    return artifact, event


def _properties(touch: Touch, hashed: Hashed) -> str:
    """Return what a user said of content and what was learned of it, as one object."""
    if not (touch.properties and hashed.properties):
        return touch.properties or hashed.properties
    try:
        learned, said = map(msgspec.json.decode, (hashed.properties, touch.properties))
        return msgspec.json.encode({**learned, **said}).decode()
    except (ValueError, TypeError):  # no objects; msgspec's errors are ValueErrors
        return touch.properties
