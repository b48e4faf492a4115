-- What the executions of a run consumed and produced.
SELECT
    v.execution,
    coalesce(v.pipeline, '') AS pipeline,
    coalesce(v.stage, '') AS stage,
    v.direction, v.kind, v.path, v.absolute, v.host, v.rank, v.digest,
    nullif(v.strong, '') AS strong,
    nullif(v.size_bytes, -1) AS size_bytes,
    v.n_files, v.properties, v.problem, v.at_ns
FROM events AS v
JOIN execution AS e ON e.id = v.execution_id
WHERE v.run_id = :run_id
ORDER BY e.at_ns, v.execution, v.direction, v.path, v.digest
