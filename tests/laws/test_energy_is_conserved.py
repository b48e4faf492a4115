"""Law 8, from the counters to the site: energy is given away exactly once."""

from __future__ import annotations

import random
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.samples import EVENTS, RANGE_UJ, SECOND_NS, Counter, FakeNode, happen

from cmfd.energy.sampler import Memory
from cmfd.store.energy import EnergyRow, Measured
from cmfd.store.interpret import seal
from cmfd.store.ledger import seal_ledger
from cmfd.store.node import NodeStore
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from cmfd.energy.presence import Row

BOOT, ORIGIN = b"b" * 16, b"o" * 16
SITE = "/site"


class StoringNode(FakeNode):
    """A node whose rows go into a node store, and from there into packs."""

    def __init__(self, directory: Path, *counters: Counter) -> None:
        super().__init__(*counters)
        self.db = directory / "node.db"
        self.outbox = directory / "out"
        self.node_store = NodeStore(self.db)
        self.packs: set[Path] = set()

    def store(self) -> list[Row]:
        """Store what is new and what the next sampler must know, in one transaction."""
        rows = super().store()
        added = (
            EnergyRow(node="n1", boot=BOOT, at_ns=self.utc_ns, origin=ORIGIN, **row._asdict())
            for row in rows
        )
        memory = b"" if self.memory is None else msgspec.msgpack.encode(self.memory)
        self.node_store.add_energy(Measured(tuple(added)), memory)
        self.node_store.commit()
        return rows

    def restart(self) -> None:
        """Begin anew from what is in the store."""
        document = self.node_store.energy_memory()
        self.memory = msgspec.msgpack.decode(document, type=Memory) if document else None
        super().restart()

    def seal(self, *, marked: bool) -> None:
        """Make packs of what is new; if a daemon dies before it is `marked`, they come again."""
        for standing in self.node_store.unsealed_runs():
            sealed = seal(
                self.db, standing.run, self.outbox, final=False, now_ns=self.utc_ns,
                cluster="c", node="n1",
            )  # fmt: skip
            if sealed is not None:
                self.packs.add(sealed.path)
                if marked:
                    self.node_store.mark_sealed(
                        standing.run, sealed.upto, final=False, at_ns=self.utc_ns
                    )
        ledger = seal_ledger(
            self.db, self.outbox, site=SITE, now_ns=self.utc_ns, cluster="c", node="n1"
        )
        if ledger is not None:
            self.packs.add(ledger.path)
            if marked:
                self.node_store.mark_ledger_sealed(SITE, ledger.upto, self.utc_ns)
        self.node_store.commit()


@settings(max_examples=examples(40), deadline=None)
@given(
    st.lists(EVENTS | st.tuples(st.just("seal"), st.booleans(), st.none()), max_size=40),
    st.integers(0, 2**32),
)
def test_what_a_site_has_is_what_the_counters_moved(
    events: list[tuple[str, Any, Any]], seed: int
) -> None:
    """Whoever comes and goes, however often a daemon dies, a pack is merged, and in any order."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
        node = StoringNode(
            Path(directory),
            Counter("pm_counters", "node", "node", grade="A"),
            Counter("rapl", "package-0", "cpu", value=RANGE_UJ - 10**7, range_uj=RANGE_UJ),
            Counter("nvml", "GPU-0", "gpu"),
        )
        with closing(node.node_store):
            _play(node, events)
        order = sorted(node.packs) * 2
        rng.shuffle(order)
        with closing(SiteStore(Path(directory, "index.db"))) as index:
            for pack in order:
                index.absorb(pack, pack.stem)
        with closing(SiteStore(Path(directory, "index.db"))) as index:
            rows = index._db.execute(
                "SELECT component, owner = 'counter', sum(uj) FROM energy_rows GROUP BY 1, 2"
            ).fetchall()
    sums = {(name, whole): 0 for name in ("cpu", "gpu", "other") for whole in (True, False)}
    sums |= {(component, bool(whole)): uj for component, whole, uj in rows}
    for component in ("cpu", "gpu", "other"):
        assert sums[component, False] == sums[component, True]
    if not any(what == "reset" or second == "denied" for what, _, second in events):
        moved = [counter.moved for counter in node.counters]
        assert [sums["cpu", True], sums["gpu", True]] == moved[1:]
        assert node.memory is not None
        assert sum(sums[name, True] for name in ("cpu", "gpu", "other")) == (
            moved[0] + node.memory.parts_uj
        )


def _play(node: StoringNode, events: list[tuple[str, Any, Any]]) -> None:
    node.sample()
    node.store()
    for what, first, second in events:
        if what == "seal":
            node.seal(marked=first)
        else:
            happen(node, what, first, second)
    for counter in node.counters:
        counter.status = "ok"
    for _ in range(2):
        node.pass_time(SECOND_NS)
        node.sample()
    node.store()
    node.seal(marked=True)
