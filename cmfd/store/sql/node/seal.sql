-- name: standing
SELECT (SELECT seq FROM node.clock), seq > sealed_seq, sealed_seq, finished FROM node.standing WHERE run = :run;

-- name: copy_run
INSERT INTO main.run SELECT * FROM node.run WHERE run = :run;

-- name: copy_run_end
INSERT INTO main.run_end SELECT * FROM node.run_end WHERE run = :run;

-- name: copy_execution
INSERT INTO main.execution SELECT * FROM node.execution WHERE run = :run;

-- name: copy_execution_end
INSERT INTO main.execution_end
SELECT * FROM node.execution_end WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_process
INSERT INTO main.process SELECT * FROM node.process WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_process_state
INSERT INTO main.process_state
SELECT * FROM node.process_state WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_param
INSERT INTO main.param SELECT * FROM node.param WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_fact
INSERT INTO main.fact
SELECT * FROM node.fact WHERE subject = :run OR subject IN (SELECT execution FROM main.execution);

-- name: copy_event
INSERT INTO main.event SELECT * FROM node.event WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_link
-- With what such a whole is a part of: of a slice of a data set, the file that has the data set.
INSERT INTO main.link SELECT * FROM node.link
WHERE subject IN (SELECT digest FROM main.event) OR object IN (
    SELECT digest FROM main.event
    UNION
    SELECT subject FROM node.link WHERE object IN (SELECT digest FROM main.event)
);

-- name: copy_artifact
INSERT INTO main.artifact SELECT * FROM node.artifact WHERE digest IN (
    SELECT digest FROM main.event UNION SELECT subject FROM main.link UNION SELECT object FROM main.link
);

-- name: copy_slice_members
INSERT INTO main.slice_members
SELECT * FROM node.slice_members WHERE digest IN (SELECT digest FROM main.event);

-- name: copy_execution_environment
INSERT INTO main.execution_environment
SELECT * FROM node.execution_environment WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_environment
INSERT INTO main.environment
SELECT * FROM node.environment WHERE digest IN (SELECT digest FROM main.execution_environment);

-- name: copy_series
INSERT INTO main.series SELECT * FROM node.series WHERE execution IN (SELECT execution FROM main.execution);

-- name: copy_energy
-- What of it is new, or covers more than before.
INSERT INTO main.energy
SELECT t0_ns, node, boot, owner, run, execution, component, domain, source, role, dur_ns, at_ns, uj,
    static_uj, cpu_ns, covered_ns, grade, method, flags, origin
FROM node.energy
WHERE run = :run AND seq > (SELECT sealed_seq FROM node.standing WHERE run = :run);

-- name: touches
SELECT t.instance, i.uid, i.host, t.record, ifnull(p.rank, 0)
FROM node.touch AS t
JOIN node.instance AS i USING (instance)
LEFT JOIN node.process AS p USING (execution, instance)
WHERE t.execution IN (SELECT execution FROM main.execution);

-- name: blocks
SELECT DISTINCT l.instance, l.block FROM node.slice AS l
WHERE l.seq > :sealed_seq AND l.instance IN (
    SELECT s.instance FROM main.series AS s JOIN node.series_stat AS t USING (instance, series)
    WHERE t.seq > :sealed_seq
)
ORDER BY l.instance, l.block;

-- name: slices
SELECT l.kind, l.data, ifnull(g.series, '') FROM node.slice AS l
LEFT JOIN node.row_group AS g ON g.instance = l.instance AND g.id = l.group_id
WHERE l.instance = ? AND l.block = ? ORDER BY l.first;

-- name: kinds
SELECT series, kind FROM main.series WHERE instance = ?;

-- name: add_chunk
INSERT INTO main.chunk (
    instance, series, block, n_values, n_nan, step_min, step_max, first_ns, last_ns,
    value_min, value_max, value_sum, last_step, last_value, data
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: ledger
SELECT (SELECT seq FROM node.clock), ifnull((SELECT sealed_seq FROM node.ledger WHERE site = :site), 0);

-- name: add_ledger
INSERT INTO main.energy
SELECT t0_ns, node, boot, owner, run, execution, component, domain, source, role, dur_ns, at_ns, uj,
    static_uj, cpu_ns, covered_ns, grade, method, flags, origin
FROM node.energy WHERE run = zeroblob(16) AND seq > :sealed_seq;

-- name: add_probes
INSERT INTO main.energy_probe SELECT * FROM node.energy_probe;

-- name: add_hardware
INSERT INTO main.node_hardware SELECT * FROM node.node_hardware;

-- name: label
INSERT INTO main.pack (format, creator, cluster, node, sealed_ns, final, site)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: deliver
-- For each node whose processes took part, and for the one that this is even if none did.
INSERT INTO main.delivery (run, node, at_ns, origin, final, n_open, job_over)
SELECT :run, node, :at_ns, :origin, :final AND NOT max(is_open), sum(is_open), :job_over
FROM (
    SELECT :node AS node, 0 AS is_open
    UNION ALL
    SELECT i.host, i.ended_ns IS NULL FROM node.instance AS i
    WHERE i.instance IN (
        SELECT m.instance FROM node.mention AS m WHERE m.subject = :run
        UNION ALL
        SELECT m.instance FROM main.execution AS e JOIN node.mention AS m ON m.subject = e.execution
    )
)
WHERE node <> ''
GROUP BY node;
