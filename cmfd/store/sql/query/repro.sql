-- name: run_id
SELECT run_id FROM execution WHERE id = :id;

-- name: places
-- Where content was seen: full paths, the latest first.
SELECT v.absolute
FROM artifact AS a CROSS JOIN event AS v ON v.artifact_id = a.id
WHERE a.digest = :digest AND v.absolute <> ''
GROUP BY v.absolute ORDER BY max(v.at_ns) DESC, v.absolute
LIMIT 100;

-- name: of_stage
-- Executions of a stage that completed, latest first, with what ran them and their environments.
SELECT
    e.id, lower(hex(e.execution)) AS execution, coalesce(r.command, '') AS command,
    coalesce(n.document, '') AS document
FROM execution AS e
CROSS JOIN run AS r ON r.id = e.run_id
LEFT JOIN execution_environment AS x ON x.execution_id = e.id
LEFT JOIN environment AS n ON n.id = x.environment_id
WHERE e.pipeline = :pipeline AND e.stage = :stage
  AND (SELECT v.status FROM executions AS v WHERE v.execution_id = e.id) = 'completed'
ORDER BY e.at_ns DESC, e.id DESC;

-- name: inputs
SELECT DISTINCT a.digest
FROM event AS v CROSS JOIN artifact AS a ON a.id = v.artifact_id
WHERE v.execution_id = :id AND v.direction = 'input';

-- name: params
SELECT key, value_type, value FROM param WHERE execution_id = :id;
