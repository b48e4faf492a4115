-- The executions of a report: what they are put together by, how long they took, and how busy their
-- ranks were.
SELECT
    e.id,
    e.execution,
    e.parent,
    c.run,
    -- Only what they are put together by: of a large site, every text costs its part of a second.
    CASE WHEN :by = 'run' THEN c.job END AS job,
    CASE WHEN :by IN ('run', 'user') THEN c.user END AS user,
    CASE WHEN :by = 'account' THEN coalesce(s.account, '') END AS account,
    CASE WHEN :by = 'partition' THEN coalesce(s.partition, '') END AS partition,
    CASE WHEN :by = 'project' THEN coalesce(s.project, '') END AS project,
    CASE WHEN :by = 'month' THEN strftime('%Y-%m', c.ended_ns / 1000000000, 'unixepoch') END AS month,
    CASE WHEN :by IN ('pipeline', 'stage') THEN coalesce(e.pipeline, '') END AS pipeline,
    CASE WHEN :by = 'stage' THEN coalesce(e.stage, '') END AS stage,
    s.cpus AS cores,
    c.at_ns AS run_began_ns,
    y.at_ns AS run_ended_ns,
    e.at_ns AS began_ns,
    -- Of one that did not end yet: when it was last heard of.
    coalesce(z.at_ns, l.read_ns) AS ended_ns,
    coalesce(l.n_ranks, 0) AS n_ranks,
    coalesce(l.busy_ns, 0) AS busy_ns,
    coalesce(l.worst_ns, 0) AS worst_ns,
    coalesce(l.cpu_ns, 0) AS cpu_ns
FROM chosen_run AS c
LEFT JOIN run_end AS y ON y.run_id = c.id
JOIN execution AS e ON e.run_id = c.id
JOIN chosen_execution AS x ON x.id = e.id
LEFT JOIN execution_end AS z ON z.execution_id = e.id
LEFT JOIN execution_sum AS l ON l.execution_id = e.id
LEFT JOIN run_sum AS s ON s.run_id = c.id
ORDER BY c.at_ns DESC, c.run, e.at_ns, e.execution
