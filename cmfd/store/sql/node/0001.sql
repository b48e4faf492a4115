-- What a node store has besides the content tables.

-- A journal, that is, one process.
CREATE TABLE instance (
    instance BLOB NOT NULL PRIMARY KEY,
    uid INTEGER NOT NULL,            -- from the kernel (socket credentials or file owner)
    journal TEXT NOT NULL,           -- its path on this node
    host TEXT NOT NULL,
    first_ns INTEGER NOT NULL,
    ended_ns INTEGER                 -- when it closed or was found dead; null while it lives
) STRICT, WITHOUT ROWID;

-- Which units of which block of a journal are in this store: ranges, joined where they touch.
CREATE TABLE committed (
    instance BLOB NOT NULL,
    block INTEGER NOT NULL,
    first INTEGER NOT NULL,
    end INTEGER NOT NULL,
    PRIMARY KEY (instance, block, first)
) STRICT, WITHOUT ROWID;

-- Metric values as they arrived, one row a slice, in columns (see cmfd.store.columns).
CREATE TABLE slice (
    instance BLOB NOT NULL,
    block INTEGER NOT NULL,
    first INTEGER NOT NULL,
    end INTEGER NOT NULL,
    kind INTEGER NOT NULL,           -- 2 points, 3 rows
    series TEXT NOT NULL,            -- rows: JSON list of the columns' series; points: empty
    sealed INTEGER NOT NULL,         -- 1: a pack with its block's values up to here was published
    data BLOB NOT NULL
) STRICT;
CREATE INDEX slice_by_block ON slice (instance, block, first);

-- So that `metrics_last` decodes nothing.
CREATE TABLE series_stat (
    instance BLOB NOT NULL,
    series INTEGER NOT NULL,
    n_values INTEGER NOT NULL,
    n_nan INTEGER NOT NULL,
    value_min ANY,
    value_max ANY,
    value_sum REAL NOT NULL,
    last_ns INTEGER NOT NULL,
    last_step INTEGER NOT NULL,
    last_value ANY,
    PRIMARY KEY (instance, series)
) STRICT, WITHOUT ROWID;

-- Which instances take part in which runs of which site: what sealing goes by.
CREATE TABLE run_instance (
    run BLOB NOT NULL,
    instance BLOB NOT NULL,
    PRIMARY KEY (run, instance)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_site (
    run BLOB NOT NULL PRIMARY KEY,
    site TEXT NOT NULL,              -- absolute path of the site repository
    sealed_ns INTEGER,               -- when the last pack was published
    finished INTEGER NOT NULL        -- 1: the final pack was published, with nothing newer since
) STRICT, WITHOUT ROWID;

-- Row groups of journals (see cmfd.wire.messages.Group).
CREATE TABLE row_group (
    instance BLOB NOT NULL,
    id INTEGER NOT NULL,
    series TEXT NOT NULL,            -- JSON list
    PRIMARY KEY (instance, id)
) STRICT, WITHOUT ROWID;

-- Touches that no Hashed record has completed yet, and digests that came first.
CREATE TABLE touch (
    instance BLOB NOT NULL,
    token INTEGER NOT NULL,
    record BLOB NOT NULL,            -- the Touch record as it was written
    PRIMARY KEY (instance, token)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x636d666e;  -- 'cmfn'
