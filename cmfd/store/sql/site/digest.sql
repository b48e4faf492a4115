-- The content of a site, table by table, as `cmfd site digest` reads it: the table's name, then the
-- row with ids in place of this file's own integers. Ordered by the row's leading id only: ids and
-- digests sort alike in every database, other text need not. Rows that were only named by others,
-- and the ledger, are no content.

SELECT 'run', run, at_ns, origin, uid, cluster, job, restart, user, name, command, cwd
FROM run WHERE at_ns IS NOT NULL ORDER BY run;

SELECT 'run_end', r.run, x.at_ns, x.origin, x.status, x.exit_code, x.signal
FROM run AS r CROSS JOIN run_end AS x ON x.run_id = r.id ORDER BY r.run;

SELECT 'delivery', r.run, x.node, x.at_ns, x.origin, x.final, x.n_open, x.job_over
FROM run AS r CROSS JOIN delivery AS x ON x.run_id = r.id ORDER BY r.run;

SELECT 'execution', e.execution, e.at_ns, e.origin, r.run, e.parent, e.pipeline, e.stage, e.step
FROM execution AS e CROSS JOIN run AS r ON r.id = e.run_id
WHERE e.at_ns IS NOT NULL ORDER BY e.execution;

SELECT 'execution_end', e.execution, x.at_ns, x.origin, x.status, x.exit_code, x.signal
FROM execution AS e CROSS JOIN execution_end AS x ON x.execution_id = e.id ORDER BY e.execution;

SELECT 'process', e.execution, x.instance, x.at_ns, x.origin, x.rank, x.size, x.local_rank, x.host,
    x.pid, x.role
FROM execution AS e CROSS JOIN process AS x ON x.execution_id = e.id ORDER BY e.execution;

SELECT 'process_state', e.execution, x.instance, x.at_ns, x.origin, x.status, x.exit_code, x.signal,
    x.cpu_user_ns, x.cpu_system_ns, x.max_rss_bytes, x.dropped
FROM execution AS e CROSS JOIN process_state AS x ON x.execution_id = e.id ORDER BY e.execution;

SELECT 'param', e.execution, x.key, x.value_type, x.value, x.at_ns, x.origin, x.rank
FROM execution AS e CROSS JOIN param AS x ON x.execution_id = e.id ORDER BY e.execution;

SELECT 'fact', subject, key, at_ns, origin, value_type, value FROM fact ORDER BY subject;

SELECT 'artifact', digest, strong, size_bytes, n_files
FROM artifact WHERE strong IS NOT NULL ORDER BY digest;

SELECT 'event', e.execution, x.direction, a.digest, x.path, x.at_ns, x.origin, x.kind, x.host,
    x.absolute, x.rank, x.properties, x.problem
FROM execution AS e
CROSS JOIN event AS x ON x.execution_id = e.id
CROSS JOIN artifact AS a ON a.id = x.artifact_id
ORDER BY e.execution;

SELECT 'link', s.digest, x.relation, o.digest, x.name, x.at_ns, x.origin
FROM artifact AS s
CROSS JOIN link AS x ON x.subject_id = s.id
CROSS JOIN artifact AS o ON o.id = x.object_id
ORDER BY s.digest;

SELECT 'slice_members', a.digest, x.document
FROM artifact AS a CROSS JOIN slice_members AS x ON x.artifact_id = a.id ORDER BY a.digest;

SELECT 'note', note, subject, kind, text, at_ns, uid, author FROM note ORDER BY note;

SELECT 'energy', x.t0_ns, m.node, m.boot, x.owner, ifnull(r.run, zeroblob(16)),
    ifnull(e.execution, zeroblob(16)), m.component, m.domain, m.source, m.role, x.dur_ns, x.at_ns,
    x.uj, x.static_uj, x.cpu_ns, x.covered_ns, x.grade, x.method, x.flags, x.origin
FROM energy AS x
CROSS JOIN meter AS m ON m.id = x.meter_id
LEFT JOIN run AS r ON r.id = x.run_id
LEFT JOIN execution AS e ON e.id = x.execution_id
ORDER BY x.t0_ns;

SELECT 'energy_probe', boot, node, source, at_ns, origin, status, reason, advice, grade, scope,
    components, domains, chosen
FROM energy_probe ORDER BY boot;

SELECT 'node_hardware', boot, node, at_ns, origin, cluster, cpu_model, n_sockets, n_cores,
    n_threads, memory_bytes, gpus
FROM node_hardware ORDER BY boot;

-- Without those of copies (see cmfd/formats/mlmd/ingest.py), whose facts say the same.
SELECT 'environment', digest, document FROM environment
WHERE document IS NOT NULL AND (digest < 'copy:' OR digest >= 'copy;') ORDER BY digest;

SELECT 'execution_environment', e.execution, x.at_ns, x.origin, n.digest
FROM execution AS e
CROSS JOIN execution_environment AS x ON x.execution_id = e.id
CROSS JOIN environment AS n ON n.id = x.environment_id
ORDER BY e.execution;

SELECT 'series', s.instance, s.series, e.execution, s.name, s.kind
FROM series AS s CROSS JOIN execution AS e ON e.id = s.execution_id ORDER BY s.instance;

SELECT 'chunk', s.instance, s.series, x.block, x.n_values, x.n_nan, x.step_min, x.step_max,
    x.first_ns, x.last_ns, x.value_min, x.value_max, x.value_sum, x.last_step, x.last_value, x.data
FROM series AS s CROSS JOIN chunk AS x ON x.series_id = s.id ORDER BY s.instance;
