"""The site repository."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cmfd.cli.checks.finding import Finding
from cmfd.errors import CmfdError, NotFoundError, SiteBusyError
from cmfd.filesystems import filesystem_of
from cmfd.merge import inbox
from cmfd.merge.layout import open_site
from cmfd.merge.lock import merge_lock
from cmfd.merge.quarantine import REASON_SUFFIX
from cmfd.query.index import open_index
from cmfd.report import units

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cmfd.merge.layout import Site


def check_site(path: Path) -> Iterator[Finding]:
    """Look at a site, which need not exist yet."""
    try:
        site = open_site(path)
    except NotFoundError:
        yield _possible(path)
        return
    except CmfdError as error:
        yield Finding("site", "fail", str(error))
        return
    kind = filesystem_of(path).type
    yield Finding("site", "ok", f"{site.id} at {path}, on {kind}")
    yield _writable(path)
    yield _lock(site)
    yield _index(path)
    yield from _waiting(site)


def _possible(path: Path) -> Finding:
    """Say whether a site could be made where there is none."""
    existing = next(place for place in (path, *path.parents) if place.exists())
    if os.access(existing, os.W_OK | os.X_OK):
        return Finding("site", "ok", f"{path} is made by the first run")
    advice = "Name another with --site or CMFD_SITE, or run `cmfd site init` in your project."
    return Finding("site", "fail", f"{path} cannot be made: {existing} is not writable", advice)


def _writable(path: Path) -> Finding:
    if os.access(path, os.W_OK | os.X_OK):
        return Finding("site: writable", "ok", "you may write to it")
    advice = "Runs stay on this node until somebody who may write merges them: cmfd merge."
    return Finding("site: writable", "fail", f"you may not write to {path}", advice)


def _lock(site: Site) -> Finding:
    try:
        with merge_lock(site.lock):
            return Finding("site: lock", "ok", "nobody merges now, and its locks work")
    except SiteBusyError as error:
        return Finding("site: lock", "ok", f"being merged by {error}")
    except CmfdError as error:
        return Finding("site: lock", "fail", str(error))


def _index(path: Path) -> Finding:
    try:
        with open_index(path) as db:
            (n_runs,) = db.execute("SELECT count(*) FROM run").fetchone()
    except NotFoundError:
        return Finding("site: index", "ok", "nothing was merged yet")
    except CmfdError as error:
        return Finding("site: index", "fail", str(error))
    return Finding("site: index", "ok", units.count(n_runs, "run"))


def _waiting(site: Site) -> Iterator[Finding]:
    n_waiting = len(inbox.waiting(site))
    if n_waiting:
        yield Finding(
            "site: inbox", "warn", f"{units.count(n_waiting, 'pack')} waiting", "Run `cmfd merge`."
        )
    refused = [path for path in site.quarantine.glob("*") if path.name.endswith(REASON_SUFFIX)]
    if refused:
        what = f"{units.count(len(refused), 'pack')} could not be merged"
        yield Finding("site: quarantine", "warn", what, f"See why in {refused[0]}.")
