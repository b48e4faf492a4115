"""What programs written for CMF read back: the site, with what was logged until now."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cmfd.client.session import session
from cmfd.client.start import site_of
from cmfd.errors import NotFoundError
from cmfd.formats.mlmd.graph import Graph
from cmfd.identity import RunIdentity

if TYPE_CHECKING:
    from collections.abc import Sequence

_FLUSH_S = 5.0
_FRESH_S = 0.2
"""A program that asks again within this time has started none that could have logged since."""


class _Read(NamedTuple):
    """All that was read last: programs ask many questions one after the other."""

    at_s: float
    logged: dict[int, int]
    """How much this program had logged by then."""
    state: tuple[object, ...]
    """Which site, and what was merged into it."""
    graph: Graph


_last: _Read | None = None


def site() -> Path:
    """Return the site that this program is recorded in."""
    return Path(site_of(os.environ))


def refresh() -> None:
    """
    Merge what this node has, and what this program logged until now first of all.

    What belongs to other sites goes there, as by `cmfd merge`. What the node's daemon published
    before is where it belongs.

    Raises
    ------
    StoreError
        The site cannot be written.
    """
    from cmfd.merge.batch import merge_site  # noqa: PLC0415 - most programs only log

    here = session()
    here.settle()
    here.flush(_FLUSH_S)
    settings = here.settings
    # With a service, journals and their store are root's to merge.
    where = [settings.own_journal_dir] if settings.system else [settings.node_dir]
    present = [path for path in where if path.is_dir()]
    try:
        merge_site(site(), present, wait=True, own_sites=True, published=False)
    except NotFoundError:  # no journal is there: all of it is merged
        merge_site(site(), wait=True)


def graph(pipelines: Sequence[str] = ()) -> Graph:
    """
    Return what is known of pipelines, of all if none is named; not to be changed.

    Raises
    ------
    NotFoundError
        There is nothing of a pipeline that was named.
    """
    from cmfd.formats.mlmd.gather import gather  # noqa: PLC0415 - as above
    from cmfd.query.index import open_index  # noqa: PLC0415 - as above

    if not pipelines:
        return _all()
    refresh()
    with open_index(site()) as db:
        return gather(db, pipelines)


def _all() -> Graph:
    global _last  # noqa: PLW0603 - one a process, as its session
    from cmfd.formats.mlmd.gather import gather  # noqa: PLC0415 - as above
    from cmfd.query.index import open_index  # noqa: PLC0415 - as above
    from cmfd.store.connection import named  # noqa: PLC0415 - as above

    here, last = site(), _last
    logged = session().extent
    if (
        last is not None
        and (last.state[0], last.logged) == (here, logged)
        and time.monotonic() - last.at_s < _FRESH_S
    ):
        return last.graph
    refresh()
    try:
        with open_index(here) as db:
            state = (here, *db.execute(named("query/graph")["packs"]).fetchone())
            found = last.graph if last is not None and last.state == state else gather(db)
    except NotFoundError:
        return Graph()
    _last = _Read(time.monotonic(), logged, state, found)
    return found


def run_of(execution: bytes) -> RunIdentity | None:
    """Return the run of an execution that the site knows."""
    from cmfd.query.index import open_index  # noqa: PLC0415 - as above
    from cmfd.store.connection import named  # noqa: PLC0415 - as above

    try:
        with open_index(site()) as db:
            row = db.execute(named("query/mlmd")["run_of"], {"execution": execution}).fetchone()
    except NotFoundError:
        return None
    return None if row is None else RunIdentity(bytes(row[0]), *row[1:])
