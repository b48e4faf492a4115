-- name: run
-- Whose a run, an execution or an artifact is that somebody speaks of, asked of the index.
SELECT ifnull(r.user, ''), e.pipeline
FROM run AS r LEFT JOIN execution AS e ON e.run_id = r.id
WHERE r.run = :id AND r.at_ns IS NOT NULL;

-- name: execution
SELECT ifnull(r.user, ''), e.pipeline
FROM execution AS e LEFT JOIN run AS r ON r.id = e.run_id
WHERE e.execution = :id AND e.at_ns IS NOT NULL;

-- name: artifact
SELECT DISTINCT e.pipeline
FROM artifact AS a
CROSS JOIN event AS v ON v.artifact_id = a.id
CROSS JOIN execution AS e ON e.id = v.execution_id
WHERE a.digest = :digest AND e.pipeline IS NOT NULL;

-- name: content
SELECT DISTINCT ifnull(r.user, ''), e.pipeline
FROM artifact AS a
CROSS JOIN event AS v ON v.artifact_id = a.id
CROSS JOIN execution AS e ON e.id = v.execution_id
LEFT JOIN run AS r ON r.id = e.run_id
WHERE a.digest = :digest;

-- name: series
SELECT ifnull(r.user, ''), e.pipeline
FROM series AS s
CROSS JOIN execution AS e ON e.id = s.execution_id
LEFT JOIN run AS r ON r.id = e.run_id
WHERE s.instance = :id AND s.series BETWEEN :first AND :last AND e.at_ns IS NOT NULL;
