"""
The graph of a site's events, compact, in a file beside the index: for answers of many nodes.

What leads to what, as arrays of numbers: those that a node leads to stand one after another, and a
second array says where each node's begin. Walking is ten times as fast as any query; making the
file takes as long as a walk to some tenth of all there is. It says of which state of which index it
is, and is never asked of another one; whoever finds it out of date may make it anew, or remove it.

It is read, not mapped into memory: what another node of a network file system replaces would kill
who has it mapped.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import msgspec

from cmfd.merge.layout import GRAPH, GRAPH_PARTIAL_PREFIX
from cmfd.query.walk import UNLIMITED
from cmfd.store.connection import named
from cmfd.store.shared import follow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from cmfd.store.postgres.connection import PostgresIndex

    Ints = npt.NDArray[np.int64]

_MAGIC = b"cmfg\n"
_FORMAT = 3
_BITS = 31
_ALIGNED_BYTES = 8
_AT_ONCE = 1_000_000
"""Artifacts or executions of which something is fetched as one text."""


UNKNOWN_NS = -(2**63)
"""When something began of which that is not known: before everything else."""


class _Array(msgspec.Struct, array_like=True):
    """Where an array lies: bytes from the end of the header, how many, and of which type."""

    offset: int
    n_bytes: int
    code: Literal["i", "q"]


class _Header(msgspec.Struct):
    """What stands at the beginning of the file: of what it is, and where its arrays are."""

    key: list[int | str]
    arrays: dict[str, _Array]
    names: dict[str, list[str]]


class Lists(NamedTuple):
    """What each of some nodes leads to."""

    begins: Ints
    numbers: Ints


def _postgres(db: object) -> PostgresIndex | None:
    """Return the index if it is in PostgreSQL."""
    return None if isinstance(db, sqlite3.Connection) else cast("PostgresIndex", db)


def _index_of(db: sqlite3.Connection) -> str:
    if (postgres := _postgres(db)) is not None:
        return str(postgres.beside)
    index: str = db.execute("PRAGMA database_list").fetchone()[2]
    return index


def _graph_of(index: str) -> str:
    return f"{index.rpartition('/')[0]}/{GRAPH}"


def _key(db: sqlite3.Connection, index: str) -> list[int | str]:
    """Return what tells this state of this index from any other; within a transaction."""
    # A merge adds a pack; a file made anew from the packs is another file, at another time.
    packs = db.execute(_sql("packs")).fetchone()
    if (postgres := _postgres(db)) is not None:
        return [_FORMAT, *postgres.one("SELECT token FROM cmfd_index"), *packs]
    stat = os.stat(index)  # noqa: PTH116 - quicker
    return [_FORMAT, stat.st_ino, stat.st_size, stat.st_mtime_ns, *packs]


class Graph:
    """
    A graph in a file.

    Parameters
    ----------
    file : path-like
        Of `keep`.

    Raises
    ------
    OSError, ValueError
        There is none, or none of this format; a LookupError, too, of a damaged one.
    """

    def __init__(self, file: Path) -> None:
        self._data = file.read_bytes()
        if self._data[: len(_MAGIC)] != _MAGIC:
            raise ValueError(f"{file} is no graph")
        first = len(_MAGIC) + 8
        n_header = int.from_bytes(self._data[len(_MAGIC) : first], "little")
        header = msgspec.json.decode(self._data[first : first + n_header], type=_Header)
        self.key = header.key
        self._arrays = header.arrays
        self._names = header.names
        self._base = _aligned(first + n_header)
        if self._base + sum(_aligned(one.n_bytes) for one in header.arrays.values()) != len(
            self._data
        ):
            raise ValueError(f"{file} is not whole")

    def array(self, name: str) -> Ints:
        """Return numbers that are kept under a name."""
        import numpy as np  # noqa: PLC0415 - 0.1 s, where a graph is used

        one = self._arrays[name]
        return np.frombuffer(
            self._data,
            one.code,
            one.n_bytes // np.dtype(one.code).itemsize,
            self._base + one.offset,
        )

    def names(self, name: str) -> list[str]:
        """Return the names to which the numbers of an array are the places."""
        return self._names[name]

    def lists(self, name: str) -> Lists | None:
        """Return one of the kinds of ways between nodes; None where there is none of it."""
        if name not in self._arrays:
            return None
        return Lists(self.array(f"{name}.begins"), self.array(name))


def _aligned(n_bytes: int) -> int:
    """Return where the next array begins."""
    return -(-n_bytes // _ALIGNED_BYTES) * _ALIGNED_BYTES


_known: dict[str, Graph] = {}


def current(db: sqlite3.Connection) -> Graph | None:
    """
    Return the graph of an index as it is now, if there is one; within a transaction.

    Whoever sees only a part of an index has none: it would be of more, or of less.

    Parameters
    ----------
    db : sqlite3.Connection
        A site's index.
    """
    if (postgres := _postgres(db)) is not None and postgres.is_restricted:
        return None
    index = _index_of(db)
    key = _key(db, index)
    known = _known.get(index)
    if known is not None and known.key == key:
        return known
    _known.pop(index, None)
    with suppress(OSError, ValueError, LookupError):  # msgspec's errors are ValueErrors
        known = Graph(Path(_graph_of(index)))
        if known.key == key:
            _known[index] = known
            return known
    return None


def keep(db: sqlite3.Connection) -> Graph | None:
    """
    Make the graph of an index, and keep it in a file beside that; within a transaction.

    Returns
    -------
    Graph, optional
        None where it cannot be kept: in somebody else's site, or on a full disk.
    """
    try:
        index = _index_of(db)
        names: dict[str, list[str]] = {}
        arrays = {**dict(_arrays(db, names)), **dict(_columns(db, names))}
        _write(Path(_graph_of(index)), _Header(_key(db, index), {}, names), arrays)
    except OSError:
        return None
    return current(db)


def is_worth_it(db: sqlite3.Connection) -> int:
    """Return after how many nodes a walk is better done on a graph that is made for it."""
    if (postgres := _postgres(db)) is not None and postgres.is_restricted:
        return UNLIMITED
    if not os.access(Path(_index_of(db)).parent, os.W_OK):
        return UNLIMITED
    n_nodes: int = sum(db.execute(_sql("size")).fetchone())
    return max(1000, n_nodes // 20)


def _write(path: Path, head: _Header, arrays: dict[str, Any]) -> None:
    offset = 0
    for name, array in arrays.items():
        head.arrays[name] = _Array(offset, array.nbytes, "q" if array.itemsize == 8 else "i")
        offset += _aligned(array.nbytes)
    header = msgspec.json.encode(head)
    with NamedTemporaryFile(dir=path.parent, prefix=GRAPH_PARTIAL_PREFIX, delete=False) as file:
        try:
            for data in (_MAGIC + len(header).to_bytes(8, "little") + header, *arrays.values()):
                file.write(data)
                file.write(bytes(-file.tell() % _ALIGNED_BYTES))
            file.flush()
            os.fsync(file.fileno())
            follow(Path(file.name))
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


def _arrays(db: sqlite3.Connection, names: dict[str, list[str]]) -> Iterator[tuple[str, Any]]:
    """Read what leads to what, and as what artifacts were written."""
    n_artifacts, n_executions = db.execute(_sql("size")).fetchone()
    executions, artifacts = _pairs(*(text for (text,) in _by_ranges(db, "inputs", n_artifacts)))
    yield from _lists("inputs", executions, artifacts, n_executions)
    yield from _lists("readers", artifacts, executions, n_artifacts)
    written = _by_ranges(db, "outputs", n_executions)
    executions, artifacts = _pairs(*(text for _, text in written))
    yield from _lists("outputs", executions, artifacts, n_executions)
    yield from _lists("writers", artifacts, executions, n_artifacts)
    of_kinds = ((kind, _pairs(text)[1]) for kind, text in written)
    yield "kind", _codes(of_kinds, n_artifacts, names.setdefault("kind", []))
    for name, back, more in (("outer", "inner", ()), ("earlier", "later", ("earlier_start",))):
        one, other = _pairs(*(db.execute(_sql(query)).fetchone()[0] for query in (name, *more)))
        yield from _lists(name, one, other, n_executions)
        yield from _lists(back, other, one, n_executions)
    (links,), (same,) = (db.execute(_sql(name)).fetchone() for name in ("parts", "same"))
    whole, part = _pairs(links, same)
    yield from _lists("parts", whole, part, n_artifacts)
    yield from _lists("wholes", part, whole, n_artifacts)
    for name in ("sliced", "superseded"):
        yield name, _numbers(*db.execute(_sql(name)).fetchone())


def _columns(db: sqlite3.Connection, names: dict[str, list[str]]) -> Iterator[tuple[str, Any]]:
    """Read what executions and runs are."""
    import numpy as np  # noqa: PLC0415 - 0.1 s, where a graph is made

    (_, n_executions), (n_runs,) = (
        db.execute(_sql(name)).fetchone() for name in ("size", "n_runs")
    )
    began, run_began = (np.full(n + 1, UNKNOWN_NS) for n in (n_executions, n_runs))
    run = np.zeros(n_executions + 1, np.int32)
    for row in _by_ranges(db, "executions", n_executions):
        ids, at_ns, runs = map(_numbers, row)
        began[ids], run[ids] = at_ns, runs
    for row in _by_ranges(db, "runs", n_runs):
        ids, at_ns = map(_numbers, row)
        run_began[ids] = at_ns
    yield from (("began", began), ("run", run), ("run.began", run_began))
    # Of whose run nobody said whose, or where, it is of nobody, and nowhere.
    for name, n, known in (("pipeline", n_executions, []), ("user", n_runs, [""]),
                           ("cluster", n_runs, [""])):  # fmt: skip
        rows = ((text, _numbers(ids)) for text, ids in db.execute(_sql(name)).fetchall())
        yield name, _codes(rows, n, names.setdefault(name, known))


def _codes(rows: Iterable[tuple[str, Ints]], n: int, names: list[str]) -> Any:
    """
    Return the place of each thing's name among the names, which are put down.

    Who has none is called by the name that was there before; -1 where there was none, or of who has
    several names.
    """
    import numpy as np  # noqa: PLC0415 - as above

    places = {name: place for place, name in enumerate(names)}
    codes, is_named = np.full(n + 1, len(names) - 1, np.int32), np.zeros(n + 1, np.bool_)
    for name, ids in rows:
        code = places.setdefault(name, len(places))
        codes[ids] = np.where(is_named[ids] & (codes[ids] != code), -1, code)
        is_named[ids] = True
    names[:] = places
    return codes


def _by_ranges(db: sqlite3.Connection, query: str, n: int) -> list[tuple[Any, ...]]:
    """Run a query that says something of many numbers in one text, which SQLite bounds to 1 GB."""
    return [
        row
        for first, last in _ranges(n)
        for row in db.execute(_sql(query), {"first": first, "last": last}).fetchall()
    ]


def _ranges(n: int) -> Iterator[tuple[int, int]]:
    for first, end in pairwise([*range(0, n + 1, _AT_ONCE), n + 1]):
        yield first, end - 1


def _numbers(text: str | None) -> Ints:
    import numpy as np  # noqa: PLC0415 - 0.1 s, where a graph is made

    return np.fromstring(text or "", np.int64, sep=",")


def _pairs(*texts: str | None) -> tuple[Ints, Ints]:
    import numpy as np  # noqa: PLC0415 - as above

    both = np.concatenate([_numbers(None), *map(_numbers, texts)])
    return both >> _BITS, both & ((1 << _BITS) - 1)


def _lists(name: str, nodes: Ints, others: Ints, n_nodes: int) -> Iterator[tuple[str, Any]]:
    """Yield an array of what the nodes lead to, each node's together, and where they begin."""
    import numpy as np  # noqa: PLC0415 - as above

    if len(nodes):
        begins = np.zeros(n_nodes + 2, np.int64)
        np.cumsum(np.bincount(nodes, minlength=n_nodes + 1), out=begins[1:])
        yield f"{name}.begins", begins
        both = (nodes << _BITS) + others
        if (both[1:] < both[:-1]).any():
            both.sort()
        yield name, (both & ((1 << _BITS) - 1)).astype(np.int32)


def _sql(name: str) -> str:
    return named("query/graph")[name]
