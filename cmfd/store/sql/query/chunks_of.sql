-- The chunks of some series.
SELECT c.series_id, c.n_values, c.step_min, c.step_max, c.data
FROM json_each(:ids) AS j CROSS JOIN chunk AS c ON c.series_id = j.value
ORDER BY c.series_id, c.block
