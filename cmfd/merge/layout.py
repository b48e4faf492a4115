"""
Where things lie in a site directory, and making one.

Everything but `site.toml` is made when it is first needed, by whoever needs it:
a node's daemon may publish into the inbox of a site that nobody has merged yet.
"""

from __future__ import annotations

import os
import re
import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import msgspec

from cmfd.config import SITE_DIRECTORY, load_usable
from cmfd.errors import ConfigError, NotFoundError
from cmfd.store.pack import INBOX, PACKS, is_pack_name, merged_path
from cmfd.store.shared import follow, write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INCOMING = "incoming"
"""Directory of a site: packs from other sites of which not all has come yet."""

PARTIAL_SUFFIX = ".part"
"""Ends the name of such a pack."""

GRAPH = "lineage.graph"
"""What `cmfd.query.graph` keeps beside the index; whoever finds it may remove it."""

GRAPH_PARTIAL_PREFIX = f".{GRAPH}-"
"""Begins the name of one that is still being written."""

_TEMPLATE = """\
# A site of cmfd: a repository of packs. See packs/ (the truth) and index.db (made from them).
id = "{id}"
created = {created}
"""


class _Label(msgspec.Struct):
    """What `site.toml` holds, as far as it is read."""

    id: str
    signed_only: bool = False
    index: str = ""


class Site(msgspec.Struct, frozen=True):
    """
    A site directory.

    Attributes
    ----------
    path : Path
        The directory.
    id : str
        A UUID made when it was initialised.
    signed_only : bool
        Whether it takes packs from other sites only if somebody whom it knows signed them.
    database : str
        Address of the PostgreSQL database that its index is in; empty: the index is a file.
    """

    path: Path
    id: str
    signed_only: bool = False
    database: str = ""

    @property
    def index(self) -> Path:
        """The database over all packs, unless that is in PostgreSQL."""
        return self.path / "index.db"

    @property
    def schema(self) -> str:
        """The schema of the database in PostgreSQL that its index is in."""
        return f"cmfd_{re.sub('[^0-9a-z]', '', self.id.lower())[:40]}"

    @property
    def inbox(self) -> Path:
        """Where packs wait to be merged."""
        return self.path / INBOX

    @property
    def packs(self) -> Path:
        """Where merged packs are kept."""
        return self.path / PACKS

    @property
    def quarantine(self) -> Path:
        """Where packs that cannot be merged are kept, each with its reason."""
        return self.path / "quarantine"

    @property
    def lock(self) -> Path:
        """The file that the one merger holds locked."""
        return self.path / "merge.lock"

    def merged(self, digest: str) -> Path:
        """Return where the pack of this sha256 is kept once it is merged."""
        return merged_path(self.path, digest)

    def merged_packs(self) -> Iterator[Path]:
        """Yield the merged packs in the order of their names."""
        for shelf in sorted(self.packs.glob("[0-9a-f][0-9a-f]")):
            yield from sorted(path for path in shelf.iterdir() if is_pack_name(path.name))


def init_site(path: Path, database: str = "") -> Site:
    """
    Make a directory a site; do nothing if it is one already.

    Parameters
    ----------
    path : Path
        The directory.
    database : str
        Address of the PostgreSQL database that its index is to be in; default: as the setting
        `site_index` says, else a file of the site.

    Raises
    ------
    ConfigError
        It cannot be made or written.
    """
    label = path / "site.toml"
    try:
        if not label.exists():
            created = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            path.mkdir(parents=True, exist_ok=True)
            if path.name == SITE_DIRECTORY:  # within a project, to whose code it does not belong
                write_once(path / ".gitignore", "*\n")
            text = _TEMPLATE.format(id=uuid.uuid4(), created=created)
            write_once(label, with_index(text, database or load_usable()[0].site_index))
    except OSError as error:
        raise ConfigError(
            f"cannot make a site in {path}: {error}."
            " Name a directory that you may write to, with --site or $CMFD_SITE"
        ) from error
    return open_site(path)


def open_site(path: Path) -> Site:
    """
    Return the site in a directory.

    Raises
    ------
    NotFoundError
        There is none.
    ConfigError
        Its `site.toml` cannot be read.
    """
    label = path / "site.toml"
    try:
        said = msgspec.toml.decode(label.read_bytes(), type=_Label)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} is no site. Make it one: cmfd site init {path}") from error
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f'cannot use {label}: {error!r}; nothing was changed. It must hold: id = "..."'
        ) from error
    return Site(path.absolute(), said.id, said.signed_only, said.index)


def with_index(text: str, database: str) -> str:
    """Return the text of a `site.toml` that says where the index is; empty: in a file."""
    import json  # noqa: PLC0415 - only for who makes a site, or moves its index

    rest = re.sub(r"(?m)^index\s*=.*\n", "", text)
    line = f"index = {json.dumps(database)}\n"
    # Before any table of the file.
    return (
        re.sub(r"(?m)^(id\s*=.*\n)", lambda found: found[1] + line, rest, count=1)
        if database
        else rest
    )


def set_index(site: Site, database: str) -> None:
    """
    Say in a site's `site.toml` where its index is from now on.

    Raises
    ------
    ConfigError
        It cannot be written; it says what it said.
    """
    label = site.path / "site.toml"
    try:
        write_whole(label, with_index(label.read_text("utf-8"), database).encode())
    except OSError as error:
        raise ConfigError(f"cannot write {label}: {error}; it is as it was") from error


def write_once(path: Path, text: str) -> None:
    """
    Write a file whole or not at all; one that another process wrote first stays.

    Raises
    ------
    OSError
        It cannot be written; nothing is left of it.
    """
    partial = path.with_name(f".{path.name}-{os.urandom(8).hex()}")
    try:
        partial.write_text(text, "utf-8")
        follow(partial)
        try:
            os.link(partial, path)
        except FileExistsError:
            return
        except OSError:  # a file system without hard links
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
