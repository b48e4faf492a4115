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
    lower(hex(e.execution)) AS execution,
    p.host,
    sum(CASE WHEN p.role = 'wrapper' THEN s.cpu_user_ns + s.cpu_system_ns ELSE 0 END) AS wrapper_ns,
    sum(CASE WHEN p.role = 'wrapper' THEN 0 ELSE s.cpu_user_ns + s.cpu_system_ns END) AS other_ns
FROM chosen AS c
JOIN execution AS e ON e.run_id = c.id
JOIN process AS p ON p.execution_id = e.id
JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
GROUP BY e.id, p.host
