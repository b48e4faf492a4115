-- name: artifact
SELECT id, digest FROM artifact WHERE digest = :digest;

-- name: artifacts_between
-- By the beginning of a digest: `low` is the beginning itself, `high` what comes after all of it.
SELECT id, digest FROM artifact WHERE digest >= :low AND digest < :high LIMIT :limit;

-- name: artifacts_strong
SELECT id, digest FROM artifact WHERE strong >= :low AND strong < :high LIMIT :limit;

-- name: artifacts_named
-- By what an event calls it: as given, or in full with `absolute`, of which `paths` are the ends.
SELECT DISTINCT a.id, a.digest
FROM json_each(:paths) AS p
CROSS JOIN event AS v ON v.path = p.value
CROSS JOIN artifact AS a ON a.id = v.artifact_id
WHERE (v.path = :path OR v.absolute = :absolute)
  AND EXISTS (SELECT 1 FROM events AS w WHERE w.artifact_id = a.id)
ORDER BY a.digest
LIMIT :limit;

-- name: executions_between
SELECT id, lower(hex(execution)) AS execution
FROM execution
WHERE execution BETWEEN :low AND :high AND at_ns IS NOT NULL
LIMIT :limit;

-- name: is_job
SELECT 1 FROM run WHERE job = :job LIMIT 1;

-- name: executions_of_run
SELECT id, lower(hex(execution)) AS execution, pipeline, stage
FROM execution
WHERE run_id = :run_id AND at_ns IS NOT NULL
ORDER BY at_ns, execution
LIMIT :limit;
