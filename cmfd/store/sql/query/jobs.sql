-- The chosen runs of jobs as the batch system counted them: one row each of whose job it is known
-- what became of it. A filter whose parameter is null is off. A look-up for each fact is twice as
-- fast as gathering all facts of a run.
WITH chosen AS (
    SELECT r.id AS run_id, r.run, r.user, r.job, r.at_ns
    FROM run AS r
    WHERE r.job <> ''
      AND (:run_id IS NULL OR r.id = :run_id)
      AND (:user IS NULL OR r.user = :user)
      AND (:since_ns IS NULL OR r.at_ns >= :since_ns)
    ORDER BY r.at_ns DESC, r.id DESC
    LIMIT :limit
)
SELECT
    lower(hex(c.run)) AS run,
    c.job,
    coalesce(c.user, '') AS user,
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.account'
    ), '') AS account,
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.partition'
    ), '') AS partition,
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
FROM chosen AS c
CROSS JOIN fact AS j ON j.subject = c.run AND j.key = 'slurm.state'
ORDER BY c.at_ns DESC, c.run_id DESC
