-- The site index for people and for queries: plain names, ids as text, times in seconds and ISO.
--
-- Derived from the tables of 0001.sql and replaced whole by whoever merges, so they need no
-- migration. They are nothing but joins and scalar subqueries, so that a condition on run_id or
-- execution_id reaches the tables' indices. Integers named *_id are local to this file. Sums are
-- total(): sum() is an error where the numbers of one odd pack are too large.

-- Status: what an end says; without one, the worst of the parts, and "running" until all ended. A
-- rank that did not say how it ended is lost, unless each has a wrapper, which has seen how it ended.
CREATE VIEW executions AS
SELECT
    e.id AS execution_id,
    e.run_id,
    lower(hex(e.execution)) AS execution,
    lower(hex(r.run)) AS run,
    lower(hex(e.parent)) AS parent,
    e.pipeline,
    e.stage,
    e.step,
    coalesce(z.status, (
        SELECT CASE
            WHEN count(*) = 0 THEN 'running'
            WHEN max(s.status = 'failed') THEN 'failed'
            WHEN max(s.status = 'lost' AND p.role = 'wrapper') THEN 'lost'
            WHEN max(s.status = 'lost') AND total(p.role = 'wrapper') < max(p.size) THEN 'lost'
            WHEN max(s.status = 'cancelled') THEN 'cancelled'
            WHEN count(s.status) = count(*) AND min(s.status IN ('completed', 'lost')) THEN 'completed'
            ELSE 'running' END
        FROM process AS p LEFT JOIN process_state AS s USING (execution_id, instance)
        -- a forked worker may be killed by its parent as a matter of course
        WHERE p.execution_id = e.id AND p.role <> 'worker'
    )) AS status,
    z.exit_code,
    z.signal,
    e.at_ns AS began_ns,
    coalesce(z.at_ns, (
        SELECT CASE WHEN count(s.status) = count(*) AND min(s.status <> 'running') THEN max(s.at_ns) END
        FROM process AS p LEFT JOIN process_state AS s USING (execution_id, instance)
        WHERE p.execution_id = e.id
    )) AS ended_ns,
    (coalesce(z.at_ns, (
        SELECT CASE WHEN count(s.status) = count(*) AND min(s.status <> 'running') THEN max(s.at_ns) END
        FROM process AS p LEFT JOIN process_state AS s USING (execution_id, instance)
        WHERE p.execution_id = e.id
    )) - e.at_ns) / 1e9 AS wall_s,
    strftime('%Y-%m-%dT%H:%M:%SZ', e.at_ns / 1000000000, 'unixepoch') AS began,
    (SELECT count(*) FROM process AS p WHERE p.execution_id = e.id) AS n_processes,
    (
        SELECT count(DISTINCT p.rank) FROM process AS p
        WHERE p.execution_id = e.id AND p.role <> 'worker'
    ) AS n_ranks,
    (SELECT max(p.size) FROM process AS p WHERE p.execution_id = e.id) AS size,
    -- A wrapper's reading includes the children that it waited for, which may be the ranks.
    (
        SELECT max(
            total((p.role = 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)),
            total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns))
        ) / 1e9
        FROM process AS p JOIN process_state AS s USING (execution_id, instance)
        WHERE p.execution_id = e.id
    ) AS cpu_s,
    (SELECT max(s.max_rss_bytes) FROM process_state AS s WHERE s.execution_id = e.id) AS max_rss_bytes,
    (SELECT CAST(total(s.dropped) AS INTEGER) FROM process_state AS s WHERE s.execution_id = e.id) AS dropped
FROM execution AS e
LEFT JOIN run AS r ON r.id = e.run_id
LEFT JOIN execution_end AS z ON z.execution_id = e.id;

-- `short` is the beginning of the id, which commands take for the whole: 48 bits, of a time mostly.
-- How a run stands is what the batch system says of its job, once it is known; else what it said at
-- its end; else what its executions say. `at_ns`, which has an index, is when a
-- run was first mentioned: it began then, but for a job that says nothing and is mentioned when it
-- is over. The batch system's times are whole seconds.
CREATE VIEW runs AS
SELECT
    r.id AS run_id,
    lower(hex(r.run)) AS run,
    substr(lower(hex(r.run)), 1, 12) AS short,
    r.cluster,
    -- A service knows an array's task by a number of its own; a fact says what it is called.
    coalesce((
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.job'
    ), r.job) AS job,
    r.restart,
    r.user,
    r.uid,
    -- What is said with the first record may be nothing, where a wrapper came before the program.
    coalesce(
        (SELECT CAST(f.value AS TEXT) FROM fact AS f WHERE f.subject = r.run AND f.key = 'name'),
        r.name
    ) AS name,
    r.command,
    r.cwd,
    coalesce(CASE
        WHEN j.value = 'COMPLETED' THEN 'completed'
        WHEN j.value IN ('CANCELLED', 'PREEMPTED', 'REQUEUED', 'REVOKED') THEN 'cancelled'
        WHEN j.value IS NOT NULL THEN 'failed'
    END, z.status, (
        SELECT CASE max(CASE e.status
                WHEN 'failed' THEN 4 WHEN 'lost' THEN 3 WHEN 'cancelled' THEN 2 WHEN 'completed' THEN 0 ELSE 1 END)
            WHEN 4 THEN 'failed' WHEN 3 THEN 'lost' WHEN 2 THEN 'cancelled' WHEN 0 THEN 'completed'
            ELSE 'running' END
        FROM executions AS e WHERE e.run_id = r.id
    )) AS status,
    CAST(j.value AS TEXT) AS job_state,
    CASE WHEN z.run_id IS NOT NULL THEN z.exit_code ELSE (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.exit_code'
    ) END AS exit_code,
    CASE WHEN z.run_id IS NOT NULL THEN z.signal ELSE (
        SELECT CAST(f.value AS INTEGER) FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.exit_signal'
    ) END AS signal,
    r.at_ns,
    coalesce(CAST(b.value AS INTEGER) * 1000000000, r.at_ns) AS began_ns,
    coalesce(z.at_ns, (
        SELECT nullif(max(coalesce(e.ended_ns, 9223372036854775807)), 9223372036854775807)
        FROM executions AS e WHERE e.run_id = r.id
    ), max(CAST(d.value AS INTEGER) * 1000000000, coalesce(CAST(b.value AS INTEGER) * 1000000000, r.at_ns))) AS ended_ns,
    (coalesce(z.at_ns, (
        SELECT nullif(max(coalesce(e.ended_ns, 9223372036854775807)), 9223372036854775807)
        FROM executions AS e WHERE e.run_id = r.id
    ), max(CAST(d.value AS INTEGER) * 1000000000, coalesce(CAST(b.value AS INTEGER) * 1000000000, r.at_ns))) - coalesce(CAST(b.value AS INTEGER) * 1000000000, r.at_ns)) / 1e9 AS wall_s,
    strftime('%Y-%m-%dT%H:%M:%SZ', coalesce(CAST(b.value AS INTEGER) * 1000000000, r.at_ns) / 1000000000, 'unixepoch') AS began,
    (SELECT count(*) FROM execution AS e WHERE e.run_id = r.id) AS n_executions,
    (
        SELECT count(*) FROM execution AS e JOIN process AS p ON p.execution_id = e.id
        WHERE e.run_id = r.id
    ) AS n_processes,
    (
        SELECT count(DISTINCT p.host) FROM execution AS e JOIN process AS p ON p.execution_id = e.id
        WHERE e.run_id = r.id
    ) AS n_nodes,
    (
        SELECT max(
            total((p.role = 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns)),
            total((p.role <> 'wrapper') * (s.cpu_user_ns + s.cpu_system_ns))
        ) / 1e9
        FROM execution AS e
        JOIN process AS p ON p.execution_id = e.id
        JOIN process_state AS s USING (execution_id, instance)
        WHERE e.run_id = r.id
    ) AS cpu_s,
    (
        SELECT max(s.max_rss_bytes) FROM execution AS e
        JOIN process_state AS s ON s.execution_id = e.id
        WHERE e.run_id = r.id
    ) AS max_rss_bytes,
    (
        SELECT CAST(total(s.dropped) AS INTEGER) FROM execution AS e
        JOIN process_state AS s ON s.execution_id = e.id
        WHERE e.run_id = r.id
    ) AS dropped
FROM run AS r
LEFT JOIN run_end AS z ON z.run_id = r.id
LEFT JOIN fact AS j ON j.subject = r.run AND j.key = 'slurm.state'
LEFT JOIN fact AS d ON d.subject = r.run AND d.key = 'slurm.end_time_s'
LEFT JOIN fact AS b ON b.subject = r.run AND b.key = 'slurm.start_time_s'
    AND NOT EXISTS (SELECT 1 FROM execution AS e WHERE e.run_id = r.id);

-- A process without a reading yet is running, with nulls.
CREATE VIEW processes AS
SELECT
    p.execution_id,
    e.run_id,
    lower(hex(e.execution)) AS execution,
    lower(hex(p.instance)) AS instance,
    p.rank,
    p.size,
    p.local_rank,
    p.host,
    p.pid,
    p.role,
    coalesce(s.status, 'running') AS status,
    s.exit_code,
    s.signal,
    p.at_ns AS began_ns,
    CASE WHEN s.status <> 'running' THEN s.at_ns END AS ended_ns,
    CASE WHEN s.status <> 'running' THEN (s.at_ns - p.at_ns) / 1e9 END AS wall_s,
    strftime('%Y-%m-%dT%H:%M:%SZ', p.at_ns / 1000000000, 'unixepoch') AS began,
    s.at_ns AS read_ns,
    s.cpu_user_ns / 1e9 AS cpu_user_s,
    s.cpu_system_ns / 1e9 AS cpu_system_s,
    (s.cpu_user_ns + s.cpu_system_ns) / 1e9 AS cpu_s,
    s.max_rss_bytes,
    s.dropped
FROM process AS p
JOIN execution AS e ON e.id = p.execution_id
LEFT JOIN process_state AS s USING (execution_id, instance);

-- `n_distinct` > 1: ranks disagree; each value is a row.
CREATE VIEW params AS
SELECT
    p.execution_id,
    e.run_id,
    lower(hex(e.execution)) AS execution,
    e.pipeline,
    e.stage,
    p.key,
    p.value,
    p.value_type,
    (
        SELECT count(*) FROM param AS q
        WHERE q.execution_id = p.execution_id AND q.key = p.key
    ) AS n_distinct,
    p.rank,
    p.at_ns
FROM param AS p
JOIN execution AS e ON e.id = p.execution_id;

-- One row for each metric of each process. `min`, `max` leave out NaN; `mean` is over finite values;
-- `last` is null for a NaN.
CREATE VIEW metrics AS
SELECT
    s.id AS series_id,
    s.execution_id,
    e.run_id,
    lower(hex(e.execution)) AS execution,
    e.pipeline,
    e.stage,
    s.name,
    s.kind,
    p.rank,
    p.host,
    lower(hex(s.instance)) AS instance,
    (SELECT CAST(total(c.n_values) AS INTEGER) FROM chunk AS c WHERE c.series_id = s.id) AS n_values,
    (SELECT CAST(total(c.n_nan) AS INTEGER) FROM chunk AS c WHERE c.series_id = s.id) AS n_nan,
    (SELECT min(c.value_min) FROM chunk AS c WHERE c.series_id = s.id) AS min,
    (SELECT max(c.value_max) FROM chunk AS c WHERE c.series_id = s.id) AS max,
    (
        SELECT CASE
            WHEN max(c.value_max) = 9e999 OR min(c.value_min) = -9e999 THEN NULL
            ELSE sum(c.value_sum) / nullif(total(c.n_values - c.n_nan), 0) END
        FROM chunk AS c WHERE c.series_id = s.id
    ) AS mean,
    (
        SELECT c.last_value FROM chunk AS c WHERE c.series_id = s.id
        ORDER BY c.last_ns DESC, c.block DESC LIMIT 1
    ) AS last,
    (
        SELECT c.last_step FROM chunk AS c WHERE c.series_id = s.id
        ORDER BY c.last_ns DESC, c.block DESC LIMIT 1
    ) AS last_step,
    (SELECT min(c.step_min) FROM chunk AS c WHERE c.series_id = s.id) AS step_min,
    (SELECT max(c.step_max) FROM chunk AS c WHERE c.series_id = s.id) AS step_max,
    (SELECT min(c.first_ns) FROM chunk AS c WHERE c.series_id = s.id) AS first_ns,
    (SELECT max(c.last_ns) FROM chunk AS c WHERE c.series_id = s.id) AS last_ns
FROM series AS s
JOIN execution AS e ON e.id = s.execution_id
LEFT JOIN process AS p ON p.execution_id = s.execution_id AND p.instance = s.instance;

CREATE VIEW metrics_last AS
SELECT
    s.id AS series_id,
    s.execution_id,
    e.run_id,
    lower(hex(e.execution)) AS execution,
    e.pipeline,
    e.stage,
    s.name,
    p.rank,
    c.last_step AS step,
    c.last_value AS value,
    c.last_ns AS at_ns
FROM series AS s
JOIN execution AS e ON e.id = s.execution_id
LEFT JOIN process AS p ON p.execution_id = s.execution_id AND p.instance = s.instance
JOIN chunk AS c ON c.series_id = s.id AND c.block = (
    SELECT d.block FROM chunk AS d WHERE d.series_id = s.id
    ORDER BY d.last_ns DESC, d.block DESC LIMIT 1
);

-- `path` and `kind` are those of the earliest event; an artifact may have many of both.
CREATE VIEW artifacts AS
SELECT
    a.id AS artifact_id,
    a.digest,
    a.strong,
    a.size_bytes,
    a.n_files,
    (SELECT v.kind FROM event AS v WHERE v.artifact_id = a.id ORDER BY v.at_ns, v.kind LIMIT 1) AS kind,
    (SELECT v.path FROM event AS v WHERE v.artifact_id = a.id ORDER BY v.at_ns, v.path LIMIT 1) AS path,
    (SELECT count(DISTINCT v.path) FROM event AS v WHERE v.artifact_id = a.id) AS n_paths,
    (
        SELECT count(DISTINCT v.execution_id) FROM event AS v
        WHERE v.artifact_id = a.id AND v.direction = 'output'
    ) AS n_producers,
    (
        SELECT count(DISTINCT v.execution_id) FROM event AS v
        WHERE v.artifact_id = a.id AND v.direction = 'input'
    ) AS n_consumers
FROM artifact AS a;

-- Content read only after a final pack was sealed has an event by its place as well: not shown.
CREATE VIEW events AS
SELECT
    v.execution_id,
    e.run_id,
    v.artifact_id,
    lower(hex(e.execution)) AS execution,
    e.pipeline,
    e.stage,
    v.direction,
    v.kind,
    v.path,
    a.digest,
    a.strong,
    a.size_bytes,
    a.n_files,
    v.host,
    v.absolute,
    v.rank,
    v.properties,
    v.problem,
    v.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', v.at_ns / 1000000000, 'unixepoch') AS at
FROM event AS v
JOIN execution AS e ON e.id = v.execution_id
JOIN artifact AS a ON a.id = v.artifact_id
WHERE v.problem <> 'not hashed' OR NOT EXISTS (
    SELECT 1 FROM event AS w
    WHERE w.execution_id = v.execution_id AND w.direction = v.direction AND w.path = v.path
        AND w.origin = v.origin AND w.at_ns = v.at_ns AND w.problem <> 'not hashed'
);

CREATE VIEW environments AS
SELECT
    x.execution_id,
    e.run_id,
    lower(hex(e.execution)) AS execution,
    n.digest,
    n.document,
    x.at_ns
FROM execution_environment AS x
JOIN execution AS e ON e.id = x.execution_id
JOIN environment AS n ON n.id = x.environment_id;

-- `run_id` or `execution_id` says whose fact it is.
CREATE VIEW facts AS
SELECT
    lower(hex(f.subject)) AS subject,
    (SELECT r.id FROM run AS r WHERE r.run = f.subject) AS run_id,
    (SELECT e.id FROM execution AS e WHERE e.execution = f.subject) AS execution_id,
    f.key,
    f.value,
    f.value_type,
    f.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', f.at_ns / 1000000000, 'unixepoch') AS at
FROM fact AS f;

-- A run may still lack something of a node that has no row here, or one that is not final.
CREATE VIEW deliveries AS
SELECT
    d.run_id,
    lower(hex(r.run)) AS run,
    d.node,
    d.final,
    d.n_open,
    d.job_over,
    d.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', d.at_ns / 1000000000, 'unixepoch') AS at
FROM delivery AS d
JOIN run AS r ON r.id = d.run_id;

-- What people said of artifacts (by digest), executions and runs (by id), all of it.
CREATE VIEW notes AS
SELECT
    lower(hex(n.note)) AS note,
    n.subject,
    n.kind,
    n.text,
    n.author,
    n.uid,
    n.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', n.at_ns / 1000000000, 'unixepoch') AS at
FROM note AS n;

-- What of it counts now: nothing that was said later is against it.
CREATE VIEW tainted AS
SELECT
    n.subject,
    n.text AS reason,
    n.author,
    n.uid,
    n.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', n.at_ns / 1000000000, 'unixepoch') AS at
FROM note AS n
WHERE n.kind = 'tainted' AND NOT EXISTS (
    SELECT 1 FROM note AS o
    WHERE o.subject = n.subject AND o.kind IN ('tainted', 'cleared')
        AND (o.at_ns, o.note) > (n.at_ns, n.note)
);

CREATE VIEW tags AS
SELECT
    n.subject,
    n.text AS tag,
    n.author,
    n.uid,
    n.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', n.at_ns / 1000000000, 'unixepoch') AS at
FROM note AS n
WHERE n.kind = 'tag' AND NOT EXISTS (
    SELECT 1 FROM note AS o
    WHERE o.subject = n.subject AND o.kind IN ('tag', 'untag') AND o.text = n.text
        AND (o.at_ns, o.note) > (n.at_ns, n.note)
);

CREATE VIEW labels AS
SELECT
    n.subject,
    n.text AS label,
    n.author,
    n.uid,
    n.at_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', n.at_ns / 1000000000, 'unixepoch') AS at
FROM note AS n
WHERE n.kind = 'label' AND n.text <> '' AND NOT EXISTS (
    SELECT 1 FROM note AS o
    WHERE o.subject = n.subject AND o.kind = 'label' AND (o.at_ns, o.note) > (n.at_ns, n.note)
);

CREATE VIEW packs AS
SELECT
    k.digest,
    k.size_bytes,
    k.cluster,
    k.node,
    k.final,
    k.sealed_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', k.sealed_ns / 1000000000, 'unixepoch') AS sealed,
    k.merged_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', k.merged_ns / 1000000000, 'unixepoch') AS merged
FROM pack AS k;

-- Energy as it was measured and shared out, one row a stretch of time. `role` is count, or check: of
-- another source, for comparison. Of what counts, owners run, idle and system add up to counter.
CREATE VIEW energy_rows AS
SELECT
    x.run_id,
    x.execution_id,
    (SELECT lower(hex(r.run)) FROM run AS r WHERE r.id = x.run_id) AS run,
    (SELECT lower(hex(e.execution)) FROM execution AS e WHERE e.id = x.execution_id) AS execution,
    m.node,
    lower(hex(m.boot)) AS boot,
    x.owner,
    m.component,
    m.domain,
    m.source,
    m.role,
    x.t0_ns,
    x.dur_ns,
    x.at_ns,
    x.uj,
    x.static_uj,
    x.cpu_ns,
    x.covered_ns,
    x.grade,
    x.method,
    x.flags
FROM energy AS x
CROSS JOIN meter AS m ON m.id = x.meter_id;

-- One row for each run, node and component (and source and grade, should there be several). What its
-- executions took is part of it.
CREATE VIEW energy_of_runs AS
SELECT
    r.id AS run_id,
    lower(hex(r.run)) AS run,
    substr(lower(hex(r.run)), 1, 12) AS short,
    m.node,
    m.component,
    m.source,
    x.grade,
    total(x.uj) / 1e6 AS energy_j,
    total(x.static_uj) / 1e6 AS static_j,
    min(x.t0_ns) AS first_ns,
    max(x.t0_ns + x.dur_ns) AS end_ns,
    strftime('%Y-%m-%dT%H:%M:%SZ', min(x.t0_ns) / 1000000000, 'unixepoch') AS began
FROM run AS r
CROSS JOIN energy AS x ON x.run_id = r.id
CROSS JOIN meter AS m ON m.id = x.meter_id
WHERE m.role = 'count'
GROUP BY r.id, m.node, m.component, m.source, x.grade;

-- One row for each node, day (UTC) and component: what its counter moved, and whose that was.
CREATE VIEW energy_of_nodes AS
SELECT
    m.node,
    strftime('%Y-%m-%d', x.t0_ns / 86400000000000 * 86400, 'unixepoch') AS day,
    m.component,
    m.source,
    total(iif(x.owner = 'counter', x.uj, 0)) / 1e6 AS counter_j,
    total(iif(x.owner = 'run', x.uj, 0)) / 1e6 AS runs_j,
    total(iif(x.owner = 'idle', x.uj, 0)) / 1e6 AS idle_j,
    total(iif(x.owner = 'system', x.uj, 0)) / 1e6 AS system_j
FROM meter AS m
CROSS JOIN energy_span AS s ON s.meter_id = m.id
CROSS JOIN energy AS x ON x.run_id = s.run_id AND x.meter_id = m.id
WHERE m.role = 'count'
GROUP BY m.node, x.t0_ns / 86400000000000, m.component, m.source;

-- The latest word on each source of readings: why a node has the grade that it has.
CREATE VIEW energy_probes AS
SELECT
    p.node,
    lower(hex(p.boot)) AS boot,
    p.source,
    p.status,
    p.reason,
    p.advice,
    p.grade,
    p.scope,
    p.components,
    p.domains,
    p.chosen,
    p.at_ns
FROM energy_probe AS p;

CREATE VIEW nodes AS
SELECT
    h.node,
    lower(hex(h.boot)) AS boot,
    h.cluster,
    h.cpu_model,
    h.n_sockets,
    h.n_cores,
    h.n_threads,
    h.memory_bytes,
    h.gpus,
    h.at_ns
FROM node_hardware AS h;
