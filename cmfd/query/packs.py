"""The packs of a site: whose, of what, from where, and when they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cmfd.query.index import open_index, results
from cmfd.query.results import Result

if TYPE_CHECKING:
    from pathlib import Path


class PackLine(Result, frozen=True, kw_only=True):
    """
    A pack that a site merged.

    Attributes
    ----------
    digest : str
        Its sha256, which is its name.
    run, job, user : str
        What it is of, or speaks of; empty if that is no run.
    cluster, node : str
        Where it was made.
    site : str
        The id of the site that it was made for; empty if that was not known.
    sealed_ns, merged_ns : int
        When it was made there, and merged here.
    size_bytes : int
        Its size.
    is_final : bool
        Whether its run had ended on its node; else it is a checkpoint.
    is_late : bool
        Whether it only says something of runs or artifacts that other packs have.
    """

    digest: str
    cluster: str
    node: str
    sealed_ns: int
    merged_ns: int
    size_bytes: int
    is_final: bool
    is_late: bool
    site: str = ""
    run: str = ""
    job: str = ""
    user: str = ""


def latest(site_dir: Path, *, limit: int = 20) -> list[PackLine]:
    """
    Return the packs that were merged last, latest first.

    Parameters
    ----------
    site_dir : Path
        The site.
    limit : int
        How many at most; -1 for all.
    """
    with open_index(site_dir) as db:
        return results(db, "packs", PackLine, limit=limit)
