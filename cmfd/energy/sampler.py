"""
A node's energy, from what was read at successive times to rows of whose it was.

Law: for each component, the rows of runs, of idle time and of the system add up to the rows of
its counter, whoever comes and goes, whatever counters do, and however often a daemon begins anew
from what it last stored. No clock, file or counter is read here.

Theory of operation. Each `Sample` ends a *stretch* of time in which nobody came or went. A
*channel* is what is split as one: a component by one source, or one GPU. Its stretches wait until
its counter has moved, since some counters are renewed rarely; then the energy is split by all of
them. Shares add up in rows of one bucket of time. A row that was stored is stored again when it
has grown: it covers more then, and replaces what it was. What a run was given is divided among its
executions when these have said when they ran: then rows of one run change, and their sum does not.
"""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import msgspec

from cmfd.energy.buckets import Buckets
from cmfd.energy.counters import Meters
from cmfd.energy.divisions import Division, Divisions
from cmfd.energy.idle import IdlePower
from cmfd.energy.presence import NOBODY, Counted
from cmfd.energy.readings import Flag, Reading
from cmfd.energy.split import Share, split
from cmfd.energy.stretches import Stretch, weights_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cmfd.energy.buckets import Entry, Slot
    from cmfd.energy.counters import Delta
    from cmfd.energy.idle import Known
    from cmfd.energy.lives import Life
    from cmfd.energy.presence import Measured, Role, Row, Sample
    from cmfd.energy.readings import Component, Grade

LONGEST_GAP_NS = 300_000_000_000
"""After so long without a daemon, what the counters moved is nobody's: it is missing."""
_MOST_STRETCHES = 720
_LATEST_NS = 60_000_000_000
"""A counter that stands still for longer is not waited for."""
_PARTS: frozenset[str] = frozenset(("cpu", "dram", "gpu"))


class Memory(msgspec.Struct, frozen=True):
    """
    What a sampler must know to go on where another ended.

    Attributes
    ----------
    boot : str
        Which boot of the node it was.
    boot_ns, utc_ns : int
        When the last stretch ended.
    readings : list of (str, Reading)
        The last that counts, of each source's domains.
    idle_uw : dict
        Powers seen while nobody was there, by component and domain.
    parts_uj : int
        What the components moved since the node's counter last did.
    chain : bytes
        The same in all that go on from each other.
    """

    boot: str
    boot_ns: int
    utc_ns: int
    readings: list[tuple[str, Reading]]
    idle_uw: dict[str, list[int]]
    parts_uj: int = 0
    chain: bytes = b""


@dataclass(eq=False)
class Channel:
    """
    What is split as one.

    Attributes
    ----------
    of_node : bool
        Its counter is the node's: it stands for what no other component's says.
    """

    component: str
    domain: str
    source: str
    grade: Grade
    role: Role
    idle: IdlePower
    of_node: bool
    since_boot_ns: int
    since_utc_ns: int
    waiting: deque[Stretch] = field(default_factory=lambda: deque(maxlen=_MOST_STRETCHES))

    @property
    def slot(self) -> Slot:
        """What its rows have in common."""
        return (self.component, self.domain, self.source, self.grade, self.role)


class Moved:
    """What the counters of one channel moved since the sample before."""

    def __init__(self) -> None:
        self.uj = 0
        self.flags = 0
        self._covered_ns: dict[str, int] = {}

    def add(self, delta: Delta) -> None:
        """Take one domain's."""
        self.uj += delta.uj
        known_ns = self._covered_ns.get(delta.domain, 0)
        self._covered_ns[delta.domain] = known_ns + delta.covered_ns
        self.flags |= int(delta.flags)

    @property
    def covered_ns(self) -> int:
        """For how long something is known."""
        return max(self._covered_ns.values())


class Sampler:
    """
    Turns samples into rows.

    Parameters
    ----------
    boot : str
        Which boot of the node this is.
    cpus, memory_bytes : int
        What the node has to allocate.
    bucket_ns : int
        How long the time is that a row is of.
    idle_uw : mapping, optional
        What components draw when idle, as configured.
    memory : Memory, optional
        What was stored with the rows of the sampler before.

    Attributes
    ----------
    cpus, memory_bytes : int
        As above; may be known better later.
    chain : bytes
        The same as of the sampler that it goes on from, if it does.
    totals : dict
        Microjoules since the beginning, by owner, run and slot, as of the last `rows`; of runs
        that are here.
    """

    def __init__(  # noqa: PLR0913 - what a node is like
        self, boot: str, cpus: int, memory_bytes: int, bucket_ns: int, *,
        idle_uw: Mapping[str, int] | None = None, memory: Memory | None = None,
    ) -> None:  # fmt: skip
        self._boot = boot
        self.cpus = cpus
        self.memory_bytes = memory_bytes
        self._idle_uw = dict(idle_uw or {})
        self._seen_uw = memory.idle_uw if memory is not None else {}
        self._meters: dict[str, Meters] = {}
        self._bases: dict[tuple[str, str], Reading] = {}
        self._channels: dict[tuple[str, str, str], Channel] = {}
        self._buckets = Buckets(bucket_ns)
        self._divisions = Divisions()
        self._last: Sample | None = None
        self._looked: Sample | None = None
        self._parts_uj = 0
        self._resumed = memory
        self.chain = (memory.chain if memory is not None else b"") or secrets.token_bytes(16)
        self._held: list[Measured] = []  # read before it was known who uses the node
        self.totals = self._buckets.totals

    # -- what happens ----------------------------------------------------------------------

    def take(self, sample: Sample) -> None:
        """Take in what was read; what came of it is in `rows`."""
        last, self._last = self._last, sample
        looked, self._looked = self._looked, self._looked if sample.processes is None else sample
        if last is None:
            self._begin(sample)
            return
        if sample.boot_ns <= last.boot_ns:
            self._last = last._replace(works=sample.works)
            return
        stretch = Stretch(last, sample, self.cpus, self.memory_bytes, looked)
        for channel in self._channels.values():
            channel.waiting.append(stretch)
        self._advance(sample)

    def _begin(self, sample: Sample) -> None:
        """
        Begin, or go on where another ended.

        In that case what the counters moved meanwhile waits for the next sample, which tells
        who uses the node: this one only knows who is there.
        """
        memory, self._resumed = self._resumed, None
        if memory is None or memory.boot != self._boot:
            self._advance(sample)
            return
        if not 0 <= sample.boot_ns - memory.boot_ns <= LONGEST_GAP_NS:
            self._advance(sample)
            for channel in self._channels.values():
                gap_ns = max(0, sample.boot_ns - memory.boot_ns)
                self._buckets.miss(channel.slot, memory.utc_ns, gap_ns)
            return
        self._parts_uj = memory.parts_uj
        self._held = sample.readings
        of = {(one.source, one.reading.domain): one for one in sample.readings}
        for source, reading in memory.readings:
            if (one := of.get((source, reading.domain))) is None:
                continue  # when it is read again, nobody could be given what it moved until then
            self._bases[source, reading.domain] = reading
            self._meters.setdefault(source, Meters()).advance([reading])
            self._channel(one, memory.boot_ns, memory.utc_ns)

    def _advance(self, sample: Sample) -> None:
        """Let the meters move, and split what they moved."""
        moved: dict[Channel, Moved] = {}
        begun: set[Channel] = set()
        held, self._held = self._held, []
        for one in (*held, *sample.readings):
            channel = self._channel(one, sample.boot_ns, sample.utc_ns)
            if one.reading.status in {"ok", "reset"}:
                self._bases[one.source, one.reading.domain] = one.reading
            meters = self._meters.setdefault(one.source, Meters())
            had_base = meters.has_base(one.reading.domain)
            for delta in meters.advance([one.reading]):
                moved.setdefault(channel, Moved()).add(delta)
            if not had_base and meters.has_base(one.reading.domain):
                begun.add(channel)
        for channel, what in moved.items():
            if channel.role == "count" and channel.component in _PARTS:
                self._parts_uj += what.uj
        for channel in begun - moved.keys():
            self._begin_anew(channel, sample)
        for channel, what in moved.items():
            if channel.of_node:
                self._less_parts(what)
            self._split(channel, what, sample)

    def _begin_anew(self, channel: Channel, sample: Sample) -> None:
        """Leave out the time in which a counter was gone: it says nothing of who was there then."""
        if (gap_ns := sample.boot_ns - channel.since_boot_ns) > 0:
            self._buckets.miss(channel.slot, channel.since_utc_ns, gap_ns)
        channel.waiting.clear()
        channel.since_boot_ns, channel.since_utc_ns = sample.boot_ns, sample.utc_ns
        if channel.of_node:
            self._parts_uj = 0

    def _less_parts(self, what: Moved) -> None:
        """Leave of the node's energy what is no other component's; a debt waits for the next."""
        if not what.covered_ns:  # of that time, the node's is not known: there is nothing to leave
            self._parts_uj = 0
            return
        rest_uj = what.uj - self._parts_uj
        if rest_uj < 0:
            what.flags |= int(Flag.NEGATIVE_OTHER)
        what.uj, self._parts_uj = max(0, rest_uj), max(0, -rest_uj)

    def _channel(self, one: Measured, boot_ns: int, utc_ns: int) -> Channel:
        """Return what a reading is of, made when it is first seen."""
        component: Component = one.reading.component
        of_node = component == "node" and one.role == "count"
        named = "other" if of_node else component
        domain = one.reading.domain if component == "gpu" else ""
        key = (named, domain, one.source)
        found = self._channels.get(key)
        if found is None:
            seen_uw = self._seen_uw.get(f"{named}/{domain}", ())
            idle = IdlePower(self._idle_uw.get(named), seen_uw)
            found = self._channels[key] = Channel(
                named, domain, one.source, one.grade, one.role, idle, of_node,
                boot_ns, utc_ns,
            )  # fmt: skip
        return found

    # -- splitting -------------------------------------------------------------------------

    def _split(self, channel: Channel, what: Moved, sample: Sample) -> None:
        """Give what a channel moved to those who were there since it last did."""
        dur_ns = sample.boot_ns - channel.since_boot_ns
        covered_ns = min(what.covered_ns, dur_ns)
        entry = self._buckets.entry(channel.slot, channel.since_utc_ns, dur_ns, covered_ns)
        stretches = tuple(channel.waiting)
        channel.waiting.clear()
        channel.since_boot_ns, channel.since_utc_ns = sample.boot_ns, sample.utc_ns
        entry.put(("counter", NOBODY, NOBODY), Share(0, what.uj), "", what.flags)
        if channel.role == "count" and stretches:
            if covered_ns == dur_ns and all(stretch.is_quiet for stretch in stretches):
                channel.idle.see(what.uj, dur_ns)
            self._give(channel, entry, what, stretches, dur_ns)

    def _give(
        self, channel: Channel, entry: Entry, what: Moved, stretches: tuple[Stretch, ...],
        dur_ns: int,
    ) -> None:  # fmt: skip
        static_uj = channel.idle.energy_uj(dur_ns)
        flags = what.flags | (int(Flag.IDLE_UNKNOWN) if static_uj is None else 0)
        weights = weights_of(stretches, channel.component, channel.domain)
        whose = split(what.uj, static_uj or 0, weights)
        shared = "alloc_only" if weights.by_alloc else "shared_static_dynamic"
        method = shared if weights.shared else "exclusive"
        counts_cpu = channel.component == self._cpu_component
        rest_ns = sum(stretch.rest_ns for stretch in stretches) if counts_cpu else 0
        for owner, share in (("idle", whose.idle), ("system", whose.system)):
            if share.uj or (owner == "system" and rest_ns):
                cpu_ns = rest_ns if owner == "system" else 0
                entry.put((owner, NOBODY, NOBODY), share, method, flags, cpu_ns)
        used_ns = _used_ns(stretches, whose.shares) if counts_cpu else {}
        entry.put_runs(whose.shares, method, flags, used_ns)
        if whose.shares:
            pieces = tuple(piece for each in stretches if (piece := each.piece) is not None)
            self._divisions.note(
                Division(entry, pieces, whose.shares, flags, used_ns),
                ends=stretches[-1].piece is not None,
            )

    @property
    def _cpu_component(self) -> str:
        """The component in whose rows processor time stands."""
        counted = {one.component for one in self._channels.values() if one.role == "count"}
        return next((name for name in ("cpu", "other", "dram") if name in counted), "gpu")

    # -- what came of it -------------------------------------------------------------------

    def rows(self, lives: Iterable[Life] = ()) -> list[Row]:
        """
        Return the rows that are new or have changed since the last call.

        Parameters
        ----------
        lives : iterable of Life
            When executions ran, of all that did since `undivided_since_ns`.
        """
        if self._last is not None:
            self._divisions.settle(lives, self._last.boot_ns)
        rows = self._buckets.changed_rows(self._divisions.entries)
        here = self._last.works if self._last is not None else ()
        self._buckets.forget_runs({work.run for work in here} | self.waiting_runs)
        return rows

    @property
    def undivided_since_ns(self) -> int | None:
        """Since when (UTC) it matters which executions ran; None: it does not."""
        return self._divisions.since_ns

    @property
    def is_full(self) -> bool:
        """Whether it is time to call `rows`."""
        return self._divisions.is_full

    @property
    def waiting_runs(self) -> frozenset[bytes]:
        """Runs of which more is to come: some counter has not moved since they were here."""
        if self._last is None:
            return frozenset()
        since_ns = self._last.boot_ns - _LATEST_NS
        return frozenset(
            work.run
            for channel in self._channels.values()
            if channel.role == "count"
            for stretch in channel.waiting
            if stretch.end_boot_ns >= since_ns
            for work in stretch.works
        )

    @property
    def counted(self) -> list[Counted]:
        """What the counters that count have moved since the beginning."""
        return [
            Counted(cast("Component", component), domain, source, grade, uj)
            for (component, domain, source, grade, role), uj in self._buckets.moved.items()
            if role == "count" and grade != "M"
        ]

    @property
    def idle(self) -> dict[tuple[str, str], Known]:
        """What each component, or GPU, draws when idle, as far as that is known."""
        return {
            (channel.component, channel.domain): known
            for channel in self._channels.values()
            if channel.role == "count" and (known := channel.idle.known) is not None
        }

    @property
    def memory(self) -> Memory | None:
        """What another sampler must know to go on from here, with the rows up to now stored."""
        if self._last is None:
            return None
        seen = {
            f"{channel.component}/{channel.domain}": channel.idle.seen_uw
            for channel in self._channels.values()
            if channel.role == "count"
        }
        return Memory(
            self._boot, self._last.boot_ns, self._last.utc_ns,
            [(source, reading) for (source, _), reading in self._bases.items()],
            {**self._seen_uw, **seen}, self._parts_uj, self.chain,
        )  # fmt: skip


def _used_ns(stretches: tuple[Stretch, ...], runs: Iterable[bytes]) -> dict[bytes, int]:
    """Return the processor time of each run."""
    if len(stretches) == 1:
        return {run: stretches[0].used_ns(run) or 0 for run in runs}
    return {run: sum(stretch.used_ns(run) or 0 for stretch in stretches) for run in runs}
