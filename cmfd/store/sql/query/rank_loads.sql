-- How busy each rank of an execution was, busiest first. Of one of which only its wrapper tells, that.
SELECT
    lower(hex(r.run)) AS run,
    lower(hex(e.execution)) AS execution,
    coalesce(e.pipeline, '') AS pipeline,
    coalesce(e.stage, '') AS stage,
    p.rank,
    min(p.host) AS host,
    CAST(
        CASE WHEN max(p.role <> 'wrapper')
            THEN total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns))
            ELSE total(s.cpu_user_ns + s.cpu_system_ns) END AS INTEGER
    ) AS busy_ns
FROM execution AS e
JOIN run AS r ON r.id = e.run_id
JOIN process AS p ON p.execution_id = e.id
LEFT JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
WHERE e.execution = :execution
GROUP BY e.id, r.id, p.rank
ORDER BY busy_ns DESC, p.rank
LIMIT :limit
