"""
Reading a journal whose process has ended, as slices for a node store.

The file is another process's, on a shared node perhaps another user's: whose
it is, is what the kernel says of the file, and nothing in it is believed
before it is checked. It is read block by block, so that one of a gigabyte
takes no more memory than a small one.
"""

from __future__ import annotations

import logging
import os
import stat
import zlib
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from cmfd import slurm
from cmfd.errors import JournalError
from cmfd.store.node import JournalSlice
from cmfd.wire import journal as form
from cmfd.wire import ranges
from cmfd.wire.messages import ProcessBegin, Sealed, decode_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

_MAX_BLOCK_BYTES = 64 << 20


class DeadJournal:
    """
    A journal, opened to be read whole.

    Whoever reads one must know that its process has ended: its lock, which is
    on the file and can be asked for with `fileno`, is free then.

    Parameters
    ----------
    path : Path
        The journal. Links are not followed.

    Attributes
    ----------
    header : FileHeader
        What it says of itself.
    uid : int
        Whose file it is.
    n_damaged : int
        How many units did not match their checksum so far, and were left out.

    Raises
    ------
    JournalError
        It cannot be read as a journal of the user whose file it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_damaged = 0
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            self._descriptor = os.open(path, flags)
        except OSError as error:
            raise JournalError(f"cannot read journal {path}: {error}") from error
        try:
            self.header, self.uid = self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> tuple[form.FileHeader, int]:
        found = os.fstat(self._descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise JournalError(f"{self.path} is no regular file; it was left as it is")
        start = os.pread(self._descriptor, form.FILE_HEADER_BYTES, 0)
        header = form.parse_file_header(start, str(self.path))
        if header.uid != found.st_uid:
            raise JournalError(
                f"{self.path} belongs to user {found.st_uid} and says that it is user"
                f" {header.uid}'s; it was left as it is"
            )
        if not form.BLOCK_HEADER_BYTES < header.block_bytes <= _MAX_BLOCK_BYTES:
            raise JournalError(
                f"{self.path} says that its blocks have {header.block_bytes} bytes;"
                " it was left as it is"
            )
        return header, found.st_uid

    def __enter__(self) -> DeadJournal:  # noqa: PYI034 - Python 3.10 has no typing.Self
        """Return itself, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def fileno(self) -> int:
        """Return the file's descriptor, to ask for its lock."""
        return self._descriptor

    def close(self) -> None:
        """Close the file, which gives back its lock."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def slices(self) -> Iterator[JournalSlice]:
        """
        Yield everything complete and undamaged in the journal, in block order.

        Raises
        ------
        JournalError
            The file can no longer be read.
        """
        places: list[tuple[int, int]] = []
        sealed: dict[int, list[Sealed]] = defaultdict(list)
        host = ""
        for at, block in self._blocks():
            places.append((block.number, at))
            if block.kind == form.EVENTS:
                for record in _records(block):
                    if isinstance(record, Sealed):
                        sealed[record.block].append(record)
                    elif isinstance(record, ProcessBegin) and not host:
                        host = record.host
        host = host or slurm.node_name()
        for number, at in sorted(places):
            again = self._block(at)
            if again is not None and again.number == number:
                yield from self._slices_of(again, sealed[number], host)

    def _blocks(self) -> Iterator[tuple[int, form.Block]]:
        size = os.fstat(self._descriptor).st_size
        for at in range(form.FILE_HEADER_BYTES, size, self.header.block_bytes):
            block = self._block(at)
            if block is not None:
                yield at, block

    def _block(self, at: int) -> form.Block | None:
        try:
            data = os.pread(self._descriptor, self.header.block_bytes, at)
        except OSError as error:
            raise JournalError(f"cannot read journal {self.path}: {error}") from error
        return form.parse_block(memoryview(data))

    def _slices_of(
        self, block: form.Block, sealed: list[Sealed], host: str
    ) -> Iterator[JournalSlice]:
        damaged = self._damaged(block, sealed)
        for begin, stop in block.ranges():
            for first, end in ranges.missing(damaged, begin, stop):
                yield JournalSlice(
                    self.header.instance, self.uid, str(self.path), host, block.number,
                    block.kind, block.record_bytes, block.group, first, end,
                    bytes(block.units(first, end)),
                )  # fmt: skip

    def _damaged(self, block: form.Block, sealed: list[Sealed]) -> ranges.Ranges:
        """Return the ranges whose bytes are not those that their process summed up."""
        found: ranges.Ranges = []
        for seal in sealed:
            if zlib.crc32(block.units(seal.first, seal.end)) != seal.crc32:
                found = ranges.add(found, seal.first, seal.end)
                self.n_damaged += seal.end - seal.first
                log.warning(
                    "%s: units %d to %d of block %d do not match their checksum and were left out",
                    self.path, seal.first, seal.end, block.number,
                )  # fmt: skip
        return found


def _records(block: form.Block) -> Iterator[object]:
    """Yield the records of an event block that can be decoded; who stores them counts the rest."""
    for payload in form.events(block.data):
        with suppress(msgspec.MsgspecError, RecursionError):
            yield decode_record(payload)


def slices_of_journal(path: Path) -> tuple[form.FileHeader, list[JournalSlice]]:
    """
    Return a whole journal whose process has ended.

    Raises
    ------
    JournalError
        It cannot be read as a journal of the user whose file it is.
    """
    with DeadJournal(path) as journal:
        return journal.header, list(journal.slices())
