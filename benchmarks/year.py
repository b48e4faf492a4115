"""
A site with the jobs of a cluster's year, straight into its index.

Each job is of one to four nodes, for some 75 minutes, with two ranks and a wrapper on each node,
and two counters, of which there is a row for every quarter of an hour. Every fifth has an
execution nested in its execution. Idle time of 500 nodes has a row for each day.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from cmfd.carbon import kept
from cmfd.merge.layout import init_site
from cmfd.store.connection import statements
from cmfd.store.site import SiteStore

if TYPE_CHECKING:
    from pathlib import Path

BEGIN_NS = 1_735_689_600 * 10**9
"""2025-01-01."""
YEAR_NS = 365 * 86_400 * 10**9
N_USERS = 200
N_NODES = 500

FILL = """
CREATE TEMP TABLE x (i INTEGER PRIMARY KEY, at_ns INTEGER);
WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :jobs)
INSERT INTO x SELECT i, :t + i * (:year / :jobs) + i % 977 * 1000000000 FROM n;
CREATE TEMP TABLE place (i INTEGER, number INTEGER, node INTEGER, PRIMARY KEY (i, number));
INSERT INTO place
SELECT x.i, k.value, (x.i * 7 + k.value) % :nodes FROM x, json_each('[0, 1, 2, 3]') AS k
WHERE k.value <= x.i % 4;
INSERT INTO run
SELECT i, randomblob(16), at_ns, :o, 1000 + i % :users, 'c', i, 0, 'user' || (i % :users), '',
    'python train.py', '/scratch'
FROM x;
INSERT INTO run_end
SELECT i, at_ns + 4500000000000, :o, iif(i % 20, 'completed', 'failed'), i % 20 = 0, NULL FROM x;
INSERT INTO fact
SELECT run, 'slurm.' || k.key, at_ns, :o, k.type,
    CASE k.key WHEN 'state' THEN iif(id % 20, 'COMPLETED', 'FAILED')
        WHEN 'account' THEN 'account' || (id % 40) WHEN 'cpus' THEN 8 * (1 + id % 8)
        WHEN 'elapsed_s' THEN 4500 WHEN 'partition' THEN 'p' || (id % 3)
        WHEN 'time_limit_s' THEN 7200 WHEN 'total_cpu_s' THEN 30000.5
        WHEN 'start_time_s' THEN at_ns / 1000000000
        WHEN 'eligible_time_s' THEN at_ns / 1000000000 - 60
        WHEN 'requested_memory_bytes' THEN 1 << 36 WHEN 'used_memory_bytes' THEN 1 << 35
        ELSE k.key END
FROM run CROSS JOIN (
    SELECT column1 AS key, column2 AS type FROM (VALUES ('state', 'str'), ('account', 'str'),
    ('cpus', 'int'), ('elapsed_s', 'int'), ('partition', 'str'), ('time_limit_s', 'int'),
    ('total_cpu_s', 'float'), ('start_time_s', 'int'), ('eligible_time_s', 'int'),
    ('requested_memory_bytes', 'int'), ('used_memory_bytes', 'int'), ('job_name', 'str'),
    ('submit_dir', 'str'), ('qos', 'str'))
) AS k;
INSERT INTO execution
SELECT i, randomblob(16), at_ns, :o, i, NULL, 'p' || (i % 100), 'train', '0' FROM x;
INSERT INTO execution
SELECT :jobs + x.i, randomblob(16), x.at_ns, :o, x.i, e.execution, e.pipeline, 'epoch', '0'
FROM x CROSS JOIN execution AS e ON e.id = x.i WHERE x.i % 5 = 0;
INSERT INTO nesting SELECT :jobs + i, i FROM x WHERE i % 5 = 0;
INSERT INTO execution_end
SELECT id, at_ns + 4400000000000, :o, iif(id % 20, 'completed', 'failed'), 0, NULL FROM execution;
INSERT INTO process
SELECT p.i, randomblob(16), x.at_ns, :o, p.number * 2 + k.value % 2, 2 + x.i % 4 * 2, k.value % 2,
    'n' || p.node, 7, iif(k.value < 2, 'rank', 'wrapper')
FROM place AS p JOIN x ON x.i = p.i, json_each('[0, 1, 2]') AS k;
INSERT INTO process
SELECT :jobs + x.i, randomblob(16), x.at_ns, :o, 0, 1, 0, 'n' || p.node, 7, 'rank'
FROM x JOIN place AS p ON p.i = x.i AND p.number = 0 WHERE x.i % 5 = 0;
INSERT INTO process_state
SELECT execution_id, instance, at_ns + 4400000000000, :o, 'completed', 0, NULL,
    4000000000000 + execution_id * rank, 1000000000, 1 << 30, 0
FROM process;
INSERT INTO meter
SELECT n.i * 2 + c.number, 'n' || n.i, zeroblob(16), c.component, '', 'rapl', 'count'
FROM (SELECT i - 1 AS i FROM x WHERE i <= :nodes) AS n
CROSS JOIN (SELECT 0 AS number, 'cpu' AS component UNION ALL SELECT 1, 'dram') AS c;
INSERT INTO node_hardware
SELECT zeroblob(16), 'n' || (i - 1), :t, :o, 'c', 'cpu', 2, 64, 128, 1 << 38, '[]'
FROM x WHERE i <= :nodes;
INSERT INTO energy
SELECT x.i, p.node * 2 + c.value, 'run', w.value * x.i, x.at_ns + m.value * 900000000000,
    900000000000, x.at_ns, 90000000000 + x.i, 20000000000, 60000000000, 900000000000, 'B',
    iif(w.value, 'rank_pids', 'shared_static_dynamic'), 0, :o
FROM x JOIN place AS p ON p.i = x.i, json_each('[0, 1]') AS c, json_each('[0, 1]') AS w,
    json_each('[0, 1, 2, 3, 4]') AS m
WHERE w.value = 1 OR x.i % 2 = 0
ORDER BY 1, 2, 3, 4, 5;
INSERT INTO energy_span
SELECT meter_id, run_id, min(t0_ns), max(t0_ns + dur_ns) FROM energy GROUP BY run_id, meter_id;
INSERT INTO energy
SELECT 0, m.id, o.value, 0, :t + (d.i - 1) * 86400000000000, 86400000000000, :t,
    iif(o.value = 'counter', 100000000000, 50000000000), 20000000000, 0, 86400000000000, 'B', '',
    0, :o
FROM meter AS m, json_each('["idle", "system", "counter"]') AS o, x AS d WHERE d.i <= 365;
INSERT INTO energy_span SELECT id, 0, :t, :t + :year FROM meter;
INSERT INTO stale_run SELECT id FROM run;
INSERT INTO stale_execution SELECT id FROM execution;
INSERT INTO stale_energy
SELECT DISTINCT run_id, meter_id, owner, execution_id, t0_ns / 86400000000000 FROM energy;
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


def make_site(site: Path, n_jobs: int) -> None:
    """Fill the index of a new site; its sums are still to be made."""
    init_site(site)
    SiteStore(site / "index.db").close()
    parameters = {
        "jobs": n_jobs, "t": BEGIN_NS, "o": bytes(16), "users": N_USERS, "nodes": N_NODES,
        "year": YEAR_NS,
    }  # fmt: skip
    with closing(sqlite3.connect(site / "index.db", isolation_level=None)) as db:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            db.execute(f"PRAGMA {pragma}")
        db.execute("BEGIN")
        for statement in statements(FILL):
            db.execute(statement, parameters)
        db.execute("COMMIT")
    _add_factors(site)


def _add_factors(site: Path) -> None:
    """Give the site an intensity for each hour of the year."""

    def at(hour: int) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN_NS // 10**9 + hour * 3600))

    lines = [
        f"DE,{at(hour)},{at(hour + 1)},{200 + hour % 24 * 10 + hour % 7}.5,average,lifecycle,false,"
        "grid\n"
        for hour in range(366 * 24)
    ]
    (site / "grid.csv").write_text(SERIES + "".join(lines), "utf-8")
    (site / "factors.toml").write_text(FACTORS, "utf-8")
    kept.add_series(site, site / "grid.csv")
    kept.use(site, kept.add_factors(site, site / "factors.toml")[0].id)
