-- name: make
-- Meters, and the runs that have rows of them, that a question about energy is about. The table is of
-- the connection, and lies in memory.
CREATE TEMP TABLE IF NOT EXISTS energy_chosen (
    run_id INTEGER NOT NULL,         -- 0: rows of no run
    meter_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    boot BLOB NOT NULL,
    component TEXT NOT NULL,
    domain TEXT NOT NULL,
    source TEXT NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (run_id, meter_id)
) WITHOUT ROWID;

-- name: clear
DELETE FROM temp.energy_chosen;

-- name: choose_runs
INSERT OR IGNORE INTO temp.energy_chosen
SELECT s.run_id, m.*
FROM json_each(:run_ids) AS c
CROSS JOIN energy_span AS s ON s.run_id = c.value
CROSS JOIN meter AS m ON m.id = s.meter_id
WHERE s.run_id <> 0 AND m.role = :role AND s.first_ns < :until_ns AND s.end_ns >= :since_ns
    AND (:nodes IS NULL OR m.node IN (SELECT value FROM json_each(:nodes)));

-- name: choose
INSERT INTO temp.energy_chosen
SELECT s.run_id, m.*
FROM meter AS m
CROSS JOIN energy_span AS s ON s.meter_id = m.id
WHERE m.role = :role AND s.first_ns < :until_ns AND s.end_ns >= :since_ns
    AND (:nodes IS NULL OR m.node IN (SELECT value FROM json_each(:nodes)))
    AND (:runs_only = 0 OR s.run_id <> 0);

-- name: chosen
SELECT run_id, meter_id, node, boot, component, domain, source, role FROM temp.energy_chosen;

-- name: rows
-- A row belongs to the time in which its stretch began.
SELECT
    owner, run_id, execution_id, t0_ns, dur_ns, at_ns, uj, static_uj, cpu_ns, covered_ns, grade,
    method, flags
FROM energy
WHERE run_id = ? AND meter_id = ? AND t0_ns >= ? AND t0_ns < ?;

-- name: sums
-- In the order of the table, so that nothing is sorted. Rows of several grades or methods, which the
-- third column says, are told apart by `sums_apart`. Sums in two parts, since rows of one odd pack could be too
-- much for one.
SELECT
    c.run_id, c.meter_id, min(x.grade) <> max(x.grade) OR min(x.method) <> max(x.method),
    c.node, c.boot, c.component, c.domain, c.source, x.owner, c.run_id, x.execution_id,
    0,
    min(x.grade), min(x.method),
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575),
    CAST(total(x.cpu_ns) AS INTEGER),
    CAST(total(x.dur_ns) AS INTEGER),
    CAST(total(x.covered_ns) AS INTEGER),
    min(x.t0_ns), max(x.t0_ns + x.dur_ns)
FROM temp.energy_chosen AS c
CROSS JOIN energy AS x ON x.run_id = c.run_id AND x.meter_id = c.meter_id
WHERE x.t0_ns >= :since_ns AND x.t0_ns < :until_ns
    AND (:executions IS NULL OR x.execution_id IN (SELECT value FROM json_each(:executions)))
GROUP BY c.run_id, c.meter_id, x.owner, x.execution_id;

-- name: choose_one
INSERT INTO temp.energy_chosen SELECT ?, m.* FROM meter AS m WHERE m.id = ?;

-- name: sums_apart
SELECT
    c.node, c.boot, c.component, c.domain, c.source, x.owner, c.run_id,
    x.execution_id,
    x.t0_ns / :step_ns * :step_ns,
    x.grade, x.method,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575),
    CAST(total(x.cpu_ns) AS INTEGER),
    CAST(total(x.dur_ns) AS INTEGER),
    CAST(total(x.covered_ns) AS INTEGER),
    min(x.t0_ns), max(x.t0_ns + x.dur_ns)
FROM temp.energy_chosen AS c
CROSS JOIN energy AS x ON x.run_id = c.run_id AND x.meter_id = c.meter_id
WHERE x.t0_ns >= :since_ns AND x.t0_ns < :until_ns
    AND (:executions IS NULL OR x.execution_id IN (SELECT value FROM json_each(:executions)))
GROUP BY c.run_id, c.meter_id, x.owner, x.execution_id, 9, x.grade, x.method;

-- name: within
-- Executions, and those nested in them at any depth, with their runs.
WITH RECURSIVE inside (id) AS (
    SELECT e.id FROM json_each(:hex_ids) AS c CROSS JOIN execution AS e ON e.execution = id_of(c.value)
    UNION
    SELECT n.execution_id
    FROM inside AS i CROSS JOIN nesting AS n ON n.outer_id = i.id WHERE :nested = 1
)
SELECT i.id, e.run_id FROM inside AS i CROSS JOIN execution AS e ON e.id = i.id;

-- name: executions
SELECT e.id, lower(hex(e.execution))
FROM json_each(:executions) AS c CROSS JOIN execution AS e ON e.id = c.value;

-- name: probes
SELECT
    p.node, p.boot, p.source, p.status, p.reason, p.advice, p.grade, p.scope, p.components,
    p.domains, p.chosen, p.at_ns
FROM energy_probes AS p
WHERE (:nodes IS NULL OR p.node IN (SELECT value FROM json_each(:nodes)))
ORDER BY p.node, p.at_ns, p.source;

-- name: hardware
SELECT
    h.node, h.boot, h.cluster, h.cpu_model, h.n_sockets, h.n_cores, h.n_threads, h.memory_bytes,
    h.gpus, h.at_ns
FROM nodes AS h
WHERE (:nodes IS NULL OR h.node IN (SELECT value FROM json_each(:nodes)))
ORDER BY h.node, h.at_ns;

-- name: balances
-- Of nodes and days, from sums by day.
SELECT
    m.node, x.day, m.component, m.source,
    sum(CASE WHEN x.owner = 'counter' THEN x.uj >> 20 ELSE 0 END) * 1048576
        + sum(CASE WHEN x.owner = 'counter' THEN x.uj & 1048575 ELSE 0 END),
    sum(CASE WHEN x.owner = 'run' THEN x.uj >> 20 ELSE 0 END) * 1048576
        + sum(CASE WHEN x.owner = 'run' THEN x.uj & 1048575 ELSE 0 END),
    sum(CASE WHEN x.owner = 'idle' THEN x.uj >> 20 ELSE 0 END) * 1048576
        + sum(CASE WHEN x.owner = 'idle' THEN x.uj & 1048575 ELSE 0 END),
    sum(CASE WHEN x.owner = 'system' THEN x.uj >> 20 ELSE 0 END) * 1048576
        + sum(CASE WHEN x.owner = 'system' THEN x.uj & 1048575 ELSE 0 END)
FROM meter AS m
CROSS JOIN energy_span AS s ON s.meter_id = m.id
CROSS JOIN energy_day AS x ON x.run_id = s.run_id AND x.meter_id = s.meter_id
WHERE m.role = 'count' AND x.day >= :first_day AND x.day < :end_day
    AND (:nodes IS NULL OR m.node IN (SELECT value FROM json_each(:nodes)))
GROUP BY m.node, x.day, m.component, m.source
ORDER BY m.node, x.day, m.component, m.source;
