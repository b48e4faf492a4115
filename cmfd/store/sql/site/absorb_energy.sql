-- Energy of a group of packs into the index, after absorb.sql and in the same transaction. Most packs
-- have none: these statements are only of those that have some.

INSERT INTO main.meter (node, boot, component, domain, source, role)
SELECT DISTINCT node, boot, component, domain, source, role FROM incoming.energy WHERE true
ON CONFLICT DO NOTHING;

-- Runs and executions that are only named here.
INSERT INTO main.run (run) SELECT DISTINCT run FROM incoming.energy WHERE owner = 'run'
ON CONFLICT DO NOTHING;
INSERT INTO main.execution (execution)
SELECT DISTINCT execution FROM incoming.energy WHERE execution <> zeroblob(16)
ON CONFLICT DO NOTHING;

-- most. A run that is none, or that a row has whose owner is none, is a null, which no row may have.
INSERT INTO main.energy AS t
    (run_id, meter_id, owner, execution_id, t0_ns, dur_ns, at_ns, uj, static_uj, cpu_ns, covered_ns,
    grade, method, flags, origin)
SELECT
    CASE
        WHEN x.owner <> 'run' THEN iif(x.run = zeroblob(16) AND x.execution = zeroblob(16), 0, NULL)
        WHEN x.run <> zeroblob(16) THEN r.id
    END,
    m.id, x.owner, iif(x.execution = zeroblob(16), 0, e.id), x.t0_ns, x.dur_ns, x.at_ns, x.uj,
    x.static_uj, x.cpu_ns, x.covered_ns, x.grade, x.method, x.flags, x.origin
FROM incoming.energy AS x
CROSS JOIN main.meter AS m ON m.node = x.node AND m.boot = x.boot AND m.component = x.component
    AND m.domain = x.domain AND m.source = x.source AND m.role = x.role
LEFT JOIN main.run AS r ON r.run = x.run
LEFT JOIN main.execution AS e ON e.execution = x.execution
WHERE true
ON CONFLICT (run_id, meter_id, owner, execution_id, t0_ns) DO UPDATE SET
    dur_ns = excluded.dur_ns, at_ns = excluded.at_ns, uj = excluded.uj,
    static_uj = excluded.static_uj, cpu_ns = excluded.cpu_ns, covered_ns = excluded.covered_ns,
    grade = excluded.grade, method = excluded.method, flags = excluded.flags,
    origin = excluded.origin
WHERE (excluded.dur_ns, excluded.at_ns, excluded.uj, excluded.static_uj, excluded.cpu_ns,
        excluded.covered_ns, excluded.grade, excluded.method, excluded.flags, excluded.origin)
    > (t.dur_ns, t.at_ns, t.uj, t.static_uj, t.cpu_ns, t.covered_ns, t.grade, t.method, t.flags,
        t.origin);

-- Derived.
INSERT INTO main.energy_span AS t (meter_id, run_id, first_ns, end_ns)
SELECT m.id, ifnull(r.id, 0), min(x.t0_ns), max(x.t0_ns + x.dur_ns)
FROM incoming.energy AS x
CROSS JOIN main.meter AS m ON m.node = x.node AND m.boot = x.boot AND m.component = x.component
    AND m.domain = x.domain AND m.source = x.source AND m.role = x.role
LEFT JOIN main.run AS r ON x.owner = 'run' AND r.run = x.run
WHERE true
GROUP BY 1, 2
ON CONFLICT (meter_id, run_id) DO UPDATE SET
    first_ns = min(t.first_ns, excluded.first_ns), end_ns = max(t.end_ns, excluded.end_ns);

-- Derived: what sums are out of date.
INSERT INTO main.stale_energy
SELECT DISTINCT
    iif(x.owner = 'run', r.id, 0), m.id, x.owner, iif(x.execution = zeroblob(16), 0, e.id),
    x.t0_ns / 86400000000000
FROM incoming.energy AS x
CROSS JOIN main.meter AS m ON m.node = x.node AND m.boot = x.boot AND m.component = x.component
    AND m.domain = x.domain AND m.source = x.source AND m.role = x.role
LEFT JOIN main.run AS r ON r.run = x.run
LEFT JOIN main.execution AS e ON e.execution = x.execution
WHERE true
ON CONFLICT DO NOTHING;

-- last
INSERT INTO main.energy_probe AS t
    (boot, node, source, at_ns, origin, status, reason, advice, grade, scope, components, domains,
    chosen)
SELECT boot, node, source, at_ns, origin, status, reason, advice, grade, scope, components, domains,
    chosen
FROM incoming.energy_probe WHERE true
ON CONFLICT (boot, node, source) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, status = excluded.status,
    reason = excluded.reason, advice = excluded.advice, grade = excluded.grade,
    scope = excluded.scope, components = excluded.components, domains = excluded.domains,
    chosen = excluded.chosen
WHERE (excluded.at_ns, excluded.origin, excluded.status, excluded.reason, excluded.advice,
        excluded.grade, excluded.scope, excluded.components, excluded.domains, excluded.chosen)
    > (t.at_ns, t.origin, t.status, t.reason, t.advice, t.grade, t.scope, t.components, t.domains,
        t.chosen);

-- last
INSERT INTO main.node_hardware AS t
    (boot, node, at_ns, origin, cluster, cpu_model, n_sockets, n_cores, n_threads, memory_bytes,
    gpus)
SELECT boot, node, at_ns, origin, cluster, cpu_model, n_sockets, n_cores, n_threads, memory_bytes,
    gpus
FROM incoming.node_hardware WHERE true
ON CONFLICT (boot, node) DO UPDATE SET
    at_ns = excluded.at_ns, origin = excluded.origin, cluster = excluded.cluster,
    cpu_model = excluded.cpu_model, n_sockets = excluded.n_sockets, n_cores = excluded.n_cores,
    n_threads = excluded.n_threads, memory_bytes = excluded.memory_bytes, gpus = excluded.gpus
WHERE (excluded.at_ns, excluded.origin, excluded.cluster, excluded.cpu_model, excluded.n_sockets,
        excluded.n_cores, excluded.n_threads, excluded.memory_bytes, excluded.gpus)
    > (t.at_ns, t.origin, t.cluster, t.cpu_model, t.n_sockets, t.n_cores, t.n_threads,
        t.memory_bytes, t.gpus);
