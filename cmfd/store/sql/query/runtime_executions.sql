-- Executions of the chosen runs with what runtime reports group by. A filter whose parameter is
-- null is off.
WITH chosen AS (
    SELECT run_id, run, user, began_ns, ended_ns
    FROM runs
    WHERE (:run_id IS NULL OR run_id = :run_id)
      AND (:user IS NULL OR user = :user)
      AND (:since_ns IS NULL OR began_ns >= :since_ns)
    ORDER BY began_ns DESC, run_id DESC
    LIMIT :limit
)
SELECT
    e.execution,
    e.parent,
    c.run,
    coalesce(c.user, '') AS user,
    coalesce(e.pipeline, '') AS pipeline,
    coalesce(e.stage, '') AS stage,
    (
        SELECT CAST(f.value AS INTEGER)
        FROM run AS r JOIN fact AS f ON f.subject = r.run
        WHERE r.id = c.run_id AND f.key = 'slurm.cpus'
    ) AS cores,
    c.began_ns AS run_began_ns,
    c.ended_ns AS run_ended_ns,
    e.began_ns,
    -- Of one that did not end yet: when it was last heard of.
    coalesce(e.ended_ns, (
        SELECT max(s.at_ns) FROM process_state AS s WHERE s.execution_id = e.execution_id
    )) AS ended_ns
FROM chosen AS c
JOIN executions AS e ON e.run_id = c.run_id
ORDER BY c.began_ns DESC, c.run, e.began_ns, e.execution
