"""The packs of a site: whose, of what, from where, and when they came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cmfd.merge.inbox import named_by
from cmfd.merge.layout import open_site
from cmfd.query.index import open_index, results
from cmfd.query.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class PackLine(Result, frozen=True, kw_only=True):
    """
    A pack that a site merged.

    Attributes
    ----------
    digest : str
        Its sha256, which is its name.
    run, job, user : str
        What it is of; empty where its file is gone, or it is of no run.
    cluster, node : str
        Where it was made.
    sealed_ns, merged_ns : int
        When it was made there, and merged here.
    size_bytes : int
        Its size.
    is_final : bool
        Whether its run had ended on its node; else it is a checkpoint.
    """

    digest: str
    cluster: str
    node: str
    sealed_ns: int
    merged_ns: int
    size_bytes: int
    is_final: bool
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
    return list(_lines(site_dir, limit))


def _lines(site_dir: Path, limit: int) -> Iterator[PackLine]:
    site = open_site(site_dir)
    with open_index(site_dir) as db:
        for line in results(db, "packs", PackLine, limit=limit):
            # Which run it is of only the pack says.
            named = named_by(site.merged(line.digest))
            if named is None:
                yield line
                continue
            query = "SELECT coalesce(user, '') FROM run WHERE run = ?"
            (user,) = db.execute(query, (named.run,)).fetchone() or ("",)
            yield msgspec.structs.replace(line, run=named.run.hex(), job=named.job or "", user=user)
