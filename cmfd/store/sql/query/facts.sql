-- Facts of a run and of its executions.
SELECT lower(hex(f.subject)) AS subject, f.key, f.value_type AS type, f.value, f.at_ns
FROM fact AS f
WHERE f.subject IN (
    SELECT run FROM run WHERE id = :run_id
    UNION ALL
    SELECT execution FROM execution WHERE run_id = :run_id)
ORDER BY f.subject, f.key
