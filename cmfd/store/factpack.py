"""A pack of what was learned after runs were sealed: facts of a job, notes, links."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from cmfd import __version__
from cmfd.errors import StoreError
from cmfd.store.connection import atomic, connect, named
from cmfd.store.content import upsert
from cmfd.store.migrations import migrate
from cmfd.store.pack import FORMAT, PARTIAL_PREFIX, finish

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def pack_rows(  # noqa: PLR0913 - what the pack says of itself
    out_dir: Path,
    rows: Mapping[str, Iterable[tuple[Any, ...]]],
    *,
    now_ns: int,
    cluster: str,
    node: str,
    site: str = "",
) -> Path:
    """
    Make a pack of rows.

    Parameters
    ----------
    out_dir : Path
        Where to put it.
    rows : mapping of str to iterable of tuple
        By content table (see `cmfd.store.content.tables`), in the order of its columns; chunks,
        each of which may be there once, in the order of theirs.
    now_ns : int
        When it is made.
    cluster, node : str
        Where this is; with the time, the pack's label.
    site : str
        The id of the site that it is for.

    Returns
    -------
    Path
        The pack, named by its sha256.

    Raises
    ------
    StoreError
        It cannot be written.
    """
    partial = out_dir / f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
    label = (FORMAT, f"cmfd {__version__}", cluster, node, now_ns, 0, site)
    try:
        try:
            with closing(connect(partial)) as db:
                # What is not finished is deleted, so there is nothing to bring back after a crash.
                db.execute("PRAGMA synchronous = OFF")
                migrate(db, "pack")
                with atomic(db):
                    for table, some in rows.items():
                        db.executemany(_statement(table), some)
                    db.execute(named("node/seal")["label"], label)
            return finish(partial)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write a pack to {out_dir}: {error}. Free some space") from error


def _statement(table: str) -> str:
    return named("node/seal")["add_chunk"] if table == "chunk" else upsert(table)
