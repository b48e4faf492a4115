-- The chosen runs of jobs as the batch system counted them: one row each of whose job it is known
-- what became of it. A filter whose parameter is null is off.
WITH chosen AS (
    SELECT r.id AS run_id, r.run, r.user, r.job, r.at_ns
    FROM run AS r
    WHERE r.job <> ''
      AND (:run_id IS NULL OR r.id = :run_id)
      AND (:user IS NULL OR r.user = :user)
      AND (:since_ns IS NULL OR r.at_ns >= :since_ns)
    ORDER BY r.at_ns DESC, r.id DESC
    LIMIT :limit
),
known AS (
    SELECT
        f.subject,
        max(CASE f.key WHEN 'slurm.account' THEN f.value END) AS account,
        max(CASE f.key WHEN 'slurm.partition' THEN f.value END) AS partition,
        max(CASE f.key WHEN 'slurm.state' THEN f.value END) AS state,
        max(CASE f.key WHEN 'slurm.eligible_time_s' THEN f.value END) AS eligible_s,
        max(CASE f.key WHEN 'slurm.start_time_s' THEN f.value END) AS start_s,
        max(CASE f.key WHEN 'slurm.elapsed_s' THEN f.value END) AS elapsed_s,
        max(CASE f.key WHEN 'slurm.time_limit_s' THEN f.value END) AS limit_s,
        max(CASE f.key WHEN 'slurm.cpus' THEN f.value END) AS cpus,
        max(CASE f.key WHEN 'slurm.total_cpu_s' THEN f.value END) AS cpu_s,
        max(CASE f.key WHEN 'slurm.requested_memory_bytes' THEN f.value END) AS memory_bytes,
        max(CASE f.key WHEN 'slurm.used_memory_bytes' THEN f.value END) AS used_memory_bytes
    FROM fact AS f
    WHERE f.subject IN (SELECT run FROM chosen) AND f.key BETWEEN 'slurm.' AND 'slurm/'
    GROUP BY f.subject
)
SELECT
    lower(hex(c.run)) AS run,
    c.job,
    coalesce(c.user, '') AS user,
    coalesce(CAST(k.account AS TEXT), '') AS account,
    coalesce(CAST(k.partition AS TEXT), '') AS partition,
    CAST(k.state AS TEXT) AS state,
    max(CAST(k.start_s AS INTEGER) - CAST(k.eligible_s AS INTEGER), 0) AS queued_s,
    CAST(coalesce(k.elapsed_s, 0) AS INTEGER) AS elapsed_s,
    CAST(k.limit_s AS INTEGER) AS limit_s,
    CAST(coalesce(k.cpus, 0) AS INTEGER) AS cpus,
    CAST(k.cpu_s AS REAL) AS cpu_s,
    CAST(k.memory_bytes AS INTEGER) AS memory_bytes,
    CAST(k.used_memory_bytes AS INTEGER) AS used_memory_bytes
FROM chosen AS c
JOIN known AS k ON k.subject = c.run
WHERE k.state IS NOT NULL
ORDER BY c.at_ns DESC, c.run_id DESC
