-- What a pack has besides the content: its label, and metric values in columns.

-- kind: grow. The values of one series in one journal block. `data` is columns: see cmfd.store.columns.
CREATE TABLE chunk (
    instance BLOB NOT NULL,
    series INTEGER NOT NULL,
    block INTEGER NOT NULL,
    n_values INTEGER NOT NULL,
    n_nan INTEGER NOT NULL,
    step_min INTEGER NOT NULL,
    step_max INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,       -- least and greatest time
    last_ns INTEGER NOT NULL,
    value_min ANY,                   -- over values that are not NaN; null if there are none
    value_max ANY,
    value_sum REAL,                  -- over finite values
    last_step INTEGER NOT NULL,      -- of the value logged last (greatest time, then slot)
    last_value ANY,                  -- null if that is NaN
    data BLOB NOT NULL,
    PRIMARY KEY (instance, series, block)
) STRICT;

-- One row: what this file is. Anything else in a file that calls itself a pack makes it foreign.
CREATE TABLE pack (
    format INTEGER NOT NULL,         -- as user_version
    creator TEXT NOT NULL,           -- 'cmfd 0.1.0'
    cluster TEXT NOT NULL,
    node TEXT NOT NULL,
    sealed_ns INTEGER NOT NULL,
    final INTEGER NOT NULL           -- 1: the run had ended on this node; 0: a checkpoint
) STRICT;

PRAGMA application_id = 0x636d6670;  -- 'cmfp'
