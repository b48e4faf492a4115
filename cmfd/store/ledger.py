"""
Sealing the node's ledger: energy that belongs to no run, what sources there are, the hardware.

Every site that gets packs of a node's runs gets its ledger too, so that at each of them what runs,
idle time and the system are given adds up to what the counters moved.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from cmfd import __version__
from cmfd.errors import StoreError
from cmfd.store.connection import atomic, named
from cmfd.store.interpret import new_pack
from cmfd.store.pack import FORMAT, PARTIAL_PREFIX, finish, site_id


class SealedLedger(NamedTuple):
    """
    A pack that was made of the ledger, and what `NodeStore.mark_ledger_sealed` needs.

    Attributes
    ----------
    path : Path
        The pack, named by its sha256.
    upto : int
        The commit up to which the pack has what the node store has.
    """

    path: Path
    upto: int


def seal_ledger(  # noqa: PLR0913 - what the pack says of itself
    node_db_path: Path, out_dir: Path, *, site: str, now_ns: int, cluster: str, node: str
) -> SealedLedger | None:
    """
    Make a pack of what is new in the ledger.

    Parameters
    ----------
    node_db_path : Path
        The node store; it is only read.
    out_dir : Path
        Where to put the pack; made if missing.
    site : str
        The site that it is for: what that one has already is left out.
    now_ns : int
        The time now.
    cluster, node : str
        Where this is, for the pack's label.

    Returns
    -------
    SealedLedger or None
        None if there is no energy that the site does not have.

    Raises
    ------
    StoreError
        The node store cannot be read, or the pack not be written.
    """
    partial = out_dir / f"{PARTIAL_PREFIX}{secrets.token_hex(8)}"
    made_for = site_id(Path(site)) if site else ""
    label = (FORMAT, f"cmfd {__version__}", cluster, node, now_ns, 0, made_for)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        try:
            with closing(new_pack(partial, node_db_path)) as db, atomic(db):
                upto = _fill(db, site, label)
            return None if upto is None else SealedLedger(finish(partial), upto)
        finally:
            partial.unlink(missing_ok=True)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"cannot seal the node's energy to {out_dir}: {error}. The node store has all of it:"
            " free some disk space, and it is sealed at the next attempt"
        ) from error


def _fill(db: sqlite3.Connection, site: str, label: tuple[object, ...]) -> int | None:
    queries = named("node/seal")
    upto, sealed_seq = db.execute(queries["ledger"], {"site": site}).fetchone()
    if not db.execute(queries["add_ledger"], {"sealed_seq": sealed_seq}).rowcount:
        return None
    for name in ("add_probes", "add_hardware"):
        db.execute(queries[name])
    db.execute(queries["label"], label)
    return int(upto)
