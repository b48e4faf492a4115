"""A pack of nothing but facts: what was learned of a run after it was sealed."""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from cmfd import __version__
from cmfd.errors import StoreError
from cmfd.store.connection import atomic, connect, named
from cmfd.store.content import upsert
from cmfd.store.migrations import migrate
from cmfd.store.pack import FORMAT, PARTIAL_PREFIX, finish
from cmfd.store.rows import storable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cmfd.model import Id, Scalar


def pack_facts(  # noqa: PLR0913 - the last three are the pack's label
    out_dir: Path,
    subject: Id,
    facts: Iterable[tuple[str, str, Scalar]],
    *,
    origin: Id,
    now_ns: int,
    cluster: str,
    node: str,
) -> Path:
    """
    Make a pack of facts of a run.

    Parameters
    ----------
    out_dir : Path
        Where to put it.
    subject : bytes
        The run.
    facts : iterable of (str, str, scalar)
        Key, type (of `cmfd.model.ValueType`) and value of each.
    origin : bytes
        Who says so.
    now_ns : int
        Since when it is so.
    cluster, node : str
        Where this is, for the pack's label.

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
    label = (FORMAT, f"cmfd {__version__}", cluster, node, now_ns, 0)
    try:
        try:
            with closing(connect(partial)) as db:
                # What is not finished is deleted, so there is nothing to bring back after a crash.
                db.execute("PRAGMA synchronous = OFF")
                migrate(db, "pack")
                with atomic(db):
                    for key, kind, value in facts:
                        row = (subject, key, now_ns, origin, kind, storable(kind, value))
                        db.execute(upsert("fact"), row)
                    db.execute(named("node/seal")["label"], label)
            return finish(partial)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"cannot write a pack to {out_dir}: {error}. Free some space") from error
