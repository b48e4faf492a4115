-- A node store for people: plain names, ids in hex, times in ISO 8601, and what NaN is said as it is.
--
-- Derived from the tables and replaced whole by each opening, so they need no migration.

CREATE VIEW runs AS
SELECT
    lower(hex(s.run)) AS run,
    r.cluster,
    r.job,
    r.restart,
    r.user,
    r.uid,
    r.name,
    r.command,
    r.cwd,
    coalesce(z.status, 'running') AS status,
    z.exit_code,
    z.signal,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.at_ns / 1e9, 'unixepoch') AS began,
    strftime('%Y-%m-%dT%H:%M:%fZ', z.at_ns / 1e9, 'unixepoch') AS ended,
    (z.at_ns - r.at_ns) / 1e9 AS wall_s,
    (SELECT count(*) FROM execution AS e WHERE e.run = s.run) AS n_executions,
    s.site,
    s.finished,
    s.seq > s.sealed_seq AS has_unpublished,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.sealed_ns / 1e9, 'unixepoch') AS published
FROM standing AS s
LEFT JOIN run AS r USING (run)
LEFT JOIN run_end AS z USING (run);

CREATE VIEW executions AS
SELECT
    lower(hex(e.execution)) AS execution,
    lower(hex(e.run)) AS run,
    nullif(lower(hex(e.parent)), '') AS parent,
    e.pipeline,
    e.stage,
    e.step,
    coalesce(z.status, 'running') AS status,
    z.exit_code,
    z.signal,
    strftime('%Y-%m-%dT%H:%M:%fZ', e.at_ns / 1e9, 'unixepoch') AS began,
    strftime('%Y-%m-%dT%H:%M:%fZ', z.at_ns / 1e9, 'unixepoch') AS ended,
    (z.at_ns - e.at_ns) / 1e9 AS wall_s,
    (SELECT count(*) FROM process AS p WHERE p.execution = e.execution) AS n_processes
FROM execution AS e
LEFT JOIN execution_end AS z USING (execution);

CREATE VIEW processes AS
SELECT
    lower(hex(p.execution)) AS execution,
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
    strftime('%Y-%m-%dT%H:%M:%fZ', p.at_ns / 1e9, 'unixepoch') AS began,
    strftime('%Y-%m-%dT%H:%M:%fZ', s.at_ns / 1e9, 'unixepoch') AS last_reading,
    s.cpu_user_ns / 1e9 AS cpu_user_s,
    s.cpu_system_ns / 1e9 AS cpu_system_s,
    s.max_rss_bytes,
    s.dropped
FROM process AS p
LEFT JOIN process_state AS s USING (execution, instance);

CREATE VIEW params AS
SELECT
    lower(hex(p.execution)) AS execution,
    e.stage,
    p.key,
    p.value,
    p.value_type,
    p.rank,
    strftime('%Y-%m-%dT%H:%M:%fZ', p.at_ns / 1e9, 'unixepoch') AS at
FROM param AS p
LEFT JOIN execution AS e USING (execution);

-- One row a metric of a process. `min`, `max` and `mean` leave out NaN, `mean` infinities too.
CREATE VIEW metrics_last AS
SELECT
    lower(hex(s.execution)) AS execution,
    e.stage,
    s.name,
    p.rank,
    t.last_step AS step,
    ifnull(t.last_value, 'NaN') AS value,
    strftime('%Y-%m-%dT%H:%M:%fZ', t.last_ns / 1e9, 'unixepoch') AS at,
    t.n_values,
    t.n_nan,
    t.value_min AS min,
    t.value_max AS max,
    CASE WHEN t.value_max < 9e999 AND t.value_min > -9e999
        THEN t.value_sum / (t.n_values - t.n_nan) END AS mean,
    s.kind,
    lower(hex(s.instance)) AS instance
FROM series AS s
JOIN series_stat AS t USING (instance, series)
LEFT JOIN execution AS e USING (execution)
LEFT JOIN process AS p USING (execution, instance);

CREATE VIEW events AS
SELECT
    lower(hex(v.execution)) AS execution,
    e.stage,
    v.direction,
    v.kind,
    v.path,
    v.digest,
    a.strong,
    a.size_bytes,
    a.n_files,
    v.host,
    v.absolute,
    v.rank,
    v.properties,
    v.problem,
    strftime('%Y-%m-%dT%H:%M:%fZ', v.at_ns / 1e9, 'unixepoch') AS at
FROM event AS v
LEFT JOIN artifact AS a USING (digest)
LEFT JOIN execution AS e USING (execution);

CREATE VIEW artifacts AS
SELECT
    a.digest,
    a.strong,
    a.size_bytes,
    a.n_files,
    (SELECT v.path FROM event AS v WHERE v.digest = a.digest ORDER BY v.at_ns, v.path LIMIT 1) AS path,
    (SELECT count(*) FROM event AS v WHERE v.digest = a.digest) AS n_events
FROM artifact AS a;

CREATE VIEW environments AS
SELECT
    lower(hex(x.execution)) AS execution,
    n.digest,
    n.document
FROM execution_environment AS x
JOIN environment AS n USING (digest);

CREATE VIEW facts AS
SELECT
    lower(hex(f.subject)) AS subject,
    f.key,
    f.value,
    f.value_type,
    strftime('%Y-%m-%dT%H:%M:%fZ', f.at_ns / 1e9, 'unixepoch') AS at
FROM fact AS f;

-- Journals that this store has taken in, and how much of each.
CREATE VIEW journals AS
SELECT
    lower(hex(i.instance)) AS instance,
    i.uid,
    i.journal,
    i.host,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.first_ns / 1e9, 'unixepoch') AS first_seen,
    strftime('%Y-%m-%dT%H:%M:%fZ', i.ended_ns / 1e9, 'unixepoch') AS ended,
    (SELECT count(DISTINCT c.block) FROM committed AS c WHERE c.instance = i.instance) AS n_blocks
FROM instance AS i;

-- Energy as it was measured and shared out, one row a stretch of time: of what counts, that of runs,
-- idle time and the system adds up to the counter's.
CREATE VIEW energy_rows AS
SELECT
    strftime('%Y-%m-%dT%H:%M:%fZ', x.t0_ns / 1e9, 'unixepoch') AS began,
    x.dur_ns / 1e9 AS dur_s,
    x.owner,
    iif(x.run = zeroblob(16), NULL, lower(hex(x.run))) AS run,
    iif(x.execution = zeroblob(16), NULL, lower(hex(x.execution))) AS execution,
    x.component,
    x.domain,
    x.source,
    x.role,
    x.uj / 1e6 AS energy_j,
    x.static_uj / 1e6 AS static_j,
    x.cpu_ns / 1e9 AS cpu_s,
    x.covered_ns / 1e9 AS covered_s,
    x.grade,
    x.method,
    x.flags,
    x.seq > (
        SELECT s.sealed_seq FROM standing AS s WHERE s.run = x.run
        UNION ALL
        SELECT ifnull(min(l.sealed_seq), 0) FROM ledger AS l WHERE x.run = zeroblob(16)
    ) AS has_unpublished
FROM energy AS x;

-- Which sources of energy readings there are, and why others cannot be used.
CREATE VIEW energy_probes AS
SELECT
    p.source,
    p.status,
    p.reason,
    p.advice,
    p.grade,
    p.scope,
    p.chosen,
    strftime('%Y-%m-%dT%H:%M:%fZ', p.at_ns / 1e9, 'unixepoch') AS at
FROM energy_probe AS p;
