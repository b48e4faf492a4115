"""
Sealing: what a node store holds of a run, made into a pack.

Reads the node store through a connection of its own while the daemon goes on
writing it, in one read transaction, so that the pack is the store at one
moment. All records of the run are in every pack; of the metric values, every
journal block of which something came since the last pack, whole. So any two
packs of a run agree, the later one has at least what the earlier one has of a
block, and together they have everything.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from msgspec.structs import replace

from cmfd import __version__
from cmfd.errors import NotFoundError, StoreError
from cmfd.identity import uuid5
from cmfd.model import Relation
from cmfd.store.connection import atomic, connect, named
from cmfd.store.content import tables, upsert
from cmfd.store.energy import NOBODY
from cmfd.store.migrations import migrate
from cmfd.store.pack import FORMAT, PARTIAL_PREFIX, finish
from cmfd.store.rows import Source, artifact_and_event
from cmfd.wire.messages import Hashed, Touch, decode_record

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cmfd.content.again import Found

_IDENTITIES = frozenset(("run", "execution", "parent", "subject"))
"""Columns that hold ids of runs and executions."""

NOT_HASHED = "not hashed"
"""
Problem of an event whose content nobody had read when its run was sealed.

Should it be read after all, a later pack has another event of the same touch, and a site's views
show that one alone.
"""


@dataclass(frozen=True)
class SealedPack:
    """
    A pack that was made of a run, and what `NodeStore.mark_sealed` needs.

    Attributes
    ----------
    path : Path
        The pack, named by its sha256.
    run : bytes
        The run.
    upto : int
        The commit up to which the pack has what the node store has.
    final : bool
        Whether it was sealed as the run's last one on this node.
    """

    path: Path
    run: bytes
    upto: int
    final: bool


def seal(  # noqa: PLR0913 - what the pack says of itself
    node_db_path: Path,
    run: bytes,
    out_dir: Path,
    *,
    final: bool,
    now_ns: int,
    cluster: str,
    node: str,
    whole: bool = True,
    job_over: bool = False,
    apart: int | None = None,
    found: Mapping[Unread, Found] | None = None,
    site: str = "",
) -> SealedPack | None:
    """
    Make a pack of what is new of a run.

    Parameters
    ----------
    node_db_path : Path
        The node store; it is only read.
    run : bytes
        The run.
    out_dir : Path
        Where to put the pack; made if missing.
    final : bool
        Whether the run has ended on this node. Files that nobody has read by
        then are recorded without a content digest.
    now_ns : int
        The time now.
    cluster, node : str
        Where this is, for the pack's label.
    whole : bool
        Whether the node store has everything that the node has of the run. If not, the pack does
        not say that the node delivered anything.
    job_over : bool
        Whether the batch system said that the job is over on this node.
    apart : int, optional
        A user who has no right to the run's id, which another may get: his is published under
        ids of its own, the same on all nodes.
    found : mapping, optional
        What became of `unread`.
    site : str
        The id of the site that it is for, for the pack's label.

    Returns
    -------
    SealedPack or None
        None if there is nothing that no published pack has.

    Raises
    ------
    NotFoundError
        The node store knows no such run.
    StoreError
        The node store cannot be read, or the pack not be written.
    """
    partial = out_dir / f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
    label = (FORMAT, f"cmfd {__version__}", cluster, node, now_ns, int(final), site)
    delivery = {
        "run": run, "node": node, "at_ns": now_ns, "origin": uuid5(run, "delivery"),
        "final": final, "job_over": job_over,
    }  # fmt: skip
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        try:
            with closing(new_pack(partial, node_db_path)) as db, atomic(db):
                upto = _fill(db, run, label, final=final, found=found or {})
                if whole:
                    db.execute(named("node/seal")["deliver"], delivery)
                if apart is not None:
                    _set_apart(db, apart)
            return None if upto is None else SealedPack(finish(partial), run, upto, final)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"cannot seal run {run.hex()} to {out_dir}: {error}. The node store has all of it:"
            " free some disk space, and it is sealed at the next attempt"
        ) from error


def new_pack(path: Path, node_db_path: Path) -> sqlite3.Connection:
    """Open an empty pack, with the node store attached to it."""
    db = connect(path)
    try:
        # Most packs say little, in some twenty tables, each of which begins with a page of its own.
        db.execute("PRAGMA page_size = 1024")
        # What is not finished is deleted: nothing to bring back after a crash, and nothing to sync.
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
        migrate(db, "pack")
        db.execute("ATTACH ? AS node", (f"file:{quote(os.fsencode(node_db_path))}?mode=ro",))
    except BaseException:
        db.close()
        raise
    return db


def _fill(
    db: sqlite3.Connection, run: bytes, label: tuple[object, ...], *, final: bool,
    found: Mapping[Unread, Found],
) -> int | None:  # fmt: skip
    """Fill a pack; return the commit up to which it goes, or nothing if nothing is new."""
    queries = named("node/seal")
    standing = db.execute(queries["standing"], {"run": run}).fetchone()
    if standing is None:
        raise NotFoundError(f"this node knows no run {run.hex()}; nothing was sealed")
    upto, has_new, sealed_seq, finished = standing
    if not has_new and (finished or not final):
        return None
    for name, query in queries.items():
        if name.startswith("copy_"):
            db.execute(query, {"run": run})
    if final:
        _add_touches(db, found)
    if blocks := db.execute(queries["blocks"], {"sealed_seq": sealed_seq}).fetchall():
        # NumPy, which what logs no metrics need not wait for.
        from cmfd.store.chunks import add_chunks  # noqa: PLC0415

        add_chunks(db, blocks)
    db.execute(queries["label"], label)
    return int(upto)


def _set_apart(db: sqlite3.Connection, uid: int) -> None:
    """Give a pack's run and executions other ids, which nobody but this user can have."""

    def apart(identity: bytes | None) -> bytes | None:
        if identity is None or identity == NOBODY:
            return identity
        return uuid5(identity, f"user {uid}")

    db.create_function("apart", 1, apart, deterministic=True)
    for table in {*tables(), "delivery"}:
        for _, column, *_ in db.execute(f"PRAGMA main.table_info({table})").fetchall():
            if column in _IDENTITIES:
                db.execute(f"UPDATE main.{table} SET {column} = apart({column})")  # noqa: S608 - names


def _add_touches(db: sqlite3.Connection, found: Mapping[Unread, Found]) -> None:
    """Make events of files that no process read which named them."""
    for instance, uid, host, record, rank in db.execute(named("node/seal")["touches"]).fetchall():
        touch = _touch(record)
        read = found.get(Unread(instance, touch))
        hashed = Hashed(at_ns=touch.at_ns, token=touch.token, digest="", problem=NOT_HASHED)
        if read is not None:
            hashed = replace(hashed, **read.hash._asdict())
        artifact, event = artifact_and_event(Source(instance, uid, host), touch, hashed, rank)
        db.execute(upsert("artifact"), artifact)
        db.execute(upsert("event"), event)
        for whole, part, name in read.links if read else ():
            link = (whole, Relation.CONTAINS.value, part, name, touch.at_ns, instance)
            db.execute(upsert("link"), link)


def _touch(record: bytes) -> Touch:
    touch = decode_record(record)
    assert isinstance(touch, Touch), "only touches name an execution"
    return touch


class Unread(NamedTuple):
    """Content that a process named, and died before it had read it."""

    instance: bytes
    touch: Touch


def unread(node_db_path: Path, run: bytes, uid: int) -> list[Unread]:
    """
    Return what processes that ended have named and not read.

    Parameters
    ----------
    node_db_path : Path
        The node store.
    run : bytes
        What they took part in.
    uid : int
        Only this user's.
    """
    with closing(connect(node_db_path, readonly=True)) as db:
        rows = db.execute(named("node/queries")["unread"], {"run": run, "uid": uid}).fetchall()
    return [Unread(instance, _touch(record)) for instance, record in rows]
