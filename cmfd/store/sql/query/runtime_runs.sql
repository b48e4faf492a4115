-- The runs of a report that have executions: what they are put together by, how long they took, and how
-- busy they were.
SELECT
    CASE :by
        WHEN 'user' THEN c.user
        WHEN 'month' THEN strftime('%Y-%m', c.ended_ns / 1000000000, 'unixepoch')
        WHEN 'account' THEN s.account
        WHEN 'partition' THEN s.partition
        WHEN 'project' THEN s.project
        WHEN 'run' THEN lower(hex(c.run))
        END AS name,
    CASE WHEN :by = 'run' THEN c.job END AS job,
    CASE WHEN :by = 'run' THEN c.user END AS user,
    c.id AS run_id,
    max(coalesce(z.at_ns, s.ended_ns) - c.at_ns, 0) AS wall_ns,
    s.cpus, s.n_executions, s.n_ranks, s.cpu_ns, s.imbalance
FROM chosen_run AS c
CROSS JOIN run_sum AS s ON s.run_id = c.id
LEFT JOIN run_end AS z ON z.run_id = c.id
WHERE s.n_executions > 0
ORDER BY c.at_ns DESC, c.run
