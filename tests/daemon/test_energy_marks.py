"""Daemons of several users that take turns at counting: nothing is counted twice."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from support import services
from support.daemons import Daemon, wait_until
from support.sysfs import CrayCounters

from cmfd.config import Settings
from cmfd.daemon import energy_mark
from cmfd.daemon.energy_election import Election
from cmfd.daemon.energy_followed import Followed
from cmfd.daemon.energy_mark import Marks
from cmfd.energy.counters import Meters
from cmfd.energy.presence import Counted
from cmfd.energy.readings import boottime_ns
from cmfd.energy.sampler import LONGEST_GAP_NS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BOOT, MINE, OTHERS = b"b" * 16, b"m" * 16, b"o" * 16


def marks(place: Path, store: str = "a", boot: bytes = BOOT, counters: str = "/sys") -> Marks:
    return Marks(boot, place / counters, place / store, (place,))


def test_a_mark_says_that_somebody_has_counted(tmp_path: Path) -> None:
    """Since one's own last word, on this boot, what one counts oneself, and not in the future."""
    marks(tmp_path, "b").tell(OTHERS, 100)
    asking = marks(tmp_path)
    assert asking.has_counted(99, MINE, 200)
    assert not asking.has_counted(100, MINE, 200)
    assert not asking.has_counted(99, OTHERS, 200)
    assert not asking.has_counted(0, MINE, 99)
    assert not marks(tmp_path, boot=b"x" * 16).has_counted(0, MINE, 200)
    assert not marks(tmp_path, counters="other").has_counted(0, MINE, 200)


def test_a_daemon_leaves_one_mark(tmp_path: Path) -> None:
    """However often it begins; and of others of its user those that nobody needs any more."""
    marks(tmp_path, "b", boot=b"x" * 16).tell(OTHERS, 5)
    marks(tmp_path, "c", counters="other").tell(OTHERS, 5)
    for at_ns in (6, 7):
        one = marks(tmp_path)
        one.tell(MINE, at_ns)
        one.tell(MINE, at_ns)
        one.close(at_ns, goes_on=True)
    assert len(list(tmp_path.iterdir())) == 2


def test_of_who_ends_for_good_nothing_is_left(tmp_path: Path) -> None:
    """Also of two who end at once: neither stays for the other's sake."""
    one, other = marks(tmp_path), marks(tmp_path, "b")
    one.tell(MINE, 5)
    other.tell(OTHERS, 6)
    one.close(7, goes_on=False)
    assert not marks(tmp_path).has(MINE)
    assert marks(tmp_path).has_counted(4, OTHERS, 7), "the other may go on from before"
    other.close(7, goes_on=False)
    assert len(list(tmp_path.iterdir())) == 1
    late = marks(tmp_path, "c")
    late.tell(b"l" * 16, 6 + LONGEST_GAP_NS)
    late.close(8 + LONGEST_GAP_NS, goes_on=False)
    assert list(tmp_path.iterdir()) == []


def test_who_comes_after_one_that_was_killed_removes_its_mark(tmp_path: Path) -> None:
    """Also where it ends before it reads a counter: what the first one left is told or lost."""
    marks(tmp_path).tell(MINE, 5)
    marks(tmp_path, "b").close(6, goes_on=False)
    assert marks(tmp_path).has(MINE), "another's"
    marks(tmp_path).close(7, goes_on=False)
    assert list(tmp_path.iterdir()) == []


def test_a_store_of_the_same_path_is_anothers(tmp_path: Path) -> None:
    """Of a job with a /var/tmp of its own, which has the node's /dev/shm."""
    stores, boots = tmp_path / "stores", tmp_path / "marks"
    boots.mkdir()

    def made() -> Marks:
        stores.mkdir()
        return Marks(BOOT, Path("/sys"), stores / "node.db", (boots,))

    first = made()
    first.tell(MINE, 5)
    stores.rename(tmp_path / "elsewhere")
    second = made()
    second.close(6, goes_on=False)
    assert second.has(MINE)
    second.tell(OTHERS, 7)
    assert second.has(MINE)


def test_what_is_no_mark_is_passed_over(tmp_path: Path) -> None:
    """Anybody may put anything where all may write."""
    one = marks(tmp_path, "b")
    one.tell(OTHERS, 5)
    (name,) = (path.name for path in tmp_path.iterdir())
    (tmp_path / f"{name}1").write_bytes(b"x")
    (tmp_path / f"{name}2").symlink_to(name)
    os.mkfifo(tmp_path / f"{name}3")
    (tmp_path / f"{name}4").mkdir()
    (tmp_path / name).unlink()
    assert not marks(tmp_path).has_counted(0, MINE, 10)
    nowhere = marks(tmp_path / "missing")
    nowhere.tell(MINE, 1)
    assert not nowhere.has_counted(0, OTHERS, 10)


def test_of_more_files_than_are_read_nobody_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody may make any number: the worst that it costs is what moved between two daemons."""
    monkeypatch.setattr(energy_mark, "_MOST_FILES", 3)
    mine = marks(tmp_path)
    mine.tell(MINE, 5)
    assert mine.has(MINE)
    assert not mine.has_counted(4, MINE, 9)
    (name,) = (path.name for path in tmp_path.iterdir())
    for number in range(3):
        (tmp_path / f"{name}{number}").touch()
    assert not mine.has(MINE)
    assert mine.has_counted(4, MINE, 9)
    mine.close(9, goes_on=False)
    assert (tmp_path / name).exists(), "somebody may need it who cannot be seen"


def test_figures_are_believed_of_who_counts_only(tmp_path: Path) -> None:
    """Of others, of another boot, or half written, there are none."""
    said = [Counted("cpu", "", "rapl", "B", 7), Counted("gpu", "GPU-1", "nvml", "B", 8)]
    who = marks(tmp_path, "b")
    who.tell(OTHERS, 5, said)
    who.tell(OTHERS, 6, said[:1])
    asking = marks(tmp_path)
    found = asking.moved(os.getuid())
    assert found is not None
    assert (found[0].boot_ns, found[1]) == (6, said[:1])
    assert asking.moved(os.getuid() + 1) is None
    assert marks(tmp_path, boot=b"x" * 16).moved(os.getuid()) is None
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:70])
    assert asking.moved(os.getuid()) is None
    assert asking.has_counted(0, MINE, 10)


class ByOthers(Election):
    """Another user's daemon counts."""

    def is_won(self) -> bool:
        """Tell that it does."""
        self.holder_uid = os.getuid()
        return False


def test_what_no_node_can_have_drawn_is_not_believed(tmp_path: Path) -> None:
    """Whoever counts may say anything: it must have room in every store and every sum."""
    election = ByOthers(Settings(energy_sysfs=tmp_path / "sys"))
    election.is_won()
    asking, saying = (Marks(BOOT, tmp_path / "sys", tmp_path / who, (tmp_path,)) for who in "ab")
    followed = Followed(asking, election)
    meters = Meters()

    def moved(*uj: int, name: str = "x", ahead_ns: int = 0) -> list[int]:
        said = [Counted("gpu", f"{name}{n}", "nvml", "B", one) for n, one in enumerate(uj)]
        saying.tell(OTHERS, boottime_ns() + ahead_ns, said)
        return [delta.uj for delta in meters.advance(one.reading for one in followed.read())]

    assert moved(7, 8) == []
    assert moved(9, 8) == [2, 0]
    assert moved((1 << 59) + 9, 9) == [0, 1]
    assert moved((1 << 59) + 11, 9) == [2, 0]
    assert moved() == []
    assert moved(1 << 60, 10) == [0, 1]
    assert moved(1 << 59, ahead_ns=-(10**9)) == []  # a time that is past already
    assert moved(1 << 60, 11) == [0, 1]
    assert moved(*range(64), name="y") == []
    assert len(moved(*range(1, 65), name="y")) == 62  # beside the two that were there first
    for uj, name, ahead_ns in (
        ([(1 << 64) - 1], "x", 0), ([-1], "x", 0), (range(65), "x", 0), ([1], "x" * 200, 0),
        ([1], "x", 10**12),
    ):  # fmt: skip
        assert moved(*uj, name=name, ahead_ns=ahead_ns) == []
        assert not followed.is_said


@pytest.mark.slow
@pytest.mark.skipif(bool(services.why_not()), reason=services.why_not())
def test_two_users_daemons_that_take_turns_count_nothing_twice(
    daemons: Callable[..., Daemon], short_dir: Path
) -> None:
    """
    One is killed, the other counts and ends, the first begins again.

    It must not go on from where it was killed: what moved then the other has counted.
    """
    short_dir.chmod(0o755)
    counters = CrayCounters(short_dir / "sys")
    made = {}
    for uid in (services.ALICE, services.BOB):
        node_dir = short_dir / str(uid)
        node_dir.mkdir(mode=0o700)
        shutil.chown(node_dir, uid)
        made[uid] = daemons(
            node_dir=node_dir, user=uid, energy="true", energy_sysfs=str(short_dir / "sys"),
            energy_interval_s="0.1", energy_bucket_s="0.2",
        )  # fmt: skip
    first, second = made.values()

    def move(who: Daemon, joules: int) -> None:
        before_uj = counted_uj(who.node_dir)
        counters.advance(energy=joules)
        wait_until(lambda: counted_uj(who.node_dir) == before_uj + joules * 10**6, "it is stored")

    begin(first, short_dir / "sys")
    move(first, 5)
    first.kill()
    counters.advance(energy=7)  # nobody's: the other does not know when that was
    begin(second, short_dir / "sys")
    move(second, 11)
    assert second.stop() == 0
    begin(first, short_dir / "sys")
    move(first, 3)
    first.kill()
    counters.advance(energy=2)  # nobody else counts: this is the first one's when it goes on
    begin(first, short_dir / "sys")
    wait_until(lambda: counted_uj(first.node_dir) == 10 * 10**6, "it goes on")
    assert first.stop() == 0
    assert [counted_uj(one.node_dir) for one in made.values()] == [10 * 10**6, 11 * 10**6]


def begin(daemon: Daemon, sys: Path) -> None:
    """Start one, and wait until it has read."""
    boot = UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    since_ns = boottime_ns()
    daemon.start(wait=False)
    asking = Marks(boot, sys, sys)
    wait_until(lambda: asking.has_counted(since_ns, MINE, boottime_ns()), "it counts")


def counted_uj(node_dir: Path) -> int:
    """Return what it has stored that the counters moved."""
    return stored(node_dir, "SELECT sum(uj) FROM energy WHERE owner = 'counter'") or 0


def stored(node_dir: Path, query: str) -> Any:
    """Return what is in its store; None while it has made none."""
    # root must leave no file there that the daemon cannot open
    how = "mode=ro" if (node_dir / "node.db-shm").exists() else "immutable=1"
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{node_dir}/node.db?{how}", uri=True)) as db,
    ):
        return (db.execute(query).fetchone() or (None,))[0]
    return None
