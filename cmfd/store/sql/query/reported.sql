-- name: runs
-- The runs of a report, the latest first: how they ended, what they held and for how long. Of one
-- that the batch system has not told of, as far as it said itself.
SELECT
    c.id AS run_id,
    lower(hex(c.run)) AS run,
    c.user,
    c.uid,
    c.job,
    coalesce(
        CAST(j.value AS TEXT), z.status, (SELECT v.status FROM runs AS v WHERE v.run_id = c.id)
    ) AS state,
    coalesce(c.at_ns, 0) AS began_ns,
    coalesce((
        SELECT CAST(f.value AS REAL) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.elapsed_s'
    ), (z.at_ns - c.at_ns) / 1e9, (SELECT v.wall_s FROM runs AS v WHERE v.run_id = c.id)) AS wall_s,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.cpus'
    ) AS cores,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.allocated_gpus'
    ) AS gpus,
    CASE :by
        WHEN 'user' THEN c.user
        WHEN 'month' THEN strftime('%Y-%m', c.at_ns / 1000000000, 'unixepoch')
        WHEN 'account' THEN coalesce((
            SELECT CAST(f.value AS TEXT) FROM fact AS f
            WHERE f.subject = c.run AND f.key = 'slurm.account'), '')
        WHEN 'partition' THEN coalesce((
            SELECT CAST(f.value AS TEXT) FROM fact AS f
            WHERE f.subject = c.run AND f.key = 'slurm.partition'), '')
        WHEN 'project' THEN coalesce((
            SELECT CAST(f.value AS TEXT) FROM fact AS f
            WHERE f.subject = c.run AND f.key = 'project'
        ), (
            SELECT min(CAST(f.value AS TEXT))
            FROM execution AS e JOIN fact AS f ON f.subject = e.execution
            WHERE e.run_id = c.id AND f.key = 'project'
        ), '')
        ELSE '' END AS name
FROM chosen_run AS c
LEFT JOIN run_end AS z ON z.run_id = c.id
LEFT JOIN fact AS j ON j.subject = c.run AND j.key = 'slurm.state'
ORDER BY c.at_ns DESC, c.id DESC;

-- name: executions
-- The executions of a report, with how long they took; one that is nested in another of the same
-- stage (or pipeline, where that is asked for) is part of that.
SELECT
    x.run_id, x.execution_id, x.status, coalesce(x.began_ns, 0) AS began_ns, x.wall_s,
    coalesce(x.pipeline, '') AS pipeline,
    coalesce(x.stage, '') AS stage,
    EXISTS (
        SELECT 1 FROM execution AS e
        JOIN execution AS o ON o.execution = e.parent
        JOIN chosen_execution AS p ON p.id = o.id
        WHERE e.id = q.id AND o.pipeline IS e.pipeline AND (:by = 'pipeline' OR o.stage IS e.stage)
    ) AS is_nested
FROM chosen_execution AS q
JOIN executions AS x ON x.execution_id = q.id
ORDER BY x.began_ns DESC, x.execution_id DESC;

-- name: hosts
-- Which nodes processes of the runs were on.
SELECT DISTINCT c.id, p.host
FROM chosen_run AS c JOIN execution AS e ON e.run_id = c.id JOIN process AS p ON p.execution_id = e.id
UNION
SELECT c.id, d.node FROM chosen_run AS c JOIN delivery AS d ON d.run_id = c.id;
