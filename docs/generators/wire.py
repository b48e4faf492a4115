"""Records and messages, from `cmfd.wire.messages` and the golden files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import msgspec

from cmfd.wire import messages
from docs.generators.markdown import code, prose, table
from docs.generators.source import Attribute, class_attributes, module_attributes

GOLDEN = Path(__file__).parents[2] / "tests" / "house" / "golden" / "v1"

TYPES = {
    "Id": "bin, 16 bytes",
    "bytes": "bin",
    "Scalar": "bool, int, float, str or nil",
    "int | None": "int or nil",
    "Id | None": "bin, 16 bytes, or nil",
    "list[int]": "array of int",
    "list[str]": "array of str",
    "list[tuple[int, int, int]]": "array of [int, int, int]",
}
"""How MessagePack writes what an annotation says; other annotations stand for themselves."""

MEANINGS = {
    "at_ns": "When, in UTC nanoseconds.",
    "block": "Number of the block (its mark).",
    "cluster": "Name of the cluster; empty without a batch system.",
    "command": "The command line.",
    "cpu_system_ns": "CPU time of this process so far, in the kernel.",
    "cpu_user_ns": "CPU time of this process so far, in user mode.",
    "cwd": "The working directory.",
    "direction": "`input` or `output`.",
    "document": "The object.",
    "end": "First unit behind the range.",
    "execution": "Id of the execution.",
    "exit_code": "Exit code; nil where it is unknown or a signal ended it.",
    "first": "First unit of the range.",
    "group": "Row blocks: the group's `id`; else 0.",
    "host": "Host name of the node.",
    "instance": "Id of this process, which names its journal; a new UUIDv7 for each process.",
    "job": "Job as users write it (`4711`, `4711_3`, `4711+1`); empty without a batch system.",
    "key": "Name.",
    "local_rank": "Rank among those of the node.",
    "max_rss_bytes": "Memory high-water mark of this process.",
    "name": "A name, for people.",
    "parent": "Id of the execution it is nested in.",
    "pid": "Process id.",
    "pipeline": "Name of the pipeline.",
    "rank": "Rank of this process.",
    "restart": "How many times the batch system started the job again.",
    "run": "Id of the run.",
    "signal": "Number of the signal that ended it; nil otherwise.",
    "size": "Number of ranks.",
    "stage": "Name of the stage.",
    "status": "`running`, `completed`, `failed`, `cancelled` or `lost`.",
    "type": "How to read `value`: `int`, `float`, `bool`, `str`, `null` or `json` (text).",
    "user": "Login name, for people: who a user is comes from the kernel.",
    "value": "The value, exactly.",
    "ack.committed": "`(block, first, end)` ranges.",
    "ack.credit_bytes": "As in `welcome`.",
    "flush.token": "Any number; it comes back.",
    "flushed.token": "Of the `flush`.",
    "group.id": "The group's number in this journal, from 1.",
    "group.series": "A series' `id` for each column.",
    "fact.subject": "Id of the run or execution.",
    "hashed.digest": "Its identity, as above; empty if there is a `problem`.",
    "hashed.n_files": "How many files a directory holds; 1 for a file.",
    "hashed.size_bytes": "Bytes of content; -1 where it could not be read.",
    "hashed.strong": "A stronger digest of the same bytes, or empty.",
    "hashed.token": "Of the `touch`.",
    "part.data": "The piece. The pieces in order are the encoded record.",
    "part.index": "Which piece, from 0.",
    "part.token": "The same in all pieces of one record, and in no others of this journal.",
    "part.total": "How many pieces.",
    "protocol": "Version of this protocol.",
    "refused.reason": "For people.",
    "seal-reply.packs": "Paths of the published packs.",
    "seal-reply.problem": "What went wrong; empty if nothing did.",
    "sealed.crc32": "Over the bytes of those units.",
    "series.id": "The series' number in this journal, from 1.",
    "series.kind": "`float` or `int`.",
    "series.name": "The metric.",
    "slice.kind": "Kind of the block: 1 events, 2 points, 3 rows.",
    "slice.record_bytes": "Bytes of a unit: 1 in event blocks.",
    "touch.absolute": "The absolute path.",
    "touch.kind": "`dataset`, `model`, `metrics`, `dataslice`, `label`, ...",
    "touch.mtime_ns": "Time of the last change, or -1.",
    "touch.size_bytes": "Size of the file, or -1.",
}
"""What a field means where the code has nothing to add: for all types, or as `tag.field`."""


def records() -> str:
    """Return every record with its fields and an example."""
    return _described(messages.AnyRecord, "record")


def frames() -> str:
    """Return every message of the socket with its fields and an example."""
    return _described(messages.AnyMessage, "message")


def version() -> str:
    """Return the protocol's version and what changes it."""
    doc = module_attributes(messages)["PROTOCOL_VERSION"].doc
    return f"The protocol's version is **{messages.PROTOCOL_VERSION}**. {prose(doc)}"


def _described(union: Any, group: str) -> str:
    return "\n\n".join(_one(kind, group) for kind in get_args(union))


def _one(kind: type[msgspec.Struct], group: str) -> str:
    tag = str(kind.__struct_config__.tag)
    rows = [
        (code(field.name), _type(kind, field), _default(field), meaning(kind, tag, field.name))
        for field in msgspec.structs.fields(kind)
    ]
    parts = [f"### `{tag}`", prose(kind.__doc__ or "")]
    if rows:
        parts.append(table(("Field", "Type", "Default", "Meaning"), rows))
    parts.append(f"```text\n{_example(GOLDEN / f'{group}-{tag}.bin')}\n```")
    return "\n\n".join(parts)


def meaning(kind: type[msgspec.Struct], tag: str, field: str) -> str:
    """Return what a field means: its own docstring, else the general meaning of its name."""
    said = _attribute(kind, field).doc or MEANINGS.get(f"{tag}.{field}") or MEANINGS.get(field)
    if not said:
        raise LookupError(f"say what {kind.__name__}.{field} means: below it, or in {__name__}")
    return prose(said)


def _attribute(kind: type[msgspec.Struct], field: str) -> Attribute:
    for base in kind.__mro__:
        found = class_attributes(messages).get(base.__name__, {}).get(field)
        if found is not None:
            return found
    raise LookupError(f"{kind.__name__}.{field} is not in the source of {messages.__name__}")


def _type(kind: type[msgspec.Struct], field: msgspec.structs.FieldInfo) -> str:
    annotation = _attribute(kind, field.name).annotation
    return TYPES.get(annotation, annotation)


def _default(field: msgspec.structs.FieldInfo) -> str:
    return "" if field.default is msgspec.NODEFAULT else code(json.dumps(field.default))


def _example(path: Path) -> str:
    fields = msgspec.msgpack.decode(path.read_bytes())
    lines = ",\n ".join(f'"{key}": {_diagnostic(value)}' for key, value in fields.items())
    return f"{{{lines}}}"


def _diagnostic(value: Any) -> str:
    """Write a value as JSON, bytes as ``h'..'``."""
    if isinstance(value, bytes):
        return f"h'{value.hex()}'"
    return json.dumps(value)


SECTIONS = {"records": records, "messages": frames, "version": version}
