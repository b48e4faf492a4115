-- What energy nodes took, and whose it was: see content/0003.sql.

-- What of a node was read, how, and to what end: what very many rows of `energy` have in common.
CREATE TABLE meter (
    id INTEGER PRIMARY KEY,
    node TEXT NOT NULL,
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    component TEXT NOT NULL CHECK (component IN ('cpu', 'dram', 'gpu', 'other', 'node')),
    domain TEXT NOT NULL,
    source TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role = 'check' OR role = 'count' AND component <> 'node'),
    UNIQUE (node, boot, component, domain, source, role)
) STRICT;

-- In the order that they are asked for: a run's, and of no run those of a meter by time.
CREATE TABLE energy (
    run_id INTEGER NOT NULL CHECK ((run_id <> 0) = (owner = 'run')),  -- 0: of no run
    meter_id INTEGER NOT NULL,
    owner TEXT NOT NULL CHECK (owner IN ('run', 'idle', 'system', 'counter')),
    execution_id INTEGER NOT NULL CHECK (run_id <> 0 OR execution_id = 0),  -- 0: of no execution
    t0_ns INTEGER NOT NULL CHECK (t0_ns BETWEEN 0 AND 4000000000000000000),
    dur_ns INTEGER NOT NULL CHECK (dur_ns BETWEEN 0 AND 1000000000000000000),
    at_ns INTEGER NOT NULL,
    uj INTEGER NOT NULL CHECK (uj BETWEEN 0 AND 1000000000000000),
    static_uj INTEGER NOT NULL CHECK (static_uj BETWEEN 0 AND uj),
    cpu_ns INTEGER NOT NULL CHECK (cpu_ns BETWEEN 0 AND 1000000000000000000),
    covered_ns INTEGER NOT NULL CHECK (covered_ns BETWEEN 0 AND dur_ns),
    grade TEXT NOT NULL CHECK (grade IN ('A', 'B', 'C', 'D', 'E', 'M')),
    method TEXT NOT NULL,
    flags INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    PRIMARY KEY (run_id, meter_id, owner, execution_id, t0_ns)
) STRICT, WITHOUT ROWID;

-- From when to when a meter has rows of a run. Derived: stretches only grow, so least and greatest
-- are those of all rows that ever came.
CREATE TABLE energy_span (
    meter_id INTEGER NOT NULL,
    run_id INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,       -- when the first stretch began
    end_ns INTEGER NOT NULL,         -- when the last one ended
    PRIMARY KEY (meter_id, run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX energy_span_by_run ON energy_span (run_id);

CREATE TABLE energy_probe (
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    node TEXT NOT NULL,
    source TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    status TEXT NOT NULL CHECK (status IN ('available', 'denied', 'absent', 'broken')),
    reason TEXT NOT NULL,
    advice TEXT NOT NULL,
    grade TEXT NOT NULL CHECK (grade IN ('A', 'B', 'C', 'D', 'E', 'M')),
    scope TEXT NOT NULL,
    components TEXT NOT NULL,
    domains TEXT NOT NULL,
    chosen INTEGER NOT NULL CHECK (chosen IN (0, 1)),
    PRIMARY KEY (boot, node, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE node_hardware (
    boot BLOB NOT NULL CHECK (length(boot) = 16),
    node TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    cluster TEXT NOT NULL,
    cpu_model TEXT NOT NULL,
    n_sockets INTEGER NOT NULL,
    n_cores INTEGER NOT NULL,
    n_threads INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    gpus TEXT NOT NULL,
    PRIMARY KEY (boot, node)
) STRICT, WITHOUT ROWID;

-- Which runs a pack says something of, so that those of some runs are found without looking at all.
-- 0: of none, as notes on artifacts are; -1: what nodes know of themselves. Derived.
CREATE TABLE pack_run (
    run_id INTEGER NOT NULL,
    pack_id INTEGER NOT NULL,
    PRIMARY KEY (run_id, pack_id)
) STRICT, WITHOUT ROWID;
INSERT INTO pack_run (run_id, pack_id) SELECT 0, id FROM pack;
