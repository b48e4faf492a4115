-- name: executions
-- Executions by their numbers, and all others of their runs, with what their run has.
WITH chosen AS (
    SELECT DISTINCT e.run_id FROM json_each(:ids) AS j CROSS JOIN execution AS e ON e.id = j.value
)
SELECT
    e.id AS execution_id, e.run_id,
    x.execution, x.run, x.parent,
    coalesce(x.pipeline, '') AS pipeline,
    coalesce(x.stage, '') AS stage,
    x.status, x.began_ns,
    -- Of one that did not end yet: when it was last heard of.
    coalesce(x.ended_ns, (
        SELECT max(s.at_ns) FROM process_state AS s WHERE s.execution_id = e.id
    )) AS ended_ns,
    max(x.n_ranks, 1) AS n_ranks,
    coalesce(r.user, '') AS user,
    r.uid,
    coalesce(r.cluster, '') AS cluster,
    coalesce(r.job, '') AS job,
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = e.execution AND f.key = 'variant'
    ), (
        SELECT CAST(f.value AS TEXT) FROM fact AS f WHERE f.subject = r.run AND f.key = 'variant'
    ), '') AS variant,
    r.at_ns AS run_began_ns,
    (SELECT z.at_ns FROM run_end AS z WHERE z.run_id = e.run_id) AS run_ended_ns,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.cpus'
    ) AS cores
FROM chosen AS c
CROSS JOIN execution AS e ON e.run_id = c.run_id
CROSS JOIN executions AS x ON x.execution_id = e.id
CROSS JOIN run AS r ON r.id = e.run_id
ORDER BY e.at_ns, e.execution;

-- name: siblings
-- Executions of the same stages as these, that are none of them and belong to the same search (their
-- group, or that of their run), job or run; where neither has a group, also those that read some of
-- the same and began before one of these ended: earlier tries.
WITH these AS (
    SELECT
        e.id, e.run_id, e.pipeline, e.stage, nullif(r.job, '') AS job, r.cluster,
        coalesce((
            SELECT f.value FROM fact AS f WHERE f.subject = e.execution AND f.key = 'group'
        ), (
            SELECT f.value FROM fact AS f WHERE f.subject = r.run AND f.key = 'group'
        )) AS grp,
        coalesce(z.at_ns, e.at_ns) AS ended_ns
    FROM json_each(:ids) AS j
    CROSS JOIN execution AS e ON e.id = j.value
    LEFT JOIN run AS r ON r.id = e.run_id
    LEFT JOIN execution_end AS z ON z.execution_id = e.id
    WHERE e.pipeline IS NOT NULL AND e.stage IS NOT NULL
),
stages AS (SELECT DISTINCT pipeline, stage FROM these),
others AS (
    SELECT
        o.id, o.run_id, o.pipeline, o.stage, o.at_ns, nullif(q.job, '') AS job, q.cluster,
        coalesce((
            SELECT f.value FROM fact AS f WHERE f.subject = o.execution AND f.key = 'group'
        ), (
            SELECT f.value FROM fact AS f WHERE f.subject = q.run AND f.key = 'group'
        )) AS grp
    FROM stages AS s
    CROSS JOIN execution AS o ON o.pipeline = s.pipeline AND o.stage = s.stage
    LEFT JOIN run AS q ON q.id = o.run_id
    WHERE o.id NOT IN (SELECT value FROM json_each(:ids))
)
SELECT DISTINCT o.id
FROM others AS o JOIN these AS t ON t.pipeline = o.pipeline AND t.stage = o.stage
WHERE t.grp = o.grp
   OR t.run_id = o.run_id
   OR t.job = o.job AND t.cluster = o.cluster
   OR t.grp IS NULL AND o.grp IS NULL AND o.at_ns < t.ended_ns AND EXISTS (
        SELECT 1 FROM event AS a
        CROSS JOIN event AS b INDEXED BY event_by_artifact
            ON b.artifact_id = a.artifact_id AND b.direction = 'input' AND b.execution_id = o.id
        WHERE a.execution_id = t.id AND a.direction = 'input'
   )
ORDER BY o.id;

-- name: kinds
-- Which of some artifacts are of a kind, as they were first written, else read.
SELECT a.id, a.digest
FROM json_each(:ids) AS j CROSS JOIN artifact AS a ON a.id = j.value
WHERE coalesce((
    SELECT v.kind FROM event AS v WHERE v.artifact_id = a.id
    ORDER BY v.direction = 'input', v.at_ns, v.path, v.kind LIMIT 1
), 'other') = :kind
ORDER BY a.digest;

-- name: kind
-- What kind of artifact it is, as it was first written, else read.
SELECT coalesce((
    SELECT v.kind FROM event AS v WHERE v.artifact_id = :id
    ORDER BY v.direction = 'input', v.at_ns, v.path, v.kind LIMIT 1
), 'other') AS kind;
