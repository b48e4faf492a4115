-- The executions of a run, in the order they began. Where none of its processes spoke for all of it,
-- as the wrapper of each task speaks for that task only, one that it stands as it does for says why.
SELECT
    execution, run, parent,
    coalesce(pipeline, '') AS pipeline,
    coalesce(stage, '') AS stage,
    coalesce(step, '') AS step,
    began_ns, ended_ns, status,
    coalesce(exit_code, CASE WHEN status = 'failed' THEN (
        SELECT max(s.exit_code) FROM process AS p JOIN process_state AS s USING (execution_id, instance)
        WHERE p.execution_id = executions.execution_id AND s.status = 'failed' AND p.role <> 'worker'
    ) END) AS exit_code,
    coalesce(signal, CASE WHEN exit_code IS NULL AND status IN ('failed', 'cancelled') THEN (
        SELECT max(s.signal) FROM process AS p JOIN process_state AS s USING (execution_id, instance)
        WHERE p.execution_id = executions.execution_id AND s.status = executions.status AND p.role <> 'worker'
    ) END) AS signal,
    n_ranks,
    (
        SELECT n.digest FROM environments AS n WHERE n.execution_id = executions.execution_id
    ) AS environment
FROM executions
WHERE run_id = :run_id
ORDER BY began_ns, execution
