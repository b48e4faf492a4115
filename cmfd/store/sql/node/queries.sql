-- name: add_instance
INSERT INTO instance (instance, uid, journal, host, first_ns) VALUES (?, ?, ?, ?, ?);

-- name: instance
SELECT uid, host FROM instance WHERE instance = ?;

-- name: end_instance
UPDATE instance SET ended_ns = ? WHERE instance = ? AND ended_ns IS NULL;

-- name: open_instances
SELECT instance, uid, journal FROM instance WHERE ended_ns IS NULL ORDER BY first_ns, instance;

-- name: bytes_by_uid
SELECT i.uid, sum(length(s.data)) FROM slice AS s JOIN instance AS i USING (instance) GROUP BY i.uid;

-- name: rows_by_uid
SELECT o.uid, count(*) FROM energy AS x JOIN owner AS o ON o.subject = x.run GROUP BY o.uid;

-- name: committed
SELECT block, first, end FROM committed WHERE instance = ? ORDER BY block, first;

-- name: committed_of_block
SELECT first, end FROM committed WHERE instance = ? AND block = ? ORDER BY first;

-- name: forget_committed
DELETE FROM committed WHERE instance = ? AND block = ?;

-- name: add_committed
INSERT INTO committed (instance, block, first, end) VALUES (?, ?, ?, ?);

-- name: add_slice
INSERT INTO slice (instance, block, first, end, kind, group_id, seq, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: resend_slices
UPDATE slice SET seq = :seq WHERE instance = :instance;

-- name: resend_stats
UPDATE series_stat SET seq = :seq WHERE instance = :instance;

-- name: mentioned_by
SELECT instance FROM mention WHERE subject = ?;

-- name: slices_before
SELECT block, first, kind, group_id, data FROM slice WHERE instance = ? AND seq < ? ORDER BY block, first;

-- name: seq
SELECT seq FROM clock;

-- name: set_seq
UPDATE clock SET seq = ?;

-- name: owner
SELECT uid FROM owner WHERE subject = ?;

-- name: own
INSERT INTO owner (subject, uid) VALUES (?, ?);

-- name: mention
INSERT OR IGNORE INTO mention (subject, instance) VALUES (?, ?);

-- name: reown
UPDATE owner SET uid = ? WHERE subject = ?;

-- name: mentions
SELECT 1 FROM mention WHERE subject = ? AND instance = ?;

-- name: stands
SELECT 1 FROM standing WHERE run = ?;

-- name: move_execution
UPDATE execution SET run = ? WHERE execution = ?;

-- name: stand
INSERT OR IGNORE INTO standing (run, seq, site, site_ns, sealed_seq, finished) VALUES (?, 0, '', 0, 0, 0);

-- name: set_site
UPDATE standing SET site = :site, site_ns = :at_ns
WHERE run = :run AND (site = '' OR (:at_ns, :site) < (site_ns, site));

-- name: touch_run
UPDATE standing SET seq = ? WHERE run = ?;

-- name: run_of
SELECT run FROM execution WHERE execution = ?;

-- name: rank
SELECT rank FROM process WHERE execution = ? AND instance = ?;

-- name: set_param_rank
UPDATE param SET rank = ? WHERE execution = ? AND origin = ?;

-- name: set_event_rank
UPDATE event SET rank = ? WHERE execution = ? AND origin = ?;

-- name: series
SELECT execution, kind FROM series WHERE instance = ? AND series = ?;

-- name: row_group
SELECT series FROM row_group WHERE instance = ? AND id = ?;

-- name: add_row_group
INSERT INTO row_group (instance, id, series) VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET series = excluded.series WHERE excluded.series > row_group.series;

-- name: await_row_group
INSERT OR IGNORE INTO row_group (instance, id, series) VALUES (?, ?, '');

-- name: touch
SELECT execution, record FROM touch WHERE instance = ? AND token = ?;

-- name: add_touch
INSERT INTO touch (instance, token, execution, record) VALUES (?, ?, ?, ?);

-- name: forget_touch
DELETE FROM touch WHERE instance = ? AND token = ?;

-- name: unread
SELECT t.instance, t.record
FROM touch AS t JOIN instance AS i USING (instance)
WHERE t.execution IN (SELECT execution FROM execution WHERE run = :run)
  AND i.uid = :uid AND i.ended_ns IS NOT NULL
ORDER BY t.instance, t.token;

-- name: add_part
INSERT OR IGNORE INTO part (instance, token, part, total, data) VALUES (?, ?, ?, ?, ?);

-- name: parts
SELECT part, total, data FROM part WHERE instance = ? AND token = ? ORDER BY part;

-- name: n_parts
SELECT count(*) FROM part WHERE instance = ? AND token = ?;

-- name: forget_parts
DELETE FROM part WHERE instance = ? AND token = ?;

-- name: add_stat
INSERT INTO series_stat (
    instance, series, seq, n_values, n_nan, value_min, value_max, value_sum,
    last_ns, last_block, last_slot, last_step, last_value
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    seq = excluded.seq,
    n_values = n_values + excluded.n_values,
    n_nan = n_nan + excluded.n_nan,
    value_min = min(ifnull(value_min, excluded.value_min), ifnull(excluded.value_min, value_min)),
    value_max = max(ifnull(value_max, excluded.value_max), ifnull(excluded.value_max, value_max)),
    value_sum = value_sum + excluded.value_sum,
    (last_ns, last_block, last_slot, last_step, last_value) = (
        SELECT
            iif(newer, excluded.last_ns, last_ns),
            iif(newer, excluded.last_block, last_block),
            iif(newer, excluded.last_slot, last_slot),
            iif(newer, excluded.last_step, last_step),
            iif(newer, excluded.last_value, last_value)
        FROM (
            SELECT (excluded.last_ns, excluded.last_block, excluded.last_slot)
                > (last_ns, last_block, last_slot) AS newer
        )
    );

-- name: has_stat
SELECT 1 FROM series_stat WHERE instance = ? AND series = ?;

-- name: forget_stat
DELETE FROM series_stat WHERE instance = ? AND series = ?;

-- name: runs_of
SELECT run FROM standing WHERE run IN (SELECT subject FROM mention WHERE instance = :instance)
UNION
SELECT run FROM execution WHERE execution IN (SELECT subject FROM mention WHERE instance = :instance)
ORDER BY run;

-- name: unsealed_runs
SELECT
    s.run,
    s.site,
    ifnull(o.uid, 0),
    (
        SELECT count(*) FROM instance AS i WHERE i.ended_ns IS NULL AND i.instance IN (
            SELECT m.instance FROM mention AS m WHERE m.subject = s.run
            UNION ALL
            SELECT m.instance FROM execution AS e JOIN mention AS m ON m.subject = e.execution
            WHERE e.run = s.run
        )
    ),
    s.seq > s.sealed_seq
FROM standing AS s
LEFT JOIN owner AS o ON o.subject = s.run
WHERE s.seq > s.sealed_seq OR NOT s.finished
ORDER BY s.run;

-- name: mark_sealed
UPDATE standing SET
    sealed_seq = max(sealed_seq, :upto),
    sealed_ns = max(ifnull(sealed_ns, :at_ns), :at_ns),
    finished = :final
WHERE run = :run;

-- name: running_processes
SELECT
    p.execution, ifnull(s.at_ns, 0), ifnull(s.cpu_user_ns, 0), ifnull(s.cpu_system_ns, 0),
    ifnull(s.max_rss_bytes, 0), ifnull(s.dropped, 0)
FROM process AS p
LEFT JOIN process_state AS s USING (execution, instance)
WHERE p.execution IN (SELECT subject FROM mention WHERE instance = :instance)
    AND p.instance = :instance AND ifnull(s.status, 'running') = 'running';

-- name: add_energy
INSERT INTO energy AS t (
    t0_ns, node, boot, owner, run, execution, component, domain, source, role,
    dur_ns, at_ns, uj, static_uj, cpu_ns, covered_ns, grade, method, flags, origin, seq
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET
    dur_ns = excluded.dur_ns, at_ns = excluded.at_ns, uj = excluded.uj,
    static_uj = excluded.static_uj, cpu_ns = excluded.cpu_ns, covered_ns = excluded.covered_ns,
    grade = excluded.grade, method = excluded.method, flags = excluded.flags,
    origin = excluded.origin, seq = excluded.seq
WHERE (excluded.dur_ns, excluded.at_ns, excluded.uj, excluded.static_uj, excluded.cpu_ns,
        excluded.covered_ns, excluded.grade, excluded.method, excluded.flags, excluded.origin)
    > (t.dur_ns, t.at_ns, t.uj, t.static_uj, t.cpu_ns, t.covered_ns, t.grade, t.method, t.flags,
        t.origin);

-- name: ledger_sites
SELECT site FROM ledger WHERE sealed_ns >= :since_ns ORDER BY site;

-- name: mark_ledger_sealed
INSERT INTO ledger AS t (site, sealed_seq, sealed_ns) VALUES (:site, :upto, :used_ns)
ON CONFLICT DO UPDATE SET
    sealed_seq = max(t.sealed_seq, excluded.sealed_seq),
    sealed_ns = max(t.sealed_ns, excluded.sealed_ns);

-- name: remember_energy
INSERT INTO energy_memory (id, data) VALUES (0, ?) ON CONFLICT DO UPDATE SET data = excluded.data;

-- name: energy_memory
SELECT data FROM energy_memory;

-- name: present
-- Processes that have not ended, with the runs and executions that they take part in.
-- In this order: most processes have ended, and are not looked at.
SELECT m.instance, e.run, p.execution
FROM instance AS i
CROSS JOIN mention AS m ON m.instance = i.instance
CROSS JOIN process AS p ON p.execution = m.subject AND p.instance = m.instance
CROSS JOIN execution AS e ON e.execution = p.execution
LEFT JOIN process_state AS s ON s.execution = p.execution AND s.instance = p.instance
WHERE i.ended_ns IS NULL AND ifnull(s.status, 'running') = 'running'
UNION ALL
SELECT m.instance, s.run, NULL
FROM instance AS i
CROSS JOIN mention AS m ON m.instance = i.instance
CROSS JOIN standing AS s ON s.run = m.subject
WHERE i.ended_ns IS NULL;

-- name: lives
-- When processes took part in executions, and what they used in those that ended.
-- In this order, for the same reason.
SELECT
    p.instance, e.run, p.execution, ifnull(e.parent, zeroblob(16)), p.at_ns,
    CASE WHEN s.status <> 'running' THEN s.at_ns ELSE i.ended_ns END,
    CASE WHEN s.status NOT IN ('running', 'lost') THEN s.cpu_user_ns + s.cpu_system_ns END,
    p.role = 'wrapper'
FROM instance AS i
CROSS JOIN mention AS m ON m.instance = i.instance
CROSS JOIN process AS p ON p.execution = m.subject AND p.instance = m.instance
CROSS JOIN execution AS e ON e.execution = p.execution
LEFT JOIN process_state AS s ON s.execution = p.execution AND s.instance = p.instance
WHERE (i.ended_ns IS NULL OR i.ended_ns >= :since_ns)
    AND (ifnull(s.status, 'running') = 'running' OR s.at_ns >= :since_ns);

-- name: unsealed_ledger
-- Whether a site that still gets the ledger does not have all of it.
SELECT 1 FROM energy WHERE run = zeroblob(16)
    AND seq > (SELECT min(sealed_seq) FROM ledger WHERE sealed_ns >= :since_ns) LIMIT 1;
