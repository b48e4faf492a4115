-- The executions of a run, in the order they began.
SELECT
    execution, run, parent,
    coalesce(pipeline, '') AS pipeline,
    coalesce(stage, '') AS stage,
    coalesce(step, '') AS step,
    began_ns, ended_ns, status, exit_code, signal, n_ranks,
    (
        SELECT n.digest FROM environments AS n WHERE n.execution_id = executions.execution_id
    ) AS environment
FROM executions
WHERE run_id = :run_id
ORDER BY began_ns, execution
