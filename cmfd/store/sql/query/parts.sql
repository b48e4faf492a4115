-- name: make_run
-- Of runs that go over the border of a time, what is within it: tables like those of sums (0006.sql), with
-- `part_` before their names. They are of the connection, and lie in memory.
CREATE TEMP TABLE IF NOT EXISTS part_batch_run (
    run_id INTEGER PRIMARY KEY
);

-- name: make_day
-- The days of these runs: all rows that began then are within, or some may not be.
CREATE TEMP TABLE IF NOT EXISTS part_day (
    run_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    is_whole INTEGER NOT NULL,
    PRIMARY KEY (run_id, day)
) WITHOUT ROWID;

-- name: make_key
CREATE TEMP TABLE IF NOT EXISTS part_key (
    run_id INTEGER NOT NULL,
    meter_id INTEGER NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (run_id, meter_id, execution_id, day)
) WITHOUT ROWID;

-- name: make_energy
-- Rows of days that are not whole. One over the border is there with what is within.
CREATE TEMP TABLE IF NOT EXISTS part_energy (
    run_id INTEGER NOT NULL,
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    t0_ns INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,
    uj INTEGER NOT NULL,
    static_uj INTEGER NOT NULL,
    covered_ns INTEGER NOT NULL,
    grade TEXT NOT NULL,
    method TEXT NOT NULL
);

-- name: make_energy_hour
CREATE TEMP TABLE IF NOT EXISTS part_energy_hour (
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    began_ns INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,
    grade TEXT NOT NULL,
    uj INTEGER NOT NULL
);

-- name: clear_run
DELETE FROM part_batch_run;

-- name: clear_day
DELETE FROM part_day;

-- name: clear_key
DELETE FROM part_key;

-- name: clear_energy
DELETE FROM part_energy;

-- name: clear_energy_day
DELETE FROM part_energy_day;

-- name: clear_energy_hour
DELETE FROM part_energy_hour;

-- name: clear_run_energy
DELETE FROM part_run_energy;

-- name: clear_run_reading
DELETE FROM part_run_reading;

-- name: clear_run_hour
DELETE FROM part_run_hour;

-- name: put_run
INSERT INTO part_batch_run VALUES (?);

-- name: extents
-- From when to when chosen runs took energy.
SELECT c.id, min(s.first_ns), max(s.end_ns)
FROM chosen_run AS c CROSS JOIN energy_span AS s ON s.run_id = c.id
GROUP BY c.id;

-- name: fill_days
INSERT INTO part_day
SELECT
    x.run_id, x.day,
    CASE WHEN :is_fine = 0 AND min(x.first_ns) >= :since_ns AND max(x.end_ns) <= :until_ns
        THEN 1 ELSE 0 END
FROM part_batch_run AS p
CROSS JOIN energy_day AS x ON x.run_id = p.run_id
WHERE x.owner = 'run'
GROUP BY x.run_id, x.day
HAVING min(x.first_ns) < :until_ns
    AND (max(x.end_ns) > :since_ns OR min(x.first_ns) >= :since_ns);

-- name: fill_keys
INSERT INTO part_key
SELECT DISTINCT x.run_id, x.meter_id, x.execution_id, x.day
FROM part_day AS d
CROSS JOIN energy_day AS x ON x.run_id = d.run_id AND x.day = d.day AND x.owner = 'run'
CROSS JOIN meter AS m ON m.id = x.meter_id AND m.role = 'count'
WHERE d.is_whole = 0;

-- name: fill_energy
INSERT INTO part_energy
SELECT
    x.run_id, x.meter_id, x.owner, x.execution_id, x.t0_ns, x.dur_ns, x.uj, x.static_uj,
    x.covered_ns, x.grade, x.method
FROM part_key AS k
CROSS JOIN energy AS x ON x.run_id = k.run_id AND x.meter_id = k.meter_id AND x.owner = 'run'
    AND x.execution_id = k.execution_id
    AND x.t0_ns >= k.day * 86400000000000 AND x.t0_ns < (k.day + 1) * 86400000000000
WHERE x.t0_ns >= :since_ns AND x.t0_ns < :until_ns AND x.t0_ns + x.dur_ns <= :until_ns;

-- name: crossing
-- Rows over the border.
SELECT
    x.run_id, x.meter_id, x.owner, x.execution_id, x.t0_ns, x.dur_ns, x.uj, x.static_uj,
    x.covered_ns, x.grade, x.method
FROM part_key AS k
CROSS JOIN energy AS x ON x.run_id = k.run_id AND x.meter_id = k.meter_id AND x.owner = 'run'
    AND x.execution_id = k.execution_id
    AND x.t0_ns >= k.day * 86400000000000 AND x.t0_ns < (k.day + 1) * 86400000000000
WHERE x.t0_ns < :since_ns AND x.t0_ns + x.dur_ns > :since_ns
    OR x.t0_ns < :until_ns AND x.t0_ns + x.dur_ns > :until_ns;

-- name: put_row
INSERT INTO part_energy VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: fill_energy_day
INSERT INTO part_energy_day
SELECT
    run_id, meter_id, owner, execution_id, day, grade, method,
    CAST(sum(uj >> 20) * 1048576 + sum(uj & 1048575) AS INTEGER),
    CAST(sum(static_uj >> 20) * 1048576 + sum(static_uj & 1048575) AS INTEGER),
    CAST(total(dur_ns) AS INTEGER), CAST(total(covered_ns) AS INTEGER),
    min(first_ns), max(end_ns)
FROM (
    SELECT
        x.run_id, x.meter_id, x.owner, x.execution_id, x.day, x.grade, x.method, x.uj, x.static_uj,
        x.dur_ns, x.covered_ns, x.first_ns, x.end_ns
    FROM part_day AS d
    CROSS JOIN energy_day AS x ON x.run_id = d.run_id AND x.day = d.day AND x.owner = 'run'
    WHERE d.is_whole = 1
    UNION ALL
    SELECT
        run_id, meter_id, owner, execution_id, t0_ns / 86400000000000, grade, method, uj, static_uj,
        dur_ns, covered_ns, t0_ns, t0_ns + dur_ns
    FROM part_energy
) AS x
GROUP BY run_id, meter_id, owner, execution_id, day, grade, method;

-- name: fill_energy_hour
-- A row over the border of two hours stands for itself.
INSERT INTO part_energy_hour
SELECT x.run_id, x.node, x.execution_id, x.day, x.began_ns, x.dur_ns, x.grade, x.uj
FROM part_day AS d
CROSS JOIN energy_hour AS x ON x.run_id = d.run_id AND x.day = d.day
WHERE d.is_whole = 1
UNION ALL
SELECT
    x.run_id, m.node, x.execution_id, x.t0_ns / 86400000000000,
    CASE WHEN x.t0_ns % 3600000000000 + x.dur_ns <= 3600000000000
        THEN x.t0_ns / 3600000000000 * 3600000000000 ELSE x.t0_ns END,
    CASE WHEN x.t0_ns % 3600000000000 + x.dur_ns <= 3600000000000
        THEN 3600000000000 ELSE x.dur_ns END,
    x.grade, x.uj
FROM part_energy AS x CROSS JOIN meter AS m ON m.id = x.meter_id;
