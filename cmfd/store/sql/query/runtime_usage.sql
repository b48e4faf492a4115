-- CPU time by host of the executions of a report: of wrappers, whose reading may include others, and
-- of all others.
SELECT
    e.execution,
    p.host,
    CAST(total((p.role = 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)) AS INTEGER) AS wrapper_ns,
    CAST(total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)) AS INTEGER) AS other_ns
FROM chosen_execution AS c
JOIN execution AS e ON e.id = c.id
JOIN process AS p ON p.execution_id = e.id
JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
GROUP BY e.id, p.host
