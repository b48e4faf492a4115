"""
Every record of a journal and every message of the node socket, in one place.

*Records* are what a process says about itself. They are written to the event
blocks of its journal (`cmfd.wire.journal`), and reach the daemon as journal
bytes, so there is one encoding of them, not two. *Messages* are what client
and daemon say to each other about journals. Both are MessagePack maps whose
key ``t`` names the type; unknown keys are ignored and missing ones take their
default, so that old and new releases understand each other.

Records carry readings and facts, never deltas: delivering one twice changes
nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Union

import msgspec

from cmfd.model import Id, Scalar  # noqa: TC001 - msgspec reads the annotations

PROTOCOL_VERSION = 1
"""Raised when an older daemon could misread a newer client, or the reverse."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """Something a process says, at `at_ns` (UTC nanoseconds)."""

    at_ns: int


class RunBegin(Record, frozen=True, kw_only=True, omit_defaults=True, tag="run"):
    """A run exists. The earliest one said of a run is kept."""

    run: Id
    cluster: str = ""
    job: str = ""
    restart: int = 0
    user: str = ""
    name: str = ""
    command: str = ""
    cwd: str = ""
    site: str = ""
    """Absolute path of the site repository this run should be merged into."""


class RunEnd(Record, frozen=True, kw_only=True, omit_defaults=True, tag="run-end"):
    """A run ended; the latest one said of a run is kept."""

    run: Id
    status: str
    exit_code: int | None = None
    signal: int | None = None


class ExecutionBegin(Record, frozen=True, kw_only=True, omit_defaults=True, tag="execution"):
    """An execution of `stage` of `pipeline` exists. The earliest is kept."""

    execution: Id
    run: Id
    parent: Id | None = None
    pipeline: str
    stage: str
    step: str = ""
    """Which step of the run: SLURM step id, MPI launch, or process."""


class ExecutionEnd(Record, frozen=True, kw_only=True, omit_defaults=True, tag="execution-end"):
    """An execution ended as a whole; the latest is kept."""

    execution: Id
    status: str
    exit_code: int | None = None
    signal: int | None = None


class ProcessBegin(Record, frozen=True, kw_only=True, omit_defaults=True, tag="process"):
    """The process (journal instance) takes part in an execution, as `rank`."""

    execution: Id
    rank: int = 0
    size: int = 1
    local_rank: int = 0
    host: str = ""
    pid: int = 0
    role: str = "rank"
    """``rank``, ``wrapper`` (`cmfd run`) or ``worker`` (forked from a rank)."""


class ProcessState(Record, frozen=True, kw_only=True, omit_defaults=True, tag="process-state"):
    """A full reading of this process in an execution; the latest is kept."""

    execution: Id
    status: str
    exit_code: int | None = None
    signal: int | None = None
    cpu_user_ns: int = 0
    cpu_system_ns: int = 0
    max_rss_bytes: int = 0
    dropped: int = 0
    """Metric values dropped so far because the journal was full."""


class Series(Record, frozen=True, kw_only=True, omit_defaults=True, tag="series"):
    """
    Names the metric that `id` stands for in this journal's point blocks.

    `kind` is ``float`` (the 8 value bytes are an IEEE double) or ``int`` (a
    signed 64-bit integer, for values a double cannot hold exactly).
    """

    id: int
    execution: Id
    name: str
    kind: str = "float"


class Group(Record, frozen=True, kw_only=True, omit_defaults=True, tag="group"):
    """
    Names the columns of this journal's row blocks of group `id`.

    Column *i* of the group is the series `series[i]`, each of which a `Series`
    record defines; a row has one value for each, one step and one time.
    """

    id: int
    series: list[int]


class Param(Record, frozen=True, kw_only=True, omit_defaults=True, tag="param"):
    """A parameter; different values of one key are all kept."""

    execution: Id
    key: str
    type: str
    value: Scalar


class Touch(Record, frozen=True, kw_only=True, omit_defaults=True, tag="touch"):
    """An execution consumed or produced the content now at `path`."""

    token: int
    """Unique in this journal; `Hashed` refers to it."""
    execution: Id
    direction: str
    kind: str
    path: str
    """As the user gave it."""
    absolute: str = ""
    size_bytes: int = -1
    mtime_ns: int = -1
    properties: str = ""
    """A JSON object, or empty."""


class Hashed(Record, frozen=True, kw_only=True, omit_defaults=True, tag="hashed"):
    """
    The content of an earlier `Touch` was read whole, and this is its identity.

    `digest` is ``md5:<hex>`` (a file) or ``md5:<hex>.dir`` (a directory), as
    DVC 3 computes it; `strong` is ``sha256:<hex>`` from the same read.
    """

    token: int
    digest: str
    strong: str = ""
    size_bytes: int = -1
    n_files: int = 1
    problem: str = ""
    """Why there is no digest (file gone, changed while read, ...), or empty."""
    properties: str = ""
    """What was learned of it besides, a JSON object, or empty; what the touch says comes first."""


class Link(Record, frozen=True, kw_only=True, omit_defaults=True, tag="link"):
    """
    Content that an execution has to do with, and what it has to do with other content.

    `relation` is ``contains`` (the object is part of the subject) or ``same`` (both digests are of
    the same content).
    """

    execution: Id
    subject: str
    """Digest of the content that the relation begins with."""
    relation: str
    """``contains`` or ``same``."""
    object: str
    """Digest of the content that it leads to."""
    name: str = ""
    """What the object is called within the subject."""


class SliceMembers(Record, frozen=True, kw_only=True, omit_defaults=True, tag="slice-members"):
    """The members of a slice, a JSON object as text; `digest` is ``slice:`` and its SHA-256."""

    execution: Id
    digest: str
    """The slice's identity."""
    document: str


class Environment(Record, frozen=True, kw_only=True, omit_defaults=True, tag="environment"):
    """Where and with what an execution ran: a JSON object as text."""

    execution: Id
    document: str


class Fact(Record, frozen=True, kw_only=True, omit_defaults=True, tag="fact"):
    """A register on a run or execution (tag, note, job fact): latest wins."""

    subject: Id
    key: str
    type: str
    value: Scalar


class Sealed(Record, frozen=True, kw_only=True, omit_defaults=True, tag="sealed"):
    """CRC-32 over units ``[first, end)`` of point or row block `block`."""

    block: int
    first: int
    end: int
    crc32: int


class Part(Record, frozen=True, kw_only=True, omit_defaults=True, tag="part"):
    """One of `total` pieces of a record too large for one journal record."""

    token: int
    index: int
    total: int
    data: bytes


AnyRecord = Union[  # noqa: UP007 - Python 3.10 makes no such union of msgspec's classes
    RunBegin, RunEnd, ExecutionBegin, ExecutionEnd, ProcessBegin, ProcessState, Series,
    Group, Param, Touch, Hashed, Link, SliceMembers, Environment, Fact, Sealed, Part,
]  # fmt: skip


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="t"):
    """Base of what travels over the node socket."""


class Hello(Message, frozen=True, kw_only=True, omit_defaults=True, tag="hello"):
    """Client: this is my journal; tell me what you hold of it."""

    protocol: int
    instance: Id
    journal: str
    """Absolute path of the journal, as the client sees it."""


class Welcome(Message, frozen=True, kw_only=True, omit_defaults=True, tag="welcome"):
    """Daemon: what is committed of your journal, and how much you may send."""

    protocol: int
    epoch: Id
    """Made anew at each start of the daemon."""
    credit_bytes: int
    """The most payload bytes that may be sent and not yet acknowledged."""
    committed: list[tuple[int, int, int]]
    """``(block, first, end)`` ranges that need not be sent again."""


class Slice(Message, frozen=True, kw_only=True, omit_defaults=True, tag="slice"):
    """
    Client: units ``[first, end)`` of a block, followed by a frame of its bytes.

    Units are record slots in point and row blocks, bytes in event blocks.
    """

    block: int
    kind: int
    record_bytes: int = 1
    group: int = 0
    first: int
    end: int
    crc32: int
    """Of the payload frame."""


class Ack(Message, frozen=True, kw_only=True, omit_defaults=True, tag="ack"):
    """Daemon: these ranges are on disk. Never sent before they are."""

    committed: list[tuple[int, int, int]]
    credit_bytes: int


class Flush(Message, frozen=True, kw_only=True, omit_defaults=True, tag="flush"):
    """Client: commit now what I sent before this, then say `Flushed`."""

    token: int


class Flushed(Message, frozen=True, kw_only=True, omit_defaults=True, tag="flushed"):
    """Daemon: everything sent before flush `token` is on disk."""

    token: int


class Bye(Message, frozen=True, kw_only=True, omit_defaults=True, tag="bye"):
    """Client: everything is acknowledged and the journal is closed."""


class Unknown(Message, frozen=True, kw_only=True, omit_defaults=True, tag="unknown"):
    """Daemon: I do not know you (I was restarted); say hello again."""


class Refused(Message, frozen=True, kw_only=True, omit_defaults=True, tag="refused"):
    """Daemon: not done, and why; asking again will not help."""

    reason: str


class StatusRequest(Message, frozen=True, kw_only=True, omit_defaults=True, tag="status"):
    """Anyone: tell me how you are."""


class StatusReply(Message, frozen=True, kw_only=True, omit_defaults=True, tag="status-reply"):
    """Daemon: figures about itself, a JSON object as text."""

    document: str


class SealRequest(Message, frozen=True, kw_only=True, omit_defaults=True, tag="seal"):
    """
    `cmfd run` or an epilog: seal this run and publish its pack.

    Answered by `SealReply` once every pack is in its inbox.
    """

    run: Id
    site: str = ""
    """Site to publish to; empty: the one the run named at its begin."""


class SealReply(Message, frozen=True, kw_only=True, omit_defaults=True, tag="seal-reply"):
    """Daemon: where the packs are now; `problem` says what went wrong."""

    packs: list[str]
    problem: str = ""


AnyMessage = Union[  # noqa: UP007 - as above
    Hello, Welcome, Slice, Ack, Flush, Flushed, Bye, Unknown, Refused,
    StatusRequest, StatusReply, SealRequest, SealReply,
]  # fmt: skip

encode = msgspec.msgpack.Encoder().encode
"""Encode a record or message to MessagePack bytes."""


@cache
def _decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    # made at first use: a rank never decodes records, and only its sender messages
    return msgspec.msgpack.Decoder(kind)


def decode_record(data: bytes) -> AnyRecord:
    """Decode a record; raises `msgspec.MsgspecError` on anything malformed."""
    record: AnyRecord = _decoder(AnyRecord).decode(data)
    return record


def decode_message(data: bytes) -> AnyMessage:
    """Decode a message; raises `msgspec.MsgspecError` on anything malformed."""
    message: AnyMessage = _decoder(AnyMessage).decode(data)
    return message
