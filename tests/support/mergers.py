"""Looking at sites, and programs that merge into them as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from cmfd.merge import index
from cmfd.merge.layout import open_site

if TYPE_CHECKING:
    from pathlib import Path


def digest_of(site: Path) -> str:
    """Return the digest of a site's index."""
    return index.digest_of(open_site(site))


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
