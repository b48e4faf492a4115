"""
Exchange between sites: what it costs to push one new run, and to pull a small part of a site.

    python benchmarks/bench_exchange.py [--executions 1000000] [--directory DIR]

Takes a few minutes and 1 GB below DIR (default: where temporary files go), most of both for the
site that already holds a million executions.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import figures
from bench_merge import SMALL, fill, new_packs

from cmfd.merge.batch import merge_site
from cmfd.merge.layout import init_site, open_site
from cmfd.sync import remotes
from cmfd.sync.exchange import fetch
from cmfd.sync.local import SitePeer
from cmfd.sync.peer import Wanted

RUNS = 7
PUSH_S = 0.3
N_PART, N_WHOLE = 10, 1000
_numbers = itertools.count()


def push_s(mine: Path, hub: Path) -> float:
    """Return how long `cmfd push` of one new run takes, from start to end of the process."""
    packs = new_packs(mine.parent / f"new{next(_numbers)}", SMALL, 1)
    merge_site(mine, packs)
    os.sync()
    return figures.wall_s(
        (sys.executable, "-m", "cmfd", "push", "-q", str(hub), "--site", str(mine))
    )


def bench_push(root: Path, n_executions: int) -> list[bool]:
    """Compare a push to a large site with one to an empty site."""
    mine, large, empty = root / "mine", root / "large", root / "empty"
    fill(large, n_executions)
    for site in (mine, large, empty):
        init_site(site)
        merge_site(site)
    grown, small, _ = figures.in_turn(
        lambda: push_s(mine, large), lambda: push_s(mine, empty), RUNS
    )
    return [
        figures.line("push of a run to a large site", grown, "s", PUSH_S, "the bound itself, s", 1),
        figures.line("push of a run to a large site", grown, "s", small, "to an empty one", 1.3),
    ]


def bench_part(root: Path) -> bool:
    """Compare fetching one run in a hundred with fetching all."""
    hub = root / "hub"
    merge_site(hub, new_packs(root / "packs", SMALL, N_WHOLE))
    with closing(sqlite3.connect(hub / "index.db")) as db:
        rows = db.execute("SELECT lower(hex(run)) FROM run LIMIT ?", (N_PART,)).fetchall()
    names = ", ".join(f'"{run}"' for (run,) in rows)
    wanted = Wanted(f"run in ({names})", 0)

    def fetch_s(which: Wanted | None) -> float:
        site = init_site(root / f"clone{next(_numbers)}")
        merge_site(site.path)
        remote = remotes.Remote("", str(hub))
        begun = time.perf_counter()
        done = fetch(site, remote, SitePeer(open_site(hub)), wanted=which)
        took_s = time.perf_counter() - begun
        assert done.n_packs == (N_PART if which else N_WHOLE)
        shutil.rmtree(site.path)
        return took_s

    part, whole, _ = figures.in_turn(lambda: fetch_s(wanted), lambda: fetch_s(None), RUNS)
    return figures.line("fetch of 1 % of a site", part, "s", whole, "of all", 0.03)


def main() -> None:
    """Print the lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--directory", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        root = Path(directory)
        kept = [*bench_push(root, options.executions), bench_part(root)]
    figures.finish(kept)


if __name__ == "__main__":
    main()
