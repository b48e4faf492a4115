-- What of the node's energy was sent where.

ALTER TABLE energy ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

-- The node's *ledger* is the energy that belongs to no run, with probes and hardware. Every site that
-- gets packs of this node's runs gets the ledger's too.
CREATE TABLE ledger (
    site TEXT NOT NULL PRIMARY KEY,  -- absolute path of its repository
    sealed_seq INTEGER NOT NULL,     -- what came up to here is in published packs
    sealed_ns INTEGER NOT NULL       -- when the last one came with a run's last pack
) STRICT, WITHOUT ROWID;

-- One row: what whoever reads energy must know to go on where it was when it last stored some.
CREATE TABLE energy_memory (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    data BLOB NOT NULL               -- as cmfd.energy.sampler.Memory encodes it
) STRICT;
