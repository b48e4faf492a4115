"""A site of a group: what one of its members makes there, the others can use."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from cmfd.merge.layout import init_site
from cmfd.merge.lock import merge_lock
from cmfd.store.pack import publish
from cmfd.store.shared import make_directory
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _strict_umask() -> Iterator[None]:
    """Be a user who shares nothing unless told to."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return who may do what."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("site_mode", "directories", "files"),
    [
        (0o2770, 0o2770, 0o660),
        (0o2775, 0o2775, 0o664),
        (0o750, 0o750, 0o640),
        (0o700, 0o700, 0o600),
    ],
)
def test_what_is_made_in_a_site_follows_its_directory(
    tmp_path: Path, site_mode: int, directories: int, files: int
) -> None:
    """And nobody's umask."""
    site = tmp_path / "site"
    site.mkdir()
    site.chmod(site_mode)
    pack = tmp_path / f"{'0' * 64}.db"
    pack.write_bytes(b"")

    made = init_site(site)
    with merge_lock(made.lock):
        SiteStore(made.index).close()
    make_directory(made.merged("ab" * 32).parent)
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    published = publish(pack, site, digest)

    for path in (made.inbox, made.packs, made.packs / "ab"):
        assert mode(path) == directories, path
    for path in (site / "site.toml", made.lock, made.index):
        assert mode(path) == files, path
    assert mode(published) == files & 0o444
