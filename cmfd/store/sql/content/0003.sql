-- What energy the parts of a node took, whose it was, and how that is known.
--
-- Energies are integer microjoules. Of a node's counters, what runs, idle time and the system are
-- given adds up to what the counter moved. A boot is what the kernel calls it (boot_id), since
-- counters and the time since boot begin anew with it.

-- kind: most. A part of what one counter of a node counted, in one stretch of time. A stretch only
-- grows: while it lasts it is written again and again, each time whole. Of no run: sixteen zeroes.
CREATE TABLE energy (
    t0_ns INTEGER NOT NULL,          -- when the stretch began
    node TEXT NOT NULL,
    boot BLOB NOT NULL,
    owner TEXT NOT NULL,             -- run, idle, system; counter: all of it, which is added to nothing
    run BLOB NOT NULL,               -- zeroes unless the owner is a run
    execution BLOB NOT NULL,         -- its part of the run's; zeroes: the run's, but of no execution
    component TEXT NOT NULL,         -- cpu, dram, gpu, other, which add up; node: role check only
    domain TEXT NOT NULL,            -- a GPU's UUID, or empty
    source TEXT NOT NULL,            -- what was read: rapl, nvml, ...
    role TEXT NOT NULL,              -- count; check: of another source, to compare with
    dur_ns INTEGER NOT NULL,         -- how long the stretch is so far
    at_ns INTEGER NOT NULL,          -- when the row was written
    uj INTEGER NOT NULL,             -- the energy, in microjoules
    static_uj INTEGER NOT NULL,      -- what of that it would have drawn doing nothing
    cpu_ns INTEGER NOT NULL,         -- CPU time of the owner
    covered_ns INTEGER NOT NULL,     -- for how much of the stretch there are readings
    grade TEXT NOT NULL,             -- A (the node's own meter) to E (a constant), M (missing)
    method TEXT NOT NULL,            -- exclusive, shared_static_dynamic, alloc_only, rank_pids
    flags INTEGER NOT NULL,          -- bits of cmfd.energy.readings.Flag
    origin BLOB NOT NULL,            -- the daemon that measured it
    PRIMARY KEY (run, execution, node, boot, owner, component, domain, source, role, t0_ns)
) STRICT, WITHOUT ROWID;

-- kind: last. Whether a source of energy readings could be used on a node.
CREATE TABLE energy_probe (
    boot BLOB NOT NULL,
    node TEXT NOT NULL,
    source TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,            -- the daemon that looked
    status TEXT NOT NULL,            -- available, denied, absent, broken
    reason TEXT NOT NULL,            -- what was found
    advice TEXT NOT NULL,            -- how to get a better number, or empty
    grade TEXT NOT NULL,
    scope TEXT NOT NULL,             -- node, package, dram, gpu, other
    components TEXT NOT NULL,        -- a JSON list
    domains TEXT NOT NULL,           -- a JSON list
    chosen INTEGER NOT NULL,         -- 1: its energy is counted
    PRIMARY KEY (boot, node, source)
) STRICT, WITHOUT ROWID;

-- kind: last. What a node is made of.
CREATE TABLE node_hardware (
    boot BLOB NOT NULL,
    node TEXT NOT NULL,
    at_ns INTEGER NOT NULL,
    origin BLOB NOT NULL,            -- the daemon that looked
    cluster TEXT NOT NULL,
    cpu_model TEXT NOT NULL,         -- as the kernel names it
    n_sockets INTEGER NOT NULL,      -- processors
    n_cores INTEGER NOT NULL,        -- physical ones
    n_threads INTEGER NOT NULL,      -- what the kernel counts as CPUs
    memory_bytes INTEGER NOT NULL,
    gpus TEXT NOT NULL,              -- a JSON list of objects: uuid, name, memory_bytes
    PRIMARY KEY (boot, node)
) STRICT, WITHOUT ROWID;
