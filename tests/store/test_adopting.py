"""Reading the journals of processes that have ended: all that is complete, and only that."""

from __future__ import annotations

import fcntl
import os
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.journals import EXECUTION, RUN, T0_NS, Journal
from support.nodes import content_of

from cmfd.errors import JournalError
from cmfd.store.adopt import DeadJournal, slices_of_journal
from cmfd.store.node import NodeStore
from cmfd.wire import journal as form
from cmfd.wire.messages import ExecutionBegin, Param, ProcessBegin, RunBegin, Sealed, Series

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = (
    RunBegin(at_ns=1, run=RUN),
    ExecutionBegin(at_ns=1, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
    ProcessBegin(at_ns=1, execution=EXECUTION, host="elsewhere"),
    Series(at_ns=1, id=1, execution=EXECUTION, name="loss"),
)


def _journal(n_values: int = 100) -> Journal:
    journal = Journal(uid=os.getuid(), block_bytes=1024, host="elsewhere").events(*BEGIN)
    for step in range(n_values):
        journal.point(1, step * 0.5, step=step, at_ns=T0_NS + step)
        if step % 10 == 0:
            journal.row(1, [1.0, 2.0], step=step)
    return journal


def _store(path: Path, slices: list[Any]) -> dict[str, list[Any]]:
    with closing(NodeStore(path)) as store:
        store.append(slices)
        store.commit()
    return content_of(path)


def test_a_journal_read_from_its_file_is_what_was_sent(tmp_path: Path) -> None:
    """A run with no daemon at all is complete from its journals alone."""
    journal = _journal()
    header, found = slices_of_journal(journal.write(tmp_path / "a.cmfj"))
    assert header.instance == journal.instance
    assert {piece.uid for piece in found} == {os.getuid()}
    assert {piece.host for piece in found} == {"elsewhere"}
    sent = _store(tmp_path / "sent.db", journal.slices())
    assert _store(tmp_path / "read.db", found) == sent


def test_a_reused_block_that_stands_before_an_older_one_is_read_in_order(tmp_path: Path) -> None:
    """Blocks are recycled: their numbers give the order, not their places."""
    journal = _journal()
    expected = [piece.block for piece in journal.slices()]
    journal.blocks.reverse()
    _, found = slices_of_journal(journal.write(tmp_path / "a.cmfj"))
    assert [piece.block for piece in found] == expected


def test_a_journal_cut_anywhere_gives_a_beginning_of_it(tmp_path: Path) -> None:
    """Whatever its length, nothing incomplete is taken, and only a cut header is an error."""
    whole = _journal(20).write(tmp_path / "whole.cmfj").read_bytes()
    path = tmp_path / "cut.cmfj"
    most = 0
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        if length < form.FILE_HEADER_BYTES:
            with pytest.raises(JournalError, match="left as it is"):
                slices_of_journal(path)
            continue
        _, found = slices_of_journal(path)
        values = sum(piece.end - piece.first for piece in found if piece.kind != form.EVENTS)
        assert values >= most
        most = values
    assert most == 22


def test_a_record_that_was_never_completed_is_left_out(tmp_path: Path) -> None:
    """A point without its mark, or an event without its checksum, and what follows them is read."""
    journal = _journal(5)
    points = next(block for block in journal.blocks if block.kind == form.POINTS)
    points.data[2 * 32 + 28 : 3 * 32] = bytes(4)
    events = journal.blocks[0]
    events.data[events.borders[1] + 12] ^= 1
    path = journal.write(tmp_path / "a.cmfj")
    _, found = slices_of_journal(path)
    ranges = [(piece.first, piece.end) for piece in found if piece.kind == form.POINTS]
    assert ranges == [(0, 2), (3, 5)]
    with closing(NodeStore(tmp_path / "node.db")) as store:
        store.append(found)
        store.commit()
        assert store.figures.malformed == 0
        assert store.figures.records == len(BEGIN) - 1


def test_units_that_do_not_match_their_checksum_are_left_out(tmp_path: Path, caplog: Any) -> None:
    """A block that its process had summed up and that changed since is not believed."""
    journal = _journal(20)
    points = next(block for block in journal.blocks if block.kind == form.POINTS)
    for first, end in ((0, 8), (8, 20)):
        crc = zlib.crc32(points.bytes_of(first, end))
        journal.events(Sealed(at_ns=2, block=points.number, first=first, end=end, crc32=crc))
    points.data[3 * 32 + 16] ^= 0x40
    with DeadJournal(journal.write(tmp_path / "a.cmfj")) as dead:
        found = list(dead.slices())
        assert dead.n_damaged == 8
    ranges = [(piece.first, piece.end) for piece in found if piece.kind == form.POINTS]
    assert ranges == [(8, 20)]
    assert "units 0 to 8" in caplog.text


def test_a_seal_of_nonsense_harms_nothing(tmp_path: Path) -> None:
    """Ranges outside their block or of blocks that are not there are no reason to fail."""
    journal = _journal(5)
    number = next(block.number for block in journal.blocks if block.kind == form.POINTS)
    journal.events(
        Sealed(at_ns=2, block=number, first=900, end=1 << 60, crc32=1),
        Sealed(at_ns=2, block=number, first=-5, end=-9, crc32=1),
        Sealed(at_ns=2, block=99, first=0, end=1, crc32=1),
    )
    _, found = slices_of_journal(journal.write(tmp_path / "a.cmfj"))
    assert sum(piece.end - piece.first for piece in found if piece.kind == form.POINTS) == 5


def test_a_link_or_special_file_is_not_followed(tmp_path: Path) -> None:
    """A name in a shared directory can be anything; only a plain file is read."""
    journal = _journal(1).write(tmp_path / "a.cmfj")
    (tmp_path / "link.cmfj").symlink_to(journal)
    os.mkfifo(tmp_path / "pipe.cmfj")
    for name in ("link.cmfj", "pipe.cmfj", "missing.cmfj"):
        with pytest.raises(JournalError, match=name):
            slices_of_journal(tmp_path / name)
    with pytest.raises(JournalError, match="no regular file"):
        DeadJournal(tmp_path)


def test_a_journal_that_claims_another_user_is_refused(tmp_path: Path) -> None:
    """The kernel says whose file it is."""
    journal = _journal(1)
    journal.uid += 1
    with pytest.raises(JournalError, match="belongs to user"):
        slices_of_journal(journal.write(tmp_path / "a.cmfj"))


@pytest.mark.parametrize("block_bytes", [0, 64, 1 << 31])
def test_a_block_size_of_nonsense_is_refused(tmp_path: Path, block_bytes: int) -> None:
    """A header can be whole and lie; it costs neither memory nor time."""
    path = tmp_path / "a.cmfj"
    header = form.FileHeader(b"\1" * 16, b"\2" * 16, os.getuid(), 1, 1, block_bytes).pack()
    path.write_bytes(header + bytes(form.FILE_HEADER_BYTES - len(header) + 100))
    with pytest.raises(JournalError, match="blocks have"):
        slices_of_journal(path)


def test_blocks_of_odd_records_are_passed_over(tmp_path: Path) -> None:
    """A block that says it has records of a size that none has is dropped by the store."""
    journal = _journal(3)
    for block, record_bytes in zip(journal.blocks[1:], (40, 28), strict=False):
        block.record_bytes = record_bytes
    _, found = slices_of_journal(journal.write(tmp_path / "a.cmfj"))
    with closing(NodeStore(tmp_path / "node.db")) as store:
        store.append(found)
        store.commit()
        assert store.figures.records == len(BEGIN)


def test_the_lock_can_be_taken_on_what_is_read(tmp_path: Path) -> None:
    """Who adopts a journal holds its lock while reading, on the same open file."""
    path = _journal(1).write(tmp_path / "a.cmfj")
    with DeadJournal(path) as dead, path.open("rb") as other:
        fcntl.flock(dead, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        dead.close()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_what_was_sent_before_the_process_died_is_not_taken_twice(tmp_path: Path) -> None:
    """The whole file is read, and the store knows what of it is there."""
    journal = _journal(40).events(Param(at_ns=3, execution=EXECUTION, key="k", type="int", value=1))
    _, found = slices_of_journal(journal.write(tmp_path / "a.cmfj"))
    with closing(NodeStore(tmp_path / "node.db")) as store:
        block = journal.blocks[1]
        store.append([journal.slice(block, 0, 7), journal.slice(block, 9, 11)])
        store.commit()
        store.append(found)
        store.commit()
    assert content_of(tmp_path / "node.db") == _store(tmp_path / "plain.db", journal.slices())
