-- A metric of an execution chunk by chunk, in the order of its steps: enough to draw it small.
SELECT c.value_sum / nullif(c.n_values - c.n_nan, 0) AS mean
FROM execution AS e
JOIN series AS s ON s.execution_id = e.id
JOIN chunk AS c ON c.series_id = s.id
WHERE e.execution = :execution
  AND s.name = :name
ORDER BY c.step_min, s.id, c.block
LIMIT :limit
