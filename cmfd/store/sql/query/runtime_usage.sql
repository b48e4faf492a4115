-- CPU time by host of the executions of the chosen runs (as in runtime_executions): of wrappers,
-- whose reading may include others, and of all others.
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
    e.execution,
    p.host,
    CAST(total((p.role = 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)) AS INTEGER) AS wrapper_ns,
    CAST(total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)) AS INTEGER) AS other_ns
FROM chosen AS c
JOIN execution AS e ON e.run_id = c.id
JOIN process AS p ON p.execution_id = e.id
JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
GROUP BY e.id, p.host
