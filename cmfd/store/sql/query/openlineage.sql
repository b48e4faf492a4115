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

-- name: kept
-- The events that are kept of a run of theirs.
SELECT key, value FROM fact WHERE subject = :id AND substr(key, 1, 12) = 'openlineage.';

-- name: is_own
-- Whether somebody else than an import says what it is.
SELECT 1 FROM execution
WHERE execution = :id AND at_ns IS NOT NULL AND origin >= x'0000000000000001'
UNION ALL
SELECT 1 FROM run WHERE run = :id AND at_ns IS NOT NULL AND origin >= x'0000000000000001';
