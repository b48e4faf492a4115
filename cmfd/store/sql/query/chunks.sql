-- The chunks that may hold values of a metric of a run, within ranks and steps if those are given.
-- From the run on: all runs may have logged a metric of that name.
SELECT
    lower(hex(e.execution)) AS execution,
    coalesce(p.rank, 0) AS rank,
    c.n_values,
    c.step_min,
    c.step_max,
    c.data
FROM execution AS e
CROSS JOIN series AS s ON s.execution_id = e.id
CROSS JOIN chunk AS c ON c.series_id = s.id
LEFT JOIN process AS p ON p.execution_id = s.execution_id AND p.instance = s.instance
WHERE e.run_id = :run_id
  AND s.name = :name
  AND (:execution IS NULL OR e.execution = :execution)
  AND (:rank IS NULL OR coalesce(p.rank, 0) = :rank)
  AND (:step_from IS NULL OR c.step_max >= :step_from)
  AND (:step_to IS NULL OR c.step_min < :step_to)
ORDER BY e.at_ns, e.execution, rank, s.id, c.block
