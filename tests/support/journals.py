"""Journals for tests, made record by record with the structs of `cmfd.wire.journal`."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmfd.store.node import JournalSlice
from cmfd.wire import journal as form
from cmfd.wire.messages import Record, encode

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RUN = bytes(range(16))
EXECUTION = bytes(range(16, 32))
T0_NS = 1_790_000_000_000_000_000


@dataclass
class BlockUnderWay:
    """A block of a `Journal`; `borders` are where its units may be cut."""

    number: int
    kind: int
    record_bytes: int
    group: int
    data: bytearray = field(default_factory=bytearray)
    borders: list[int] = field(default_factory=lambda: [0])

    @property
    def n_units(self) -> int:
        return len(self.data) if self.kind == form.EVENTS else len(self.data) // self.record_bytes

    def bytes_of(self, first: int, end: int) -> bytes:
        size = 1 if self.kind == form.EVENTS else self.record_bytes
        return bytes(self.data[first * size : end * size])


@dataclass
class Journal:
    """
    A journal being written in memory.

    `events`, `points` and `rows` append; `slices` gives what a client would
    send, `write` a file as a process that died would leave it.
    """

    instance: bytes = b"\x07" * 16
    uid: int = 1000
    host: str = "node1"
    path: str = "/nowhere/journal.cmfj"
    block_bytes: int = form.BLOCK_BYTES
    blocks: list[BlockUnderWay] = field(default_factory=list)

    @property
    def capacity(self) -> int:
        return self.block_bytes - form.BLOCK_HEADER_BYTES

    def _block(self, kind: int, record_bytes: int, group: int, need: int) -> BlockUnderWay:
        for block in reversed(self.blocks):
            if (block.kind, block.group, block.record_bytes) == (kind, group, record_bytes):
                if len(block.data) + need <= self.capacity:
                    return block
                break
        self.blocks.append(BlockUnderWay(len(self.blocks) + 1, kind, record_bytes, group))
        return self.blocks[-1]

    def payloads(self, *payloads: bytes) -> Journal:
        """Append event records whose payload is anything."""
        for payload in payloads:
            block = self._block(form.EVENTS, 1, 0, form.event_bytes(len(payload)))
            block.data += form.EVENT_HEADER.pack(len(payload), zlib.crc32(payload))
            block.data += payload + bytes(-len(payload) % 8)
            block.borders.append(len(block.data))
        return self

    def events(self, *records: Record) -> Journal:
        """Append event records."""
        return self.payloads(*(encode(record) for record in records))

    def point(self, series: int, value: float, *, step: int = 0, at_ns: int = T0_NS) -> Journal:
        """Append a value; an int is written as one."""
        layout = form.INT_POINT if isinstance(value, int) else form.POINT
        block = self._block(form.POINTS, layout.size, 0, layout.size)
        block.data += layout.pack(at_ns, step, value, series, block.number)
        block.borders.append(block.n_units)
        return self

    def row(
        self,
        group: int,
        values: Sequence[float],
        *,
        step: int = 0,
        at_ns: int = T0_NS,
        valid: int = 1,
    ) -> Journal:
        """Append a row of a group."""
        layout = form.row_struct(len(values))
        block = self._block(form.ROWS, layout.size, group, layout.size)
        block.data += layout.pack(at_ns, step, *values, valid, block.number)
        block.borders.append(block.n_units)
        return self

    def slice(self, block: BlockUnderWay, first: int, end: int) -> JournalSlice:
        """Return units of a block as they are sent."""
        return JournalSlice(
            self.instance, self.uid, self.path, self.host, block.number, block.kind,
            block.record_bytes, block.group, first, end, block.bytes_of(first, end),
        )  # fmt: skip

    def slices(self) -> list[JournalSlice]:
        """Return each block as one slice."""
        return [self.slice(block, 0, block.n_units) for block in self.blocks if block.n_units]

    def write(self, path: Path) -> Path:
        """Write the journal as a file."""
        header = form.FileHeader(self.instance, b"\1" * 16, self.uid, 1, T0_NS, self.block_bytes)
        packed = header.pack()
        parts = [packed, bytes(form.FILE_HEADER_BYTES - len(packed))]
        for block in self.blocks:
            head = form.pack_block_header(block.kind, block.number, block.record_bytes, block.group)
            parts += [head, bytes(form.BLOCK_HEADER_BYTES - len(head)), bytes(block.data)]
            parts.append(bytes(self.capacity - len(block.data)))
        path.write_bytes(b"".join(parts))
        return path


def float_bits(value: float) -> int:
    """Return the bit pattern of a double as a signed integer."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits
