"""The journal: what a logging call returns from is in the file, whatever happens next."""

from __future__ import annotations

import fcntl
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cmfd.client.journal import JournalFullError, JournalWriter, Stream
from cmfd.errors import JournalError
from cmfd.wire import journal as form
from cmfd.wire.messages import Environment, Param, Part, decode_record, encode

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterator

INSTANCE = bytes(range(16))


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[JournalWriter]:
    journal = JournalWriter(tmp_path, INSTANCE, limit_bytes=4 << 20, block_bytes=1 << 16)
    yield journal
    journal.close(remove=False)


def take(journal: JournalWriter, stream: Stream) -> tuple[mmap.mmap, int, int]:
    """Take the next slot of a stream."""
    cursor = stream.cursor
    while (offset := next(cursor[1], -1)) < 0:
        cursor = journal.turn(stream, cursor)
    return cursor[0], offset, cursor[2]


def log(journal: JournalWriter, stream: Stream, n: int, start: int = 0) -> None:
    """Log points with step and value i, as the hot path does."""
    for i in range(start, start + n):
        buffer, offset, mark = take(journal, stream)
        form.POINT.pack_into(buffer, offset, 1_000 + i, i, float(i), 1, mark)


def steps_in(path: Path) -> list[int]:
    """Read back the steps of every complete point of a journal."""
    _, blocks = form.read_journal(path)
    return [step for block in blocks if block.kind == form.POINTS for step in steps_of(block)]


def steps_of(block: form.Block) -> list[int]:
    """Return the steps of the complete points of a block."""
    return [
        form.POINT.unpack_from(block.data, slot * 32)[1]
        for first, end in block.ranges()
        for slot in range(first, end)
    ]


def points() -> Stream:
    return Stream(form.POINTS, form.POINT.size, 0)


def param(i: int) -> Param:
    return Param(at_ns=i, execution=INSTANCE, key=f"k{i}", type="int", value=i)


def test_what_was_written_is_read_back_in_order(writer: JournalWriter) -> None:
    """Points over several blocks, and events between them."""
    stream = points()
    for part in range(5):
        writer.append(param(part))
        log(writer, stream, 1_000, start=part * 1_000)

    header, blocks = form.read_journal(writer.path)
    events = [
        decode_record(payload)
        for block in blocks
        if block.kind == form.EVENTS
        for payload in form.events(block.data)
    ]

    assert header.instance == INSTANCE
    assert header.pid == os.getpid()
    assert steps_in(writer.path) == list(range(5_000))
    assert events == [param(i) for i in range(5)]


def test_a_large_record_travels_in_parts(writer: JournalWriter) -> None:
    """An environment of a megabyte is kept whole."""
    record = Environment(at_ns=1, execution=INSTANCE, document="x" * 1_000_000)
    writer.append(record)

    _, blocks = form.read_journal(writer.path)
    parts = [decode_record(item) for block in blocks for item in form.events(block.data)]

    assert all(isinstance(part, Part) for part in parts)
    whole = b"".join(part.data for part in parts if isinstance(part, Part))
    assert whole == encode(record)


def test_values_past_the_limit_are_refused_and_events_are_not(writer: JournalWriter) -> None:
    """A full journal takes no more values, but every parameter."""
    stream = points()
    with pytest.raises(JournalFullError, match="limit"):
        log(writer, stream, 200_000)
    kept = steps_in(writer.path)

    for i in range(5_000):
        writer.append(param(i))

    _, blocks = form.read_journal(writer.path)
    n_events = sum(1 for b in blocks if b.kind == form.EVENTS for _ in form.events(b.data))
    assert kept == list(range(len(kept)))
    assert n_events == 5_000


def test_committed_blocks_are_reused_and_nothing_stale_shows(writer: JournalWriter) -> None:
    """With a daemon that keeps up, the file stays small and holds only what is not committed."""
    stream = points()
    for turn in range(40):
        log(writer, stream, 2_000, start=turn * 2_000)
        for item in writer.unsent(1 << 30):
            writer.acknowledge([(item.block, item.first, item.end)])
    log(writer, stream, 10, start=80_000)

    assert writer.settled is False
    assert writer.path.stat().st_size < 2 << 20
    assert set(range(80_000, 80_010)) <= set(steps_in(writer.path))
    assert len(steps_in(writer.path)) < 5_000


def test_reuse_for_records_of_another_size_leaves_no_false_marks(writer: JournalWriter) -> None:
    """A stale step or value that equals the new block's number is not taken for a mark."""
    stream = points()
    for i in range(2_046 * 3):
        buffer, offset, mark = take(writer, stream)
        # steps and series full of numbers that blocks will have
        form.POINT.pack_into(buffer, offset, 5, i % 16, 0.0, i % 16, mark)
    for item in writer.unsent(1 << 30):
        writer.acknowledge([(item.block, item.first, item.end)])

    rows = Stream(form.ROWS, form.row_struct(2).size, 1)
    writer.turn(rows, rows.cursor)

    _, blocks = form.read_journal(writer.path)
    assert [block.ranges() for block in blocks if block.kind == form.ROWS] == [[]]


def test_unsent_gives_every_unit_once_within_the_budget(writer: JournalWriter) -> None:
    """Credit bounds what is handed out, and nothing is handed out twice."""
    stream = points()
    for i in range(300):
        writer.append(param(i))
    log(writer, stream, 5_000)

    seen: dict[int, list[tuple[int, int]]] = {}
    n_points = 0
    while items := writer.unsent(20_000):
        assert sum(len(item.payload) for item in items) <= 20_000
        for item in items:
            seen.setdefault(item.block, []).append((item.first, item.end))
            n_points += item.end - item.first if item.kind == form.POINTS else 0

    for ranges in seen.values():
        assert all(a[1] == b[0] for a, b in itertools.pairwise(ranges))
    assert n_points == 5_000


def test_definitions_are_sent_before_values_that_wait(writer: JournalWriter) -> None:
    """However much there is to catch up with; and what there is no credit for is not looked at."""
    stream = points()
    log(writer, stream, 20_000)
    writer.append(param(1))

    (first, *_) = items = writer.unsent(30_000)

    assert first.kind == form.EVENTS
    assert [item.kind for item in items].count(form.POINTS) == 1


def test_resume_sends_again_what_the_daemon_does_not_hold(writer: JournalWriter) -> None:
    """A restarted daemon says what it has; the rest comes again, and only that."""
    stream = points()
    log(writer, stream, 1_000)
    writer.unsent(1 << 30)
    number = stream.cursor[2]

    writer.resume([(number, 0, 400)])
    again = [(i.first, i.end) for i in writer.unsent(1 << 30) if i.kind == form.POINTS]

    assert again == [(400, 1_000)]


def test_a_slot_never_completed_does_not_hide_what_follows(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread interrupted between taking a slot and filling it loses only its own record."""
    stream = points()
    log(writer, stream, 10)
    next(stream.cursor[1])
    log(writer, stream, 10, start=11)

    assert [(i.first, i.end) for i in writer.unsent(1 << 30) if i.kind == form.POINTS] == [(0, 10)]
    monkeypatch.setattr("cmfd.client.journal._HOLE_NS", -1)
    assert [(i.first, i.end) for i in writer.unsent(1 << 30) if i.kind == form.POINTS] == [(11, 21)]
    assert steps_in(writer.path) == [*range(10), *range(11, 21)]
    assert not writer.settled
    for block in writer._blocks.values():
        writer.acknowledge([(block.number, *item) for item in block.complete([])])
    assert writer.settled


def test_a_signal_handler_may_log_in_the_middle_of_an_append(writer: JournalWriter) -> None:
    """Both records are kept."""
    real = writer._append_event
    once: list[bool] = []

    def interrupted(payload: bytes) -> None:
        if not once:
            once.append(True)
            writer.append(param(99))  # as a handler would
        real(payload)

    writer._append_event = interrupted  # type: ignore[method-assign]  # the moment of the signal
    writer.append(param(1))

    _, blocks = form.read_journal(writer.path)
    assert [decode_record(p) for b in blocks for p in form.events(b.data)] == [param(1), param(99)]


def test_what_a_signal_handler_logged_before_it_raised_is_kept(writer: JournalWriter) -> None:
    """As one that says that the job is preempted, and ends it."""
    real = writer._append_event

    def interrupted(payload: bytes) -> None:
        del payload
        writer._append_event = real  # type: ignore[method-assign]  # it comes once
        writer.append(param(99))  # as a handler would
        raise KeyboardInterrupt

    writer._append_event = interrupted  # type: ignore[method-assign]  # the moment of the signal
    with pytest.raises(KeyboardInterrupt):
        writer.append(param(1))

    _, blocks = form.read_journal(writer.path)
    assert [decode_record(p) for b in blocks for p in form.events(b.data)] == [param(99)]
    writer.append(param(2))


def test_a_signal_handler_may_log_while_the_journal_grows(
    writer: JournalWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any moment in which Python lets it in: each gets a block of its own."""
    first, second = points(), points()
    once: list[bool] = []
    real = os.ftruncate

    def interrupted(fd: int, length: int) -> None:
        real(fd, length)
        if not once:
            once.append(True)
            log(writer, second, 10_000, start=10_000)  # as a handler would

    monkeypatch.setattr(os, "ftruncate", interrupted)
    log(writer, first, 10_000)

    assert sorted(steps_in(writer.path)) == [*range(20_000)]


def test_a_thread_that_still_holds_a_cursor_gets_no_slot_of_a_closed_journal(
    writer: JournalWriter,
) -> None:
    """The file is about to be removed: its value would be lost."""
    stream = points()
    log(writer, stream, 10)
    _, slots, number = stream.cursor
    writer.retire()

    assert next(slots, -1) == -1
    for item in writer.unsent(1 << 30):
        writer.acknowledge([(item.block, item.first, item.end)])
    assert number == 2
    assert writer.settled


def test_threads_lose_nothing(writer: JournalWriter) -> None:
    """Eight threads log into one stream without a lock."""
    stream = points()
    threads = [
        threading.Thread(target=log, args=(writer, stream, 2_000, i * 2_000)) for i in range(8)
    ]
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)

    assert sorted(steps_in(writer.path)) == list(range(16_000))


def test_the_lock_tells_that_the_writer_lives_and_a_child_does_not_keep_it(
    writer: JournalWriter,
) -> None:
    """A forked child outliving its parent must not make the parent look alive."""
    fd = os.open(writer.path, os.O_RDWR)
    with pytest.raises(BlockingIOError):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    log(writer, points(), 1)
    ready, done = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        writer.abandon()
        os.write(ready[1], b"!")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    writer.close(remove=False)

    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    os.write(done[1], b"!")
    os.waitpid(pid, 0)
    for item in (fd, *ready, *done):
        os.close(item)


def test_a_journal_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    """A directory that is not there."""
    with pytest.raises(JournalError, match="cannot make journal"):
        JournalWriter(tmp_path / "absent", INSTANCE, limit_bytes=1 << 20)


def test_a_journal_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a file that is none, nor open descriptors."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (form.FILE_HEADER_BYTES, limits[1]))
    try:
        with pytest.raises(JournalError, match="cannot make journal"):
            JournalWriter(tmp_path, INSTANCE, limit_bytes=1 << 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(tmp_path.iterdir()) == []
    # Threads of other tests may be closing theirs meanwhile.
    descriptors = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert not [path for path in descriptors if path.startswith(str(tmp_path))]


_KILLED = """
import os, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from client.test_journal_writing import JournalWriter, INSTANCE, log, points
journal = JournalWriter(Path({directory!r}), INSTANCE, limit_bytes=64 << 20, block_bytes=1 << 16)
stream, i = points(), 0
shared = os.open({progress!r}, os.O_RDWR | os.O_CREAT)
import mmap
os.ftruncate(shared, 8)
done = memoryview(mmap.mmap(shared, 8)).cast("q")
print("go", flush=True)
while True:
    log(journal, stream, 1, start=i)
    i += 1
    done[0] = i  # said only after the call returned
"""


def kill_while_logging(tmp_path: Path, after: int) -> tuple[int, list[int]]:
    """Kill a process that logs in a loop; return how many calls had returned, and the steps."""
    progress = tmp_path / "progress"
    code = _KILLED.format(
        tests=str(Path(__file__).parents[1]), directory=str(tmp_path), progress=str(progress)
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    while int.from_bytes(progress.read_bytes(), "little") < after:
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    returned = int.from_bytes(progress.read_bytes(), "little")
    return returned, steps_in(tmp_path / (INSTANCE.hex() + form.SUFFIX))


@pytest.mark.parametrize("after", [1, 100, 2_046, 30_000])
def test_a_kill_loses_nothing_whose_call_had_returned(tmp_path: Path, after: int) -> None:
    """SIGKILL at an instant of its own choosing."""
    returned, steps = kill_while_logging(tmp_path, after)

    assert steps == list(range(len(steps)))
    assert len(steps) in (returned, returned + 1)


@pytest.mark.slow
def test_a_journal_cut_at_any_byte_gives_a_prefix(tmp_path: Path) -> None:
    """A copy broken off: what precedes the cut is read, or the error is clear."""
    block_bytes = 4096
    journal = JournalWriter(tmp_path, INSTANCE, limit_bytes=1 << 20, block_bytes=block_bytes)
    journal.append(param(0))
    log(journal, points(), 250)
    journal.append(param(1))
    journal.close(remove=False)
    data = journal.path.read_bytes()
    n_events_seen = set()
    for cut in range(len(data) + 1):
        part = memoryview(data)[:cut]
        if cut < form.FILE_HEADER_BYTES:
            with pytest.raises(JournalError, match="not a cmfd journal"):
                form.parse_file_header(part, "cut")
            continue
        blocks = form.parse_blocks(part, form.parse_file_header(part, "cut"))
        steps = [s for b in blocks if b.kind == form.POINTS for s in steps_of(b)]
        events = [decode_record(p) for b in blocks if b.kind == form.EVENTS
                  for p in form.events(b.data)]  # fmt: skip
        n_events_seen.add(len(events))
        assert events == [param(i) for i in range(len(events))]
        assert steps == list(range(len(steps)))
        n_blocks, rest = divmod(cut - form.FILE_HEADER_BYTES, block_bytes)
        # the first block is of events; the others hold 126 points each
        whole = 126 * (n_blocks - 1) + max(0, rest - 64) // 32 if n_blocks else 0
        assert len(steps) == min(250, whole)
    assert n_events_seen == {0, 1, 2}
