-- name: runs
-- The runs of a report, the latest first: how they ended, what they held and for how long. Of one
-- that the batch system has not told of, as far as it said itself.
SELECT
    c.id AS run_id,
    -- Every text costs its part of a second where there are very many runs.
    CASE WHEN :by = 'run' THEN lower(hex(c.run)) ELSE '' END AS run,
    CASE WHEN :by = 'run' THEN c.user ELSE '' END AS user,
    CASE WHEN :by = 'run' THEN c.job ELSE '' END AS job,
    c.uid,
    c.user = :anonymous AS is_anonymous,
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

-- name: given
-- Energy of chosen runs by meter, in the order of the table, so that nothing is sorted; and without
-- texts, which very many rows would pay for: a grade and method are the number of their first letters.
-- Where several are mixed, the fourth column is another than the third, and `given_apart` has them.
SELECT
    e.run_id, e.meter_id,
    min(unicode(e.grade) * 128 + ifnull(unicode(e.method), 0)),
    max(unicode(e.grade) * 128 + ifnull(unicode(e.method), 0)),
    CAST(total(e.uj) AS INTEGER), CAST(total(e.static_uj) AS INTEGER),
    CAST(total(e.dur_ns) AS INTEGER), CAST(total(e.covered_ns) AS INTEGER)
FROM chosen_run AS c CROSS JOIN energy AS e ON e.run_id = c.id
WHERE e.owner = 'run'
GROUP BY e.run_id, e.meter_id, e.owner;

-- name: given_apart
SELECT
    e.run_id, e.meter_id,
    unicode(e.grade) * 128 + ifnull(unicode(e.method), 0),
    iif(:by_parts, e.execution_id, 0),
    CAST(total(e.uj) AS INTEGER), CAST(total(e.static_uj) AS INTEGER),
    CAST(total(e.dur_ns) AS INTEGER), CAST(total(e.covered_ns) AS INTEGER),
    min(e.t0_ns), max(e.t0_ns + e.dur_ns)
FROM chosen_run AS c CROSS JOIN energy AS e ON e.run_id = c.id
WHERE e.owner = 'run' AND (:run_ids IS NULL OR c.id IN (SELECT value FROM json_each(:run_ids)))
GROUP BY e.run_id, e.meter_id, 4, e.grade, e.method, e.t0_ns / :step_ns;

-- name: meters
SELECT id, node, component, domain, source FROM meter WHERE role = 'count';

-- name: unattributed
-- What no run was given.
SELECT
    m.component, m.source, e.owner, e.grade,
    CAST(total(e.uj) AS INTEGER) AS uj, CAST(total(e.static_uj) AS INTEGER) AS static_uj
FROM meter AS m CROSS JOIN energy AS e ON e.run_id = 0 AND e.meter_id = m.id
WHERE m.role = 'count' AND e.owner IN ('idle', 'system')
  AND (:node IS NULL OR m.node = :node)
  AND (:since_ns IS NULL OR e.t0_ns >= :since_ns)
  AND (:until_ns IS NULL OR e.t0_ns < :until_ns)
GROUP BY m.component, m.source, e.owner, e.grade;
