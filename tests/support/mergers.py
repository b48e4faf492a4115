"""Looking at sites, and programs that merge into them as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from cmfd.merge import index
from cmfd.merge.layout import open_site

if TYPE_CHECKING:
    from pathlib import Path


def digest_of(site: Path) -> str:
    """Return the digest of a site's index."""
    return index.digest_of(open_site(site))


def lose_index(site: Path) -> None:
    """Remove a site's index, a file or a schema."""
    found = open_site(site)
    if not found.database:
        found.index.unlink()
        return
    from cmfd.store.postgres import schema

    with closing(index.open_database(found)) as db:
        schema.drop(db)


def index_files(site: Path) -> set[str]:
    """Return what a site's index has in its directory: its file, or nothing."""
    return set() if open_site(site).database else {"index.db"}


def files_of(site: Path) -> set[str]:
    """Return the files of a site, relative to it; a journal without content is none."""
    return {
        str(path.relative_to(site))
        for path in site.rglob("*")
        if path.is_file() and not (path.name == "index.db-journal" and path.stat().st_size == 0)
    }


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python program that talks through its pipes."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
