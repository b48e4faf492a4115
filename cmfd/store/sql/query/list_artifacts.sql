-- name: newest
-- Artifacts by when executions first wrote or read them, the latest executions first.
SELECT a.id
FROM execution AS e
CROSS JOIN events AS v ON v.execution_id = e.id
CROSS JOIN artifact AS a ON a.id = v.artifact_id
WHERE e.at_ns IS NOT NULL
  AND (:kind IS NULL OR v.kind = :kind)
  AND (:name IS NULL OR instr(v.path, :name) > 0)
  AND (:pipeline IS NULL OR e.pipeline = :pipeline)
  AND (:direction IS NULL OR v.direction = :direction)
ORDER BY e.at_ns DESC, e.id DESC, v.direction DESC, v.path, a.id;

-- name: artifacts
SELECT
    a.digest, nullif(a.strong, '') AS strong, nullif(a.size_bytes, -1) AS size_bytes, a.n_files,
    a.kind,
    coalesce(a.path, (
        SELECT substr(v.path, 1, length(v.path) - length(l.name) - 2)
        FROM link AS l CROSS JOIN event AS v ON v.artifact_id = l.object_id
        WHERE l.subject_id = a.artifact_id AND substr(v.path, length(v.path) - length(l.name) - 1) = '::' || l.name
        ORDER BY v.at_ns, v.path LIMIT 1
    )) AS path,
    a.n_paths, a.n_producers, a.n_consumers
FROM json_each(:ids) AS j CROSS JOIN artifacts AS a ON a.artifact_id = j.value
ORDER BY j.key;

-- name: uses
SELECT
    v.execution, coalesce(v.pipeline, '') AS pipeline, coalesce(v.stage, '') AS stage, v.direction,
    v.kind, v.path, v.absolute, v.host, v.problem, v.properties, v.at_ns
FROM events AS v
WHERE v.artifact_id = :id
ORDER BY v.at_ns, v.execution, v.direction, v.path;

-- name: quick_only
-- Artifacts of which not all bytes were read, under any of their digests.
SELECT a.id, a.digest
FROM artifact AS a
WHERE a.digest >= 'quick:' AND a.digest < 'quick;'
  AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.subject_id = a.id AND l.relation = 'same')
ORDER BY a.id;

-- name: with_bytes_known
SELECT a.digest
FROM json_each(:ids) AS j CROSS JOIN artifact AS a ON a.id = j.value
WHERE a.digest NOT LIKE 'quick:%'
  OR EXISTS (SELECT 1 FROM link AS l WHERE l.subject_id = a.id AND l.relation = 'same');
