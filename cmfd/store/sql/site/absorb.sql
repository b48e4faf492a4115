-- A group of packs into the index: in the order of the statements, in one transaction. Each table
-- `incoming.x` has the rows of all of them, one pack after the other, since preparing a statement
-- takes longer than the few rows of most packs. A statement about tables in which there are none is
-- left out. Chunks, which are many, follow: see absorb_chunks.sql.
--
-- The rule of each kind of table (see content/0001.sql) is the WHERE of its conflict clause. It
-- compares whole rows, with ids in place of this file's own integers and a null before any value,
-- so that no two different rows are equal and the outcome never depends on the order of packs.
--
-- An origin below x'0000000000000001' is an import's, of another program's file (see
-- cmfd/formats/ingested.py): what cmfd recorded itself counts before it, whenever either was said or
-- came, and of an execution or a run that cmfd recorded, nothing imported is kept.
--
-- CROSS JOIN keeps SQLite from reordering: the pack's rows lead, each finding its id by one look-up.

-- Derived: what sums are out of date (see sums.sql), here of the runs that executions are said to be of,
-- which may be others when all of this is done.
INSERT INTO main.stale_run
SELECT DISTINCT e.run_id
FROM incoming.execution AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
WHERE e.run_id IS NOT NULL
ON CONFLICT DO NOTHING;

-- first
INSERT INTO main.run AS t (run, at_ns, origin, uid, cluster, job, restart, user, name, command, cwd)
SELECT run, at_ns, origin, uid, cluster, job, restart, user, name, command, cwd
FROM incoming.run WHERE true
ON CONFLICT (run) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, uid = excluded.uid, cluster = excluded.cluster,
    job = excluded.job, restart = excluded.restart, user = excluded.user, name = excluded.name,
    command = excluded.command, cwd = excluded.cwd
WHERE t.at_ns IS NULL
    OR (excluded.origin < x'0000000000000001',
        excluded.at_ns, excluded.origin, excluded.uid, excluded.cluster, excluded.job,
        excluded.restart, excluded.user, excluded.name, excluded.command, excluded.cwd)
    < (t.origin < x'0000000000000001',
        t.at_ns, t.origin, t.uid, t.cluster, t.job, t.restart, t.user, t.name, t.command, t.cwd);

-- Runs that are only named here.
INSERT INTO main.run (run) SELECT run FROM incoming.run_end WHERE true
ON CONFLICT DO NOTHING;
INSERT INTO main.run (run) SELECT DISTINCT run FROM incoming.execution WHERE true
ON CONFLICT DO NOTHING;

-- last
INSERT INTO main.run_end AS t (run_id, at_ns, origin, status, exit_code, signal)
SELECT r.id, x.at_ns, x.origin, x.status, x.exit_code, x.signal
FROM incoming.run_end AS x CROSS JOIN main.run AS r ON r.run = x.run WHERE true
ON CONFLICT (run_id) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, status = excluded.status,
    exit_code = excluded.exit_code, signal = excluded.signal
WHERE (excluded.origin >= x'0000000000000001', excluded.at_ns, excluded.origin, excluded.status,
        excluded.exit_code IS NOT NULL, ifnull(excluded.exit_code, 0),
        excluded.signal IS NOT NULL, ifnull(excluded.signal, 0))
    > (t.origin >= x'0000000000000001', t.at_ns, t.origin, t.status,
        t.exit_code IS NOT NULL, ifnull(t.exit_code, 0), t.signal IS NOT NULL, ifnull(t.signal, 0));

-- Runs that are only named here.
INSERT INTO main.run (run) SELECT DISTINCT run FROM incoming.delivery WHERE true
ON CONFLICT DO NOTHING;

-- last
INSERT INTO main.delivery AS t (run_id, node, at_ns, origin, final, n_open, job_over)
SELECT r.id, x.node, x.at_ns, x.origin, x.final, x.n_open, x.job_over
FROM incoming.delivery AS x CROSS JOIN main.run AS r ON r.run = x.run WHERE true
ON CONFLICT (run_id, node) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, final = excluded.final,
    n_open = excluded.n_open, job_over = excluded.job_over
WHERE (excluded.at_ns, excluded.origin, excluded.final, excluded.n_open, excluded.job_over)
    > (t.at_ns, t.origin, t.final, t.n_open, t.job_over);

-- first
INSERT INTO main.execution AS t (execution, at_ns, origin, run_id, parent, pipeline, stage, step)
SELECT x.execution, x.at_ns, x.origin, r.id, x.parent, x.pipeline, x.stage, x.step
FROM incoming.execution AS x CROSS JOIN main.run AS r ON r.run = x.run WHERE true
ON CONFLICT (execution) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, run_id = excluded.run_id,
    parent = excluded.parent, pipeline = excluded.pipeline, stage = excluded.stage,
    step = excluded.step
WHERE t.at_ns IS NULL
    OR (excluded.origin < x'0000000000000001',
        excluded.at_ns, excluded.origin, (SELECT run FROM main.run WHERE id = excluded.run_id),
        ifnull(excluded.parent, x''), excluded.pipeline, excluded.stage, excluded.step)
    < (t.origin < x'0000000000000001', t.at_ns, t.origin, (SELECT run FROM main.run WHERE id = t.run_id),
        ifnull(t.parent, x''), t.pipeline, t.stage, t.step);

-- Executions that are only named here.
INSERT INTO main.execution (execution)
SELECT x.execution
FROM (
    SELECT parent AS execution FROM incoming.execution WHERE parent IS NOT NULL
    UNION ALL SELECT execution FROM incoming.execution_end
    UNION ALL SELECT DISTINCT execution FROM incoming.process
    UNION ALL SELECT DISTINCT execution FROM incoming.process_state
    UNION ALL SELECT DISTINCT execution FROM incoming.param
    UNION ALL SELECT DISTINCT execution FROM incoming.event
    UNION ALL SELECT execution FROM incoming.execution_environment
    UNION ALL SELECT execution FROM incoming.series
) AS x
WHERE true
ON CONFLICT DO NOTHING;

-- Derived: of the row that has won, which may be an earlier one without a parent.
DELETE FROM main.nesting
WHERE execution_id IN (
    SELECT e.id FROM incoming.execution AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
);
INSERT INTO main.nesting (execution_id, outer_id)
SELECT e.id, o.id
FROM (SELECT DISTINCT execution FROM incoming.execution) AS x
CROSS JOIN main.execution AS e ON e.execution = x.execution
CROSS JOIN main.execution AS o ON o.execution = e.parent;

-- last
INSERT INTO main.execution_end AS t (execution_id, at_ns, origin, status, exit_code, signal)
SELECT e.id, x.at_ns, x.origin, x.status, x.exit_code, x.signal
FROM incoming.execution_end AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
WHERE true
ON CONFLICT (execution_id) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, status = excluded.status,
    exit_code = excluded.exit_code, signal = excluded.signal
WHERE (excluded.origin >= x'0000000000000001', excluded.at_ns, excluded.origin, excluded.status,
        excluded.exit_code IS NOT NULL, ifnull(excluded.exit_code, 0),
        excluded.signal IS NOT NULL, ifnull(excluded.signal, 0))
    > (t.origin >= x'0000000000000001', t.at_ns, t.origin, t.status,
        t.exit_code IS NOT NULL, ifnull(t.exit_code, 0), t.signal IS NOT NULL, ifnull(t.signal, 0));

-- first
INSERT INTO main.process AS t
    (execution_id, instance, at_ns, origin, rank, size, local_rank, host, pid, role)
SELECT e.id, x.instance, x.at_ns, x.origin, x.rank, x.size, x.local_rank, x.host, x.pid, x.role
FROM incoming.process AS x CROSS JOIN main.execution AS e ON e.execution = x.execution WHERE true
ON CONFLICT (execution_id, instance) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, rank = excluded.rank, size = excluded.size,
    local_rank = excluded.local_rank, host = excluded.host, pid = excluded.pid, role = excluded.role
WHERE (excluded.at_ns, excluded.origin, excluded.rank, excluded.size, excluded.local_rank,
        excluded.host, excluded.pid, excluded.role)
    < (t.at_ns, t.origin, t.rank, t.size, t.local_rank, t.host, t.pid, t.role);

-- last
INSERT INTO main.process_state AS t
    (execution_id, instance, at_ns, origin, status, exit_code, signal, cpu_user_ns, cpu_system_ns,
    max_rss_bytes, dropped)
SELECT e.id, x.instance, x.at_ns, x.origin, x.status, x.exit_code, x.signal, x.cpu_user_ns,
    x.cpu_system_ns, x.max_rss_bytes, x.dropped
FROM incoming.process_state AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
WHERE true
ON CONFLICT (execution_id, instance) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, status = excluded.status,
    exit_code = excluded.exit_code, signal = excluded.signal, cpu_user_ns = excluded.cpu_user_ns,
    cpu_system_ns = excluded.cpu_system_ns, max_rss_bytes = excluded.max_rss_bytes,
    dropped = excluded.dropped
WHERE (excluded.at_ns, excluded.origin, excluded.status,
        excluded.exit_code IS NOT NULL, ifnull(excluded.exit_code, 0),
        excluded.signal IS NOT NULL, ifnull(excluded.signal, 0),
        excluded.cpu_user_ns, excluded.cpu_system_ns, excluded.max_rss_bytes, excluded.dropped)
    > (t.at_ns, t.origin, t.status,
        t.exit_code IS NOT NULL, ifnull(t.exit_code, 0), t.signal IS NOT NULL, ifnull(t.signal, 0),
        t.cpu_user_ns, t.cpu_system_ns, t.max_rss_bytes, t.dropped);

-- first
INSERT INTO main.param AS t (execution_id, key, value_type, value, at_ns, origin, rank)
SELECT e.id, x.key, x.value_type, x.value, x.at_ns, x.origin, x.rank
FROM incoming.param AS x CROSS JOIN main.execution AS e ON e.execution = x.execution WHERE true
ON CONFLICT (execution_id, key, value_type, value) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, rank = excluded.rank
WHERE (excluded.origin < x'0000000000000001',
        excluded.at_ns, excluded.origin, excluded.rank)
    < (t.origin < x'0000000000000001',
        t.at_ns, t.origin, t.rank);

-- last
INSERT INTO main.fact AS t (subject, key, at_ns, origin, value_type, value)
SELECT subject, key, at_ns, origin, value_type, value FROM incoming.fact WHERE true
ON CONFLICT (subject, key) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, value_type = excluded.value_type,
    value = excluded.value
WHERE (excluded.origin >= x'0000000000000001',
        excluded.at_ns, excluded.origin, excluded.value_type, excluded.value)
    > (t.origin >= x'0000000000000001', t.at_ns, t.origin, t.value_type, t.value);

-- set; of two that differ, the greatest
INSERT INTO main.artifact AS t (digest, strong, size_bytes, n_files)
SELECT digest, strong, size_bytes, n_files FROM incoming.artifact WHERE true
ON CONFLICT (digest) DO UPDATE SET
    strong = excluded.strong, size_bytes = excluded.size_bytes, n_files = excluded.n_files
WHERE t.strong IS NULL
    OR (excluded.strong, excluded.size_bytes, excluded.n_files)
    > (t.strong, t.size_bytes, t.n_files);

-- Artifacts that are only named here.
INSERT INTO main.artifact (digest) SELECT digest FROM incoming.event WHERE true
ON CONFLICT DO NOTHING;
INSERT INTO main.artifact (digest)
SELECT subject FROM incoming.link UNION SELECT object FROM incoming.link WHERE true
ON CONFLICT DO NOTHING;
INSERT INTO main.artifact (digest) SELECT digest FROM incoming.slice_members WHERE true
ON CONFLICT DO NOTHING;

-- first
INSERT INTO main.link AS t (subject_id, relation, object_id, name, at_ns, origin)
SELECT s.id, x.relation, o.id, x.name, x.at_ns, x.origin
FROM incoming.link AS x
CROSS JOIN main.artifact AS s ON s.digest = x.subject
CROSS JOIN main.artifact AS o ON o.digest = x.object
WHERE true
ON CONFLICT (subject_id, relation, object_id, name) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin
WHERE (excluded.at_ns, excluded.origin) < (t.at_ns, t.origin);

-- set; of two that differ, the greatest
INSERT INTO main.slice_members AS t (artifact_id, document)
SELECT a.id, x.document
FROM incoming.slice_members AS x CROSS JOIN main.artifact AS a ON a.digest = x.digest WHERE true
ON CONFLICT (artifact_id) DO UPDATE SET document = excluded.document
WHERE excluded.document > t.document;

-- set; of two that differ, the greatest
INSERT INTO main.note AS t (note, subject, kind, text, at_ns, uid, author)
SELECT note, subject, kind, text, at_ns, uid, author FROM incoming.note WHERE true
ON CONFLICT (note) DO UPDATE SET
    subject = excluded.subject, kind = excluded.kind, text = excluded.text,
    at_ns = excluded.at_ns, uid = excluded.uid, author = excluded.author
WHERE (excluded.subject, excluded.kind, excluded.text, excluded.at_ns, excluded.uid, excluded.author)
    > (t.subject, t.kind, t.text, t.at_ns, t.uid, t.author);

-- first
INSERT INTO main.event AS t
    (execution_id, direction, artifact_id, path, at_ns, origin, kind, host, absolute, rank,
    properties, problem)
SELECT e.id, x.direction, a.id, x.path, x.at_ns, x.origin, x.kind, x.host, x.absolute, x.rank,
    x.properties, x.problem
FROM incoming.event AS x
CROSS JOIN main.execution AS e ON e.execution = x.execution
CROSS JOIN main.artifact AS a ON a.digest = x.digest
WHERE true
ON CONFLICT (execution_id, direction, artifact_id, path) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, kind = excluded.kind, host = excluded.host,
    absolute = excluded.absolute, rank = excluded.rank, properties = excluded.properties,
    problem = excluded.problem
WHERE (excluded.origin < x'0000000000000001',
        excluded.at_ns, excluded.origin, excluded.kind, excluded.host, excluded.absolute,
        excluded.rank, excluded.properties, excluded.problem)
    < (t.origin < x'0000000000000001',
        t.at_ns, t.origin, t.kind, t.host, t.absolute, t.rank, t.properties, t.problem);

-- set; of two that differ, the greatest
INSERT INTO main.environment AS t (digest, document)
SELECT digest, document FROM incoming.environment WHERE true
ON CONFLICT (digest) DO UPDATE SET document = excluded.document
WHERE t.document IS NULL OR excluded.document > t.document;

-- Environments that are only named here.
INSERT INTO main.environment (digest)
SELECT digest FROM incoming.execution_environment WHERE true
ON CONFLICT DO NOTHING;

-- last
INSERT INTO main.execution_environment AS t (execution_id, at_ns, origin, environment_id)
SELECT e.id, x.at_ns, x.origin, n.id
FROM incoming.execution_environment AS x
CROSS JOIN main.execution AS e ON e.execution = x.execution
CROSS JOIN main.environment AS n ON n.digest = x.digest
WHERE true
ON CONFLICT (execution_id) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, environment_id = excluded.environment_id
WHERE (excluded.origin >= x'0000000000000001', excluded.at_ns, excluded.origin,
        (SELECT digest FROM main.environment WHERE id = excluded.environment_id))
    > (t.origin >= x'0000000000000001',
        t.at_ns, t.origin, (SELECT digest FROM main.environment WHERE id = t.environment_id));

-- set; of two that differ, the greatest
INSERT INTO main.series AS t (instance, series, execution_id, name, kind)
SELECT x.instance, x.series, e.id, x.name, x.kind
FROM incoming.series AS x CROSS JOIN main.execution AS e ON e.execution = x.execution WHERE true
ON CONFLICT (instance, series) DO UPDATE SET
    execution_id = excluded.execution_id, name = excluded.name, kind = excluded.kind
WHERE t.execution_id IS NULL
    OR ((SELECT execution FROM main.execution WHERE id = excluded.execution_id),
        excluded.name, excluded.kind)
    > ((SELECT execution FROM main.execution WHERE id = t.execution_id), t.name, t.kind);

-- Derived: what sums are out of date.
INSERT INTO main.stale_execution
SELECT e.id
FROM (
    SELECT execution FROM incoming.process UNION SELECT execution FROM incoming.process_state
) AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
WHERE true
ON CONFLICT DO NOTHING;
INSERT INTO main.stale_run
SELECT r.id
FROM (
    SELECT subject FROM incoming.fact
    UNION SELECT run FROM incoming.run  -- whose facts may have been there before it was
    UNION SELECT run FROM incoming.run_end
) AS x CROSS JOIN main.run AS r ON r.run = x.subject
WHERE true
ON CONFLICT DO NOTHING;
INSERT INTO main.stale_run
SELECT DISTINCT e.run_id
FROM (
    SELECT execution FROM incoming.execution UNION SELECT execution FROM incoming.execution_end
    UNION SELECT execution FROM incoming.process
    UNION SELECT execution FROM incoming.process_state
    UNION SELECT subject FROM incoming.fact
) AS x CROSS JOIN main.execution AS e ON e.execution = x.execution
WHERE e.run_id IS NOT NULL
ON CONFLICT DO NOTHING;
