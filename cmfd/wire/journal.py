"""
The journal's byte format, and reading it back.

A journal is one process's append-only file: a file header, then blocks of one
size. Everything is little-endian; docs/journal.md is the written form of this
module, for writers in other languages. What makes it kill-safe without a
system call per record: the pages belong to the kernel as soon as they are
written, and each record is written front to back with its *commit mark* last,
so a process killed in the middle of a record leaves one without its mark.

Blocks are reused once the daemon has committed all of them. A reused block
gets a new number, and since every mark is its block's number, nothing stale
is ever taken for a record.
"""

from __future__ import annotations

import struct
import sys
import zlib
from typing import TYPE_CHECKING

import msgspec

from cmfd.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Buffer = bytes | bytearray | memoryview

SUFFIX = ".cmfj"
VERSION = 1
FILE_HEADER_BYTES = 4096
BLOCK_HEADER_BYTES = 64
BLOCK_BYTES = 256 * 1024

FILE_MAGIC = b"CMFDJRNL"
BLOCK_MAGIC = b"CMFB"

EVENTS, POINTS, ROWS = 1, 2, 3
"""Kinds of block: records of any size; single metric values; rows of a group."""

FILE_HEADER = struct.Struct("<8sHHI16s16sIIq")
"""Magic, version, header bytes, block bytes, instance, boot id, uid, pid, created_ns."""

BLOCK_HEADER = struct.Struct("<4sIIII")
"""Magic, kind, block number (its mark; from 1), record bytes, group."""

CRC = struct.Struct("<I")
"""Follows each header and covers it."""

# Native mode packs doubles twice as fast, and lays these fields out alike: each is aligned.
_ORDER = "@" if sys.byteorder == "little" else "<"

POINT = struct.Struct(_ORDER + "qqdII")
"""Time (UTC ns), step, value, series, mark: one metric value, 32 bytes, little-endian."""

INT_POINT = struct.Struct(_ORDER + "qqqII")
"""The same for a series of kind ``int``."""

EVENT_HEADER = struct.Struct("<II")
"""Payload bytes and CRC-32 of the payload; the payload follows, padded to 8."""

VOID_SERIES = 0
"""Series of a point, or group step, that stands for nothing: skip it."""

MAX_EVENT_BYTES = 60 * 1024
"""Largest payload of one event record; larger ones travel as `Part` records."""


def row_struct(n_values: int) -> struct.Struct:
    """
    Layout of a row of `n_values`: time, step, values, `valid` word, mark.

    The `valid` word is 1 for a row and 0 for one that stands for nothing.
    """
    return struct.Struct(f"{_ORDER}qq{n_values}dII")


def values_per_row(record_bytes: int) -> int:
    """Return how many values a row of `record_bytes` has; none if there is no such row."""
    n_values, rest = divmod(record_bytes - row_struct(0).size, 8)
    return 0 if rest else n_values


def event_bytes(payload_bytes: int) -> int:
    """Bytes that an event record of `payload_bytes` takes in its block."""
    return EVENT_HEADER.size + (payload_bytes + 7 & ~7)


class FileHeader(msgspec.Struct, frozen=True):
    """Whose journal this is."""

    instance: bytes
    boot_id: bytes
    uid: int
    pid: int
    created_ns: int
    block_bytes: int

    def pack(self) -> bytes:
        """Return the header's bytes, CRC included."""
        head = FILE_HEADER.pack(
            FILE_MAGIC, VERSION, FILE_HEADER_BYTES, self.block_bytes,
            self.instance, self.boot_id, self.uid, self.pid, self.created_ns,
        )  # fmt: skip
        return head + CRC.pack(zlib.crc32(head))


def pack_block_header(kind: int, number: int, record_bytes: int, group: int) -> bytes:
    """Return a block header's bytes, CRC included."""
    head = BLOCK_HEADER.pack(BLOCK_MAGIC, kind, number, record_bytes, group)
    return head + CRC.pack(zlib.crc32(head))


class Block(msgspec.Struct, frozen=True):
    """A block of a journal: `data` is what follows its header."""

    number: int
    kind: int
    record_bytes: int
    group: int
    data: memoryview

    @property
    def n_slots(self) -> int:
        """How many fixed-size records fit (point and row blocks)."""
        return len(self.data) // self.record_bytes

    def ranges(self) -> list[tuple[int, int]]:
        """
        Return the unit ranges ``[first, end)`` that hold complete records.

        Returns
        -------
        list of (int, int)
            Event blocks: bytes, one range from 0. Other blocks: slots, a new
            range after every slot whose record was never completed.
        """
        if self.kind == EVENTS:
            end = event_end(self.data)
            return [(0, end)] if end else []
        return marked_ranges(self.data, self.record_bytes, self.number, 0, self.n_slots)

    def units(self, first: int, end: int) -> memoryview:
        """Bytes of units ``[first, end)``."""
        size = 1 if self.kind == EVENTS else self.record_bytes
        return self.data[first * size : end * size]


def marked_ranges(
    data: memoryview, record_bytes: int, mark: int, first: int, end: int
) -> list[tuple[int, int]]:
    """
    Return the ranges of slots in ``[first, end)`` that bear `mark`.

    Parameters
    ----------
    data : memoryview
        A block's bytes after its header.
    record_bytes : int
        Bytes per slot, a multiple of 8; the mark is the last four.
    mark : int
        The block's number.
    first, end : int
        Slots to look at.
    """
    if first >= end:
        return []
    stride = record_bytes // 4
    span = data[first * record_bytes : end * record_bytes].cast("I")
    marks = span[stride - 1 :: stride]
    expected = CRC.pack(mark) * (end - first)
    if marks.tobytes() == expected:
        return [(first, end)]
    found: list[tuple[int, int]] = []
    start: int | None = None
    for slot, value in enumerate(marks.tolist(), first):
        if value == mark and start is None:
            start = slot
        elif value != mark and start is not None:
            found.append((start, slot))
            start = None
    if start is not None:
        found.append((start, end))
    return found


def event_end(data: Buffer) -> int:
    """
    Return where the records of an event block end, in bytes.

    A record that was begun and not completed has a length and a wrong CRC: it
    is stepped over, so that what came after it is found.
    """
    at = end = 0
    while at + EVENT_HEADER.size <= len(data):
        length, crc = EVENT_HEADER.unpack_from(data, at)
        following = at + event_bytes(length)
        if length == 0 or following > len(data):
            break
        start = at + EVENT_HEADER.size
        if zlib.crc32(data[start : start + length]) == crc:
            end = following
        at = following
    return end


def events(data: Buffer) -> Iterator[bytes]:
    """Yield the payload of every intact record in `data`, whole event records."""
    at = 0
    while at + EVENT_HEADER.size <= len(data):
        length, crc = EVENT_HEADER.unpack_from(data, at)
        start = at + EVENT_HEADER.size
        payload = bytes(data[start : start + length])
        if length == 0:
            return
        if len(payload) == length and zlib.crc32(payload) == crc:
            yield payload
        at += event_bytes(length)


def parse_file_header(data: Buffer, name: str) -> FileHeader:
    """
    Read a journal's file header.

    Raises
    ------
    JournalError
        It is not a journal, or one of a newer format; nothing was changed.
    """
    size = FILE_HEADER.size
    if len(data) < FILE_HEADER_BYTES or bytes(data[:8]) != FILE_MAGIC:
        msg = f"{name} is not a cmfd journal (or was cut inside its header); it was left as it is"
        raise JournalError(msg)
    (_, version, _, block_bytes, instance, boot_id, uid, pid, created_ns) = FILE_HEADER.unpack_from(
        data
    )
    if CRC.unpack_from(data, size)[0] != zlib.crc32(bytes(data[:size])):
        msg = f"{name}: the journal's header is damaged; it was left as it is"
        raise JournalError(msg)
    if version != VERSION:
        msg = f"{name}: journal format {version}, this cmfd reads {VERSION}; upgrade cmfd"
        raise JournalError(msg)
    return FileHeader(instance, boot_id, uid, pid, created_ns, block_bytes)


def parse_block(view: memoryview) -> Block | None:
    """Return the block whose bytes these are; none if it is unused, damaged or cut."""
    head = bytes(view[:BLOCK_HEADER_BYTES])
    if len(head) < BLOCK_HEADER_BYTES:
        return None
    if CRC.unpack_from(head, BLOCK_HEADER.size)[0] != zlib.crc32(head[: BLOCK_HEADER.size]):
        return None
    magic, kind, number, record_bytes, group = BLOCK_HEADER.unpack_from(head)
    if magic != BLOCK_MAGIC or kind not in (EVENTS, POINTS, ROWS):
        return None
    body = view[BLOCK_HEADER_BYTES:]
    if kind != EVENTS:
        if not record_bytes or record_bytes % 8:
            return None
        body = body[: len(body) - len(body) % record_bytes]
    return Block(number, kind, record_bytes, group, body)


def parse_blocks(data: Buffer, header: FileHeader) -> list[Block]:
    """Return the blocks in use, by number; a block cut short or damaged is no block."""
    view = memoryview(data)
    places = range(FILE_HEADER_BYTES, len(view), header.block_bytes)
    found = [parse_block(view[at : at + header.block_bytes]) for at in places]
    return sorted((block for block in found if block is not None), key=lambda block: block.number)


def read_journal(path: Path) -> tuple[FileHeader, list[Block]]:
    """
    Read a whole journal whose process has ended.

    Raises
    ------
    JournalError
        It cannot be read as a journal; it was left as it is.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        msg = f"cannot read journal {path}: {error}"
        raise JournalError(msg) from error
    header = parse_file_header(data, str(path))
    return header, parse_blocks(data, header)
