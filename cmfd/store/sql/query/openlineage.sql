-- name: energy
-- What a run took, and what its executions took of that: execution is empty for the run as a whole.
SELECT '' AS execution, x.component, x.source, x.grade, CAST(total(x.uj) AS INTEGER) AS microjoules
FROM energy_rows AS x
WHERE x.run_id = :run_id AND x.owner = 'run' AND x.role = 'count'
GROUP BY x.component, x.source, x.grade
UNION ALL
SELECT x.execution, x.component, x.source, x.grade, CAST(total(x.uj) AS INTEGER)
FROM energy_rows AS x
WHERE x.run_id = :run_id AND x.owner = 'run' AND x.role = 'count' AND x.execution IS NOT NULL
GROUP BY x.execution, x.component, x.source, x.grade
ORDER BY 1, 2, 3, 4;

-- name: newest
-- The pack that was merged last.
SELECT id, digest FROM pack ORDER BY id DESC LIMIT 1;

-- name: is_there
SELECT 1 FROM pack WHERE id = :id AND digest = :digest;

-- name: runs
-- Runs of which something was merged after a pack; of packs that name no run, all. `{condition}` is on
-- their executions.
SELECT DISTINCT r.id
FROM run AS r LEFT JOIN execution AS e ON e.run_id = r.id
WHERE r.at_ns IS NOT NULL AND {condition} AND (
    :after = 0
    OR r.id IN (SELECT x.run_id FROM pack_run AS x WHERE x.pack_id > :after)
    OR lower(hex(r.run)) IN (SELECT x.subject FROM pack_about AS x WHERE x.pack_id > :after)
    OR lower(hex(e.execution)) IN (SELECT x.subject FROM pack_about AS x WHERE x.pack_id > :after)
    OR EXISTS (SELECT 1 FROM pack_run AS x WHERE x.pack_id > :after AND x.run_id = 0)
)
ORDER BY r.id;

-- name: kept
-- What is kept of a run of theirs.
SELECT at_ns, value FROM fact WHERE subject = :id AND key = :key;

-- name: is_known
SELECT 1 FROM execution WHERE execution = :id AND at_ns IS NOT NULL
UNION ALL
SELECT 1 FROM run WHERE run = :id AND at_ns IS NOT NULL;
