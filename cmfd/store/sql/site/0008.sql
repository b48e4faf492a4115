-- More sums that reports read in place of very many rows. Derived, as those of 0006.sql.

-- What runs took in each hour, of what counts, on all nodes together: see energy_hour. Emissions are
-- reckoned from it where all nodes have the same factors.
CREATE TABLE run_hour (
    run_id INTEGER NOT NULL,
    execution_id INTEGER NOT NULL,
    grade TEXT NOT NULL,
    began_ns INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,
    uj INTEGER NOT NULL,
    PRIMARY KEY (run_id, execution_id, grade, began_ns, dur_ns)
) STRICT, WITHOUT ROWID;

-- What no run was given, of 32 days each: sums of `energy_day`. A month is day / 32.
CREATE TABLE energy_month (
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL,             -- idle or system
    execution_id INTEGER NOT NULL,
    month INTEGER NOT NULL,
    grade TEXT NOT NULL,
    method TEXT NOT NULL,
    uj INTEGER NOT NULL,
    static_uj INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,       -- when the first stretch began
    end_ns INTEGER NOT NULL,         -- when the last one ended
    PRIMARY KEY (meter_id, owner, execution_id, month, grade, method)
) STRICT, WITHOUT ROWID;

INSERT INTO run_hour
SELECT
    run_id, execution_id, grade, began_ns, dur_ns,
    CAST(sum(uj >> 20) * 1048576 + sum(uj & 1048575) AS INTEGER)
FROM energy_hour
GROUP BY run_id, execution_id, grade, began_ns, dur_ns;

INSERT INTO energy_month
SELECT
    meter_id, owner, execution_id, day / 32, grade, method,
    CAST(sum(uj >> 20) * 1048576 + sum(uj & 1048575) AS INTEGER),
    CAST(sum(static_uj >> 20) * 1048576 + sum(static_uj & 1048575) AS INTEGER),
    min(first_ns), max(end_ns)
FROM energy_day
WHERE run_id = 0 AND owner IN ('idle', 'system')
GROUP BY meter_id, owner, execution_id, day / 32, grade, method;

-- From when to when runs took energy is told by the index alone.
DROP INDEX energy_span_by_run;
CREATE INDEX energy_span_by_run ON energy_span (run_id, first_ns, end_ns);
