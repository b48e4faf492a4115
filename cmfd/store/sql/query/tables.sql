-- name: runs
-- A site as plain tables, columns in the order in which cmfd/query/tables.py describes them. `{run}`,
-- `{execution}` and `{artifact}` are conditions on `v`, by which a filter of executions chooses.
SELECT
    v.run, v.cluster, v.job, v.restart, v.user, v.name, v.command, v.cwd, v.status, v.job_state,
    v.exit_code, v.signal, v.began_ns, v.ended_ns, v.wall_s, v.n_executions, v.n_nodes, v.n_processes,
    v.cpu_s, v.max_rss_bytes, v.dropped
FROM runs AS v WHERE {run};

-- name: executions
SELECT
    v.execution, v.run, v.parent, v.pipeline, v.stage, v.step, v.status, v.exit_code, v.signal,
    v.began_ns, v.ended_ns, v.wall_s, v.n_processes, v.n_ranks, v.cpu_s, v.max_rss_bytes, v.dropped
FROM executions AS v WHERE {execution};

-- name: processes
SELECT
    v.execution, v.instance, v.rank, v.size, v.host, v.pid, v.role, v.status, v.exit_code, v.signal,
    v.began_ns, v.ended_ns, v.wall_s, v.cpu_user_s, v.cpu_system_s, v.max_rss_bytes, v.dropped
FROM processes AS v WHERE {execution};

-- name: params
SELECT v.execution, v.pipeline, v.stage, v.rank, v.key, v.value_type, v.value
FROM params AS v WHERE {execution};

-- name: facts
SELECT v.subject, v.key, v.at_ns, v.value_type, v.value
FROM facts AS v WHERE {fact};

-- name: metrics
SELECT
    v.execution, v.pipeline, v.stage, v.name, v.rank, v.host, v.n_values, v.n_nan, v.min, v.max,
    v.mean, v.last, v.last_step, v.step_min, v.step_max, v.first_ns, v.last_ns
FROM metrics AS v WHERE {execution};

-- name: points
-- What the values are read from, one row a metric of a process.
SELECT
    v.series_id, v.n_values, coalesce(v.rank, 0) AS rank, v.execution, v.pipeline, v.stage, v.name
FROM metrics AS v
WHERE v.run_id IS NOT NULL AND v.name IS NOT NULL AND {execution}
ORDER BY v.run_id, v.execution, v.name, v.series_id;

-- name: artifacts
SELECT
    v.digest, v.strong, v.kind, v.path, v.size_bytes, v.n_files, v.n_paths, v.n_producers,
    v.n_consumers
FROM artifacts AS v WHERE {artifact};

-- name: events
SELECT
    v.execution, v.pipeline, v.stage, v.direction, v.kind, v.path, v.digest, v.size_bytes, v.n_files,
    v.rank, v.host, v.absolute, v.properties, v.problem, v.at_ns
FROM events AS v WHERE {execution};

-- name: notes
SELECT v.subject, v.kind, v.text, v.author, v.at_ns FROM notes AS v;

-- name: energy
SELECT
    v.run, v.execution, v.node, v.owner, v.component, v.domain, v.source, v.role, v.grade, v.method,
    v.t0_ns, v.dur_ns / 1e9, v.uj, v.static_uj
FROM energy_rows AS v WHERE {run};

-- name: packs
SELECT v.digest, v.size_bytes, v.cluster, v.node, v.final, v.sealed_ns, v.merged_ns
FROM packs AS v;
