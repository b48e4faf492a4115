-- The processes of a run with their latest readings.
SELECT
    lower(hex(e.execution)) AS execution,
    lower(hex(p.instance)) AS instance,
    p.rank, p.size, p.local_rank, p.host, p.pid, p.role,
    p.at_ns AS began_ns,
    coalesce(s.at_ns, p.at_ns) AS seen_ns,
    coalesce(s.status, 'running') AS status,
    s.exit_code,
    s.signal,
    coalesce(s.cpu_user_ns, 0) AS cpu_user_ns,
    coalesce(s.cpu_system_ns, 0) AS cpu_system_ns,
    coalesce(s.max_rss_bytes, 0) AS max_rss_bytes,
    coalesce(s.dropped, 0) AS dropped
FROM execution AS e
JOIN process AS p ON p.execution_id = e.id
LEFT JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
WHERE e.run_id = :run_id
ORDER BY e.at_ns, e.execution, p.role, p.rank, p.at_ns, p.instance
