"""A node store holds the same, however a journal reaches it: the laws, on anything said."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.laws import examples
from support.nodes import chunks_of, content_of
from support.scripts import RUNS, journals, pieces_of

from cmfd.store.interpret import seal
from cmfd.store.node import NodeStore
from cmfd.store.pack import open_pack

if TYPE_CHECKING:
    from support.journals import Journal

    from cmfd.store.node import JournalSlice

# In memory: what is tested is what is stored, not that it is synced.
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
LAW = settings(
    deadline=None,
    max_examples=examples(30),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _store(path: Path, groups: list[list[JournalSlice]]) -> None:
    """Commit each group of slices."""
    with closing(NodeStore(path)) as store:
        for group in groups:
            store.append(group)
            store.commit()
        assert store.figures.malformed == store.figures.refused == 0


def _plain(said: list[Journal]) -> list[list[JournalSlice]]:
    return [[piece] for journal in said for piece in journal.slices()]


@given(journals(), st.data())
@LAW
def test_any_slicing_in_any_order_with_repeats_gives_the_same_content(
    said: list[Journal], data: st.DataObject
) -> None:
    """Replays are absorbed; overlapping slices are trimmed; no record counts twice or is lost."""
    pieces = [piece for journal in said for piece in data.draw(pieces_of(journal))]
    shuffled = data.draw(st.permutations(pieces))
    cuts = sorted(data.draw(st.sets(st.integers(0, len(shuffled)), max_size=4)))
    groups = [
        list(shuffled[first:end])
        for first, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)
    ]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        plain, mixed = Path(folder, "plain.db"), Path(folder, "mixed.db")
        _store(plain, _plain(said))
        _store(mixed, groups)
        assert content_of(mixed) == content_of(plain)


@given(journals(), st.data())
@LAW
def test_what_is_rolled_back_and_sent_again_is_there_once(
    said: list[Journal], data: st.DataObject
) -> None:
    """A commit that failed, or a daemon that died before it, leaves no trace."""
    pieces = [piece for journal in said for piece in data.draw(pieces_of(journal))]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        plain, broken = Path(folder, "plain.db"), Path(folder, "broken.db")
        _store(plain, _plain(said))
        with closing(NodeStore(broken)) as store:
            for piece in pieces:
                store.append([piece])
                then = data.draw(st.sampled_from(["commit", "roll back", "go on"]))
                if then == "commit":
                    store.commit()
                elif then == "roll back":
                    store.rollback()
            store.rollback()
            for journal in said:
                store.append(journal.slices())
            store.commit()
        assert content_of(broken) == content_of(plain)


@given(journals(), st.data())
@LAW
def test_checkpoints_and_the_final_pack_together_have_everything(
    said: list[Journal], data: st.DataObject
) -> None:
    """Any packs taken on the way, united by their tables' rules, are the final state."""
    pieces = data.draw(st.permutations(_plain(said)))
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path, out = Path(folder, "node.db"), Path(folder, "out")
        found: dict[bytes, dict[tuple[bytes, int, int], list[tuple[int, int, int]]]] = {}
        with closing(NodeStore(path)) as store:
            for group in pieces:
                store.append(group)
                store.commit()
                if data.draw(st.booleans()):
                    _seal_all(store, path, out, found, final=False)
            _seal_all(store, path, out, found, final=True)
            assert store.unsealed_runs() == []
            _seal_all(store, path, out, found, final=True)
        whole = Path(folder, "whole.db")
        _store(whole, _plain(said))
        for run in RUNS:
            expected = _chunks(whole, run, Path(folder, "expected"))
            assert found.get(run, {}) == expected


def _seal_all(
    store: NodeStore,
    path: Path,
    out: Path,
    found: dict[bytes, dict[tuple[bytes, int, int], list[tuple[int, int, int]]]],
    *,
    final: bool,
) -> None:
    """Seal what is not sealed, and add the packs' chunks by the rule of their table."""
    for standing in store.unsealed_runs():
        pack = seal(path, standing.run, out, final=final, now_ns=1, cluster="c", node="n")
        if pack is None:
            assert not standing.has_new
            continue
        with closing(open_pack(pack.path)) as db:
            mine = found.setdefault(standing.run, {})
            for key, values in chunks_of(db).items():
                if len(values) > len(mine.get(key, [])):
                    mine[key] = values
        store.mark_sealed(standing.run, pack.upto, final=final, at_ns=2)
        store.commit()


def _chunks(
    path: Path, run: bytes, out: Path
) -> dict[tuple[bytes, int, int], list[tuple[int, int, int]]]:
    with closing(NodeStore(path)) as store:
        if run not in [standing.run for standing in store.unsealed_runs()]:
            return {}
    pack = seal(path, run, out, final=True, now_ns=1, cluster="c", node="n")
    assert pack is not None
    with closing(open_pack(pack.path)) as db:
        return chunks_of(db)
