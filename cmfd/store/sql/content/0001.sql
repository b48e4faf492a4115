-- What a node store holds of its runs and what a pack carries: the same tables, the same keys.
--
-- Every table is one of five kinds, and merging two stores applies the kind's rule row by row, so
-- that any number of stores in any order give the same content:
--   set    rows are immutable facts; union by primary key. Should two rows of one key differ all the
--          same, the greater (rest of the row in column order) wins.
--   first  one row a key, the least (at_ns, origin, rest of the row in column order) wins.
--   last   one row a key, the greatest (at_ns, origin, rest of the row in column order) wins.
--   grow   one row a key, the greatest (n_values, data) wins: an open journal block only grows.
--   most   one row a key, the greatest (dur_ns, at_ns, rest of the row in column order) wins: the
--          row that covers more of its time.
-- Where rows are compared, a null is less than anything.
-- Ids are 16-byte UUIDs. Times are UTC nanoseconds. `origin` is the journal instance that said it.
-- `value_type` says how to read `value`: see cmfd.model.ValueType.

-- kind: first
CREATE TABLE run (
    run BLOB NOT NULL PRIMARY KEY,
    at_ns INTEGER NOT NULL,          -- when it began
    origin BLOB NOT NULL,
    uid INTEGER NOT NULL,            -- from the kernel, never from a message
    cluster TEXT NOT NULL,
    job TEXT NOT NULL,               -- 4711, 4711_3 (array), 4711+1 (het), or empty without a batch system
    restart INTEGER NOT NULL,
    user TEXT NOT NULL,
    name TEXT NOT NULL,
    command TEXT NOT NULL,
    cwd TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: last
CREATE TABLE run_end (
    run BLOB NOT NULL PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    status TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER
) STRICT, WITHOUT ROWID;

-- kind: first
CREATE TABLE execution (
    execution BLOB NOT NULL PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    run BLOB NOT NULL,
    parent BLOB,                     -- the execution it is nested in
    pipeline TEXT NOT NULL,
    stage TEXT NOT NULL,
    step TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: last
CREATE TABLE execution_end (
    execution BLOB NOT NULL PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    status TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER
) STRICT, WITHOUT ROWID;

-- kind: first. A process (journal instance) that took part in an execution; several may share a rank.
CREATE TABLE process (
    execution BLOB NOT NULL,
    instance BLOB NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    rank INTEGER NOT NULL,
    size INTEGER NOT NULL,
    local_rank INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    role TEXT NOT NULL,              -- rank, wrapper, worker
    PRIMARY KEY (execution, instance)
) STRICT, WITHOUT ROWID;

-- kind: last. A full reading of a process, each replacing the one before.
CREATE TABLE process_state (
    execution BLOB NOT NULL,
    instance BLOB NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    status TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER,
    cpu_user_ns INTEGER NOT NULL,
    cpu_system_ns INTEGER NOT NULL,
    max_rss_bytes INTEGER NOT NULL,
    dropped INTEGER NOT NULL,        -- metric values dropped because the journal was full
    PRIMARY KEY (execution, instance)
) STRICT, WITHOUT ROWID;

-- kind: first. Two values of one key are two rows: conflicts stay visible.
CREATE TABLE param (
    execution BLOB NOT NULL,
    key TEXT NOT NULL,
    value_type TEXT NOT NULL,
    value ANY NOT NULL,              -- the text 'null' for type null
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    rank INTEGER NOT NULL,
    PRIMARY KEY (execution, key, value_type, value)
) STRICT, WITHOUT ROWID;

-- kind: last. Tags, notes and job facts of a run or an execution.
CREATE TABLE fact (
    subject BLOB NOT NULL,
    key TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    value_type TEXT NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY (subject, key)
) STRICT, WITHOUT ROWID;

-- kind: set. Content by digest: 'md5:<hex>', 'md5:<hex>.dir', or 'stat:<hex>' for content that could
-- not be read (then identity is host, path, size and mtime only).
CREATE TABLE artifact (
    digest TEXT NOT NULL PRIMARY KEY,
    strong TEXT NOT NULL,            -- 'sha256:<hex>' of the same bytes, or empty
    size_bytes INTEGER NOT NULL,
    n_files INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: first. An execution consumed or produced an artifact under a path.
CREATE TABLE event (
    execution BLOB NOT NULL,
    direction TEXT NOT NULL,         -- input, output
    digest TEXT NOT NULL,
    path TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    kind TEXT NOT NULL,
    host TEXT NOT NULL,
    absolute TEXT NOT NULL,
    rank INTEGER NOT NULL,
    properties TEXT NOT NULL,        -- a JSON object, or empty
    problem TEXT NOT NULL,           -- why there is no content digest, or empty
    PRIMARY KEY (execution, direction, digest, path)
) STRICT, WITHOUT ROWID;

-- kind: set. JSON documents by sha256: executions of one job mostly share one.
CREATE TABLE environment (
    digest TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- kind: last. A wrapper describes an execution as it begins; the program inside, which knows more,
-- does so later.
CREATE TABLE execution_environment (
    execution BLOB NOT NULL PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,
    digest TEXT NOT NULL             -- of the environment
) STRICT, WITHOUT ROWID;

-- kind: set. A metric of one process: its values are the chunks with the same (instance, series).
CREATE TABLE series (
    instance BLOB NOT NULL,
    series INTEGER NOT NULL,         -- the journal's number for it
    execution BLOB NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,              -- float, int
    PRIMARY KEY (instance, series)
) STRICT, WITHOUT ROWID;
