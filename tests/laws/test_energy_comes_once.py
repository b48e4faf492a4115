"""
Energy comes to a site once, however it was cut up on the way.

A node measures in rows that grow, seals at any time, sends packs again or in another order, and
begins anew with what it last wrote: at the site is what the node ended up with, and no more.
"""

from __future__ import annotations

import random
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support.energy import BUCKET_NS, a_row
from support.laws import examples

from cmfd.merge.index import open_store
from cmfd.merge.layout import init_site
from cmfd.query import energy
from cmfd.query.index import open_index
from cmfd.store.energy import Measured
from cmfd.store.interpret import seal
from cmfd.store.ledger import seal_ledger
from cmfd.store.node import NodeStore

if TYPE_CHECKING:
    from cmfd.store.energy import EnergyRow

    Part = tuple[int | str, int]

WHOSE: tuple[int | str, ...] = (1, 2, "idle", "system")
FRACTIONS = st.integers(1, 4)
MINUTES = st.lists(
    st.tuples(st.integers(0, 3), FRACTIONS, st.lists(st.integers(0, 99), min_size=4, max_size=4)),
    min_size=1, max_size=8,
)  # fmt: skip
"""Which minute, how much of it has passed, and what each took by then, at the least."""


def grown(minute: int, fraction: int, more: list[int]) -> list[EnergyRow]:
    """Return the rows of a minute of which so much has passed."""
    shares = dict(zip(WHOSE, (fraction * 100 + one for one in more), strict=True))
    parts: list[Part] = [*shares.items(), ("counter", sum(shares.values()))]
    return [
        a_row(
            owner=whose if isinstance(whose, str) else "run",
            run=whose if isinstance(whose, int) else 1,
            bucket=minute, uj=uj, dur_ns=BUCKET_NS * fraction // 4,
        )
        for whose, uj in parts
    ]  # fmt: skip


class Node:
    """A node, and all packs that it ever made."""

    def __init__(self, root: Path) -> None:
        self.path, self.out = root / "node.db", root / "out"
        self.store = NodeStore(self.path)
        self.packs: list[Path] = []

    def seal(self, *, lost: bool) -> None:
        """Seal all there is; `lost`: the daemon dies before it has noted so."""
        for standing in self.store.unsealed_runs():
            pack = seal(
                self.path, standing.run, self.out, final=False, now_ns=1, cluster="c", node="n1"
            )
            if pack is not None:
                self.packs.append(pack.path)
                if not lost:
                    self.store.mark_sealed(standing.run, pack.upto, final=False, at_ns=1)
        ledger = seal_ledger(self.path, self.out, site="/s", now_ns=1, cluster="c", node="n1")
        if ledger is not None:
            self.packs.append(ledger.path)
            if not lost:
                self.store.mark_ledger_sealed("/s", ledger.upto, 1)
        self.store.commit()


@settings(max_examples=examples(40), deadline=None)
@given(MINUTES, st.integers(0, 2**32))
def test_what_is_at_the_site_is_what_was_measured(
    minutes: list[tuple[int, int, list[int]]],
    seed: int,
) -> None:
    """Seals, deaths, repetitions at any time; owners add up to the counter at the end."""
    rng = random.Random(seed)
    best: dict[int, list[EnergyRow]] = {}
    with tempfile.TemporaryDirectory() as directory:
        node = Node(Path(directory))
        with closing(node.store):
            for number, (minute, fraction, more) in enumerate(minutes):
                rows = [row._replace(at_ns=number) for row in grown(minute, fraction, more)]
                node.store.add_energy(Measured(tuple(rows)))
                node.store.commit()
                key = (rows[0].dur_ns, number)
                if minute not in best or key > (best[minute][0].dur_ns, best[minute][0].at_ns):
                    best[minute] = rows
                if rng.random() < 0.5:
                    node.seal(lost=rng.random() < 0.3)
            node.seal(lost=False)
        packs = [*node.packs, *node.packs[:2]]
        rng.shuffle(packs)
        found = absorbed(Path(directory) / "site", packs)
    assert found == sorted(row.uj for rows in best.values() for row in rows)


def absorbed(site: Path, packs: list[Path]) -> list[int]:
    """Absorb packs, each in a transaction of its own, and return the energies, smallest first."""
    with closing(open_store(init_site(site))) as index:
        for pack in packs:
            index.absorb_group([(pack, pack.stem)])
    with open_index(site) as db:
        for balance in energy.balances(db):
            assert balance.missing_uj == 0
        return sorted(row.uj for row in energy.rows(db, everything=True))
