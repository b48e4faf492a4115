"""Sites that exchange packs in tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from support.packs import small_run, write_pack

from cmfd.merge.batch import merge_site
from cmfd.merge.index import digest_of
from cmfd.merge.layout import Site, init_site
from cmfd.sync import remotes

if TYPE_CHECKING:
    from pathlib import Path

MakeSite = Callable[..., Site]
"""Makes a site of a name, with the runs of these numbers."""


def maker(place: Path) -> MakeSite:
    """Return what makes a site of a name in a directory, with the runs of these numbers."""

    def make(name: str, *runs: int) -> Site:
        site = init_site(place / name)
        add(site, *runs)
        return site

    return make


def add(site: Site, *runs: int, sealed_ns: int = 1) -> None:
    """Merge packs of runs into a site."""
    packs = site.path.parent / f"packs-{site.path.name}-{sealed_ns}-{runs}"
    merge_site(site.path, [packs_of(packs, *runs, sealed_ns=sealed_ns)] if runs else [])


def packs_of(directory: Path, *runs: int, sealed_ns: int = 1) -> Path:
    """Write packs of runs into a directory."""
    for number in runs:
        write_pack(directory, small_run(number), sealed_ns=sealed_ns)
    return directory


def digest(site: Site) -> str:
    """Return the digest of what a site has merged."""
    return digest_of(site)


def to(site: Site, name: str = "hub") -> remotes.Remote:
    """Return a site as a remote."""
    return remotes.Remote(name, str(site.path))
