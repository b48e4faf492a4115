"""Effects carried out for real: a store, journals as files, processes, the worker."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import psutil
import pytest
import zmq
from support.bench import instance
from support.daemons import wait_until
from support.dealer import Dealer
from support.journals import EXECUTION, RUN, T0_NS, Journal

from cmfd.config import Settings
from cmfd.daemon import effects as e
from cmfd.daemon.border import attempt
from cmfd.daemon.figures import Latencies
from cmfd.daemon.journals import Journals, found_in, inspect
from cmfd.daemon.lock import Lock
from cmfd.daemon.loop import Alarm, Loop
from cmfd.daemon.options import options_from
from cmfd.daemon.perform import Performer
from cmfd.daemon.state import NodeState
from cmfd.daemon.stimuli import (
    CommitFailed,
    Committed,
    FoundJournal,
    Introduced,
    JournalGone,
    JournalHeld,
    JournalPiece,
    JournalsFound,
    JournalUnreadable,
    LookFailed,
    MergeEnded,
    ProcessExited,
    Published,
    PublishFailed,
    Received,
    RunsSeen,
    StopAsked,
    Unwatchable,
    Vanished,
)
from cmfd.daemon.watch import Watch
from cmfd.daemon.worker import Worker
from cmfd.identity import run_of_job
from cmfd.slurm.spool import JobNote
from cmfd.store.jobs import JobWord
from cmfd.store.node import NodeStore
from cmfd.wire.endpoint import Peer, endpoint
from cmfd.wire.messages import Bye, ExecutionBegin, Flush, Flushed, RunBegin, Series, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cmfd.daemon.effects import Effect
    from cmfd.daemon.stimuli import Stimulus
    from cmfd.store.node import JournalSlice

UID = os.getuid()
T = TypeVar("T")


def a_journal(number: int = 1, n_points: int = 10, block_bytes: int = 1 << 18) -> Journal:
    """Return a journal in a run, with values of one series."""
    journal = Journal(instance(number), uid=UID, block_bytes=block_bytes)
    journal.events(
        RunBegin(at_ns=T0_NS, run=RUN),
        ExecutionBegin(at_ns=T0_NS, execution=EXECUTION, run=RUN, pipeline="p", stage="s"),
        Series(at_ns=T0_NS, id=1, execution=EXECUTION, name="loss"),
    )
    for step in range(n_points):
        journal.point(1, float(step), step=step)
    return journal


class Picky(NodeStore):
    """A store with a bug: what some of its slices hold brings it down."""

    bad: bytes = instance(13)
    bad_job = "13"

    def announce(self, word: JobWord) -> None:
        """Announce, or fall over."""
        super().announce(word)
        if word.note.job == self.bad_job:
            raise ZeroDivisionError("who would have thought of this job")

    def append(self, slices: Iterable[JournalSlice]) -> None:
        """Append, or fall over."""
        items = list(slices)
        super().append(items)
        if any(item.instance == self.bad for item in items):
            raise ZeroDivisionError("who would have thought of that")


class World:
    """A performer with everything that it needs."""

    def __init__(self, directory: Path) -> None:
        self.settings = Settings(node_dir=directory / "node")
        self.settings.journal_dir.mkdir(parents=True)
        self.store = Picky(self.settings.node_dir / "node.db")
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.socket.bind(endpoint(self.settings.node_dir))
        self.lock = Lock(self.settings.node_dir)
        self.watch = Watch()
        self.alarm = Alarm()
        self.worker = Worker(
            self.settings.node_dir / "node.db",
            self.settings.node_dir / "packs-tmp",
            cluster="c",
            node="n",
            wake=self.alarm.ring,
        )
        self.performer = Performer(
            self.settings, self.socket, self.store, self.worker, self.watch, self.lock
        )

    def do(self, effect: Effect) -> list[Stimulus]:
        """Carry an effect out."""
        return self.performer.perform(effect)

    def write(self, journal: Journal) -> e.ReadJournal:
        """Write a journal as a dead process's; returns how to ask for it."""
        path = self.settings.journal_dir / f"{journal.instance.hex()}.cmfj"
        journal.write(path)
        return e.ReadJournal(journal.instance, str(path), UID)

    def close(self) -> None:
        """Let go of everything."""
        self.performer.close()
        self.watch.close()
        self.alarm.close()
        self.lock.close()
        self.store.close()
        self.context.destroy(linger=0)


@pytest.fixture
def world(short_dir: Path) -> Iterator[World]:
    """Make a performer's world."""
    made = World(short_dir)
    yield made
    made.close()


def some_of(source: Callable[[], list[T]]) -> list[T]:
    """Wait until there is something, and return it."""
    found: list[T] = []

    def look() -> bool:
        found.extend(source())
        return bool(found)

    wait_until(look, "anything")
    return found


# -- the store ---------------------------------------------------------------------------------


def test_a_commit_is_in_the_store(world: World) -> None:
    """With how long it took."""
    journal = a_journal()

    (done,) = world.do(e.Commit(1, tuple(journal.slices())))

    assert isinstance(done, Committed)
    assert done.number == 1
    assert done.took_ns > 0
    assert world.store.committed(journal.instance)


def test_what_brings_the_store_down_is_left_out_and_named(world: World) -> None:
    """Nobody else's data waits for a bug to be mended."""
    good, bad = a_journal(1), a_journal(13)
    slices = (*good.slices(), *bad.slices())

    (done,) = world.do(e.Commit(1, slices, (e.Ended(good.instance, 5),)))

    assert isinstance(done, Committed)
    assert [item for item, _ in done.unusable] == bad.slices()
    assert "who would have thought" in done.unusable[0][1]
    assert world.store.committed(good.instance)
    assert not world.store.committed(bad.instance)
    assert not world.store.open_instances()


def test_a_job_that_brings_the_store_down_takes_nothing_with_it(world: World) -> None:
    """Slices of the same batch are stored, other jobs announced, and processes end."""
    journal = a_journal()
    words = tuple(_word(job) for job in ("13", "14"))
    ended = (e.Ended(journal.instance, 5),)

    (done,) = world.do(e.Commit(1, tuple(journal.slices()), ended, jobs=words))

    assert isinstance(done, Committed)
    assert not done.unusable
    assert world.store.committed(journal.instance)
    assert not world.store.open_instances()
    assert {standing.run for standing in world.store.unsealed_runs()} == {RUN, words[1].run}


def _word(job: str) -> JobWord:
    note = JobNote(cluster="alps", job=job, restart=0, uid=UID, node="n1", time_us=1)
    return JobWord(run_of_job("alps", job, 0), note, ended=True, always=True)


def test_a_store_that_cannot_be_written_fails_the_commit(world: World) -> None:
    """All of it is tried again; nothing is left out."""
    journal = a_journal(13)
    world.store._db.execute("PRAGMA query_only = ON")

    (failed,) = world.do(e.Commit(1, tuple(journal.slices())))

    assert isinstance(failed, CommitFailed)
    assert "cannot write" in failed.reason
    world.store._db.execute("PRAGMA query_only = OFF")


def test_a_store_that_fails_while_the_bad_are_sorted_out_fails_the_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up just then."""
    slices = tuple(a_journal(13).slices())
    tried: list[int] = []
    append = Picky.append

    def fill_up(store: Picky, items: Iterable[JournalSlice]) -> None:
        tried.append(1)
        if len(tried) == 2:
            store._db.execute("PRAGMA query_only = ON")
        append(store, items)

    monkeypatch.setattr(Picky, "append", fill_up)

    (failed,) = world.do(e.Commit(1, slices))

    assert isinstance(failed, CommitFailed)


def test_a_store_that_cannot_be_read_is_asked_again(world: World) -> None:
    """Each question has its own way of being asked again."""
    order = world.write(a_journal())
    world.store._reader.close()

    assert isinstance(world.do(e.LookAtRuns())[0], LookFailed)
    assert world.do(order) == [JournalHeld(instance(1))]
    assert world.do(e.Introduce(b"r", Peer(UID, UID, 1), instance(1), "/j")) == []


def test_old_runs_are_dropped_if_that_is_possible(world: World) -> None:
    """It is no harm if not."""
    assert world.do(e.Purge()) == []
    world.store._db.execute("PRAGMA query_only = ON")
    assert world.do(e.Purge()) == []
    world.store._db.execute("PRAGMA query_only = OFF")


def test_runs_are_seen_as_the_store_says(world: World) -> None:
    """One whose process lives, with something new."""
    world.do(e.Commit(1, tuple(a_journal().slices())))

    (seen,) = world.do(e.LookAtRuns())

    assert isinstance(seen, RunsSeen)
    assert [(s.run, s.open_instances, s.has_new) for s in seen.standings] == [(RUN, 1, True)]


# -- journals ----------------------------------------------------------------------------------


def test_a_dead_journal_is_read_in_pieces_and_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is the daemon's until then."""
    monkeypatch.setattr("cmfd.daemon.journals.PIECE_BYTES", 1)
    journal = a_journal()
    order = world.write(journal)

    pieces = [world.do(order)[0], world.do(order)[0], world.do(order)[0]]

    assert all(isinstance(piece, JournalPiece) for piece in pieces)
    found = [item for piece in pieces for item in piece.slices]  # type: ignore[union-attr]  # as asserted
    assert [(i.block, i.first, i.end) for i in found] == [
        (i.block, i.first, i.end) for i in journal.slices()
    ]
    assert [piece.last for piece in pieces] == [False, False, True]  # type: ignore[union-attr]  # as above
    with open(order.journal, "rb") as other, pytest.raises(BlockingIOError):  # noqa: PTH123 - for its descriptor
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    world.do(e.LeaveJournal(journal.instance, remove=True))
    assert not os.path.exists(order.journal)  # noqa: PTH110 - a str


def test_what_is_on_disk_already_is_not_read_again(world: World) -> None:
    """Most of a journal was sent before its process died."""
    journal = a_journal()
    world.do(e.Commit(1, tuple(journal.slices())))

    (piece,) = world.do(world.write(journal))

    assert isinstance(piece, JournalPiece)
    assert piece.slices == ()
    assert piece.last
    assert piece.touched_ns > 0


def test_a_journal_whose_lock_is_held_is_left_alone(world: World) -> None:
    """Its process lives."""
    order = world.write(a_journal())
    with open(order.journal, "rb") as file:  # noqa: PTH123 - for its descriptor
        fcntl.flock(file, fcntl.LOCK_EX)

        assert world.do(order) == [JournalHeld(instance(1))]


def test_a_journal_that_is_not_there_is_gone(world: World) -> None:
    """So is one whose place was never known."""
    assert world.do(e.ReadJournal(instance(1), "/nowhere/j", UID)) == [JournalGone(instance(1))]
    assert world.do(e.ReadJournal(instance(1), "", UID)) == [JournalGone(instance(1))]


def test_another_process_s_journal_is_not_taken(world: World) -> None:
    """Whatever name it has."""
    order = world.write(a_journal(2))

    (refused,) = world.do(e.ReadJournal(instance(1), order.journal, UID))

    assert isinstance(refused, JournalUnreadable)
    (refused,) = world.do(e.ReadJournal(instance(2), order.journal, UID + 1))
    assert isinstance(refused, JournalUnreadable)


def test_a_name_that_became_another_file_s_is_not_removed(world: World) -> None:
    """Only what was read is removed."""
    order = world.write(a_journal())
    world.do(order)
    os.rename(order.journal, order.journal + ".moved")  # noqa: PTH104 - a str
    world.write(a_journal())

    world.do(e.LeaveJournal(instance(1), remove=True))

    assert os.path.exists(order.journal)  # noqa: PTH110 - a str


def test_a_directory_that_became_another_loses_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user who names a journal, and puts a link where its directory was, has nothing removed."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    for directory in (mine, other):
        directory.mkdir()
        (directory / "j").touch()
    os.utime(mine / "j", (0, 0))
    really_unlink = os.unlink

    def unlink(path: str, *, dir_fd: int | None = None) -> None:
        mine.rename(tmp_path / "away")
        mine.symlink_to(other)
        really_unlink(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    world.do(e.ReadJournal(instance(1), str(mine / "j"), UID))

    assert mine.is_symlink()
    assert (other / "j").exists()


def test_a_journal_that_its_process_removed_first_is_no_trouble(world: World) -> None:
    """Nor is one that was never read, nor one in a directory that is gone."""
    order = world.write(a_journal())
    world.do(order)
    os.unlink(order.journal)  # noqa: PTH108 - a str

    assert world.do(e.LeaveJournal(instance(1), remove=True)) == []
    assert world.do(e.LeaveJournal(instance(2), remove=True)) == []
    order = world.write(a_journal())
    world.do(order)
    os.unlink(order.journal)  # noqa: PTH108 - a str
    world.settings.journal_dir.rmdir()
    assert world.do(e.LeaveJournal(instance(1), remove=True)) == []


def test_only_journals_of_the_user_are_found(world: World) -> None:
    """And only what has a journal's name."""
    order = world.write(a_journal())
    directory = world.settings.journal_dir
    (directory / "notes.txt").touch()
    (directory / f"{'z' * 32}.cmfj").touch()
    (directory / f"{'a' * 32}.cmfj").mkdir()
    (directory / f"{'b' * 32}.cmfj").symlink_to(order.journal)
    mine = [FoundJournal(instance(1), UID, order.journal)]

    assert list(found_in(directory, UID)) == mine
    assert list(found_in(directory, UID + 1)) == []
    assert list(found_in(directory / "missing", UID)) == []


def test_an_alarm_that_rings_after_the_end_hits_nothing(tmp_path: Path) -> None:
    """A thread that a site held up may be done then, and the numbers of files be others'."""
    alarm = Alarm()
    alarm.close()
    others = [os.open(tmp_path / str(n), os.O_RDWR | os.O_CREAT) for n in range(8)]
    alarm.ring()
    assert [os.fstat(number).st_size for number in others] == [0] * 8
    for number in others:
        os.close(number)


def test_journals_that_vanish_meanwhile_hide_no_others(tmp_path: Path) -> None:
    """Many processes end at once, and remove theirs, while a run is about to be sealed."""
    for number in range(1, 10):
        (tmp_path / f"{instance(number).hex()}.cmfj").touch()
    with os.scandir(tmp_path) as entries:
        *gone, left = [entry.path for entry in entries]  # in the order that all see
    looking = found_in(tmp_path, os.getuid())
    first = next(looking)
    assert first.journal == gone[0]
    for path in gone[1:]:
        Path(path).unlink()
    assert [one.journal for one in looking] == [left]


def test_a_daemon_whose_directory_was_removed_is_told(world: World) -> None:
    """It serves nobody any longer, and another daemon may be in its place."""
    assert world.do(e.FindJournals()) == [JournalsFound(())]
    lock = world.settings.node_dir / "daemon.lock"
    lock.rename(world.settings.node_dir / "moved")
    assert [type(s) for s in world.do(e.FindJournals())] == [JournalsFound, StopAsked]
    lock.touch()
    assert [type(s) for s in world.do(e.FindJournals())] == [JournalsFound, StopAsked]


def test_a_client_s_journal_is_found_at_its_default_place(world: World, tmp_path: Path) -> None:
    """A container may show its directory elsewhere."""
    order = world.write(a_journal())
    directory = world.settings.journal_dir

    assert inspect("/inside/x.cmfj", directory, instance(1), UID).journal == order.journal
    assert inspect("relative", tmp_path, instance(1), UID).journal == ""
    assert inspect("/a\0b", tmp_path, instance(1), UID).journal == ""


def test_a_damaged_journal_of_a_client_is_refused(world: World) -> None:
    """It could not be taken over later."""
    order = world.write(a_journal())
    with open(order.journal, "r+b") as file:  # noqa: PTH123 - a str
        file.write(b"garbage!")

    seen = inspect(order.journal, world.settings.journal_dir, instance(1), UID)

    assert "not the journal" in seen.problem


def test_an_introduction_says_what_the_store_knows(world: World) -> None:
    """What is on disk, and whose it is."""
    journal = a_journal()
    world.do(e.Commit(1, tuple(journal.slices())))
    order = world.write(journal)
    peer = Peer(UID, UID, 1)

    (found,) = world.do(e.Introduce(b"r", peer, journal.instance, order.journal))

    assert isinstance(found, Introduced)
    assert (found.journal, found.owner, found.problem) == (order.journal, UID, "")
    assert found.committed == world.store.committed(journal.instance)


def test_all_locks_are_given_back_at_the_end(world: World) -> None:
    """The next daemon goes on where this one stopped."""
    order = world.write(a_journal())
    world.do(order)

    world.performer.close()

    again = Journals(lambda _: [])
    assert isinstance(again.read(order), JournalPiece)
    again.close()


# -- processes ---------------------------------------------------------------------------------


def test_the_end_of_a_process_is_heard_of(world: World) -> None:
    """With the time of it."""
    with subprocess.Popen(["sleep", "100"]) as process:
        assert world.do(e.Watch(instance(1), process.pid)) == []
        assert world.performer.ended() == []
        process.kill()

    (ended,) = some_of(world.performer.ended)
    assert isinstance(ended, ProcessExited)
    assert (ended.instance, ended.at_ns > T0_NS // 2) == (instance(1), True)


def test_a_process_that_had_ended_is_reported_at_once(world: World) -> None:
    """Between its last word and its being watched."""
    with subprocess.Popen(["true"]) as process:
        pass

    assert world.do(e.Watch(instance(1), process.pid)) == [ProcessExited(instance(1))]


def test_a_process_that_cannot_be_seen_cannot_be_watched(world: World) -> None:
    """The kernel gives 0 for one in another namespace."""
    assert world.do(e.Watch(instance(1), 0)) == [Unwatchable(instance(1))]


def test_where_the_kernel_or_python_is_old_nobody_can_be_watched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 5.3, and a Python built for it; journals are looked at instead."""

    def no_call(pid: int) -> int:
        raise OSError(errno.ENOSYS, "not implemented", pid)

    monkeypatch.setattr(os, "pidfd_open", no_call)
    assert world.do(e.Watch(instance(1), os.getpid())) == [Unwatchable(instance(1))]
    monkeypatch.delattr(os, "pidfd_open")
    assert world.do(e.Watch(instance(1), os.getpid())) == [Unwatchable(instance(1))]


def test_who_is_not_watched_any_longer_is_not_heard_of(world: World) -> None:
    """Its end does not matter."""
    with subprocess.Popen(["sleep", "100"]) as process:
        world.do(e.Watch(instance(1), process.pid))
        world.do(e.Unwatch(instance(1)))
        world.do(e.Unwatch(instance(2)))
        process.kill()

    assert world.performer.ended() == []


@pytest.mark.slow
def test_a_merge_is_a_process_whose_end_is_heard_of(world: World, short_dir: Path) -> None:
    """A real one, of a site that has nothing to merge."""
    assert world.do(e.StartMerge(short_dir / "site")) == []

    (ended,) = some_of(world.performer.merges_ended)
    assert isinstance(ended, MergeEnded)
    assert ended.site == short_dir / "site"


def test_a_merge_that_cannot_be_started_has_failed(
    world: World, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packs wait in the inbox."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    assert world.do(e.StartMerge(short_dir)) == [MergeEnded(short_dir, 1)]


# -- packs -------------------------------------------------------------------------------------


def result_of(world: World, effect: e.Seal) -> Published | PublishFailed:
    """Let the worker carry an order out."""
    world.do(effect)
    (done,) = some_of(world.worker.results)
    assert isinstance(done, Published | PublishFailed)
    return done


def test_a_run_is_sealed_and_published(world: World, short_dir: Path) -> None:
    """The outbox is empty after it."""
    world.do(e.Commit(1, tuple(a_journal().slices())))

    done = result_of(world, e.Seal(RUN, short_dir / "site", final=True))

    assert isinstance(done, Published)
    assert done.pack is not None
    assert done.pack.exists()
    assert done.sealed is not None
    assert done.sealed.final
    assert not done.sealed.path.exists()


def test_a_pack_that_cannot_be_published_is_published_later(world: World, short_dir: Path) -> None:
    """The same one."""
    world.do(e.Commit(1, tuple(a_journal().slices())))
    site = short_dir / "site"
    site.touch()
    failed = result_of(world, e.Seal(RUN, site, final=True))
    assert isinstance(failed, PublishFailed)
    assert failed.outbox is not None
    assert failed.outbox.path.exists()
    site.unlink()

    done = result_of(world, e.Seal(RUN, site, final=True, outbox=failed.outbox))

    assert isinstance(done, Published)
    assert done.sealed == failed.outbox


def test_a_run_that_cannot_be_sealed_says_why(world: World, short_dir: Path) -> None:
    """There is no pack."""
    failed = result_of(world, e.Seal(bytes(16), short_dir / "site", final=True))

    assert isinstance(failed, PublishFailed)
    assert "no run" in failed.reason
    assert failed.outbox is None


def test_a_worker_that_fails_again_and_again_holds_nothing_open(
    world: World, short_dir: Path
) -> None:
    """A site may be away for days."""
    world.store.close()
    (world.settings.node_dir / "node.db").unlink()
    order = e.Seal(RUN, short_dir / "site", final=True)
    result_of(world, order)
    before = psutil.Process().num_fds()

    for _ in range(5):
        assert isinstance(result_of(world, order), PublishFailed)

    assert psutil.Process().num_fds() == before


# -- messages, and the border ------------------------------------------------------------------


def test_who_has_left_is_noticed_when_it_is_sent_something(world: World) -> None:
    """Nothing is queued for it."""
    assert world.do(e.Send(b"nobody", Unknown())) == [Vanished(b"nobody")]


def test_who_does_not_read_is_noticed_as_well(world: World) -> None:
    """Its queue is full."""
    with Dealer(world.settings.node_dir) as deaf:
        deaf.say(Bye())
        route = world.socket.recv_multipart()[0]
        for _ in range(1_000_000):
            if world.do(e.Send(route, Unknown())):
                return
    raise AssertionError("everything was queued")


def test_a_service_manager_that_is_not_there_is_no_trouble(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon serves all the same."""
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody-listens-here")

    assert world.do(e.Announce("READY=1")) == []


def test_whatever_is_raised_at_the_border_is_returned() -> None:
    """And nothing, if nothing is."""
    assert attempt(len, "abc") is None
    assert isinstance(attempt(int, "abc"), ValueError)


class Buggy(NodeState):
    """A state with a bug that one message brings out."""

    def handle(self, stimulus: Stimulus, now_ns: int) -> list[Effect]:
        """Handle, or fall over."""
        if isinstance(stimulus, Received) and stimulus.message == Flush(token=13):
            raise ZeroDivisionError("who would have thought of that")
        return super().handle(stimulus, now_ns)


def test_a_message_that_brings_out_a_bug_is_dropped_and_others_go_on(
    short_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One bad message must not stop a node; its sender begins anew."""
    ready, done = threading.Event(), threading.Event()
    world: list[World] = []

    def serve() -> None:  # one thread for all that must stay in one
        made = World(short_dir)
        world.append(made)
        options = options_from(made.settings, own_uid=UID, host="n", default_site="", merge=False)
        state = Buggy(options, bytes(16), time.monotonic_ns())
        loop = Loop(
            state, made.performer, made.socket, watch=made.watch, worker=made.worker,
            alarm=made.alarm, reload=lambda: None,
        )  # fmt: skip
        ready.set()
        loop.run(())
        made.close()
        done.set()

    threading.Thread(target=serve).start()
    assert ready.wait(20)
    with Dealer(world[0].settings.node_dir) as dealer:
        dealer.hello(instance(1))
        dealer.say(Flush(token=13))
        dealer.wait_for(Unknown)
        dealer.hello(instance(1))
        dealer.say(Flush(token=14))
        assert dealer.wait_for(Flushed).token == 14
    assert "cannot be handled: ZeroDivisionError" in caplog.text
    world[0].performer.exit_reason = "test"
    world[0].alarm.ring()
    assert done.wait(20)


def test_latencies_are_those_of_late() -> None:
    """Old ones are forgotten; none is no number."""
    latencies = Latencies()
    assert latencies.document() == {"samples": 0}
    for _ in range(3000):
        latencies.add(10**9)
    for n in range(2048):
        latencies.add(n * 10**6)

    found = latencies.document()

    assert found["samples"] == 2048
    assert found["p50_s"] == pytest.approx(1.023)
    assert found["p99_s"] == pytest.approx(2.026)
    assert found["max_s"] == pytest.approx(2.047)
