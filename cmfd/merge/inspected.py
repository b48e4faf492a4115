"""
Reads packs that nobody here vouches for, as a process of its own: see `cmfd.merge.inspect`.

What it is given on standard input, a line of JSON a pack, it answers on standard output. Before it
opens anything it gives up memory, files and rights, and for each pack it may use so much time;
whatever is in a pack ends at most this process.
"""

from __future__ import annotations

import hashlib
import resource
import signal
import sqlite3
import struct
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from cmfd.errors import CmfdError, PackError, SchemaTooNewError
from cmfd.merge.confine import confine, read_only_below
from cmfd.store.connection import named
from cmfd.store.migrations import version_of
from cmfd.store.pack import content_of, damage, open_pack
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY_BYTES = 1 << 30
"""What the process may have in memory."""

TOO_MUCH_MEMORY = "too much: it takes more memory than a pack may"

MOST_NAMES = 100_000
"""A pack that speaks of more runs, executions or users is too much for a site with rules."""

MOST_VALUES = 1 << 16
"""More values than this no block of a journal has, and so no chunk."""

_CPU_S = 20
_BYTES_A_CPU_S = 1 << 20
_FILE_BYTES = 64 << 20
_FILES = 64

# As cmfd.store.columns has it, which takes long to import: version, kind, columns; of each its
# transform and length.
_CHUNK = struct.Struct("<BBHBIBIBI")
_CHUNK_VERSION, _CHUNK_KINDS, _CHUNK_COLUMNS = 1, (1, 2), 3


class Asked(msgspec.Struct, frozen=True):
    """
    A pack to be read.

    Attributes
    ----------
    path, digest : str
        The file, and its sha256.
    within : str
        The directory that it is below: that of the first one holds for good.
    scratch : str
        An index to try it with; empty: in memory.
    about : bool
        Whether to tell of whom it is.
    """

    path: str
    digest: str
    within: str
    scratch: str
    about: bool = False


class Said(msgspec.Struct, frozen=True):
    """
    What a sound pack says.

    Attributes
    ----------
    site : str
        The id of the site that it was made for.
    users, pipelines : list of str
        Whose runs are in it and whose notes; which pipelines. Only if that was asked for.
    own, subjects : list of str
        The runs, executions and series that it has, in hexadecimal; those that it speaks of,
        artifacts that its notes are on, and content that none of its executions read or made, each
        or each two that it links after a ``=``. Only if that was asked for.
    nodes : list of str
        Of which it says what is no run's. Only if that was asked for.
    """

    site: str = ""
    users: list[str] = []
    pipelines: list[str] = []
    own: list[str] = []
    subjects: list[str] = []
    nodes: list[str] = []


class Told(msgspec.Struct, frozen=True):
    """The answer: what it says, or why it is none and whether a newer cmfd could read it."""

    said: Said | None = None
    reason: str = ""
    too_new: bool = False
    unreadable: bool = False


def cpu_s(size_bytes: int) -> int:
    """Return the CPU time that reading a pack of a size may take."""
    return _CPU_S + size_bytes // _BYTES_A_CPU_S


def serve(questions: BinaryIO, answers: BinaryIO, scratch: str) -> None:
    """
    Answer until there is nothing more to be asked.

    Parameters
    ----------
    questions, answers : file
        A line each.
    scratch : str
        The only directory that indices may be made in; empty: none.
    """
    # Its kind of index is written to a file that may grow so long: more ends the process, as more
    # time does, and is not taken for a disk that is full.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    for what, limit in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
        (resource.RLIMIT_NPROC, 0),
    ):
        _give_up(what, limit)
    confine(scratch)
    if not scratch:
        _in_memory.store(0)  # while the first pack still comes
    for number, line in enumerate(questions):
        asked = msgspec.json.decode(line, type=Asked)
        if not number:
            read_only_below(asked.within, *([scratch] if scratch else []))
        answers.write(msgspec.json.encode(_told(asked)) + b"\n")
        answers.flush()


def _give_up(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def _told(asked: Asked) -> Told:
    try:
        _limit_for(Path(asked.path).stat().st_size)
        return Told(_inspect(Path(asked.path), asked))
    except SchemaTooNewError as error:
        return Told(reason=str(error), too_new=True)
    except PackError as error:
        return Told(reason=str(error))
    except (MemoryError, RecursionError):
        return Told(reason=TOO_MUCH_MEMORY)
    except (CmfdError, OSError, sqlite3.Error) as error:
        return Told(reason=str(error), unreadable=True)


def _limit_for(size_bytes: int) -> None:
    """Let a pack take the time and, in a scratch file, the space that one of its size may need."""
    used_s = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used_s) + 1 + cpu_s(size_bytes), hard))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES + 4 * size_bytes, hard))


def _inspect(pack: Path, asked: Asked) -> Said:
    # Once, so that what is hashed, looked at and tried are the same bytes, whoever writes the file.
    content = content_of(pack)
    with closing(open_pack(pack, asked.digest, content)) as db:
        if found := damage(db):
            # A node's own packs are spared this. A tree whose branches are all the same page has,
            # to who reads it, more rows than can ever be read.
            raise PackError(f"foreign: it is no sound SQLite database: {found}")
        try:
            _check_values(db)
            said = _said(db, about=asked.about)
        except sqlite3.DatabaseError as error:
            raise PackError(f"foreign: it cannot be read: {error}") from error
    # Into an index that is gone afterwards: as it takes it, or does not, so will the site's.
    if asked.scratch:
        with closing(SiteStore(Path(asked.scratch), views=False)) as scratch:
            scratch.absorb(pack, asked.digest, content)
    else:
        _in_memory.store(pack.stat().st_size).absorb(pack, asked.digest, content)
    return said


class _InMemory:
    """An index in memory, which takes longer to make than to use: for many packs, then another."""

    def __init__(self) -> None:
        self._store: SiteStore | None = None
        self._n_bytes = 0

    def store(self, n_bytes: int) -> SiteStore:
        """Return the index that so many bytes more are to go into."""
        if self._store is None or self._n_bytes > _MANY_BYTES:
            self._store, self._n_bytes = SiteStore(Path(":memory:"), views=False), 0
        self._n_bytes += n_bytes
        return self._store


_MANY_BYTES = 32 << 20
_in_memory = _InMemory()


def _check_values(db: sqlite3.Connection) -> None:
    """Raise if what stands under a digest is not its content, or values are not what is said."""
    tables = ["environment"] + (["slice_members"] if version_of(db) >= _SLICES_SINCE else [])
    for table in tables:
        for digest, document in db.execute(f"SELECT digest, document FROM {table}"):  # noqa: S608 - of two names
            if digest != f"sha256:{hashlib.sha256(document.encode()).hexdigest()}":
                raise PackError(f"foreign: what it calls {digest[:80]!r} is something else")
    for n_values, data in db.execute("SELECT n_values, substr(data, 1, 19) FROM chunk"):
        if not _is_chunk(n_values, data):
            raise PackError("foreign: values of a metric are not what is said of them")


_SLICES_SINCE = 3


def _is_chunk(n_values: int, data: bytes) -> bool:
    if len(data) < _CHUNK.size or not 0 < n_values <= MOST_VALUES:
        return False
    version, kind, n_columns, *columns = _CHUNK.unpack(data)
    is_known = (version, n_columns) == (_CHUNK_VERSION, _CHUNK_COLUMNS) and kind in _CHUNK_KINDS
    return is_known and columns[1::2] == [n_values] * _CHUNK_COLUMNS


def _said(db: sqlite3.Connection, *, about: bool) -> Said:
    version = version_of(db)
    queries = named("site/said")
    site = db.execute(queries["site"]).fetchone()[0] if version >= _SITE_SINCE else ""
    if not about:
        return Said(site)
    lists: dict[str, set[str]] = {name: set() for name in _LISTS}
    for name, query in queries.items():
        kind, _, since = name.partition("_")
        if kind in lists and version >= int(since or 1):
            lists[kind].update(_few(db.execute(query)))
    content = queries["content" if version < _LINKS_SINCE else "content_3"]
    lists["subjects"].update(_few(db.execute(content)))
    return Said(site, *(sorted(found) for found in lists.values()))


_LISTS = ("users", "pipelines", "own", "subjects", "nodes")
_LINKS_SINCE = 3
_SITE_SINCE = 5


def _few(rows: sqlite3.Cursor) -> Iterator[str]:
    for number, (text,) in enumerate(rows):
        if number >= MOST_NAMES:
            raise PackError(f"too much: it speaks of more than {MOST_NAMES} runs or users")
        yield text


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer, *sys.argv[1:])
