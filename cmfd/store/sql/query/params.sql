-- The parameters of a run; every value of a key that was said.
SELECT
    p.execution,
    coalesce(p.pipeline, '') AS pipeline,
    coalesce(p.stage, '') AS stage,
    p.key,
    p.value_type AS type,
    p.value,
    p.rank,
    p.at_ns
FROM params AS p
JOIN execution AS e ON e.id = p.execution_id
WHERE p.run_id = :run_id
ORDER BY e.at_ns, p.execution, p.key, p.at_ns, p.value_type, p.value
