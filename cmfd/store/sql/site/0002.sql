-- Which nodes delivered what they had of a run: see content/0002_pack.sql.
CREATE TABLE delivery (
    run_id INTEGER NOT NULL,
    node TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL CHECK (length(origin) = 16),
    final INTEGER NOT NULL CHECK (final IN (0, 1)),
    n_open INTEGER NOT NULL CHECK (n_open >= 0),
    job_over INTEGER NOT NULL CHECK (job_over IN (0, 1)),
    PRIMARY KEY (run_id, node)
) STRICT, WITHOUT ROWID;
