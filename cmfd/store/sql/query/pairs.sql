-- name: pairs_up
-- Two events in a row, by what the first one is of: up, who wrote an artifact, and each thing that it
-- read; down, what an execution wrote, and each execution that read that. At most so many.
SELECT v.execution_id, w.artifact_id
FROM event AS v
LEFT JOIN event AS w ON w.execution_id = v.execution_id AND w.direction = 'input'
WHERE v.artifact_id = ? AND v.direction = 'output'
LIMIT ?;

-- name: pairs_down
SELECT v.artifact_id, w.execution_id
FROM event AS v
LEFT JOIN event AS w ON w.artifact_id = v.artifact_id AND w.direction = 'input'
WHERE v.execution_id = ? AND v.direction = 'output'
LIMIT ?;

-- name: half_up
-- The second half of a pair.
SELECT DISTINCT v.artifact_id FROM event AS v
WHERE v.execution_id = ? AND v.direction = 'input' LIMIT ?;

-- name: half_down
SELECT DISTINCT v.execution_id FROM event AS v
WHERE v.artifact_id = ? AND v.direction = 'input' LIMIT ?;

-- name: all_up
-- The pairs of all that some of these numbers lead to, each with its first number, and of how many;
-- of no more than so many. For an index that is farther away than a file.
WITH RECURSIVE reached (id) AS (
    SELECT j.value FROM json_each(:ids) AS j
    UNION
    SELECT w.artifact_id
    FROM reached AS r
    CROSS JOIN event AS v ON v.artifact_id = r.id AND v.direction = 'output'
    CROSS JOIN event AS w ON w.execution_id = v.execution_id AND w.direction = 'input'
), few AS MATERIALIZED (
    SELECT r.id FROM reached AS r LIMIT :limit
)
SELECT f.id, v.execution_id, w.artifact_id, (SELECT count(*) FROM few)
FROM few AS f
CROSS JOIN event AS v ON v.artifact_id = f.id AND v.direction = 'output'
LEFT JOIN event AS w ON w.execution_id = v.execution_id AND w.direction = 'input';

-- name: all_down
WITH RECURSIVE reached (id) AS (
    SELECT j.value FROM json_each(:ids) AS j
    UNION
    SELECT w.execution_id
    FROM reached AS r
    CROSS JOIN event AS v ON v.execution_id = r.id AND v.direction = 'output'
    CROSS JOIN event AS w ON w.artifact_id = v.artifact_id AND w.direction = 'input'
), few AS MATERIALIZED (
    SELECT r.id FROM reached AS r LIMIT :limit
)
SELECT f.id, v.artifact_id, w.execution_id, (SELECT count(*) FROM few)
FROM few AS f
CROSS JOIN event AS v ON v.execution_id = f.id AND v.direction = 'output'
LEFT JOIN event AS w ON w.artifact_id = v.artifact_id AND w.direction = 'input';
