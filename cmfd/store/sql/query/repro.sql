-- name: run_id
SELECT run_id FROM execution WHERE id = :id;

-- name: places
-- Where content was seen: full paths, the latest first; of a data set also in files that had it.
SELECT place
FROM (
    SELECT v.absolute AS place, v.at_ns
    FROM artifact AS a CROSS JOIN event AS v ON v.artifact_id = a.id
    WHERE a.digest = :digest AND v.absolute <> ''
    UNION ALL
    SELECT v.absolute || '::' || l.name, v.at_ns
    FROM artifact AS a
    CROSS JOIN link AS l ON l.object_id = a.id AND l.relation = 'contains'
    CROSS JOIN event AS v ON v.artifact_id = l.subject_id
    WHERE a.digest = :digest AND a.digest LIKE 'hdf5:%'
      AND v.absolute <> '' AND instr(v.absolute, '::') = 0
) AS p
GROUP BY place ORDER BY max(at_ns) DESC, place
LIMIT 100;

-- name: members
-- What a slice consists of.
SELECT s.document
FROM artifact AS a CROSS JOIN slice_members AS s ON s.artifact_id = a.id
WHERE a.digest = :digest;

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
