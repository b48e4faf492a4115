-- name: artifact_names
-- Artifacts by their numbers, with the name that they were first written under, else read, else the
-- name of the part that they are of something else, else of the file that is known by its parts.
SELECT
    a.id, a.digest,
    coalesce((
        SELECT v.path FROM event AS v WHERE v.artifact_id = a.id AND v.direction = 'output'
        ORDER BY v.at_ns, v.path, v.kind LIMIT 1
    ), (
        SELECT v.path FROM event AS v WHERE v.artifact_id = a.id AND v.direction = 'input'
        ORDER BY v.at_ns, v.path, v.kind LIMIT 1
    ), (
        SELECT l.name FROM link AS l WHERE l.object_id = a.id ORDER BY l.at_ns, l.name LIMIT 1
    ), (
        SELECT substr(v.path, 1, length(v.path) - length(l.name) - 2)
        FROM link AS l CROSS JOIN event AS v ON v.artifact_id = l.object_id
        WHERE l.subject_id = a.id
          AND substr(v.path, length(v.path) - length(l.name) - 1) = '::' || l.name
        ORDER BY v.at_ns, v.path LIMIT 1
    ), '') AS path
FROM json_each(:ids) AS j CROSS JOIN artifact AS a ON a.id = j.value;

-- name: execution_names
SELECT e.id, lower(hex(e.execution)), coalesce(e.pipeline, '') || '.' || coalesce(e.stage, '')
FROM json_each(:ids) AS j CROSS JOIN execution AS e ON e.id = j.value;

-- name: artifacts
-- What else is known of artifacts; the kind is that of the event which gave the name.
SELECT
    a.id,
    coalesce((
        SELECT v.kind FROM event AS v WHERE v.artifact_id = a.id AND v.direction = 'output'
        ORDER BY v.at_ns, v.path, v.kind LIMIT 1
    ), (
        SELECT v.kind FROM event AS v WHERE v.artifact_id = a.id AND v.direction = 'input'
        ORDER BY v.at_ns, v.path, v.kind LIMIT 1
    ), iif(a.digest LIKE 'hdf5:%', 'hdf5-dataset', 'other')) AS kind,
    nullif(a.size_bytes, -1) AS size_bytes,
    (SELECT n.reason FROM tainted AS n WHERE n.subject = a.digest) AS tainted
FROM json_each(:ids) AS j CROSS JOIN artifact AS a ON a.id = j.value;

-- name: executions
-- What else is known of executions.
SELECT
    x.execution_id AS id, x.run,
    coalesce(x.pipeline, '') AS pipeline,
    coalesce(x.stage, '') AS stage,
    x.status, x.began_ns,
    coalesce(r.user, '') AS user,
    coalesce(r.cluster, '') AS cluster,
    coalesce(r.job, '') AS job,
    (SELECT n.reason FROM tainted AS n WHERE n.subject = x.execution) AS tainted
FROM json_each(:ids) AS j
CROSS JOIN executions AS x ON x.execution_id = j.value
LEFT JOIN run AS r ON r.id = x.run_id;

-- name: events
-- Events between some executions and some artifacts, one of each pair and direction; with how it was
-- seen, if it was never declared.
SELECT
    v.execution_id, v.direction, v.artifact_id, min(v.path) AS path,
    nullif(min(CASE
        WHEN v.properties NOT LIKE '%"observed"%' OR NOT json_valid(v.properties) THEN ''
        ELSE coalesce(CAST(json_extract(v.properties, '$.observed') AS TEXT), '')
    END), '') AS observed
FROM json_each(:executions) AS j CROSS JOIN event AS v ON v.execution_id = j.value
WHERE v.artifact_id IN (SELECT value FROM json_each(:artifacts))
GROUP BY v.execution_id, v.direction, v.artifact_id
ORDER BY v.execution_id, v.direction, v.artifact_id;

-- name: continued
-- Which of some executions go on from which others of them; and whether it is the start before that
-- of a job, which went back into the queue.
SELECT e.id, o.id, false AS is_restart
FROM fact AS c
CROSS JOIN execution AS e ON e.execution = c.subject
CROSS JOIN execution AS o ON o.execution = id_of(c.value)
WHERE c.key = 'continues'
  AND e.id IN (SELECT value FROM json_each(:executions))
  AND o.id IN (SELECT value FROM json_each(:executions))
UNION ALL
SELECT e.id, o.id, true
FROM json_each(:executions) AS j
CROSS JOIN execution AS e ON e.id = j.value
CROSS JOIN run AS r ON r.id = e.run_id AND r.restart > 0
CROSS JOIN fact AS n ON n.subject = r.run AND n.key = 'slurm.job'
CROSS JOIN fact AS m ON m.key = 'slurm.job' AND m.value = n.value
CROSS JOIN run AS q ON q.run = m.subject AND q.restart = r.restart - 1
    AND q.cluster IS r.cluster AND q.uid IS r.uid
CROSS JOIN execution AS o ON o.run_id = q.id AND o.step IS e.step
    AND o.pipeline IS e.pipeline AND o.stage IS e.stage
WHERE o.id IN (SELECT value FROM json_each(:executions))
ORDER BY 1, 2, 3;

-- name: parts
-- Links between some artifacts.
SELECT l.subject_id, l.relation, l.object_id, l.name
FROM json_each(:artifacts) AS j CROSS JOIN link AS l ON l.subject_id = j.value
WHERE l.object_id IN (SELECT value FROM json_each(:artifacts))
ORDER BY l.subject_id, l.relation, l.object_id, l.name;

-- name: of_stage
SELECT e.id
FROM json_each(:ids) AS j CROSS JOIN execution AS e ON e.id = j.value
WHERE e.stage = :stage OR e.pipeline || '.' || e.stage = :stage;
