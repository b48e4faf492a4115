-- Of the runs of a report, jobs as the batch system counted them: one row each of whose job it is
-- known what became of it. A look-up for each fact is twice as fast as gathering all facts of a run.
SELECT
    lower(hex(c.run)) AS run,
    c.job,
    c.user,
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.account'
    ), '') AS account,
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.partition'
    ), '') AS partition,
    CASE WHEN :by = 'project' THEN coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'project'
    ), (
        SELECT min(CAST(f.value AS TEXT))
        FROM execution AS x JOIN fact AS f ON f.subject = x.execution
        WHERE x.run_id = c.id AND f.key = 'project'
    ), '') END AS project,
    strftime('%Y-%m', c.at_ns / 1000000000, 'unixepoch') AS month,
    CAST(j.value AS TEXT) AS state,
    max((
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.start_time_s'
    ) - (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.eligible_time_s'
    ), 0) AS queued_s,
    coalesce((
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.elapsed_s'
    ), 0) AS elapsed_s,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.time_limit_s'
    ) AS limit_s,
    coalesce((
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.cpus'
    ), 0) AS cpus,
    (
        SELECT CAST(f.value AS REAL) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.total_cpu_s'
    ) AS cpu_s,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.requested_memory_bytes'
    ) AS memory_bytes,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.used_memory_bytes'
    ) AS used_memory_bytes
FROM chosen_run AS c
CROSS JOIN fact AS j ON j.subject = c.run AND j.key = 'slurm.state'
WHERE c.job <> ''
ORDER BY c.at_ns DESC, c.id DESC
