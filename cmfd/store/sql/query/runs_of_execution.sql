-- The runs of the executions whose ids begin so.
SELECT DISTINCT r.id AS run_id, lower(hex(r.run)) AS run, r.job, r.at_ns AS began_ns
FROM execution AS e
JOIN run AS r ON r.id = e.run_id
WHERE e.execution BETWEEN :low AND :high
ORDER BY began_ns DESC, run_id DESC
LIMIT :limit
