"""
Writing a journal: all that a logging call waits for.

The hot path is not here but in `cmfd.client.execution`: it takes the next slot
of a stream's current block (``next`` on a range iterator, atomic under the
interpreter lock, so that threads and signal handlers need no lock) and packs a
record into it. This module hands out blocks, writes event records, and tells
the sender what is complete and not yet sent.

See `cmfd.wire.journal` for the format and why it survives a kill.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from cmfd.client.blocks import Block, Place
from cmfd.client.descriptors import Held, keep
from cmfd.client.values import legible
from cmfd.errors import JournalError
from cmfd.wire import journal as form
from cmfd.wire.messages import Part, Sealed, encode
from cmfd.wire.ranges import Ranges, add, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cmfd.wire.messages import Record

_MADV_POPULATE_WRITE = 23  # Linux 5.14; not named by Python
_FIRST_SEGMENT_BLOCKS = 4
_HOLE_NS = 1_000_000_000  # a record not completed for so long is stepped over, and tried again
_ASK_AGAIN_S = 0.1  # a full disk is not asked at each value


class JournalFullError(JournalError):
    """The journal reached its limit or the disk is full; what it holds is kept."""


Cursor = tuple[mmap.mmap, "Iterator[int]", int]
"""Where a stream writes: a buffer, offsets into it, the mark to end with. A plain tuple, since
unpacking any other kind costs the hot path 50 ns."""


class Unsent(NamedTuple):
    """Complete units of a block that the daemon has not been sent."""

    block: int
    kind: int
    record_bytes: int
    group: int
    first: int
    end: int
    payload: bytes


class Stream:
    """One shape of fixed-size record: points, or the rows of one group."""

    __slots__ = ("cursor", "group", "kind", "record_bytes")

    def __init__(self, kind: int, record_bytes: int, group: int) -> None:
        self.kind = kind
        self.record_bytes = record_bytes
        self.group = group
        self.cursor = _NOWHERE


_NOWHERE: Cursor = (mmap.mmap(-1, mmap.PAGESIZE), iter(()), 0)


class JournalWriter:
    """
    The journal of this process.

    Parameters
    ----------
    directory : Path
        Must exist, on storage local to the node.
    instance : bytes
        16 bytes that name this process for ever.
    limit_bytes : int
        Metric blocks are refused beyond this size of the file; events never.
    block_bytes : int
        Size of a block, a multiple of the page size.
    mode : int
        Of the file: who else may read it.
    wake : callable
        Called when a block is full, so that the sender does not sleep on.

    Raises
    ------
    JournalError
        The file cannot be made; nothing is left behind.
    """

    def __init__(  # noqa: PLR0913 - all but two are optional
        self,
        directory: Path,
        instance: bytes,
        *,
        limit_bytes: int,
        block_bytes: int = form.BLOCK_BYTES,
        mode: int = 0o600,
        wake: Callable[[], object] = lambda: None,
    ) -> None:
        self.instance = instance
        self.path = directory / (instance.hex() + form.SUFFIX)
        self._limit_bytes = limit_bytes
        self._block_bytes = block_bytes
        self._wake = wake
        self._lock = threading.RLock()
        self._appending = False
        self._deferred: list[bytes] = []
        self._blocks: dict[int, Block] = {}
        self._free: list[Place] = []
        self._room: list[Place] = []  # mapped, not yet allocated on disk
        self._size = self._mapped = form.FILE_HEADER_BYTES
        self._next_number = 1
        self._next_part = 1
        self._full_until_s = 0.0
        self._streams: set[Stream] = set()
        self._retired = False
        self._file: Held | None = None
        self._locked: Held | None = None
        self._maps: list[mmap.mmap] = []
        try:
            self._create(mode)
            self._events = self._allocate(form.EVENTS, 1, 0)
        except (OSError, JournalFullError) as error:
            if self._file is not None:
                self.close(remove=True)
            why = error.strerror if isinstance(error, OSError) else error
            msg = f"cannot make journal {self.path}: {why}; nothing will be logged"
            raise JournalError(msg) from error

    def _create(self, mode: int) -> None:
        header = form.FileHeader(
            self.instance, _boot_id(), os.getuid(), os.getpid(), time.time_ns(), self._block_bytes
        )
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = Held(fd := os.open(self.path, flags, mode))
        os.fchmod(fd, mode)  # the umask is the program's, and not about this
        # Held while this process lives: how others know (the kernel lets go of it for us).
        # On a description of its own, which a forked child lets go of. That it is mapped keeps
        # the lock, should the program close what it did not open.
        self._locked = Held(lock := os.open(self.path, os.O_RDWR | os.O_CLOEXEC))
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(fd, 0, form.FILE_HEADER_BYTES)
        self._maps.append(mmap.mmap(lock, form.FILE_HEADER_BYTES, prot=mmap.PROT_READ))
        os.pwrite(fd, header.pack(), 0)

    def _descriptor(self) -> int:
        """Return the file's descriptor: another one, if the program has closed it."""
        if self._file is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if not self._file.is_ours:
            flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            fresh = os.open(self.path, flags)
            if not self._file.is_same(fresh):
                os.close(fresh)
                raise OSError(errno.ENOENT, "another file is there")
            keep(*self._maps)
            self._file = Held(fresh)
        return self._file.number

    # -- writing ---------------------------------------------------------------------------

    def append(self, record: Record) -> None:
        """
        Write an event record; it is kill-safe when this returns.

        Raises
        ------
        JournalFullError
            The disk is full; the record is not in the journal.
        """
        payload = _encoded(record)
        with self._lock:
            self._check_open()
            if self._appending:  # a signal handler that came in the middle of an append
                self._deferred.append(payload)
                return
            self._appending = True
            try:
                self._append(payload)
            finally:  # of a handler that raises, too, once it has logged
                self._append_deferred()

    def _append_deferred(self) -> None:
        try:
            while self._deferred:
                self._append(self._deferred.pop(0))
        finally:
            self._appending = False

    def _check_open(self) -> None:
        if self._retired:
            msg = "this process has closed its journal; start() opens a new one"
            raise JournalError(msg)

    def _append(self, payload: bytes) -> None:
        if len(payload) <= form.MAX_EVENT_BYTES:
            self._append_event(payload)
            return
        token, self._next_part = self._next_part, self._next_part + 1
        size = form.MAX_EVENT_BYTES - 256  # leaves room for the Part's own fields
        pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
        for index, piece in enumerate(pieces):
            part = Part(
                at_ns=time.time_ns(), token=token, index=index, total=len(pieces), data=piece
            )
            self._append_event(encode(part))

    def _append_event(self, payload: bytes) -> None:
        size = form.event_bytes(len(payload))
        if self._events.used + size > self._events.n_units:
            self._events = self._allocate(form.EVENTS, 1, 0)
        block = self._events
        record = form.EVENT_HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        at = block.start + block.used
        block.place.buffer[at : at + len(record)] = record
        block.used += size

    def turn(self, stream: Stream, seen: Cursor) -> Cursor:
        """
        Return a cursor of `stream` with room, `seen` being one that has none.

        Raises
        ------
        JournalFullError
            There is no room for metric values; the journal is as it was.
        """
        with self._lock:
            self._check_open()
            if stream.cursor is seen or stream.cursor is _NOWHERE:
                self._streams.add(stream)
                try:
                    block = self._allocate(stream.kind, stream.record_bytes, stream.group)
                except JournalFullError:
                    stream.cursor = _NOWHERE
                    raise
                stream.cursor = (block.place.buffer, block.slots, block.number)
                self._wake()
            return stream.cursor

    def _allocate(self, kind: int, record_bytes: int, group: int) -> Block:
        place = self._free.pop() if self._free else self._grow(kind)
        if place.shape not in (None, (kind, record_bytes)):
            # a stale word could pass for a mark where records have another size
            at = place.at + form.BLOCK_HEADER_BYTES
            stop = place.at + self._block_bytes
            place.buffer[at:stop] = bytes(stop - at)
        number, self._next_number = self._next_number, self._next_number + 1
        head = form.pack_block_header(kind, number, record_bytes, group)
        place.buffer[place.at : place.at + len(head)] = head
        block = Block(place, self._block_bytes, kind, number, record_bytes, group)
        self._blocks[number] = block
        return block

    def _grow(self, kind: int) -> Place:
        """Take the next block's room and make sure that the disk really has it."""
        if kind != form.EVENTS:
            self._check_limit()
        try:
            while not self._room:  # a signal handler may have come and taken it
                self._map_segment()
            place = self._room.pop(0)
        except OSError as error:
            raise self._full(error) from error
        try:
            # writing to a hole of a full disk would be a SIGBUS: ask first
            os.posix_fallocate(self._descriptor(), place.offset, self._block_bytes)
        except OSError as error:
            self._room.insert(0, place)
            raise self._full(error) from error
        self._size += self._block_bytes
        with suppress(OSError, ValueError):  # it only saves page faults
            place.buffer.madvise(_MADV_POPULATE_WRITE, place.at, self._block_bytes)
        return place

    def _full(self, error: OSError) -> JournalFullError:
        self._full_until_s = time.monotonic() + _ASK_AGAIN_S
        return JournalFullError(f"{self.path} cannot grow: {error.strerror}")

    def _check_limit(self) -> None:
        """Refuse room for values beyond the limit, and on a disk that was full just now."""
        if self._size + self._block_bytes > self._limit_bytes:
            msg = f"{self.path} reached its limit of {self._limit_bytes} bytes"
            raise JournalFullError(msg)
        if time.monotonic() < self._full_until_s:
            msg = f"{self.path} cannot grow: the disk is full"
            raise JournalFullError(msg)

    def _map_segment(self) -> None:
        """Map room for as many blocks again: few mappings, each of which costs a descriptor."""
        n_blocks = max(_FIRST_SEGMENT_BLOCKS, self._size // self._block_bytes)
        length = n_blocks * self._block_bytes
        # Claimed first: a signal handler that logs from here on maps what comes after it.
        first, self._mapped = self._mapped, self._mapped + length
        try:
            fd = self._descriptor()
            os.ftruncate(fd, self._mapped)
            buffer = mmap.mmap(fd, length, offset=first)
        except OSError:
            if self._mapped == first + length:
                self._mapped = first
            raise
        self._maps.append(buffer)
        self._room += [Place(buffer, at, first + at) for at in range(0, length, self._block_bytes)]

    # -- sending ---------------------------------------------------------------------------

    def unsent(self, budget_bytes: int) -> list[Unsent]:
        """
        Return complete units that were not sent, at most `budget_bytes` of them.

        They count as sent from now on. Events come first, and hold every
        definition that the values after them need.
        """
        with self._lock:  # a value in a slot handed out by now is of a series defined by now
            blocks = [(block, block.reserved) for block in self._blocks.values()]
        blocks.sort(key=lambda item: item[0].kind != form.EVENTS)
        found: list[Unsent] = []
        for block, upto in blocks:
            for first, ready in self._ready(block, upto):
                end = block.cut(first, ready, budget_bytes)
                if end > first:
                    block.sent = add(block.sent, first, end)
                    budget_bytes -= (end - first) * block.record_bytes
                    found.append(
                        Unsent(block.number, block.kind, block.record_bytes, block.group, first,
                               end, block.units(first, end))
                    )  # fmt: skip
                if end < ready:
                    return found  # looking at all that waits for more would take seconds
        return found

    @staticmethod
    def _ready(block: Block, upto: int) -> Ranges:
        """Complete ranges to send; what follows an unfinished record waits a while for it."""
        complete = block.complete(block.sent, upto)
        gaps = missing(block.sent, 0, upto)
        if not gaps or complete == gaps:
            block.hole_ns = 0
            return complete
        now_ns = time.monotonic_ns()
        block.hole_ns = block.hole_ns or now_ns
        if now_ns - block.hole_ns > _HOLE_NS:
            return complete
        head = gaps[0][0]
        return [item for item in complete[:1] if item[0] == head]

    def resume(self, committed: list[tuple[int, int, int]]) -> None:
        """Take the daemon's word for what it holds; all else is unsent again."""
        with self._lock:
            for block in self._blocks.values():
                block.sent = []
                block.acked = []
        self.acknowledge(committed)

    def acknowledge(self, committed: list[tuple[int, int, int]]) -> None:
        """Note committed ranges, and free the blocks that are committed whole."""
        with self._lock:
            for number, first, end in committed:
                block = self._blocks.get(number)
                if block is None:
                    continue
                block.sent = add(block.sent, first, end)
                block.acked = add(block.acked, first, end)
                if block.finished:
                    del self._blocks[number]
                    shape = (block.kind, block.record_bytes)
                    self._free.append(block.place._replace(shape=shape))

    @property
    def settled(self) -> bool:
        """
        Whether every complete record is committed by the daemon.

        A slot that was taken and never filled is of a call that has not returned, or never will:
        something was raised in the middle of it.
        """
        with self._lock:
            return not any(block.complete(block.acked) for block in self._blocks.values())

    @property
    def extent(self) -> dict[int, int]:
        """How much was written in each block; another answer as soon as there is more."""
        with self._lock:
            return {number: block.reserved for number, block in self._blocks.items()}

    def seal(self, *, whole: bool) -> None:
        """
        Write CRCs over values that no daemon took: full blocks, or all if `whole`.

        What a daemon takes bears a CRC on the wire; what stays in the file for
        longer gets one in the file.
        """
        with self._lock:
            blocks = [block for block in self._blocks.values() if block.kind != form.EVENTS]
        for block in blocks:
            if not whole and block.reserved < block.n_units:
                continue
            for first, end in block.complete(block.sealed):
                crc = zlib.crc32(block.units(first, end))
                record = Sealed(
                    at_ns=time.time_ns(), block=block.number, first=first, end=end, crc32=crc
                )
                with self._lock:  # a range at a time: logging calls may wait for it
                    self._append(encode(record))
                block.sealed = add(block.sealed, first, end)

    # -- ending ----------------------------------------------------------------------------

    def retire(self) -> None:
        """Take no more records, so that what is settled stays so."""
        with self._lock:
            self._retired = True
            for stream in self._streams:
                stream.cursor = _NOWHERE
            for block in self._blocks.values():
                block.end()

    def close(self, *, remove: bool) -> None:
        """Let go of the file; `remove` it if all of it is committed elsewhere."""
        with self._lock:
            if remove:
                self.path.unlink(missing_ok=True)
            self.abandon()

    def abandon(self) -> None:
        """After a fork, in the child: the journal stays the parent's alone."""
        held = [each for each in (self._file, self._locked) if each is not None]
        if not all(each.is_ours for each in held):
            keep(*self._maps)
        elif self._maps:
            self._maps[0].close()  # the lock's
        for each in held:
            each.close()
        self._file = self._locked = None
        self._maps = []


def _encoded(record: Record) -> bytes:
    try:
        return encode(record)
    except (UnicodeEncodeError, TypeError):  # a file name that is no UTF-8; NumPy's kind of text
        fields = {name: getattr(record, name) for name in record.__struct_fields__}
        texts = {name: legible(value) for name, value in fields.items() if isinstance(value, str)}
        return encode(replace(record, **texts))


def _boot_id() -> bytes:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:  # noqa: PTH123 - pathlib's open is slower
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return bytes(16)
