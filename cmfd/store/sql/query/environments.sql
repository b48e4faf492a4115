-- Where and with what the executions of a run ran.
SELECT
    v.execution,
    coalesce(e.pipeline, '') AS pipeline,
    coalesce(e.stage, '') AS stage,
    v.digest,
    coalesce(v.document, '') AS document
FROM environments AS v
JOIN execution AS e ON e.id = v.execution_id
WHERE v.run_id = :run_id
ORDER BY e.at_ns, v.execution
