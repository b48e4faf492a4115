"""
Packs: sealed SQLite files named by their own sha256.

A pack is immutable once it has its name. `finish` gives it the name, `publish`
puts it into a site's inbox, `open_pack` reads one that may have come from
anywhere and trusts nothing in it before it is checked.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import sys
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from cmfd.errors import PackError, SchemaTooNewError, StoreError
from cmfd.store.connection import connect
from cmfd.store.migrations import APPLICATION_IDS, SCHEMAS, migrate
from cmfd.store.shared import follow, make_directory

if TYPE_CHECKING:
    import hashlib
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = len(SCHEMAS["pack"])
"""The pack format that this cmfd writes; it reads every earlier one too."""

INBOX, PACKS = "inbox", "packs"
"""Directories of a site: packs that wait for a merge, and packs that are merged."""

PARTIAL_PREFIX = "partial-"
"""Begins the name of a file that is still being written."""

MOST_VALUE_BYTES = 1 << 26
"""A value of a pack is not longer: no document and no chunk."""

SCHEMA_DIGESTS = {
    1: "c6f6a228c17117e0d1b0a0c55f5b1b4f8af1f7e6256cffe5fc477b5a336d0e0e",
    2: "7dda490b1355a428d755d8e7d1f6abebc2cf54b009d16f44fd893b7826b4d0d9",
    3: "c137c043f75a9daab2862c06a7b8f845827e949cf49685b76633a26990d1906a",
    4: "46fcda093c3199398fbc3d93a2fdc649b6624c422782f8ea9ae11fdee0e3de39",
    5: "3b0b72a1fe617d6924cffea3e5f329891ca990b2bbb59530bb852dc5761f8f15",
}
"""Of each format's schema: to make one to compare with takes longer than all else of a check."""

_NAME = re.compile(r"[0-9a-f]{64}\.db")
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_BLOCK_BYTES = 1 << 20
_COPIED_BYTES = 1 << 24


def is_pack_name(name: str) -> bool:
    """Say whether a file of this name claims to be a pack."""
    return _NAME.fullmatch(name) is not None


def merged_path(site_dir: Path, digest: str) -> Path:
    """Return where a site keeps the pack of this sha256 once it is merged."""
    return site_dir / PACKS / digest[:2] / f"{digest}.db"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's bytes, in hex."""
    content = _sha256()
    for block in _blocks(path):
        content.update(block)
    return content.hexdigest()


def site_id(site_dir: Path) -> str:
    """Return the id of a site, for the label of a pack that is made for it; empty if unknown."""
    try:
        said = msgspec.toml.decode((site_dir / "site.toml").read_bytes(), type=dict[str, Any])
    except (OSError, ValueError):
        return ""
    return str(said.get("id", ""))


def sync_directory(path: Path) -> None:
    """Make names that were added to or removed from a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def finish(path: Path) -> Path:
    """
    Make a written pack self-contained and durable, and give it its name.

    Parameters
    ----------
    path : Path
        A database with the pack's content, closed. It is renamed within its
        directory.

    Returns
    -------
    Path
        ``<sha256>.db`` beside it.
    """
    with closing(connect(path)) as db:
        # Takes in a write-ahead log, so that the one file is all there is.
        db.execute("PRAGMA journal_mode = DELETE")
    with path.open("rb") as file:
        os.fsync(file.fileno())
    named = path.with_name(f"{sha256_of(path)}.db")
    path.rename(named)
    sync_directory(named.parent)
    return named


def publish(pack: Path, site_dir: Path, digest: str | None = None) -> Path:
    """
    Put a finished pack into a site's inbox, unless the site has it already.

    Parameters
    ----------
    pack : Path
        It is left where it is.
    site_dir : Path
        The site; its inbox is made if missing.
    digest : str, optional
        The sha256 it must have; the one in its name if not given.

    Returns
    -------
    Path
        Where the site has it.

    Raises
    ------
    PackError
        The file's content is not what its name says; nothing was published.
    StoreError
        The site cannot be written; nothing was published.
    """
    digest = pack.stem if digest is None else digest
    inbox = site_dir / INBOX
    target = inbox / f"{digest}.db"
    for there in (target, merged_path(site_dir, digest)):
        if there.exists():
            return there
    partial = inbox / f"{PARTIAL_PREFIX}{os.urandom(8).hex()}"
    try:
        site_dir.mkdir(parents=True, exist_ok=True)
        make_directory(inbox)
        try:
            _copy(pack, partial, digest)
            follow(partial, final=True)
            partial.rename(target)
        finally:
            partial.unlink(missing_ok=True)
        sync_directory(inbox)
    except OSError as error:
        raise StoreError(
            f"cannot publish {pack} to {site_dir}: {error}; the pack is kept where it is."
            f" Once the site can be written, run: cmfd merge --site {site_dir} {pack}"
        ) from error
    return target


def _copy(pack: Path, target: Path, digest: str) -> None:
    content = _sha256()
    with target.open("xb") as file:
        for block in _blocks(pack):
            content.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if content.hexdigest() != digest:
        raise PackError(f"{_damage(pack)}; nothing of it was published")


def _sha256(data: bytes = b"") -> hashlib._Hash:
    import hashlib  # noqa: PLC0415 - 3 ms, and most commands hash nothing

    return hashlib.sha256(data)


def _blocks(path: Path) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        while n_bytes := file.readinto(buffer):
            yield buffer[:n_bytes]


def open_pack(
    path: Path, digest: str | None = None, content: bytes | None = None
) -> sqlite3.Connection:
    """
    Open a pack from anywhere, for reading, once all of it is checked.

    Parameters
    ----------
    path : Path
        The file.
    digest : str, optional
        The sha256 it must have; the one in its name if not given.
    content : bytes, optional
        What `content_of` returned: it is checked and opened in place of the file.

    Returns
    -------
    sqlite3.Connection
        To a whole pack of a known format. Its rows are checked by the index that takes them.

    Raises
    ------
    PackError
        It is corrupt, truncated or foreign; the message begins with which.
    SchemaTooNewError
        A newer cmfd wrote it.
    OSError
        It cannot be read.
    """
    _check_file(path, path.stem if digest is None else digest, content)
    db = open_untrusted(path, content)
    try:
        version = _checked_format(db)
        _check_schema(db, version)
        _check_label(db, version)
    except sqlite3.Error as error:
        db.close()
        # Its bytes are what was sealed, so whoever made it made it like that.
        raise PackError(f"foreign: it is no sound SQLite database: {error}") from error
    except BaseException:
        db.close()
        raise
    return db


def content_of(path: Path) -> bytes | None:
    """
    Return all bytes of a pack; None if it is large, or this Python's SQLite opens files only.

    Raises
    ------
    PackError
        It is no file.
    OSError
        It cannot be read.
    """
    _check_is_file(path)
    if not hasattr(sqlite3.Connection, "deserialize") or path.stat().st_size > _COPIED_BYTES:
        return None
    return path.read_bytes()


def _check_file(path: Path, digest: str, content: bytes | None) -> None:
    _check_is_file(path)
    if (sha256_of(path) if content is None else _sha256(content).hexdigest()) != digest:
        raise PackError(_damage(path))
    header = _header(path) if content is None else content[:_HEADER_BYTES]
    if not header.startswith(_MAGIC):
        raise PackError("foreign: it is no SQLite database")
    if int.from_bytes(header[68:72], "big") != APPLICATION_IDS["pack"]:
        raise PackError("foreign: it is a database of another program, or no pack of cmfd")
    if header[18:20] != b"\1\1":
        raise PackError("foreign: it was never sealed (it needs a write-ahead log)")


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES)


def _check_is_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            raise PackError("foreign: it is a link to nothing") from None
        raise
    if not stat.S_ISREG(mode):  # of a pipe, or a link to a device, there may be no end
        raise PackError("foreign: it is no regular file")


def _damage(path: Path) -> str:
    """Say how a file whose sha256 is not its name's was damaged."""
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        n_bytes = os.fstat(file.fileno()).st_size
    if n_bytes < _HEADER_BYTES:
        return f"truncated: it has only {n_bytes} bytes"
    page_bytes = int.from_bytes(header[16:18], "big")
    whole = (65536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[28:32], "big")
    if header.startswith(_MAGIC) and n_bytes < whole:
        return f"truncated: it has {n_bytes} of {whole} bytes"
    return "corrupt: its sha256 is not the one in its name"


def open_untrusted(path: Path, content: bytes | None = None) -> sqlite3.Connection:
    """Open a database of which nothing is known, for reading what is there and no more."""
    # Immutable: no lock and no journal, so a pack can lie on read-only or foreign storage.
    uri = f"file:{quote(os.fsencode(path))}?mode=ro&immutable=1" if content is None else ":memory:"
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    if content is not None:
        put_in_memory(db, "main", content)
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 11):
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)
    if sys.version_info >= (3, 12):
        db.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)  # noqa: FBT003 - its C-like signature
    return db


def put_in_memory(db: sqlite3.Connection, schema: str, content: bytes) -> None:
    """Make what `content_of` returned a database of a connection, in place of an empty one."""
    if sys.version_info >= (3, 11):
        db.deserialize(content, name=schema)


def damage(db: sqlite3.Connection) -> str:
    """Return what SQLite finds wrong with the pages of a database, or nothing."""
    try:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else str(found)


def _checked_format(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > FORMAT:
        raise SchemaTooNewError(
            f"too new: it has pack format {version}, this cmfd reads up to {FORMAT};"
            " merge it with the newer cmfd"
        )
    if version < 1:
        raise PackError("foreign: it has no pack format")
    return version


def _check_schema(db: sqlite3.Connection, version: int) -> None:
    found = _schema(db)
    if schema_digest(found) == SCHEMA_DIGESTS.get(version):
        return
    expected = expected_schema(version)
    if found != expected:
        names = sorted({name for _, name, _ in found ^ expected})
        raise PackError(f"foreign: not the schema of a pack: {', '.join(names[:5])}")


def schema_digest(schema: frozenset[tuple[str, str, str]]) -> str:
    """Return the sha256 of what `expected_schema` returns."""
    return _sha256(repr(sorted(schema)).encode()).hexdigest()


@cache
def expected_schema(version: int) -> frozenset[tuple[str, str, str]]:
    """Return what a pack of a format has: kind, name and bare text of each table and index."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        migrate(db, "pack", steps=SCHEMAS["pack"][:version])
        return _schema(db)


def _schema(db: sqlite3.Connection) -> frozenset[tuple[str, str, str]]:
    rows = db.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_schema")
    return frozenset((kind, name, _bare(text)) for kind, name, text in rows)


@cache
def _bare(ddl: str) -> str:
    """Leave out comments and layout, which may change without changing a schema."""
    return " ".join(re.sub(r"--[^\n]*", "", ddl).split())


def _check_label(db: sqlite3.Connection, version: int) -> None:
    if db.execute("SELECT format FROM pack").fetchmany(2) != [(version,)]:
        raise PackError("foreign: its label is missing or not of its format")
