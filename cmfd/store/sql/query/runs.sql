-- Runs, latest first. A filter whose parameter is null is off.
SELECT
    run_id, run, began_ns, ended_ns, status, job_state, exit_code, signal,
    coalesce(cluster, '') AS cluster,
    coalesce(job, '') AS job,
    coalesce(restart, 0) AS restart,
    coalesce(user, '') AS user,
    uid,
    coalesce(name, '') AS name,
    coalesce(command, '') AS command,
    coalesce(cwd, '') AS cwd,
    n_executions,
    (
        SELECT count(*) FROM executions AS e
        WHERE e.run_id = runs.run_id AND e.status IN ('failed', 'lost')
    ) AS n_failed,
    n_nodes,
    (
        SELECT coalesce(max(e.n_ranks), 0) FROM executions AS e WHERE e.run_id = runs.run_id
    ) AS n_ranks,
    (
        SELECT json_group_array(DISTINCT e.pipeline || '.' || e.stage)
        FROM execution AS e WHERE e.run_id = runs.run_id AND e.pipeline IS NOT NULL
    ) AS stages,
    (
        SELECT json_group_array(DISTINCT CAST(f.value AS TEXT)) FROM fact AS f
        WHERE f.key = 'variant' AND f.subject IN (
            SELECT q.run FROM run AS q WHERE q.id = runs.run_id
            UNION ALL
            SELECT e.execution FROM execution AS e WHERE e.run_id = runs.run_id
        )
    ) AS variants,
    max_rss_bytes,
    dropped
FROM runs
WHERE (:run_id IS NULL OR run_id = :run_id)
  AND (:user IS NULL OR user = :user)
  AND (:status IS NULL OR status = :status)
  AND (:group IS NULL OR run_id IN (
        SELECT q.id FROM fact AS f CROSS JOIN run AS q ON q.run = f.subject
        WHERE f.key = 'group' AND f.value = :group
        UNION ALL
        SELECT e.run_id FROM fact AS f CROSS JOIN execution AS e ON e.execution = f.subject
        WHERE f.key = 'group' AND f.value = :group))
  AND (:since_ns IS NULL OR at_ns >= :since_ns)
  AND (:stage IS NULL AND :pipeline IS NULL OR EXISTS (
        SELECT 1 FROM execution AS e
        WHERE e.run_id = runs.run_id
          AND (:pipeline IS NULL OR e.pipeline = :pipeline)
          AND (:stage IS NULL OR e.stage = :stage)))
ORDER BY at_ns DESC, run_id DESC
LIMIT :limit
