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
-- the same and began before one of these ended: earlier tries. Each way begins at what is few: the
-- different groups, runs, jobs and inputs of these.
WITH these AS MATERIALIZED (
    SELECT
        e.id, e.run_id, e.pipeline, e.stage, r.job, r.cluster,
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
groups AS MATERIALIZED (SELECT DISTINCT pipeline, stage, grp FROM these WHERE grp IS NOT NULL),
runs_of AS MATERIALIZED (SELECT DISTINCT pipeline, stage, run_id FROM these),
jobs AS MATERIALIZED (
    SELECT DISTINCT pipeline, stage, job, cluster FROM these WHERE job <> ''
),
inputs AS MATERIALIZED (
    SELECT t.pipeline, t.stage, v.artifact_id, max(t.ended_ns) AS ended_ns
    FROM these AS t
    CROSS JOIN event AS v ON v.execution_id = t.id AND v.direction = 'input'
    WHERE t.grp IS NULL
    GROUP BY t.pipeline, t.stage, v.artifact_id
),
found (id) AS (
    SELECT e.id
    FROM groups AS g
    CROSS JOIN fact AS f ON f.key = 'group' AND f.value = g.grp
    CROSS JOIN execution AS e ON e.execution = f.subject
    WHERE e.pipeline = g.pipeline AND e.stage = g.stage
    UNION
    SELECT e.id
    FROM groups AS g
    CROSS JOIN fact AS f ON f.key = 'group' AND f.value = g.grp
    CROSS JOIN run AS r ON r.run = f.subject
    CROSS JOIN execution AS e INDEXED BY execution_by_run ON e.run_id = r.id
    WHERE e.pipeline = g.pipeline AND e.stage = g.stage
      AND NOT EXISTS (
        SELECT 1 FROM fact AS o
        WHERE o.subject = e.execution AND o.key = 'group' AND o.value <> g.grp
      )
    UNION
    SELECT e.id
    FROM runs_of AS o
    CROSS JOIN execution AS e INDEXED BY execution_by_run ON e.run_id = o.run_id
    WHERE e.pipeline = o.pipeline AND e.stage = o.stage
    UNION
    SELECT e.id
    FROM run AS r
    JOIN jobs AS k ON k.job = r.job AND k.cluster = r.cluster
    CROSS JOIN execution AS e INDEXED BY execution_by_run ON e.run_id = r.id
    WHERE e.pipeline = k.pipeline AND e.stage = k.stage
    UNION
    SELECT e.id
    FROM inputs AS n
    CROSS JOIN event AS v INDEXED BY event_by_artifact
        ON v.artifact_id = n.artifact_id AND v.direction = 'input'
    CROSS JOIN execution AS e ON e.id = v.execution_id
    LEFT JOIN run AS r ON r.id = e.run_id
    WHERE e.pipeline = n.pipeline AND e.stage = n.stage AND e.at_ns < n.ended_ns
      AND NOT EXISTS (
        SELECT 1 FROM fact AS f WHERE f.key = 'group' AND f.subject IN (e.execution, r.run)
      )
)
SELECT id FROM found WHERE id NOT IN (SELECT value FROM json_each(:ids)) ORDER BY id;

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
