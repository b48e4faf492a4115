-- The site index: the union of all packs, with small local integers in the large tables.
--
-- The kinds of the content tables (set, first, last, grow, most) and their rules are those of
-- content/0001.sql. Integers (`id` columns) are local to this file: they differ between two sites
-- that hold the same content, and never leave it. The CHECKs are what readers rely on: a pack with a
-- row that breaks one is refused as a whole.

CREATE TABLE pack (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,     -- sha256 of the file, which is its name
    size_bytes INTEGER NOT NULL,
    cluster TEXT NOT NULL,
    node TEXT NOT NULL,
    sealed_ns INTEGER NOT NULL,
    final INTEGER NOT NULL,
    merged_ns INTEGER NOT NULL
) STRICT;

-- A row with only its key set (here `run`; so too in execution, artifact, environment and series) was
-- named by another row before its own arrived, in another pack. It is no content.
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    run BLOB NOT NULL UNIQUE CHECK (length(run) = 16),
    at_ns INTEGER,
    origin BLOB CHECK (length(origin) = 16),
    uid INTEGER,
    cluster TEXT,
    job TEXT,
    restart INTEGER,
    user TEXT,
    name TEXT,
    command TEXT,
    cwd TEXT
) STRICT;
CREATE INDEX run_by_time ON run (at_ns);

CREATE TABLE run_end (
    run_id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    status TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER
) STRICT;

CREATE TABLE execution (
    id INTEGER PRIMARY KEY,
    execution BLOB NOT NULL UNIQUE CHECK (length(execution) = 16),
    at_ns INTEGER,
    origin BLOB CHECK (length(origin) = 16),
    run_id INTEGER,
    parent BLOB CHECK (length(parent) = 16),
    pipeline TEXT,
    stage TEXT,
    step TEXT
) STRICT;
CREATE INDEX execution_by_run ON execution (run_id);
CREATE INDEX execution_by_stage ON execution (pipeline, stage);

CREATE TABLE execution_end (
    execution_id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    status TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER
) STRICT;

CREATE TABLE process (
    execution_id INTEGER NOT NULL,
    instance BLOB NOT NULL CHECK (length(instance) = 16),
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    rank INTEGER NOT NULL,
    size INTEGER NOT NULL,
    local_rank INTEGER NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (execution_id, instance)
) STRICT, WITHOUT ROWID;

CREATE TABLE process_state (
    execution_id INTEGER NOT NULL,
    instance BLOB NOT NULL CHECK (length(instance) = 16),
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    status TEXT NOT NULL,
    exit_code INTEGER,
    signal INTEGER,
    cpu_user_ns INTEGER NOT NULL,
    cpu_system_ns INTEGER NOT NULL,
    max_rss_bytes INTEGER NOT NULL,
    dropped INTEGER NOT NULL,
    PRIMARY KEY (execution_id, instance)
) STRICT, WITHOUT ROWID;

CREATE TABLE param (
    execution_id INTEGER NOT NULL,
    key TEXT NOT NULL,
    value_type TEXT NOT NULL,
    value ANY NOT NULL CHECK (CASE value_type
        WHEN 'int' THEN typeof(value) = 'integer'
        WHEN 'float' THEN typeof(value) = 'real' OR value = 'NaN'
        WHEN 'bool' THEN typeof(value) = 'integer' AND value IN (0, 1)
        WHEN 'str' THEN typeof(value) = 'text'
        WHEN 'json' THEN typeof(value) = 'text'
        WHEN 'null' THEN value = 'null'
        ELSE false END),
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    rank INTEGER NOT NULL,
    PRIMARY KEY (execution_id, key, value_type, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE fact (
    subject BLOB NOT NULL CHECK (length(subject) = 16),
    key TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    value_type TEXT NOT NULL,
    value ANY NOT NULL CHECK (CASE value_type
        WHEN 'int' THEN typeof(value) = 'integer'
        WHEN 'float' THEN typeof(value) = 'real' OR value = 'NaN'
        WHEN 'bool' THEN typeof(value) = 'integer' AND value IN (0, 1)
        WHEN 'str' THEN typeof(value) = 'text'
        WHEN 'json' THEN typeof(value) = 'text'
        WHEN 'null' THEN value = 'null'
        ELSE false END),
    PRIMARY KEY (subject, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifact (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE CHECK (instr(digest, ':') > 1),
    strong TEXT,
    size_bytes INTEGER CHECK (size_bytes >= -1),
    n_files INTEGER CHECK (n_files >= 0)
) STRICT;

CREATE TABLE event (
    execution_id INTEGER NOT NULL,
    direction TEXT NOT NULL CHECK (direction IN ('input', 'output')),
    artifact_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    kind TEXT NOT NULL,
    host TEXT NOT NULL,
    absolute TEXT NOT NULL,
    rank INTEGER NOT NULL,
    properties TEXT NOT NULL,
    problem TEXT NOT NULL,
    PRIMARY KEY (execution_id, direction, artifact_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_by_artifact ON event (artifact_id, direction, execution_id);

CREATE TABLE environment (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    document TEXT
) STRICT;

CREATE TABLE execution_environment (
    execution_id INTEGER PRIMARY KEY,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    environment_id INTEGER NOT NULL
) STRICT;

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    instance BLOB NOT NULL CHECK (length(instance) = 16),
    series INTEGER NOT NULL,
    execution_id INTEGER,
    name TEXT,
    kind TEXT CHECK (kind IN ('float', 'int')),
    UNIQUE (instance, series)
) STRICT;
CREATE INDEX series_by_execution ON series (execution_id, name);

CREATE TABLE chunk (
    series_id INTEGER NOT NULL,
    block INTEGER NOT NULL,
    n_values INTEGER NOT NULL CHECK (n_values > 0),
    n_nan INTEGER NOT NULL CHECK (n_nan BETWEEN 0 AND n_values),
    step_min INTEGER NOT NULL,
    step_max INTEGER NOT NULL,
    first_ns INTEGER NOT NULL,
    last_ns INTEGER NOT NULL,
    value_min ANY CHECK (value_min < ''),  -- a number: texts and blobs are not less than ''
    value_max ANY CHECK (value_max < ''),
    value_sum REAL,
    last_step INTEGER NOT NULL,
    last_value ANY CHECK (last_value < ''),
    data BLOB NOT NULL,
    UNIQUE (series_id, block)
) STRICT;

PRAGMA application_id = 0x636d6673;  -- 'cmfs'
