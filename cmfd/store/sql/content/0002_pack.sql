-- What a pack says of itself since format 2: whether more of its run is to come from its node.

-- kind: last. How a run stood on one of its nodes when it was sealed there. A node that has no row,
-- or one that is not final, may still have something of the run that nobody has published.
CREATE TABLE delivery (
    run BLOB NOT NULL,
    node TEXT NOT NULL,
    at_ns INTEGER NOT NULL,          -- when it was sealed
    origin BLOB NOT NULL,            -- derived from the run: no journal says this
    final INTEGER NOT NULL,          -- 1: none of its processes was open there; 0: a checkpoint
    n_open INTEGER NOT NULL,         -- how many were open
    job_over INTEGER NOT NULL,       -- 1: the batch system had said that the job was over there
    PRIMARY KEY (run, node)
) STRICT, WITHOUT ROWID;
