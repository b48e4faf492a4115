-- The executions of a report: what they are put together by, how long they took, and how busy their
-- ranks were.
WITH process_load AS (
    SELECT
        e.id AS execution_id,
        p.rank,
        p.role <> 'wrapper' AS is_rank,
        s.cpu_user_ns + s.cpu_system_ns AS cpu_ns,
        s.at_ns
    FROM chosen_execution AS e
    JOIN process AS p ON p.execution_id = e.id
    LEFT JOIN process_state AS s ON s.execution_id = p.execution_id AND s.instance = p.instance
),
-- A rank is all processes that have its number; of one of which only its wrapper tells, that.
rank_load AS (
    SELECT
        execution_id,
        CAST(
            CASE WHEN max(is_rank) THEN total(is_rank * cpu_ns) ELSE total(cpu_ns) END AS INTEGER
        ) AS busy_ns,
        max(at_ns) AS read_ns
    FROM process_load
    GROUP BY execution_id, rank
),
load AS (
    SELECT
        execution_id,
        count(*) AS n_ranks,
        CAST(total(busy_ns) AS INTEGER) AS busy_ns,
        max(busy_ns) AS worst_ns,
        max(read_ns) AS read_ns
    FROM rank_load
    GROUP BY execution_id
)
SELECT
    e.execution,
    e.parent,
    c.run,
    -- Only what they are put together by: of a large site, every text costs its part of a second.
    CASE WHEN :by = 'run' THEN c.job END AS job,
    CASE WHEN :by IN ('run', 'user') THEN c.user END AS user,
    CASE WHEN :by = 'account' THEN coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.account'
    ), '') END AS account,
    CASE WHEN :by = 'partition' THEN coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.partition'
    ), '') END AS partition,
    CASE WHEN :by = 'project' THEN coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'project'
    ), (
        SELECT min(CAST(f.value AS TEXT))
        FROM execution AS q JOIN fact AS f ON f.subject = q.execution
        WHERE q.run_id = c.id AND f.key = 'project'
    ), '') END AS project,
    CASE WHEN :by = 'month' THEN strftime('%Y-%m', c.at_ns / 1000000000, 'unixepoch') END AS month,
    CASE WHEN :by IN ('pipeline', 'stage') THEN coalesce(e.pipeline, '') END AS pipeline,
    CASE WHEN :by = 'stage' THEN coalesce(e.stage, '') END AS stage,
    (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.cpus'
    ) AS cores,
    c.at_ns AS run_began_ns,
    y.at_ns AS run_ended_ns,
    e.at_ns AS began_ns,
    -- Of one that did not end yet: when it was last heard of.
    coalesce(z.at_ns, l.read_ns) AS ended_ns,
    coalesce(l.n_ranks, 0) AS n_ranks,
    coalesce(l.busy_ns, 0) AS busy_ns,
    coalesce(l.worst_ns, 0) AS worst_ns
FROM chosen_run AS c
LEFT JOIN run_end AS y ON y.run_id = c.id
JOIN execution AS e ON e.run_id = c.id
JOIN chosen_execution AS x ON x.id = e.id
LEFT JOIN execution_end AS z ON z.execution_id = e.id
LEFT JOIN load AS l ON l.execution_id = e.id
ORDER BY c.at_ns DESC, c.run, e.at_ns, e.execution
