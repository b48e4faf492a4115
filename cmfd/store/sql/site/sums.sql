-- name: make_energy
-- Sums made anew of the rows, a batch of what is out of date after the other, in the order of the
-- statements: of energy, then of executions, then of runs, which stand on both. See 0006.sql
-- and 0008.sql.
--
-- Who reads an index that is out of date runs the same statements on temporary tables of the same
-- names, so none of them says in which schema a sum is. Sums in two parts, and those by total(), become
-- the largest number where the rows of one odd pack are too much for one.
CREATE TEMP TABLE IF NOT EXISTS batch_energy (
    run_id INTEGER NOT NULL,
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (run_id, meter_id, owner, execution_id, day)
) WITHOUT ROWID;

-- name: make_node
-- Of which nodes hours are to be made anew, of what counts of a run.
CREATE TEMP TABLE IF NOT EXISTS batch_node (
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (run_id, node, execution_id, day)
) WITHOUT ROWID;

-- name: make_month
-- Of which months (of 32 days) what no run was given is to be added up anew.
CREATE TEMP TABLE IF NOT EXISTS batch_month (
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    month INTEGER NOT NULL,
    PRIMARY KEY (meter_id, owner, execution_id, month)
) WITHOUT ROWID;

-- name: make_execution
CREATE TEMP TABLE IF NOT EXISTS batch_execution (execution_id INTEGER PRIMARY KEY);

-- name: make_run
CREATE TEMP TABLE IF NOT EXISTS batch_run (run_id INTEGER PRIMARY KEY);

-- name: make_tree
-- The outermost of the executions of its run that each execution of the batch's runs is nested in.
CREATE TEMP TABLE IF NOT EXISTS batch_tree (
    execution_id INTEGER PRIMARY KEY,
    top_id INTEGER NOT NULL
);

-- name: is_stale
SELECT EXISTS (SELECT 1 FROM stale_energy) OR EXISTS (SELECT 1 FROM stale_execution)
    OR EXISTS (SELECT 1 FROM stale_run);

-- name: energy_begin
DELETE FROM batch_energy;

-- name: energy_take
INSERT INTO batch_energy
SELECT run_id, meter_id, owner, execution_id, day FROM stale_energy
ORDER BY run_id, meter_id, owner, execution_id, day LIMIT :limit;

-- name: energy_1
DELETE FROM batch_node;

-- name: energy_2
INSERT INTO batch_node
SELECT DISTINCT b.run_id, m.node, b.execution_id, b.day
FROM batch_energy AS b CROSS JOIN meter AS m ON m.id = b.meter_id
WHERE b.owner = 'run' AND m.role = 'count';

-- name: energy_3
DELETE FROM energy_day
WHERE (run_id, meter_id, owner, execution_id, day) IN (
    SELECT run_id, meter_id, owner, execution_id, day FROM batch_energy
);

-- name: energy_4
INSERT INTO energy_day
SELECT
    b.run_id, b.meter_id, b.owner, b.execution_id, b.day, x.grade, x.method,
    CAST(sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575) AS INTEGER),
    CAST(sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575) AS INTEGER),
    CAST(total(x.dur_ns) AS INTEGER), CAST(total(x.covered_ns) AS INTEGER),
    min(x.t0_ns), max(x.t0_ns + x.dur_ns)
FROM batch_energy AS b
CROSS JOIN energy AS x ON x.run_id = b.run_id AND x.meter_id = b.meter_id AND x.owner = b.owner
    AND x.execution_id = b.execution_id
    AND x.t0_ns >= b.day * 86400000000000 AND x.t0_ns < (b.day + 1) * 86400000000000
GROUP BY b.run_id, b.meter_id, b.owner, b.execution_id, b.day, x.grade, x.method;

-- name: energy_5
DELETE FROM energy_hour
WHERE (run_id, node, execution_id, day) IN (
    SELECT run_id, node, execution_id, day FROM batch_node
);

-- name: energy_6
-- `first_ns`: how much of a row is in the hour in which it begins. What is before the border of two
-- hours is uj * first_ns / dur_ns, which no integer holds: a division by hand, 17 bits at a time.
INSERT INTO energy_hour
WITH part AS (
    SELECT
        n.run_id, n.node, n.execution_id, n.day, x.grade, x.t0_ns, x.dur_ns, x.uj,
        x.t0_ns / 3600000000000 * 3600000000000 AS hour_ns,
        3600000000000 - x.t0_ns % 3600000000000 AS first_ns
    FROM batch_node AS n
    CROSS JOIN energy_span AS s ON s.run_id = n.run_id
    CROSS JOIN meter AS m ON m.id = s.meter_id AND m.node = n.node AND m.role = 'count'
    CROSS JOIN energy AS x ON x.run_id = n.run_id AND x.meter_id = m.id AND x.owner = 'run'
        AND x.execution_id = n.execution_id
        AND x.t0_ns >= n.day * 86400000000000 AND x.t0_ns < (n.day + 1) * 86400000000000
),
over (run_id, node, execution_id, day, grade, hour_ns, uj, first_uj) AS (
    SELECT
        run_id, node, execution_id, day, grade, hour_ns, uj,
        (high * 131072 + middle) * 131072
        + (rest * 131072 + (uj & 131071) * first_ns) / dur_ns
    FROM (
        SELECT
            *,
            (rest_of_high * 131072 + ((uj >> 17) & 131071) * first_ns) / dur_ns AS middle,
            (rest_of_high * 131072 + ((uj >> 17) & 131071) * first_ns) % dur_ns AS rest
        FROM (
            SELECT
                *, (uj >> 34) * first_ns / dur_ns AS high,
                (uj >> 34) * first_ns % dur_ns AS rest_of_high
            FROM part
            WHERE dur_ns > first_ns AND dur_ns <= first_ns + 3600000000000
        )
    )
),
cell (run_id, node, execution_id, day, began_ns, dur_ns, grade, uj) AS (
    SELECT run_id, node, execution_id, day, hour_ns, 3600000000000, grade, uj
    FROM part WHERE dur_ns <= first_ns
    UNION ALL
    SELECT run_id, node, execution_id, day, t0_ns, dur_ns, grade, uj
    FROM part WHERE dur_ns > first_ns + 3600000000000
    UNION ALL
    SELECT run_id, node, execution_id, day, hour_ns, 3600000000000, grade, first_uj FROM over
    UNION ALL
    SELECT
        run_id, node, execution_id, day, hour_ns + 3600000000000, 3600000000000, grade,
        uj - first_uj
    FROM over
)
SELECT
    run_id, node, execution_id, day, began_ns, dur_ns, grade,
    CAST(sum(uj >> 20) * 1048576 + sum(uj & 1048575) AS INTEGER)
FROM cell
GROUP BY run_id, node, execution_id, day, began_ns, dur_ns, grade;

-- name: energy_7
DELETE FROM batch_month;

-- name: energy_8
INSERT INTO batch_month
SELECT DISTINCT meter_id, owner, execution_id, day / 32
FROM batch_energy WHERE run_id = 0 AND owner IN ('idle', 'system');

-- name: energy_9
DELETE FROM energy_month
WHERE (meter_id, owner, execution_id, month) IN (
    SELECT meter_id, owner, execution_id, month FROM batch_month
);

-- name: energy_10
INSERT INTO energy_month
SELECT
    b.meter_id, b.owner, b.execution_id, b.month, x.grade, x.method,
    CAST(sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575) AS INTEGER),
    CAST(sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575) AS INTEGER),
    min(x.first_ns), max(x.end_ns)
FROM batch_month AS b
CROSS JOIN energy_day AS x ON x.run_id = 0 AND x.meter_id = b.meter_id AND x.owner = b.owner
    AND x.execution_id = b.execution_id AND x.day >= b.month * 32 AND x.day < (b.month + 1) * 32
GROUP BY b.meter_id, b.owner, b.execution_id, b.month, x.grade, x.method;

-- name: energy_11
INSERT INTO stale_run SELECT DISTINCT run_id FROM batch_energy WHERE run_id <> 0
ON CONFLICT DO NOTHING;

-- name: energy_12
DELETE FROM stale_energy
WHERE (run_id, meter_id, owner, execution_id, day) IN (
    SELECT run_id, meter_id, owner, execution_id, day FROM batch_energy
);

-- name: execution_begin
DELETE FROM batch_execution;

-- name: execution_take
INSERT INTO batch_execution
SELECT execution_id FROM stale_execution ORDER BY execution_id LIMIT :limit;

-- name: execution_1
DELETE FROM execution_host WHERE execution_id IN (SELECT execution_id FROM batch_execution);

-- name: execution_2
INSERT INTO execution_host
SELECT
    p.execution_id, p.host,
    CAST(total((p.role = 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)) AS INTEGER),
    CAST(total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)) AS INTEGER)
FROM batch_execution AS b
CROSS JOIN process AS p ON p.execution_id = b.execution_id
LEFT JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
GROUP BY p.execution_id, p.host;

-- name: execution_3
DELETE FROM execution_sum WHERE execution_id IN (SELECT execution_id FROM batch_execution);

-- name: execution_4
-- A rank is all processes that have its number; of one of which only its wrapper tells, that.
INSERT INTO execution_sum
SELECT
    l.execution_id, l.n_ranks, l.busy_ns, l.worst_ns, l.read_ns,
    coalesce((
        SELECT CAST(total(max(h.wrapper_ns, h.other_ns)) AS INTEGER) FROM execution_host AS h
        WHERE h.execution_id = l.execution_id
    ), 0)
FROM (
    SELECT
        execution_id, count(*) AS n_ranks, CAST(total(busy_ns) AS INTEGER) AS busy_ns,
        max(busy_ns) AS worst_ns, max(read_ns) AS read_ns
    FROM (
        SELECT
            p.execution_id,
            CAST(
                CASE WHEN max(p.role <> 'wrapper')
                    THEN total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns))
                    ELSE total(s.cpu_user_ns + s.cpu_system_ns) END AS INTEGER
            ) AS busy_ns,
            max(s.at_ns) AS read_ns
        FROM batch_execution AS b
        CROSS JOIN process AS p ON p.execution_id = b.execution_id
        LEFT JOIN process_state AS s
            ON s.execution_id = p.execution_id AND s.instance = p.instance
        GROUP BY p.execution_id, p.rank
    )
    GROUP BY execution_id
) AS l;

-- name: execution_5
DELETE FROM stale_execution WHERE execution_id IN (SELECT execution_id FROM batch_execution);

-- name: run_begin
DELETE FROM batch_run;

-- name: run_take
INSERT INTO batch_run SELECT run_id FROM stale_run ORDER BY run_id LIMIT :limit;

-- name: run_1
DELETE FROM batch_tree;

-- name: run_2
-- Who is nested in each other has nobody outside, and counts for itself.
INSERT INTO batch_tree
WITH RECURSIVE down (id, top_id, run_id) AS (
    SELECT e.id, e.id, e.run_id
    FROM batch_run AS b
    CROSS JOIN execution AS e ON e.run_id = b.run_id
    LEFT JOIN nesting AS n ON n.execution_id = e.id
    LEFT JOIN execution AS o ON o.id = n.outer_id AND o.run_id = e.run_id
    WHERE o.id IS NULL
    UNION
    SELECT i.id, d.top_id, d.run_id
    FROM down AS d
    CROSS JOIN nesting AS n ON n.outer_id = d.id
    CROSS JOIN execution AS i ON i.id = n.execution_id AND i.run_id = d.run_id
)
SELECT id, top_id FROM down;

-- name: run_3
DELETE FROM run_sum WHERE run_id IN (SELECT run_id FROM batch_run);

-- name: run_4
INSERT INTO run_sum
SELECT
    r.id,
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.account'
    ), ''),
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.partition'
    ), ''),
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'project'
    ), (
        SELECT min(CAST(f.value AS TEXT))
        FROM execution AS q CROSS JOIN fact AS f ON f.subject = q.execution AND f.key = 'project'
        WHERE q.run_id = r.id
    ), ''),
    (
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.state'
    ),
    CAST(max((
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.start_time_s'
    ) - (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.eligible_time_s'
    ), 0) AS INTEGER),
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.elapsed_s'
    ),
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.time_limit_s'
    ),
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.cpus'
    ),
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.allocated_gpus'
    ),
    (
        SELECT CAST(f.value AS REAL) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.total_cpu_s'
    ),
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.requested_memory_bytes'
    ),
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.used_memory_bytes'
    ),
    coalesce(l.n_executions, 0), coalesce(l.n_ranks, 0), coalesce(u.cpu_ns, 0), l.ended_ns,
    l.imbalance
FROM batch_run AS b
CROSS JOIN run AS r ON r.id = b.run_id
LEFT JOIN (
    SELECT
        e.run_id, count(*) AS n_executions, max(x.n_ranks) AS n_ranks,
        max(coalesce(z.at_ns, x.read_ns)) AS ended_ns,
        max(CASE WHEN x.n_ranks > 1 AND x.busy_ns > 0
            THEN x.worst_ns / (CAST(x.busy_ns AS REAL) / x.n_ranks) END) AS imbalance
    FROM batch_run AS b
    CROSS JOIN execution AS e ON e.run_id = b.run_id
    LEFT JOIN execution_sum AS x ON x.execution_id = e.id
    LEFT JOIN execution_end AS z ON z.execution_id = e.id
    GROUP BY e.run_id
) AS l ON l.run_id = r.id
LEFT JOIN (
    SELECT run_id, CAST(total(max(wrapper_ns, other_ns)) AS INTEGER) AS cpu_ns
    FROM (
        SELECT
            e.run_id, total(h.wrapper_ns) AS wrapper_ns, total(h.other_ns) AS other_ns
        FROM batch_run AS b
        CROSS JOIN execution AS e ON e.run_id = b.run_id
        LEFT JOIN batch_tree AS t ON t.execution_id = e.id
        CROSS JOIN execution_host AS h ON h.execution_id = e.id
        GROUP BY e.run_id, coalesce(t.top_id, e.id), h.host
    )
    GROUP BY run_id
) AS u ON u.run_id = r.id
WHERE l.run_id IS NOT NULL OR EXISTS (SELECT 1 FROM fact AS f WHERE f.subject = r.run);

-- name: run_5
DELETE FROM run_energy WHERE run_id IN (SELECT run_id FROM batch_run);

-- name: run_6
INSERT INTO run_energy
SELECT
    x.run_id, x.execution_id, m.component, m.source, x.grade, x.method,
    CAST(sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575) AS INTEGER),
    CAST(sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575) AS INTEGER),
    CAST(total(x.dur_ns) AS INTEGER), CAST(total(x.covered_ns) AS INTEGER)
FROM batch_run AS b
CROSS JOIN energy_day AS x ON x.run_id = b.run_id
CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
GROUP BY x.run_id, x.execution_id, m.component, m.source, x.grade, x.method;

-- name: run_7
DELETE FROM run_reading WHERE run_id IN (SELECT run_id FROM batch_run);

-- name: run_8
-- What executions took at the same time, and the run beside them, is of one time: it counts once.
INSERT INTO run_reading
SELECT
    run_id, node, component, count(*), CAST(total(min(there_ns, dur_ns)) AS INTEGER),
    CAST(total(CASE WHEN dur_ns > 0
        THEN CAST(covered_ns * 1.0 * min(there_ns, dur_ns) / dur_ns AS INTEGER)
        ELSE 0 END) AS INTEGER)
FROM (
    SELECT
        run_id, node, component, total(dur_ns) AS dur_ns, total(covered_ns) AS covered_ns,
        total(max(end_ns - max(first_ns, coalesce(before_ns, 0)), 0)) AS there_ns
    FROM (
        SELECT
            x.run_id, x.meter_id, m.node, m.component, x.dur_ns, x.covered_ns, x.first_ns, x.end_ns,
            max(x.end_ns) OVER (
                PARTITION BY x.run_id, x.meter_id ORDER BY x.first_ns, x.end_ns
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ) AS before_ns
        FROM batch_run AS b
        CROSS JOIN energy_day AS x ON x.run_id = b.run_id
        CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
    )
    GROUP BY run_id, meter_id, node, component
)
GROUP BY run_id, node, component;

-- name: run_9
DELETE FROM run_hour WHERE run_id IN (SELECT run_id FROM batch_run);

-- name: run_10
INSERT INTO run_hour
SELECT
    x.run_id, x.execution_id, x.grade, x.began_ns, x.dur_ns,
    CAST(sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575) AS INTEGER)
FROM batch_run AS b
CROSS JOIN energy_hour AS x ON x.run_id = b.run_id
GROUP BY x.run_id, x.execution_id, x.grade, x.began_ns, x.dur_ns;

-- name: run_11
DELETE FROM stale_run WHERE run_id IN (SELECT run_id FROM batch_run);
