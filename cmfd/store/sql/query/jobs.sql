-- Of the runs of a report, jobs as the batch system counted them: one row each of whose job it is
-- known what became of it.
SELECT
    -- Only what they are put together by: of a large site, every text costs its part of a second.
    CASE WHEN :by = 'run' THEN lower(hex(c.run)) END AS run,
    CASE WHEN :by = 'run' THEN c.job END AS job,
    CASE WHEN :by IN ('run', 'user') THEN c.user END AS user,
    CASE WHEN :by = 'account' THEN s.account END AS account,
    CASE WHEN :by = 'partition' THEN s.partition END AS partition,
    CASE WHEN :by = 'project' THEN s.project END AS project,
    CASE WHEN :by = 'month' THEN strftime('%Y-%m', c.ended_ns / 1000000000, 'unixepoch') END
        AS month,
    s.state, s.queued_s, coalesce(s.elapsed_s, 0) AS elapsed_s, s.limit_s, s.cpus, s.cpu_s,
    s.memory_bytes, s.used_memory_bytes
FROM chosen_run AS c CROSS JOIN run_sum AS s ON s.run_id = c.id
WHERE c.job <> '' AND s.state IS NOT NULL
ORDER BY c.at_ns DESC, c.id DESC
