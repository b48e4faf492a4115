"""
The thread that reads a node's energy, so that nobody who logs waits for a counter.

The state says when somebody may have come or gone; the thread finds out who is here, and reads
then, and as often as is set. What is to be stored it hands to the loop. A counter that hangs
holds up this thread, and nothing else.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec

from cmfd.daemon.border import attempt
from cmfd.daemon.effects import ReadEnergy
from cmfd.daemon.energy_election import Election
from cmfd.daemon.energy_followed import Followed
from cmfd.daemon.energy_mark import Marks
from cmfd.daemon.energy_metrics import Exposer
from cmfd.daemon.energy_presence import Looks, Presence
from cmfd.daemon.energy_sources import Sources
from cmfd.daemon.stimuli import EnergyRead
from cmfd.energy.presence import Sample
from cmfd.energy.readings import Roots, boottime_ns
from cmfd.energy.sampler import Memory, Sampler
from cmfd.energy.usage import Node
from cmfd.store.energy import EnergyRow, Measured

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cmfd.config import Settings
    from cmfd.energy.presence import Row, Work

log = logging.getLogger(__name__)

SECOND_NS = 1_000_000_000
_AGAIN_NS = SECOND_NS // 20
_PATIENCE_NS = SECOND_NS // 2
"""How long who asked waits for counters that are renewed rarely."""
_RESTS = 19
"""Looks that nobody waits for take one part of the time, and leave so many."""
_NOBODY_HERE = ReadEnergy(0, (), {})
_AGAIN = ReadEnergy(-1, (), {})
"""Look at who is here again."""


@dataclass(frozen=True)
class Place:
    """
    Where a daemon is.

    Attributes
    ----------
    node_db : Path
        The node store, which is only read.
    cluster, node : str
        As the batch system calls them.
    boot : bytes
        Which boot of the node this is.
    origin : bytes
        The daemon's id.
    """

    node_db: Path
    cluster: str
    node: str
    boot: bytes
    origin: bytes


class Energy:
    """
    Reads energy on a thread of its own.

    Parameters
    ----------
    settings : Settings
        How often, and from where.
    place : Place
        Where this is.
    wake : callable
        Called when a result is there.
    memory : bytes
        What the daemon before left, as `NodeStore.energy_memory` returns it.
    roots : Roots, optional
        Where the kernel shows itself.
    """

    def __init__(
        self, settings: Settings, place: Place, wake: Callable[[], object], memory: bytes,
        roots: Roots | None = None,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._place = place
        self._wake = wake
        self._memory = memory
        self._roots = roots or Roots(sys=settings.energy_sysfs)
        self._orders: SimpleQueue[ReadEnergy | None] = SimpleQueue()
        self._results: SimpleQueue[EnergyRead] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._here = _NOBODY_HERE
        self._works: tuple[Work, ...] = ()
        self._answered = 0
        self._asked_ns: int | None = None  # since when somebody waits
        self._parts: _Parts | None = None
        self._next_ns = 0
        self._rested_ns = 0
        self._flush_ns = 0
        self._stored_ns = 0
        self._election = Election(settings)
        self._marks = Marks(place.boot, settings.energy_sysfs, place.node_db)
        self._exposer = Exposer(settings, place.node)
        self._told: dict[str, Any] = {"on": settings.energy, "counts": False, "reason": "begins"}

    # -- for the loop's thread ---------------------------------------------------------------

    def order(self, order: ReadEnergy) -> None:
        """Have it looked who is here, and what there is read."""
        self._orders.put(order)
        self.start()

    def start(self) -> None:
        """Begin, unless it has."""
        if self._thread is None and self._settings.energy:
            self._thread = threading.Thread(target=self._run, name="cmfd-energy", daemon=True)
            self._thread.start()

    def results(self) -> list[EnergyRead]:
        """Return what was read since the last call."""
        return [self._results.get() for _ in range(self._results.qsize())]

    def document(self, uid: int) -> dict[str, Any]:
        """
        Describe what is counted, by which sources, for the status document.

        Parameters
        ----------
        uid : int
            Who asks: others than root and the daemon's own user do not see what runs took.
        """
        told = self._told
        if uid in (0, os.geteuid()):
            return told
        return {**told, "totals": [one for one in told.get("totals", ()) if not one["run"]]}

    def close(self) -> None:
        """End, and let another daemon count; a counter that hangs is left alone."""
        if self._thread is not None:
            self._orders.put(None)
            self._thread.join(timeout=1.0)

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            order = self._await()
            if order is None:
                self._end()
                return
            began_ns, is_first = time.thread_time_ns(), self._parts is None
            error = attempt(self._turn, order)
            took_ns = 0 if is_first else time.thread_time_ns() - began_ns
            self._rested_ns = boottime_ns() + _RESTS * took_ns
            if error is not None:
                log.error("energy cannot be read: %r", error)
                self._asked_ns = None
                self._next_ns = max(self._next_ns, boottime_ns() + SECOND_NS)
            if order.number > self._answered and self._asked_ns is None:
                self._answered = order.number
                self._answer(EnergyRead(order.number, Measured(), b""))

    def _await(self) -> ReadEnergy | None:
        """
        Wait until it is time to look, and return what was said last of who is here; None: the end.

        What was said meanwhile is looked at together. A look takes the longer, the more executions
        there were: where they come and go fast, not each is looked at.
        """
        due_ns = self._next_ns
        while True:
            try:
                said = self._orders.get(timeout=max(0, due_ns - boottime_ns()) / SECOND_NS)
            except Empty:
                return self._here
            if said is None:
                return None
            if said is not _AGAIN:
                self._here = said
            is_waited_for = self._here.number > self._answered
            due_ns = 0 if is_waited_for else min(due_ns, self._rested_ns)

    def _answer(self, read: EnergyRead) -> None:
        self._results.put(read)
        self._wake()

    def _end(self) -> None:
        goes_on = self._parts is not None and self._parts.counts and self._is_gone_on_from
        if self._parts is not None:
            self._parts.close()
        self._marks.close(boottime_ns(), goes_on=goes_on)
        self._election.close()
        self._exposer.close()

    @property
    def _is_gone_on_from(self) -> bool:
        """Whether what moves until a daemon starts again here is anybody's whom it tells of."""
        return self._settings.system or bool(self._works)

    def _turn(self, order: ReadEnergy) -> None:
        """Look who is here; read if that has changed, if it is time, or if somebody waits."""
        counts = self._election.is_won()
        if self._parts is not None and self._parts.counts != counts:
            self._hand_over(self._parts)
        if not counts:
            self._memory = b""
            self._told = {"on": True, "counts": False, "reason": self._election.reason}
            if self._parts is None and not Followed(self._marks, self._election).is_said:
                self._next_ns = boottime_ns() + round(self._settings.energy_interval_s * SECOND_NS)
                return
        if self._parts is None:
            self._parts = self._begin() if counts else self._follow()
        parts = self._parts
        works = parts.presence.works(order)
        asked, now_ns = order.number > self._answered, boottime_ns()
        changed = works != self._works
        if asked or changed or now_ns >= self._next_ns:
            self._sample(parts, works, also_processes=asked or changed)
        left = changed and {work.run for work in self._works} != {work.run for work in works}
        self._works = works
        if asked and self._waits_for_counters(parts, now_ns):
            self._next_ns = min(self._next_ns, now_ns + _AGAIN_NS)
        elif asked or left or now_ns >= self._flush_ns or parts.sampler.is_full:
            self._flush(parts, order.number)

    def _waits_for_counters(self, parts: _Parts, now_ns: int) -> bool:
        """
        Tell whether to read again at once before who asked is answered.

        Some counters are renewed ten times a second: what a job took at last is not in them yet.
        """
        if self._asked_ns is None:
            self._asked_ns = now_ns
        late = now_ns - self._asked_ns >= _PATIENCE_NS
        if parts.sampler.waiting_runs and not late:
            return True
        self._asked_ns = None
        return False

    def _hand_over(self, parts: _Parts) -> None:
        """Store what was counted; whoever counts from now on counts what moves from now on."""
        self._flush(parts, self._answered, ends=True)
        parts.close()
        self._parts, self._works = None, ()
        self._memory = b""
        self._exposer.close()
        self._exposer = Exposer(self._settings, self._place.node)

    def _follow(self) -> _Parts:
        """Say what runs take by the figures of who counts; it is added to nothing."""
        place, node = self._place, Node(self._roots)
        sources = Followed(self._marks, self._election)
        sampler = Sampler(
            place.boot.hex(), node.cpus, node.memory_bytes,
            round(self._settings.energy_bucket_s * SECOND_NS),
        )  # fmt: skip
        presence = self._present(node, sources.devices())
        return _Parts(sources, node, presence, sampler, self._looks(), counts=False)

    def _present(self, node: Node, devices: list[tuple[str, int]]) -> Presence:
        return Presence(
            self._roots, self._place.node_db, self._place.node, node.cpus, devices,
            lambda: self._orders.put(_AGAIN),
        )  # fmt: skip

    def _looks(self) -> Looks:
        return Looks(round(self._settings.energy_bucket_s * SECOND_NS))

    def _begin(self) -> _Parts:
        """Find out what can be read, and have that recorded."""
        settings, place = self._settings, self._place
        node = Node(self._roots)
        sources = Sources(self._roots, settings)
        hardware = sources.hardware(place.cluster, place.node, place.boot, place.origin, node)
        probes = sources.probe_rows(place.node, place.boot, place.origin)
        sampler = Sampler(
            place.boot.hex(), node.cpus, node.memory_bytes,
            round(settings.energy_bucket_s * SECOND_NS),
            idle_uw=sources.idle_uw(settings.energy_idle_w), memory=self._remembered(),
        )  # fmt: skip
        presence = self._present(node, sources.devices())
        log.info("counts the node's energy: %s", ", ".join(sources.names) or "no source")
        self._answer(EnergyRead(0, Measured((), probes, (hardware,)), b""))
        return _Parts(sources, node, presence, sampler, self._looks())

    def _remembered(self) -> Memory | None:
        """Return where the daemon before ended, if nobody else has counted since then."""
        if not self._memory or self._election.is_contested():
            return None
        try:
            memory = msgspec.msgpack.decode(self._memory, type=Memory | None)
        except msgspec.DecodeError as error:
            log.warning("what the daemon before left of energy is not understood: %s; it is counted"
                        " from now on", error)  # fmt: skip
            return None
        if memory is None or memory.boot != self._place.boot.hex():
            return memory
        if not self._marks.has(memory.chain):
            log.info("nothing says who has counted the node's energy meanwhile")
            return None
        if self._marks.has_counted(memory.boot_ns, memory.chain, boottime_ns()):
            log.info("another daemon has counted the node's energy meanwhile")
            return None
        return memory

    def _sample(self, parts: _Parts, works: tuple[Work, ...], *, also_processes: bool) -> None:
        began_ns = time.perf_counter_ns()
        readings = parts.sources.read()
        boot_ns, utc_ns = boottime_ns(), time.time_ns()
        is_due = parts.looks.is_due(utc_ns, readings)
        runs, processes = parts.presence.usages(also_processes=also_processes or is_due)
        parts.looks.note(utc_ns, looked=processes is not None)
        parts.sampler.cpus = parts.presence.cpus
        parts.sampler.take(
            Sample(boot_ns, utc_ns, readings, parts.node.usage(), runs, processes, works)
        )
        if parts.counts:
            self._marks.tell(parts.sampler.chain, boottime_ns(), parts.sampler.counted)
        self._next_ns = self._due_ns(boottime_ns(), time.time_ns())
        self._told = {
            "on": True, "counts": parts.counts, "reason": self._election.reason,
            "tick_s": (time.perf_counter_ns() - began_ns) / SECOND_NS,
            "interval_s": self._settings.energy_interval_s,
            **parts.sources.document(), "idle": _idle(parts.sampler),
            "totals": self._told.get("totals", []),
        }  # fmt: skip
        if parts.counts:
            self._exposer.tell(self._told, [work.run for work in works], self._here.jobs)

    def _due_ns(self, now_ns: int, utc_ns: int) -> int:
        """Return when to read next: where a bucket ends, too, so that few intervals cross it."""
        interval_ns = round(self._settings.energy_interval_s * SECOND_NS)
        bucket_ns = round(self._settings.energy_bucket_s * SECOND_NS)
        return now_ns + min(interval_ns, bucket_ns - utc_ns % bucket_ns)

    def _flush(self, parts: _Parts, number: int, *, ends: bool = False) -> None:
        """Hand over the rows that are new or have grown, and what who goes on must know."""
        bucket_ns = round(self._settings.energy_bucket_s * SECOND_NS)
        self._flush_ns = boottime_ns() + bucket_ns - time.time_ns() % bucket_ns
        since_ns = parts.sampler.undivided_since_ns
        lives = parts.presence.lives(since_ns) if since_ns is not None else ()
        # Of what was moved between rows the latest word counts, also after a clock was set back.
        self._stored_ns = max(self._stored_ns + 1, time.time_ns())
        found = parts.sampler.rows(lives)
        if not parts.counts:
            found = [row._replace(role="check") for row in found if row.owner == "run"]
        rows = tuple(self._row(row, self._stored_ns) for row in found)
        self._told = {**self._told, "totals": _totals(parts.sampler)}
        goes_on = parts.counts and not ends
        memory = parts.sampler.memory if goes_on else None  # from there, nobody goes on
        self._memory = msgspec.msgpack.encode(memory)
        self._answered = max(self._answered, number)
        waiting = parts.sampler.waiting_runs if goes_on else frozenset()
        self._answer(EnergyRead(number, Measured(rows), self._memory, waiting))

    def _row(self, row: Row, at_ns: int) -> EnergyRow:
        return EnergyRow(
            node=self._place.node, boot=self._place.boot, at_ns=at_ns, origin=self._place.origin,
            **row._asdict(),
        )  # fmt: skip


@dataclass(frozen=True)
class _Parts:
    """What there is while this daemon counts."""

    sources: Sources | Followed
    node: Node
    presence: Presence
    sampler: Sampler
    looks: Looks
    counts: bool = True
    """Else another daemon does, and this one tells its own runs what they took."""

    def close(self) -> None:
        self.sources.close()
        self.node.close()
        self.presence.close()


def _idle(sampler: Sampler) -> list[dict[str, Any]]:
    """Describe what components draw when idle; nothing seen: that was configured."""
    return [
        {
            "component": component, "domain": domain, "power_w": known.power_uw / 1e6,
            "spread_w": known.spread_uw / 1e6, "n_seen": known.n_seen,
        }
        for (component, domain), known in sampler.idle.items()
    ]  # fmt: skip


def _totals(sampler: Sampler) -> list[dict[str, Any]]:
    """Describe what was counted since the beginning."""
    return [
        {
            "owner": owner, "run": run.hex() if owner == "run" else "", "component": component,
            "domain": domain, "source": source, "grade": grade, "role": role, "uj": uj,
        }
        for (owner, run, (component, domain, source, grade, role)), uj in sampler.totals.items()
    ]  # fmt: skip
