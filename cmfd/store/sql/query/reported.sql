-- name: runs
-- The runs of a report, the latest first: how they ended, what they held and for how long. Of one
-- that the batch system has not told of, as far as it said itself.
SELECT
    c.id AS run_id,
    -- Every text costs its part of a second where there are very many runs.
    CASE WHEN :by = 'run' THEN lower(hex(c.run)) ELSE '' END AS run,
    CASE WHEN :by = 'run' THEN c.user ELSE '' END AS user,
    CASE WHEN :by = 'run' THEN c.job ELSE '' END AS job,
    c.uid,
    c.user = :anonymous AS is_anonymous,
    coalesce(
        s.state, z.status, (SELECT v.status FROM runs AS v WHERE v.run_id = c.id)
    ) AS state,
    coalesce(c.at_ns, 0) AS began_ns,
    coalesce(
        CAST(s.elapsed_s AS REAL), (z.at_ns - c.at_ns) / 1e9,
        (SELECT v.wall_s FROM runs AS v WHERE v.run_id = c.id)
    ) AS wall_s,
    s.cpus AS cores,
    s.gpus AS gpus,
    CASE :by
        WHEN 'user' THEN c.user
        WHEN 'account' THEN coalesce(s.account, '')
        WHEN 'partition' THEN coalesce(s.partition, '')
        WHEN 'project' THEN coalesce(s.project, '')
        ELSE '' END AS name
FROM chosen_run AS c
LEFT JOIN run_end AS z ON z.run_id = c.id
LEFT JOIN run_sum AS s ON s.run_id = c.id
ORDER BY c.at_ns DESC, c.id DESC;

-- name: named
SELECT j.value
FROM json_each(:hex_ids) AS j
CROSS JOIN run AS r ON r.run = id_of(j.value)
CROSS JOIN chosen_run AS c ON c.id = r.id
WHERE c.user <> :anonymous;

-- name: executions
-- The executions of a report, with how long they took; one that is nested in another of the same
-- stage (or pipeline, where that is asked for) is part of that.
SELECT
    x.run_id, x.execution_id, x.status, coalesce(x.began_ns, 0) AS began_ns, x.wall_s,
    coalesce(x.pipeline, '') AS pipeline,
    coalesce(x.stage, '') AS stage,
    EXISTS (
        SELECT 1 FROM execution AS e
        JOIN execution AS o ON o.execution = e.parent
        JOIN chosen_execution AS p ON p.id = o.id
        WHERE e.id = q.id AND o.pipeline IS e.pipeline AND (:by = 'pipeline' OR o.stage IS e.stage)
    ) AS is_nested
FROM chosen_execution AS q
JOIN executions AS x ON x.execution_id = q.id
ORDER BY x.began_ns DESC, x.execution_id DESC;

-- name: hosts
-- Which nodes processes of the runs were on.
SELECT c.id, h.host
FROM chosen_run AS c
CROSS JOIN execution AS e ON e.run_id = c.id
CROSS JOIN execution_host AS h ON h.execution_id = e.id
UNION
SELECT c.id, d.node FROM chosen_run AS c JOIN delivery AS d ON d.run_id = c.id;

-- name: nodes
-- On which nodes chosen runs took energy. In the order of the tables, so that nothing is sorted.
SELECT x.run_id, x.node
FROM chosen_run AS c CROSS JOIN run_reading AS x ON x.run_id = c.id
GROUP BY x.run_id, x.node;

-- name: extent
-- From when to when they did.
SELECT min(s.first_ns), max(s.end_ns)
FROM chosen_run AS c CROSS JOIN energy_span AS s ON s.run_id = c.id;

-- name: exclusive
-- Which of them had a node for themselves.
SELECT DISTINCT x.run_id
FROM chosen_run AS c CROSS JOIN run_energy AS x ON x.run_id = c.id WHERE x.method = 'exclusive';

-- name: spans
-- When the executions of chosen runs were that have several, and which are nested in which.
SELECT x.run_id, x.execution_id, n.outer_id, x.began_ns, x.wall_s
FROM chosen_run AS c
CROSS JOIN run_sum AS s ON s.run_id = c.id AND s.n_executions > 1
CROSS JOIN executions AS x ON x.run_id = c.id
LEFT JOIN nesting AS n ON n.execution_id = x.execution_id
ORDER BY x.run_id;

-- name: make_units
-- What a report is put together of, runs or executions, with the number of its pile and of how it came
-- to nothing (0: it did not). 0: the rest of runs, which is of no execution. Where piles are of nodes,
-- these say which. The tables are of the connection, and lie in memory.
CREATE TEMP TABLE IF NOT EXISTS report_unit (
    unit INTEGER PRIMARY KEY,
    pile INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL
);

-- name: make_runs
-- Whose energy is asked for next.
CREATE TEMP TABLE IF NOT EXISTS report_run (
    id INTEGER PRIMARY KEY
);

-- name: make_nodes
-- `alike`: one of the nodes that have the same factors of emissions.
CREATE TEMP TABLE IF NOT EXISTS report_node (
    node TEXT PRIMARY KEY,
    pile INTEGER,
    alike INTEGER NOT NULL
);

-- name: make_factors
-- Factors of emissions by hour: see cmfd/carbon/hours.py.
CREATE TEMP TABLE IF NOT EXISTS report_factor (
    alike INTEGER NOT NULL,
    began_ns INTEGER NOT NULL,
    part INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    grams INTEGER NOT NULL,
    PRIMARY KEY (alike, began_ns, part)
) WITHOUT ROWID;

-- name: clear_units
DELETE FROM report_unit;

-- name: clear_runs
DELETE FROM report_run;

-- name: clear_nodes
DELETE FROM report_node;

-- name: clear_factors
DELETE FROM report_factor;

-- name: put_factor
INSERT INTO report_factor VALUES (?, ?, ?, ?, ?);

-- name: put_unit
INSERT INTO report_unit VALUES (?, ?, ?, ?);

-- name: put_run
INSERT INTO report_run VALUES (?);

-- name: put_all_runs
INSERT INTO report_run SELECT id FROM chosen_run;

-- name: put_node
INSERT INTO report_node VALUES (?, ?, ?);

-- name: known_nodes
SELECT DISTINCT node FROM meter WHERE role = 'count' AND (:node IS NULL OR node = :node);

-- name: whole_sums
-- Of whole runs on all nodes.
SELECT
    u.pile, x.component, x.grade, x.method, x.source,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575)
FROM report_unit AS u CROSS JOIN run_energy AS x ON x.run_id = u.unit
GROUP BY u.pile, x.component, x.grade, x.method, x.source;

-- name: whole_units
-- In the order of the tables, so that nothing is sorted.
SELECT u.pile, u.unit, u.unit, sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575)
FROM report_unit AS u CROSS JOIN run_energy AS x ON x.run_id = u.unit
GROUP BY u.unit;

-- name: whole_readings
SELECT u.pile, x.component, total(x.covered_ns), total(max(x.dur_ns, x.n_meters * u.wall_ns))
FROM report_unit AS u CROSS JOIN run_reading AS x ON x.run_id = u.unit
GROUP BY u.pile, x.component;

-- name: node_readings
SELECT
    coalesce(n.pile, u.pile) AS pile, x.component,
    total(x.covered_ns), total(max(x.dur_ns, x.n_meters * u.wall_ns))
FROM report_unit AS u
CROSS JOIN run_reading AS x ON x.run_id = u.unit
CROSS JOIN report_node AS n ON n.node = x.node
GROUP BY 1, x.component;

-- name: part_sums
-- Of executions on all nodes.
SELECT
    coalesce(u.pile, r.pile) AS pile, x.component, x.grade, x.method, x.source,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575)
FROM report_run AS c
CROSS JOIN run_energy AS x ON x.run_id = c.id
LEFT JOIN report_unit AS u ON u.unit = x.execution_id
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, x.component, x.grade, x.method, x.source;

-- name: part_units
SELECT
    coalesce(u.pile, r.pile) AS pile, coalesce(u.unit, r.unit) AS unit, x.run_id,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575)
FROM report_run AS c
CROSS JOIN run_energy AS x ON x.run_id = c.id
LEFT JOIN report_unit AS u ON u.unit = x.execution_id
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY x.run_id, 2, 1;

-- name: part_readings
SELECT coalesce(u.pile, r.pile) AS pile, x.component, total(x.covered_ns), total(x.dur_ns)
FROM report_run AS c
CROSS JOIN run_energy AS x ON x.run_id = c.id
LEFT JOIN report_unit AS u ON u.unit = x.execution_id
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, x.component;

-- name: apart_sums
-- Of some nodes; or, for single runs, by run.
SELECT
    CASE WHEN :by_run = 1 THEN c.id ELSE coalesce(n.pile, u.pile, r.pile) END AS pile,
    m.component, x.grade, x.method, m.source,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575)
FROM report_run AS c
CROSS JOIN energy_day AS x ON x.run_id = c.id
CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
CROSS JOIN report_node AS n ON n.node = m.node
LEFT JOIN report_unit AS u ON u.unit = CASE WHEN :by_parts = 1 THEN x.execution_id ELSE x.run_id END
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, m.component, x.grade, x.method, m.source;

-- name: apart_units
SELECT
    coalesce(n.pile, u.pile, r.pile) AS pile, coalesce(u.unit, r.unit) AS unit, x.run_id,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575)
FROM report_run AS c
CROSS JOIN energy_day AS x ON x.run_id = c.id
CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
CROSS JOIN report_node AS n ON n.node = m.node
LEFT JOIN report_unit AS u ON u.unit = CASE WHEN :by_parts = 1 THEN x.execution_id ELSE x.run_id END
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY x.run_id, 1, 2;

-- name: apart_readings
-- Of executions, by node.
SELECT
    coalesce(n.pile, u.pile) AS pile, m.component, total(x.covered_ns), total(x.dur_ns)
FROM report_run AS c
CROSS JOIN energy_day AS x ON x.run_id = c.id
CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
CROSS JOIN report_node AS n ON n.node = m.node
CROSS JOIN report_unit AS u ON u.unit = x.execution_id
GROUP BY 1, m.component;

-- name: whole_weighed
-- Energy in hours times their factors, where all nodes have the same; 20 bits at a time, so that no
-- product is too much for an integer.
SELECT
    u.pile, u.lost, f.alike, f.kind, unicode(x.grade), f.part,
    min(x.began_ns), max(x.began_ns), sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum((x.uj >> 40) * f.grams), sum(((x.uj >> 20) & 1048575) * f.grams),
    sum((x.uj & 1048575) * f.grams)
FROM report_unit AS u
CROSS JOIN run_hour AS x ON x.run_id = u.unit AND x.dur_ns = 3600000000000
CROSS JOIN report_factor AS f ON f.alike = :node_of_all AND f.began_ns = x.began_ns
GROUP BY u.pile, u.lost, f.alike, f.kind, x.grade, f.part;

-- name: part_weighed
-- The same of executions.
SELECT
    coalesce(u.pile, r.pile) AS pile, coalesce(u.lost, 0) AS lost, f.alike, f.kind,
    unicode(x.grade), f.part,
    min(x.began_ns), max(x.began_ns), sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum((x.uj >> 40) * f.grams), sum(((x.uj >> 20) & 1048575) * f.grams),
    sum((x.uj & 1048575) * f.grams)
FROM report_run AS c
CROSS JOIN run_hour AS x ON x.run_id = c.id AND x.dur_ns = 3600000000000
CROSS JOIN report_factor AS f ON f.alike = :node_of_all AND f.began_ns = x.began_ns
LEFT JOIN report_unit AS u ON u.unit = x.execution_id
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, 2, f.alike, f.kind, x.grade, f.part;

-- name: weighed
-- The same of runs or executions by node.
SELECT
    coalesce(n.pile, u.pile, r.pile) AS pile, coalesce(u.lost, 0) AS lost, n.alike, f.kind,
    unicode(x.grade), f.part,
    min(x.began_ns), max(x.began_ns), sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum((x.uj >> 40) * f.grams), sum(((x.uj >> 20) & 1048575) * f.grams),
    sum((x.uj & 1048575) * f.grams)
FROM report_run AS c
CROSS JOIN energy_hour AS x ON x.run_id = c.id AND x.dur_ns = 3600000000000
CROSS JOIN report_node AS n ON n.node = x.node
CROSS JOIN report_factor AS f ON f.alike = n.alike AND f.began_ns = x.began_ns
LEFT JOIN report_unit AS u ON u.unit = CASE WHEN :by_parts = 1 THEN x.execution_id ELSE x.run_id END
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, 2, n.alike, f.kind, x.grade, f.part;

-- name: together_hours
-- Energy by time, of what no factor was found for: of one row over several hours, for one.
SELECT
    coalesce(u.pile, r.pile) AS pile, coalesce(u.lost, 0) AS lost, :node_of_all AS alike,
    unicode(x.grade), x.began_ns, x.dur_ns, sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575)
FROM report_run AS c
CROSS JOIN run_hour AS x ON x.run_id = c.id
LEFT JOIN report_factor AS f ON f.alike = :node_of_all AND f.began_ns = x.began_ns AND f.part = 0
    AND x.dur_ns = 3600000000000
LEFT JOIN report_unit AS u ON u.unit = CASE WHEN :by_parts = 1 THEN x.execution_id ELSE x.run_id END
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE f.alike IS NULL AND coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, 2, x.grade, x.began_ns, x.dur_ns;

-- name: hours
-- The same by node; or, for single runs, all of it by run.
SELECT
    CASE WHEN :by_run = 1 THEN c.id ELSE coalesce(n.pile, u.pile, r.pile) END AS pile,
    coalesce(u.lost, 0) AS lost, n.alike, unicode(x.grade), x.began_ns, x.dur_ns,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575)
FROM report_run AS c
CROSS JOIN energy_hour AS x ON x.run_id = c.id
CROSS JOIN report_node AS n ON n.node = x.node
LEFT JOIN report_factor AS f ON f.alike = n.alike AND f.began_ns = x.began_ns AND f.part = 0
    AND x.dur_ns = 3600000000000 AND :by_run = 0
LEFT JOIN report_unit AS u ON u.unit = CASE WHEN :by_parts = 1 THEN x.execution_id ELSE x.run_id END
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE f.alike IS NULL AND coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, 2, n.alike, x.grade, x.began_ns, x.dur_ns;

-- name: steps
-- The same where factors change more often: of the rows. One over the border of a step is told as it is.
SELECT
    CASE WHEN :by_run = 1 THEN c.id ELSE coalesce(n.pile, u.pile, r.pile) END AS pile,
    coalesce(u.lost, 0) AS lost, n.alike, unicode(x.grade),
    CASE WHEN x.t0_ns % :step_ns + x.dur_ns <= :step_ns
        THEN x.t0_ns / :step_ns * :step_ns ELSE x.t0_ns END AS began_ns,
    CASE WHEN x.t0_ns % :step_ns + x.dur_ns <= :step_ns
        THEN :step_ns ELSE x.dur_ns END AS length_ns,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575)
FROM report_run AS c
CROSS JOIN energy AS x ON x.run_id = c.id
CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
CROSS JOIN report_node AS n ON n.node = m.node
LEFT JOIN report_unit AS u ON u.unit = CASE WHEN :by_parts = 1 THEN x.execution_id ELSE x.run_id END
LEFT JOIN report_unit AS r ON r.unit = 0
WHERE coalesce(u.unit, r.unit) IS NOT NULL
GROUP BY 1, 2, n.alike, x.grade, 5, 6;

-- name: unattributed
-- What no run was given in a time: of months (of 32 days) that are wholly in it, and of such days of others.
SELECT m.component, m.source, x.owner, x.grade,
    sum(x.uj >> 20) * 1048576 + sum(x.uj & 1048575),
    sum(x.static_uj >> 20) * 1048576 + sum(x.static_uj & 1048575)
FROM (
    SELECT meter_id, owner, grade, uj, static_uj
    FROM energy_month
    WHERE first_ns >= :since_ns AND first_ns < :until_ns AND end_ns <= :until_ns
    UNION ALL
    SELECT d.meter_id, d.owner, d.grade, d.uj, d.static_uj
    FROM energy_month AS k
    CROSS JOIN energy_day AS d ON d.run_id = 0 AND d.meter_id = k.meter_id AND d.owner = k.owner
        AND d.execution_id = k.execution_id
        AND d.day >= k.month * 32 AND d.day < (k.month + 1) * 32
        AND d.grade = k.grade AND d.method = k.method
    WHERE (k.first_ns < :since_ns AND k.end_ns > :since_ns
           OR k.first_ns < :until_ns AND k.end_ns > :until_ns)
        AND d.first_ns >= :since_ns AND d.first_ns < :until_ns AND d.end_ns <= :until_ns
) AS x
CROSS JOIN meter AS m ON m.id = x.meter_id
WHERE m.role = 'count' AND (:node IS NULL OR m.node = :node)
GROUP BY m.component, m.source, x.owner, x.grade;

-- name: unattributed_at
-- Rows of the days that are at the border of a time, as far as they are in it.
SELECT m.component, m.source, e.owner, e.grade, e.t0_ns, e.dur_ns, e.uj, e.static_uj
FROM energy_month AS k
CROSS JOIN meter AS m ON m.id = k.meter_id
CROSS JOIN energy_day AS x ON x.run_id = 0 AND x.meter_id = k.meter_id AND x.owner = k.owner
    AND x.execution_id = k.execution_id
    AND x.day >= k.month * 32 AND x.day < (k.month + 1) * 32
    AND x.grade = k.grade AND x.method = k.method
CROSS JOIN energy AS e ON e.run_id = 0 AND e.meter_id = x.meter_id AND e.owner = x.owner
    AND e.execution_id = x.execution_id
    AND e.t0_ns >= x.day * 86400000000000 AND e.t0_ns < (x.day + 1) * 86400000000000
    AND e.grade = x.grade AND e.method = x.method
WHERE m.role = 'count' AND (:node IS NULL OR m.node = :node)
    AND (k.first_ns < :since_ns AND k.end_ns > :since_ns
         OR k.first_ns < :until_ns AND k.end_ns > :until_ns)
    AND (x.first_ns < :since_ns AND x.end_ns > :since_ns
         OR x.first_ns < :until_ns AND x.end_ns > :until_ns)
    AND e.t0_ns < :until_ns AND (e.t0_ns >= :since_ns OR e.t0_ns + e.dur_ns > :since_ns);
