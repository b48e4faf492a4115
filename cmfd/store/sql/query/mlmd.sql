-- name: records
-- What stores of ML Metadata said last of their contexts, artifacts, executions and types.
SELECT lower(hex(f.subject)) AS subject, f.key, f.at_ns, f.value
FROM fact AS f
WHERE f.key IN ('mlmd.artifact', 'mlmd.context', 'mlmd.execution', 'mlmd.type')
ORDER BY f.key, f.at_ns, f.subject;

-- name: execution
-- Whether cmfd recorded it, and not only a copy of it was imported.
SELECT 1 FROM execution WHERE execution = :execution AND origin >= x'0000000000000001';

-- name: run_of
SELECT r.run, ifnull(r.cluster, ''), ifnull(r.job, ''), ifnull(r.restart, 0)
FROM execution AS e CROSS JOIN run AS r ON r.id = e.run_id
WHERE e.execution = :execution;

-- name: executions
-- In the order of time; :pipeline is null for all. One that only stands around programs that log with
-- CMF's library is left out.
SELECT x.execution_id AS id, x.execution, x.pipeline, x.stage, x.status, x.began_ns, x.ended_ns,
    ifnull(r.command, '') AS command, d.document
FROM executions AS x
LEFT JOIN run AS r ON r.id = x.run_id
LEFT JOIN execution_environment AS v ON v.execution_id = x.execution_id
LEFT JOIN environment AS d ON d.id = v.environment_id
WHERE x.pipeline IS NOT NULL AND (:pipeline IS NULL OR x.pipeline = :pipeline)
  AND (
    NOT EXISTS (
        SELECT 1 FROM execution AS e CROSS JOIN fact AS f
        ON f.subject = e.execution AND f.key = 'cmf.around'
        WHERE e.id = x.execution_id
    )
    OR EXISTS (SELECT 1 FROM param AS p WHERE p.execution_id = x.execution_id)
    OR EXISTS (SELECT 1 FROM event AS v WHERE v.execution_id = x.execution_id)
    OR EXISTS (SELECT 1 FROM series AS s WHERE s.execution_id = x.execution_id)
  )
ORDER BY x.began_ns, x.execution;

-- name: params
-- Of executions by their numbers. The value said last of several comes last.
SELECT p.execution_id, p.key, p.value_type, p.value
FROM json_each(:ids) AS j CROSS JOIN param AS p ON p.execution_id = j.value
ORDER BY p.execution_id, p.key, p.at_ns, p.value_type, p.value;

-- name: facts
SELECT e.id, f.key, f.value_type, f.value
FROM json_each(:ids) AS j
CROSS JOIN execution AS e ON e.id = j.value
CROSS JOIN fact AS f ON f.subject = e.execution
ORDER BY e.id, f.key;

-- name: events
SELECT v.execution_id, v.artifact_id, v.direction, a.digest, v.at_ns
FROM json_each(:ids) AS j
CROSS JOIN event AS v ON v.execution_id = j.value
CROSS JOIN artifact AS a ON a.id = v.artifact_id
ORDER BY v.execution_id, v.at_ns, v.direction, v.path, a.digest;

-- name: uses
-- Of artifacts by their numbers, in whatever pipeline, in the order of time.
SELECT a.digest, lower(hex(e.execution)) AS execution, e.pipeline, v.path, v.at_ns, v.kind,
    CASE WHEN v.absolute = '' THEN v.path ELSE v.absolute END AS place, v.properties
FROM json_each(:ids) AS j
CROSS JOIN artifact AS a ON a.id = j.value
CROSS JOIN event AS v ON v.artifact_id = a.id
CROSS JOIN execution AS e ON e.id = v.execution_id
WHERE e.pipeline IS NOT NULL
ORDER BY a.digest, v.at_ns, e.execution, v.direction, v.path;

-- name: said
-- What was said of them afterwards.
SELECT f.key, f.value_type, f.value
FROM json_each(:ids) AS j
CROSS JOIN artifact AS a ON a.id = j.value
CROSS JOIN fact AS f ON f.key = 'cmf.artifact.' || a.digest
ORDER BY f.key, f.at_ns, f.subject;

-- name: metrics
-- The value of each metric that was logged last.
SELECT execution_id, name, last_value, last_ns
FROM (
    SELECT
        s.execution_id, s.name, c.last_value, c.last_ns,
        row_number() OVER (
            PARTITION BY s.execution_id, s.name ORDER BY c.last_ns DESC, c.block DESC
        ) AS place
    FROM json_each(:ids) AS j
    CROSS JOIN series AS s ON s.execution_id = j.value
    CROSS JOIN chunk AS c ON c.series_id = s.id
) AS m
WHERE place = 1 ORDER BY execution_id, name;
