"""Rounds of reading energy, one by one: who counts, from where, and what a bad source costs."""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.sysfs import CrayCounters

from cmfd.config import Settings
from cmfd.daemon import energy_sources
from cmfd.daemon.effects import ReadEnergy
from cmfd.daemon.energy import Energy, Place
from cmfd.daemon.energy_election import Election
from cmfd.daemon.energy_mark import Marks
from cmfd.daemon.energy_sources import Sources
from cmfd.energy.probing import Candidate
from cmfd.energy.readings import Probe, Reading, Roots, boottime_ns
from cmfd.energy.sources.pm_counters import PmCounters
from cmfd.store.node import NodeStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cmfd.energy.readings import Grade, Scope


class Chosen(Election):
    """Daemons count as the test says."""

    counts = True

    def is_won(self) -> bool:
        """Tell what the test says."""
        self.reason = "" if self.counts else "another counts"
        return self.counts


class Rounds:
    """A daemon's part on energy, without its thread."""

    def __init__(self, directory: Path, node_db: Path, memory: bytes = b"") -> None:
        settings = Settings(
            energy_sysfs=directory / "sys",
            energy_disabled=("nvml", "ipmi", "amdsmi", "redfish", "tdp_load"),
            prometheus_textfile=str(directory / "cmfd.prom"),
        )  # fmt: skip
        place = Place(node_db, "c", "n1", bytes(16), b"o" * 16)
        self.energy = Energy(settings, place, lambda: None, memory)
        self.energy._election = self.election = Chosen(settings)
        self.asked = 0
        self.memory = memory
        self.joules = 0.0

    def turn(self) -> None:
        """Let it read, and take what there is to be stored."""
        self.asked += 1
        self.energy._turn(ReadEnergy(self.asked, (), {}))
        for read in self.energy.results():
            self.memory = read.memory or self.memory
            self.joules += sum(
                row.uj for row in read.measured.rows
                if (row.owner, row.component, row.role) == ("counter", "other", "count")
            ) / 1e6  # fmt: skip


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CrayCounters:
    """Make a node's counters, which may be read again at once."""
    monkeypatch.setattr(PmCounters, "min_interval_s", 0.0)
    return CrayCounters(tmp_path / "sys")


@pytest.fixture
def node_db(tmp_path: Path) -> Iterator[Path]:
    """Make a node store."""
    with closing(NodeStore(tmp_path / "node.db")):
        yield tmp_path / "node.db"


def test_who_stood_by_goes_on_from_now(
    tmp_path: Path, counters: CrayCounters, node_db: Path
) -> None:
    """What moved meanwhile another has counted; nor does the next daemon count it again."""
    rounds = Rounds(tmp_path, node_db)
    rounds.turn()
    counters.advance(energy=5)
    rounds.turn()
    counters.advance(energy=2)
    rounds.election.counts = False
    rounds.turn()
    assert msgspec.msgpack.decode(rounds.memory) is None
    counters.advance(energy=100)
    rounds.election.counts = True
    rounds.turn()
    counters.advance(energy=3)
    rounds.turn()
    assert rounds.joules == 5 + 3


def test_who_stands_by_tells_no_figures(
    tmp_path: Path, counters: CrayCounters, node_db: Path
) -> None:
    """They would look alive, beside those of who counts; when it counts again, it tells again."""
    rounds = Rounds(tmp_path, node_db)
    figures = tmp_path / "cmfd.prom"
    for counts in (True, False, True):
        rounds.election.counts = counts
        counters.advance()
        rounds.turn()
        assert figures.exists() == counts


@pytest.mark.parametrize("memory", [b"\xc0", b"\xff", b"\x81\xa1x\x01"])
def test_a_memory_that_says_nothing_keeps_nobody_from_counting(
    tmp_path: Path, counters: CrayCounters, node_db: Path, memory: bytes
) -> None:
    """As one of another version; counting begins anew."""
    rounds = Rounds(tmp_path, node_db, memory)
    rounds.turn()
    counters.advance(energy=5)
    rounds.turn()
    assert rounds.joules == 5


def test_what_was_said_meanwhile_is_looked_at_together(tmp_path: Path, node_db: Path) -> None:
    """What was said last counts, and looks do not pile up while each takes long."""
    energy = Rounds(tmp_path, node_db).energy
    said = [ReadEnergy(0, (), {b"i" * 16: pid}) for pid in range(5)]
    for one in said:
        energy._orders.put(one)
    assert energy._await() is said[-1]
    energy._orders.put(None)
    assert energy._await() is None


def test_looks_take_a_small_part_of_the_time(tmp_path: Path, node_db: Path) -> None:
    """However often somebody comes or goes; who waits for a reading does not wait for that."""
    energy = Rounds(tmp_path, node_db).energy
    energy._next_ns = boottime_ns() + 10**11
    energy._rested_ns = rested_ns = boottime_ns() + 10**8
    energy._orders.put(ReadEnergy(0, (), {}))
    assert energy._await() is energy._here
    assert boottime_ns() >= rested_ns
    energy._rested_ns = energy._next_ns
    energy._orders.put(asked := ReadEnergy(1, (), {}))
    assert energy._await() is asked
    assert boottime_ns() < energy._rested_ns


class Broken:
    """A plug-in that raises whatever is done."""

    name = "broken"
    grade: Grade = "A"
    scope: Scope = "gpu"
    min_interval_s = 0.0

    def probe(self) -> Probe:
        """Say that all is well."""
        return Probe(self.name, "available", "", "", "A", "gpu", ("x",), ("gpu",))

    def open(self) -> None:
        """Fail."""
        raise RuntimeError("no")

    def read(self) -> list[Reading]:
        """Fail."""
        raise RuntimeError("no")

    def close(self) -> None:
        """Fail."""
        raise RuntimeError("no")


@pytest.mark.usefixtures("counters")
def test_a_source_that_raises_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are read; it is said once for each thing that goes wrong."""
    roots = Roots(sys=tmp_path / "sys")
    every = [Candidate(one, one.probe()) for one in (Broken(), PmCounters(roots, Settings()))]
    monkeypatch.setattr(energy_sources, "candidates", lambda *_: every)
    sources = Sources(roots, Settings())
    assert {one.source for one in (*sources.read(), *sources.read())} == {"pm_counters"}
    assert sources.devices() == []
    sources.close()
    assert [record.message for record in caplog.records] == [
        "energy source broken fails: RuntimeError('no'); the others are read"
    ]


def test_a_service_does_not_go_on_where_a_user_has_counted(tmp_path: Path) -> None:
    """While it was away somebody else has counted, who lets go when he looks."""
    settings = Settings(energy_sysfs=tmp_path)
    service = Election(msgspec.structs.replace(settings, system=True))
    assert not service.is_contested()
    user = Election(settings)
    assert user.is_won()
    assert not user.is_contested()
    assert service.is_contested()
    user.close()
    assert not service.is_contested()


class KilledError(BaseException):
    """The daemon is gone, at once."""


class Killer:
    """Kills a daemon before one of its calls that change files, counted from the first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        for owner, name in ((os, "pwrite"), (Path, "unlink"), (os, "close")):
            monkeypatch.setattr(owner, name, self._guarded(getattr(owner, name)))

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise KilledError
            return call(*args, **kwargs)

        return guarded

    def end(self, daemon: Rounds, n_calls: int) -> None:
        """Let a daemon end its mark, and be killed before the call of this number."""
        self.left = n_calls
        with suppress(KilledError):
            daemon.energy._marks.close(boottime_ns(), goes_on=False)
        self.left = -1


N_CALLS = 6
"""For a mark in two places: it says that nobody goes on, removes and closes each."""


@pytest.mark.slow
@pytest.mark.parametrize("first_at", range(1, N_CALLS + 2))
@pytest.mark.parametrize("second_at", [1, 2, 4, N_CALLS + 1])
def test_wherever_a_mark_s_end_is_cut_off_no_joule_is_counted_twice(
    tmp_path: Path, counters: CrayCounters, monkeypatch: pytest.MonkeyPatch,
    first_at: int, second_at: int,
) -> None:  # fmt: skip
    """
    One daemon ends, another user's counts and ends, and the first one's begins again.

    Each is killed before some call of its end. What moved while the second one counted is its own;
    what moved between two of them may be lost, and is never two's.
    """
    places = (tmp_path / "shm", tmp_path / "var")
    for place in places:
        place.mkdir()

    def daemon(name: str, memory: bytes = b"") -> Rounds:
        node_db = tmp_path / name
        with closing(NodeStore(node_db)):
            pass
        made = Rounds(tmp_path, node_db, memory)
        made.energy._marks = Marks(bytes(16), tmp_path / "sys", node_db, places)
        made.turn()
        return made

    killer = Killer(monkeypatch)
    first = daemon("first.db")
    counters.advance(energy=5)
    first.turn()
    killer.end(first, first_at)
    counters.advance(energy=7)
    second = daemon("second.db")
    counters.advance(energy=11)
    second.turn()
    killer.end(second, second_at)
    counters.advance(energy=13)
    again = daemon("first.db", first.memory)
    counters.advance(energy=3)
    again.turn()
    assert [first.joules, second.joules, again.joules] == [5, 11, 3]


@pytest.mark.slow
@pytest.mark.parametrize("at", range(1, N_CALLS + 2))
def test_who_goes_on_from_a_mark_s_end_that_was_cut_off_counts_what_moved_once(
    tmp_path: Path, counters: CrayCounters, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Nobody else counted: as long as the mark says who, nothing is lost either."""
    place = tmp_path / "shm"
    place.mkdir()
    with closing(NodeStore(tmp_path / "node.db")):
        pass
    killer, memory, joules = Killer(monkeypatch), b"", []
    for _ in range(2):
        daemon = Rounds(tmp_path, tmp_path / "node.db", memory)
        daemon.energy._marks = Marks(bytes(16), tmp_path / "sys", tmp_path / "node.db", (place,))
        daemon.turn()
        counters.advance(energy=3)
        daemon.turn()
        killer.end(daemon, at)
        memory = daemon.memory
        joules.append(daemon.joules)
        counters.advance(energy=4)
    assert joules == [3, 7 if at == 1 else 3]
