-- name: new
-- The chunks of a pack, once absorb.sql is done with its group; in SQLite each pack's for themselves, as
-- they lie in it.
--
-- Nearly always all of them, and a third faster than the same with the rule for those that are not.
INSERT INTO main.chunk
    (series_id, block, n_values, n_nan, step_min, step_max, first_ns, last_ns, value_min, value_max,
    value_sum, last_step, last_value, data)
SELECT s.id, x.block, x.n_values, x.n_nan, x.step_min, x.step_max, x.first_ns, x.last_ns,
    x.value_min, x.value_max, x.value_sum, x.last_step, x.last_value, x.data
FROM incoming.chunk AS x
CROSS JOIN main.series AS s ON s.instance = x.instance AND s.series = x.series
WHERE true
ON CONFLICT (series_id, block) DO NOTHING;

-- name: count
SELECT count(*) FROM incoming.chunk;

-- name: series
-- Series that are only named here: where not all were new, which is the case of those, too.
INSERT INTO main.series (instance, series)
SELECT DISTINCT instance, series FROM incoming.chunk AS x
WHERE NOT EXISTS (
    SELECT 1 FROM incoming.series AS s WHERE s.instance = x.instance AND s.series = x.series
)
AND NOT EXISTS (  -- a copy's
    SELECT 1 FROM main.execution AS e
    WHERE e.execution = x.instance AND e.origin >= x'0000000000000001'
)
ON CONFLICT DO NOTHING;

-- name: grow
INSERT INTO main.chunk AS t
    (series_id, block, n_values, n_nan, step_min, step_max, first_ns, last_ns, value_min, value_max,
    value_sum, last_step, last_value, data)
SELECT s.id, x.block, x.n_values, x.n_nan, x.step_min, x.step_max, x.first_ns, x.last_ns,
    x.value_min, x.value_max, x.value_sum, x.last_step, x.last_value, x.data
FROM incoming.chunk AS x
CROSS JOIN main.series AS s ON s.instance = x.instance AND s.series = x.series
WHERE true
ON CONFLICT (series_id, block) DO UPDATE SET
    n_values = excluded.n_values, n_nan = excluded.n_nan, step_min = excluded.step_min,
    step_max = excluded.step_max, first_ns = excluded.first_ns, last_ns = excluded.last_ns,
    value_min = excluded.value_min, value_max = excluded.value_max, value_sum = excluded.value_sum,
    last_step = excluded.last_step, last_value = excluded.last_value, data = excluded.data
WHERE (excluded.n_values, excluded.data, excluded.n_nan, excluded.step_min, excluded.step_max,
        excluded.first_ns, excluded.last_ns,
        typeof(excluded.value_min), ifnull(excluded.value_min, 0),
        typeof(excluded.value_max), ifnull(excluded.value_max, 0),
        typeof(excluded.value_sum), ifnull(excluded.value_sum, 0),
        excluded.last_step, typeof(excluded.last_value), ifnull(excluded.last_value, 0))
    > (t.n_values, t.data, t.n_nan, t.step_min, t.step_max, t.first_ns, t.last_ns,
        typeof(t.value_min), ifnull(t.value_min, 0), typeof(t.value_max), ifnull(t.value_max, 0),
        typeof(t.value_sum), ifnull(t.value_sum, 0),
        t.last_step, typeof(t.last_value), ifnull(t.last_value, 0));
