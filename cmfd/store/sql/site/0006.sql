-- Sums that reports read in place of very many rows. Derived, all of it: see sums.sql, which makes them
-- of the rows, and what of them is out of date.

-- What is known of a run: what its batch system said of its job, and what its executions took.
CREATE TABLE run_sum (
    run_id INTEGER PRIMARY KEY,
    account TEXT NOT NULL,           -- these three: empty if nobody said
    partition TEXT NOT NULL,
    project TEXT NOT NULL,
    state TEXT,                      -- what is null nobody said
    queued_s INTEGER,
    elapsed_s INTEGER,
    limit_s INTEGER,
    cpus INTEGER,
    gpus INTEGER,
    cpu_s REAL,
    memory_bytes INTEGER,            -- asked for
    used_memory_bytes INTEGER,
    n_executions INTEGER NOT NULL,
    n_ranks INTEGER NOT NULL,        -- of the execution that has the most
    cpu_ns INTEGER NOT NULL,         -- nothing counted twice: see cmfd/query/cost.py
    ended_ns INTEGER,                -- of the execution that ended, or was heard of, last
    imbalance REAL                   -- of the execution where it is worst
) STRICT;

-- How busy the ranks of an execution were.
CREATE TABLE execution_sum (
    execution_id INTEGER PRIMARY KEY,
    n_ranks INTEGER NOT NULL,
    busy_ns INTEGER NOT NULL,        -- of all ranks
    worst_ns INTEGER NOT NULL,       -- of the busiest
    read_ns INTEGER,                 -- when it was heard of last
    cpu_ns INTEGER NOT NULL          -- as if it were nested in nothing and nothing in it
) STRICT;

-- CPU time of an execution's processes on a host: of wrappers, and of others.
CREATE TABLE execution_host (
    execution_id INTEGER NOT NULL,
    host TEXT NOT NULL,
    wrapper_ns INTEGER NOT NULL,
    other_ns INTEGER NOT NULL,
    PRIMARY KEY (execution_id, host)
) STRICT, WITHOUT ROWID;

-- Rows of `energy` by day (UTC, since 1970) in which their stretch began.
CREATE TABLE energy_day (
    run_id INTEGER NOT NULL,
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    grade TEXT NOT NULL,
    method TEXT NOT NULL,
    uj INTEGER NOT NULL,
    static_uj INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,         -- of all rows together
    covered_ns INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,       -- when the first stretch began
    end_ns INTEGER NOT NULL,         -- when the last one ended
    PRIMARY KEY (run_id, meter_id, owner, execution_id, day, grade, method)
) STRICT, WITHOUT ROWID;

-- What runs took in each hour on each node, of what counts. A row over the border of two hours is in
-- both, by time, to the microjoule; one over more borders stands for itself.
CREATE TABLE energy_hour (
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,            -- in which the rows began
    began_ns INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,
    grade TEXT NOT NULL,
    uj INTEGER NOT NULL,
    PRIMARY KEY (run_id, node, execution_id, day, began_ns, dur_ns, grade)
) STRICT, WITHOUT ROWID;

-- What runs took, of what counts, on all nodes.
CREATE TABLE run_energy (
    run_id INTEGER NOT NULL,
    execution_id INTEGER NOT NULL,
    component TEXT NOT NULL,
    source TEXT NOT NULL,
    grade TEXT NOT NULL,
    method TEXT NOT NULL,
    uj INTEGER NOT NULL,
    static_uj INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,
    covered_ns INTEGER NOT NULL,
    PRIMARY KEY (run_id, execution_id, component, source, grade, method)
) STRICT, WITHOUT ROWID;

-- For how long a run's meters were read; what was read for several at once counts once.
CREATE TABLE run_reading (
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    component TEXT NOT NULL,
    n_meters INTEGER NOT NULL,
    dur_ns INTEGER NOT NULL,         -- from row to row, of all meters together
    covered_ns INTEGER NOT NULL,     -- of this, with readings
    PRIMARY KEY (run_id, node, component)
) STRICT, WITHOUT ROWID;

-- Of what sums are out of date: a merge puts down what it changes and makes the sums anew when it is
-- done; who reads meanwhile makes them for itself.
CREATE TABLE stale_run (
    run_id INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE stale_execution (
    execution_id INTEGER PRIMARY KEY
) STRICT;

CREATE TABLE stale_energy (
    run_id INTEGER NOT NULL,
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    execution_id INTEGER NOT NULL,
    day INTEGER NOT NULL,
    PRIMARY KEY (run_id, meter_id, owner, execution_id, day)
) STRICT, WITHOUT ROWID;

INSERT INTO stale_run SELECT id FROM run;
INSERT INTO stale_execution SELECT DISTINCT execution_id FROM process;
INSERT INTO stale_energy
SELECT DISTINCT run_id, meter_id, owner, execution_id, t0_ns / 86400000000000 FROM energy;
