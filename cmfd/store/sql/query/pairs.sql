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
