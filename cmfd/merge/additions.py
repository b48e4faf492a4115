"""What is said at a site itself: as everything that it knows, it comes in a pack."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmfd.errors import IncompleteError, PackError
from cmfd.merge.batch import merge_site
from cmfd.slurm import node_name
from cmfd.store.factpack import pack_rows
from cmfd.store.pack import publish, site_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    Rows = Mapping[str, Iterable[tuple[Any, ...]]]


def publish_rows(site_dir: Path, rows: Rows, *, cluster: str = "") -> Path:
    """
    Put a pack of rows into a site's inbox.

    Parameters
    ----------
    site_dir : Path
        The site.
    rows : mapping of str to iterable of tuple
        As for `cmfd.store.factpack.pack_rows`.
    cluster : str
        What they are about, for the pack's label.

    Returns
    -------
    Path
        Where the site has the pack.

    Raises
    ------
    StoreError
        The inbox cannot be written; nothing was published.
    """
    with tempfile.TemporaryDirectory(prefix="cmfd-") as scratch:
        pack = pack_rows(
            Path(scratch),
            rows,
            now_ns=time.time_ns(),
            cluster=cluster,
            node=node_name(),
            site=site_id(site_dir),
        )
        return publish(pack, site_dir)


def add_rows(site_dir: Path, rows: Rows) -> None:
    """
    Put rows into a site, and merge them at once.

    Parameters
    ----------
    site_dir : Path
        The site.
    rows : mapping of str to iterable of tuple
        As for `cmfd.store.factpack.pack_rows`.

    Raises
    ------
    StoreError
        The site cannot be written; if its inbox could, the next merge takes what is in it.
    IncompleteError
        The rows wait in the inbox.
    PackError
        The site refuses the rows: they are in its quarantine.
    """
    pack = publish_rows(site_dir, rows)
    report = merge_site(site_dir, wait=True)
    for kept, reason in report.quarantined:
        if kept.name == pack.name:
            raise PackError(
                f"{site_dir} refuses what was said: {reason}. Nothing of it was merged; it is kept"
                f" as {kept}."
            )
    if pack.exists():
        raise IncompleteError(
            f"What was said waits in {pack}, and is not merged yet. "
            f"Run: cmfd merge --site {site_dir}"
        )
