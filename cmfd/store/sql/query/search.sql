-- name: latest
-- Executions that began in a time, latest first.
SELECT e.id
FROM execution AS e LEFT JOIN run AS r ON r.id = e.run_id
WHERE e.at_ns >= :since_ns AND ({condition})
ORDER BY e.at_ns DESC, e.id DESC
LIMIT :limit;

-- name: since
-- When the latest so many executions began.
SELECT at_ns FROM execution WHERE at_ns IS NOT NULL ORDER BY at_ns DESC LIMIT 1 OFFSET :offset;

-- name: every
-- By what executions have: found by that, and then put into order.
SELECT e.id
FROM execution AS e LEFT JOIN run AS r ON r.id = e.run_id
WHERE +e.at_ns IS NOT NULL AND ({condition})
ORDER BY +e.at_ns DESC, e.id DESC
LIMIT :limit;

-- name: best_max
-- By the greatest value that was logged, on any rank.
SELECT e.id, max(c.value_max) AS value
FROM execution AS e
CROSS JOIN series AS s ON s.execution_id = e.id AND s.name = :metric
CROSS JOIN chunk AS c ON c.series_id = s.id
LEFT JOIN run AS r ON r.id = e.run_id
WHERE e.pipeline = :pipeline AND (:stage IS NULL OR e.stage = :stage)
  AND {used}
  AND ({condition})
GROUP BY e.id
HAVING max(c.value_max) IS NOT NULL
ORDER BY value DESC, e.at_ns DESC, e.id
LIMIT :limit;

-- name: best_min
SELECT e.id, min(c.value_min) AS value
FROM execution AS e
CROSS JOIN series AS s ON s.execution_id = e.id AND s.name = :metric
CROSS JOIN chunk AS c ON c.series_id = s.id
LEFT JOIN run AS r ON r.id = e.run_id
WHERE e.pipeline = :pipeline AND (:stage IS NULL OR e.stage = :stage)
  AND {used}
  AND ({condition})
GROUP BY e.id
HAVING min(c.value_min) IS NOT NULL
ORDER BY value, e.at_ns DESC, e.id
LIMIT :limit;

-- name: executions
SELECT
    x.execution_id AS id, x.execution, x.run,
    coalesce(
        (SELECT CAST(f.value AS TEXT) FROM fact AS f WHERE f.subject = r.run AND f.key = 'name'),
        r.name, ''
    ) AS name,
    coalesce(x.pipeline, '') AS pipeline,
    coalesce(x.stage, '') AS stage,
    x.status, x.began_ns, x.ended_ns,
    coalesce(r.user, '') AS user,
    coalesce(r.cluster, '') AS cluster,
    coalesce(r.job, '') AS job
FROM json_each(:ids) AS j
CROSS JOIN executions AS x ON x.execution_id = j.value
LEFT JOIN run AS r ON r.id = x.run_id
ORDER BY j.key;

-- name: tainted
-- Those of some executions that are marked as tainted, or are of a run that is, or read or wrote
-- something that is.
SELECT e.id
FROM json_each(:ids) AS j
CROSS JOIN execution AS e ON e.id = j.value
LEFT JOIN run AS r ON r.id = e.run_id
WHERE EXISTS (
    SELECT 1 FROM tainted AS n
    WHERE n.subject IN (lower(hex(e.execution)), lower(hex(r.run)))
) OR EXISTS (
    SELECT 1 FROM event AS v CROSS JOIN artifact AS a ON a.id = v.artifact_id
    CROSS JOIN tainted AS n ON n.subject = a.digest
    WHERE v.execution_id = e.id
);

-- name: params
SELECT p.execution_id, p.key, p.value_type, p.value
FROM json_each(:ids) AS j CROSS JOIN param AS p ON p.execution_id = j.value
ORDER BY p.execution_id, p.key, p.at_ns;

-- name: last
-- A metric's last value, of the lowest rank that logged it.
SELECT m.execution_id, m.value
FROM json_each(:ids) AS j CROSS JOIN metrics_last AS m ON m.execution_id = j.value
WHERE m.name = :metric
ORDER BY m.execution_id, m.rank DESC;

-- name: metric_names
SELECT DISTINCT s.name
FROM execution AS e CROSS JOIN series AS s ON s.execution_id = e.id
WHERE e.pipeline = :pipeline AND s.name IS NOT NULL
ORDER BY s.name;

-- name: has_pipeline
SELECT 1 FROM execution WHERE pipeline = :pipeline LIMIT 1;
