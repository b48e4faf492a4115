-- Facts of a run and of its executions, but for what exports are made of.
SELECT lower(hex(f.subject)) AS subject, f.key, f.value_type AS type, f.value, f.at_ns
FROM fact AS f
WHERE f.subject IN (
    SELECT run FROM run WHERE id = :run_id
    UNION ALL
    SELECT execution FROM execution WHERE run_id = :run_id)
  AND f.key <> 'mlmd.execution'
ORDER BY f.subject, f.key
