-- What a node store has besides the content tables.

-- The number of the newest commit. Rows that say `seq` came, or changed last, with that commit.
CREATE TABLE clock (seq INTEGER NOT NULL) STRICT;
INSERT INTO clock VALUES (0);

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
    group_id INTEGER NOT NULL,       -- rows: their row_group; points: 0
    seq INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX slice_by_block ON slice (instance, block, first);

-- So that `metrics_last` decodes nothing.
CREATE TABLE series_stat (
    instance BLOB NOT NULL,
    series INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    n_values INTEGER NOT NULL,
    n_nan INTEGER NOT NULL,
    value_min ANY,                   -- over values that are not NaN; null if there are none
    value_max ANY,
    value_sum REAL,                  -- over finite values; null if it went out of range
    last_ns INTEGER NOT NULL,        -- the value logged last: greatest time, then block, then slot
    last_block INTEGER NOT NULL,
    last_slot INTEGER NOT NULL,      -- orders values of a block, and is no more than that
    last_step INTEGER NOT NULL,
    last_value ANY,                  -- null if that is NaN
    PRIMARY KEY (instance, series)
) STRICT, WITHOUT ROWID;

-- Row groups of journals (see cmfd.wire.messages.Group).
CREATE TABLE row_group (
    instance BLOB NOT NULL,
    id INTEGER NOT NULL,
    series TEXT NOT NULL,            -- JSON list; empty: rows came before the group was named
    PRIMARY KEY (instance, id)
) STRICT, WITHOUT ROWID;

-- Which instances said something of which runs and executions.
CREATE TABLE mention (
    subject BLOB NOT NULL,           -- a run or an execution
    instance BLOB NOT NULL,
    PRIMARY KEY (subject, instance)
) STRICT, WITHOUT ROWID;
CREATE INDEX mention_by_instance ON mention (instance, subject);

-- Who may write of a run or an execution: the first user who did.
CREATE TABLE owner (
    subject BLOB NOT NULL PRIMARY KEY,
    uid INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far each run known here is sealed and published.
CREATE TABLE standing (
    run BLOB NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,            -- of the newest thing said of it
    site TEXT NOT NULL,              -- absolute path of its site repository; empty: not said yet
    site_ns INTEGER NOT NULL,        -- when that was said: the earliest is kept
    sealed_seq INTEGER NOT NULL,     -- what came up to here is in published packs
    sealed_ns INTEGER,               -- when the last pack was published
    finished INTEGER NOT NULL        -- 1: the last pack was a final one
) STRICT, WITHOUT ROWID;

CREATE INDEX execution_by_run ON execution (run);
CREATE INDEX series_by_execution ON series (execution);

-- Touches, and the Hashed records that complete them, until both are here.
CREATE TABLE touch (
    instance BLOB NOT NULL,
    token INTEGER NOT NULL,
    execution BLOB,                  -- null for a Hashed record
    record BLOB NOT NULL,            -- as it was written
    PRIMARY KEY (instance, token)
) STRICT, WITHOUT ROWID;
CREATE INDEX touch_by_execution ON touch (execution);

-- Pieces of large records, until all are here.
CREATE TABLE part (
    instance BLOB NOT NULL,
    token INTEGER NOT NULL,
    part INTEGER NOT NULL,
    total INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (instance, token, part)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x636d666e;  -- 'cmfn'
