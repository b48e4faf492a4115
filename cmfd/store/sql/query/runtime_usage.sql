-- CPU time by rank and host of the executions of the chosen runs (as in runtime_executions).
WITH chosen AS (
    SELECT id
    FROM run
    WHERE (:run_id IS NULL OR id = :run_id)
      AND (:user IS NULL OR user = :user)
      AND (:since_ns IS NULL OR at_ns >= :since_ns)
    ORDER BY at_ns DESC, id DESC
    LIMIT :limit
)
SELECT
    lower(hex(e.execution)) AS execution,
    p.host,
    p.rank,
    p.role,
    coalesce(sum(s.cpu_user_ns + s.cpu_system_ns), 0) AS cpu_ns
FROM chosen AS c
JOIN execution AS e ON e.run_id = c.id
JOIN process AS p ON p.execution_id = e.id
LEFT JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
GROUP BY e.id, p.host, p.rank, p.role
