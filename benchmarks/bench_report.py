"""
Reports on a month of a cluster: energy and emissions by user, by month, by node; one job's card.

    python benchmarks/bench_report.py [--jobs 100000] [--minutes 5] [--directory DIR]

Each job has two counters on one node, with a row of each for every minute that it took. Figures are
CPU time; the reference is SQLite's own, for adding up the same rows by run.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import figures

from cmfd.carbon import kept
from cmfd.merge.layout import init_site, open_site
from cmfd.query.index import open_index
from cmfd.query.selection import Selection
from cmfd.report.costs.asked import Asked
from cmfd.report.costs.build import build
from cmfd.store.connection import statements
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from collections.abc import Callable

BEGIN_NS = 1_761_955_200 * 10**9
"""2025-11-01."""
N_USERS = 200
N_NODES = 500
RUNS = 3
BOUND_S = 2.0
"""For 100,000 jobs."""

FILL = """
CREATE TEMP TABLE x (i INTEGER PRIMARY KEY);
WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
INSERT INTO x SELECT i FROM n;
INSERT INTO run
SELECT i, randomblob(16), :t + i * (2592000000000000 / :jobs), :o, 1000 + i % :users, 'c', i, 0,
    'user' || (i % :users), '', 'python train.py', '/scratch'
FROM x;
INSERT INTO run_end
SELECT i, :t + i * (2592000000000000 / :jobs) + :minutes * 60000000000, :o, 'completed', 0, NULL
FROM x;
INSERT INTO fact
SELECT run, 'slurm.' || k.key, :t, :o, k.type,
    CASE k.key WHEN 'state' THEN iif(id % 20, 'COMPLETED', 'FAILED')
        WHEN 'account' THEN 'account' || (id % 40) WHEN 'cpus' THEN 8 * (1 + id % 8)
        WHEN 'elapsed_s' THEN :minutes * 60 ELSE k.key END
FROM run CROSS JOIN (
    SELECT 'state' AS key, 'str' AS type UNION ALL SELECT 'account', 'str'
    UNION ALL SELECT 'cpus', 'int' UNION ALL SELECT 'elapsed_s', 'int'
    UNION ALL SELECT 'partition', 'str' UNION ALL SELECT 'job_name', 'str'
    UNION ALL SELECT 'submit_dir', 'str' UNION ALL SELECT 'qos', 'str'
) AS k;
INSERT INTO execution
SELECT i, randomblob(16), :t + i * (2592000000000000 / :jobs), :o, i, NULL, 'p' || (i % 100),
    'train', '0'
FROM x;
INSERT INTO meter
SELECT n.i * 2 + c.number, 'n' || n.i, zeroblob(16), c.component, '', 'rapl', 'count'
FROM x AS n CROSS JOIN (SELECT 0 AS number, 'cpu' AS component UNION ALL SELECT 1, 'dram') AS c
WHERE n.i <= :nodes;
INSERT INTO energy
SELECT r.id, (1 + r.id % :nodes) * 2 + c.i - 1, 'run', 0, r.at_ns + (m.i - 1) * 60000000000,
    60000000000, r.at_ns, 6000000000, 2000000000, 60000000000, 60000000000, 'B',
    'shared_static_dynamic', 0, :o
FROM run AS r CROSS JOIN (SELECT i FROM x WHERE i <= 2) AS c
CROSS JOIN (SELECT i FROM x WHERE i <= :minutes) AS m;
INSERT INTO energy_span
SELECT meter_id, run_id, min(t0_ns), max(t0_ns + dur_ns) FROM energy GROUP BY run_id, meter_id;
"""

SERIES = "zone,start_utc,end_utc,g_per_kwh,basis,scope,estimated,source\n"
FACTORS = """\
name = "bench"
[[places]]
nodes = ["*"]
zone = "DE"
order = ["series"]
pue = [{ value = 1.2, source = "metered" }]
"""


def make_site(site: Path, n_jobs: int, minutes: int) -> None:
    """Fill the index of a new site."""
    init_site(site)
    SiteStore(site / "index.db").close()
    parameters = {
        "jobs": n_jobs, "minutes": minutes, "t": BEGIN_NS, "o": bytes(16), "users": N_USERS,
        "nodes": N_NODES,
    }  # fmt: skip
    with closing(sqlite3.connect(site / "index.db", isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        for statement in statements(FILL):
            db.execute(statement, parameters)
        db.execute("COMMIT")


def add_factors(site: Path) -> None:
    """Give the site an intensity for each hour of two months."""
    hours = range(61 * 24)
    stamp = "%Y-%m-%dT%H:%M:%SZ"
    begin_s = BEGIN_NS // 10**9

    def at(hour: int) -> str:
        return time.strftime(stamp, time.gmtime(begin_s + hour * 3600))

    lines = [
        f"DE,{at(hour)},{at(hour + 1)},{200 + hour % 24 * 10},average,lifecycle,false,grid\n"
        for hour in hours
    ]
    (site / "grid.csv").write_text(SERIES + "".join(lines), "utf-8")
    (site / "factors.toml").write_text(FACTORS, "utf-8")
    kept.add_series(site, site / "grid.csv")
    kept.use(site, kept.add_factors(site, site / "factors.toml")[0].id)


def reporting(site: Path, about: str, by: str, job: int | None = None) -> Callable[[], float]:
    """Return a function that makes a report and returns the CPU time it took, in seconds."""
    asked = Asked(about=about, by=by, selection=Selection(run_id=job), now_ns=0, is_operator=True)

    def make() -> float:
        began_s = time.process_time()
        with open_index(site) as db:
            report = build(db, open_site(site), asked)
        assert report.total is not None
        assert report.total.energy is not None
        return time.process_time() - began_s

    return make


def adding_up(site: Path) -> float:
    """Return the CPU time that SQLite needs to add up the same rows by run and meter."""
    with open_index(site) as db:
        began_s = time.process_time()
        db.execute(
            "SELECT count(*) FROM"
            " (SELECT sum(uj), sum(static_uj) FROM energy GROUP BY run_id, meter_id)"
        ).fetchone()
        return time.process_time() - began_s


def main() -> int:
    """Print a line for each report; 1 if a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--minutes", type=int, default=5)
    parser.add_argument("--directory", type=Path)
    words = parser.parse_args()
    ok = True
    with tempfile.TemporaryDirectory(dir=words.directory) as directory:
        site = Path(directory) / "site"
        make_site(site, words.jobs, words.minutes)
        add_factors(site)
        sqlite_s = statistics.median(adding_up(site) for _ in range(RUNS))
        print(f"{words.jobs} jobs, {2 * words.minutes} rows each; adding up takes {sqlite_s:.3g} s")
        for about, by, job in (
            ("energy", "user", None), ("energy", "month", None), ("energy", "node", None),
            ("energy", "stage", None), ("carbon", "user", None), ("energy", "user", 1),
        ):  # fmt: skip
            make = reporting(site, about, by, job)
            cpu_s = statistics.median(make() for _ in range(RUNS))
            bound_s = BOUND_S * words.jobs / 100_000 if job is None else 0.2
            name = f"{about} by {by}" if job is None else "card of one job"
            ok &= figures.line(name, cpu_s, "s CPU", bound_s, "bound", 1)
    return int(not ok)


if __name__ == "__main__":
    raise SystemExit(main())
