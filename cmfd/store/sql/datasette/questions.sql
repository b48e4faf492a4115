-- name: runs_and_energy
SELECT
    v.short AS run, v.began AS began_utc, v.user, v.job, v.name, v.status, v.wall_s, v.cpu_s,
    v.max_rss_bytes, v.n_nodes, v.n_processes,
    (SELECT sum(e.energy_j) FROM energy_of_runs AS e WHERE e.run_id = v.run_id) AS energy_j,
    (SELECT max(e.grade) FROM energy_of_runs AS e WHERE e.run_id = v.run_id) AS worst_grade,
    (SELECT group_concat(DISTINCT e.source) FROM energy_of_runs AS e WHERE e.run_id = v.run_id) AS sources
FROM runs AS v
ORDER BY v.at_ns DESC
LIMIT 1000;

-- name: best_values
SELECT
    m.execution, m.pipeline, m.stage, m.rank, m.last AS last_value, m.min, m.max, m.mean, m.n_values,
    e.began AS began_utc, e.status
FROM metrics AS m
JOIN executions AS e ON e.execution_id = m.execution_id
WHERE m.name = :metric
ORDER BY m.last DESC
LIMIT 1000;

-- name: parameters_and_metric
SELECT
    p.stage AS stage_of_parameter, p.key, p.value, m.stage AS stage_of_metric, m.last AS last_value,
    p.execution
FROM params AS p
JOIN metrics AS m ON m.execution_id = p.execution_id AND m.name = :metric
ORDER BY p.key, p.value
LIMIT 1000;

-- name: made_from
WITH RECURSIVE above (artifact_id, depth) AS (
    SELECT DISTINCT v.artifact_id, 0 FROM event AS v WHERE v.path = :path
    UNION
    SELECT i.artifact_id, a.depth + 1
    FROM above AS a
    JOIN event AS o ON o.artifact_id = a.artifact_id AND o.direction = 'output'
    JOIN event AS i ON i.execution_id = o.execution_id AND i.direction = 'input'
    WHERE a.depth < 20
)
SELECT min(a.depth) AS depth, x.kind, x.path, x.digest, x.size_bytes, x.n_producers, x.n_consumers
FROM above AS a
JOIN artifacts AS x ON x.artifact_id = a.artifact_id
GROUP BY x.artifact_id
ORDER BY depth, x.path
LIMIT 1000;

-- name: came_of
WITH RECURSIVE below (artifact_id, depth) AS (
    SELECT DISTINCT v.artifact_id, 0 FROM event AS v WHERE v.path = :path
    UNION
    SELECT o.artifact_id, b.depth + 1
    FROM below AS b
    JOIN event AS i ON i.artifact_id = b.artifact_id AND i.direction = 'input'
    JOIN event AS o ON o.execution_id = i.execution_id AND o.direction = 'output'
    WHERE b.depth < 20
)
SELECT min(b.depth) AS depth, x.kind, x.path, x.digest, x.size_bytes, x.n_producers, x.n_consumers
FROM below AS b
JOIN artifacts AS x ON x.artifact_id = b.artifact_id
GROUP BY x.artifact_id
ORDER BY depth, x.path
LIMIT 1000;
