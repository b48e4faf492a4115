"""
Reports on a year of a cluster: runtime, waste, energy and emissions; one job's card.

    python benchmarks/bench_report.py [--jobs 100000] [--directory DIR]

Figures are CPU time. The reference is making the sums of all rows, as a report has to that finds
none.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import figures
import year

from cmfd.merge.layout import open_site
from cmfd.query.index import open_index
from cmfd.query.selection import Selection
from cmfd.report.costs.asked import Asked
from cmfd.report.costs.build import build
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 3
BOUND_S = 2.0
"""For 100,000 jobs."""
REPORTS = (
    ("runtime", "user"), ("runtime", "stage"), ("waste", "user"), ("energy", "user"),
    ("energy", "month"), ("energy", "stage"), ("energy", "node"), ("carbon", "user"),
    ("carbon", "month"), ("carbon", "stage"),
)  # fmt: skip


def reporting(site: Path, about: str, by: str, job: int | None = None) -> Callable[[], float]:
    """Return a function that makes a report and returns the CPU time it took, in seconds."""
    asked = Asked(about=about, by=by, selection=Selection(run_id=job), now_ns=0, is_operator=True)

    def make() -> float:
        began_s = time.process_time()
        with open_index(site) as db:
            build(db, open_site(site), asked)
        return time.process_time() - began_s

    return make


def summing_up(site: Path) -> float:
    """Make the sums of a site; return the CPU time it took, in seconds."""
    with closing(SiteStore(site / "index.db")) as index:
        began_s = time.process_time()
        index.sum_up()
        return time.process_time() - began_s


def main() -> int:
    """Print two lines for each report; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--directory", type=Path)
    words = parser.parse_args()
    ok = True
    with tempfile.TemporaryDirectory(dir=words.directory) as directory:
        site = Path(directory) / "site"
        year.make_site(site, words.jobs)
        sums_s = summing_up(site)
        print(f"{words.jobs} jobs; sums of all rows take {sums_s:.3g} s")
        for about, by in REPORTS:
            cpu_s = statistics.median(reporting(site, about, by)() for _ in range(RUNS))
            name, bound_s = f"{about} by {by}", BOUND_S * words.jobs / 100_000
            ok &= figures.line(name, cpu_s, "s CPU", bound_s, "bound", 1)
            figures.line(name, cpu_s, "s CPU", sums_s, "sums of all rows", 1)
        cpu_s = statistics.median(reporting(site, "energy", "user", 1)() for _ in range(RUNS))
        ok &= figures.line("card of one job", cpu_s, "s CPU", 0.2, "bound", 1)
    return int(not ok)


if __name__ == "__main__":
    raise SystemExit(main())
