-- One row for each metric of each execution of a run, from the chunks' figures: besides those,
-- only the chunk that holds the first value of the lowest rank is needed (`first_data`).
WITH piece AS (
    SELECT
        e.id AS execution_id,
        s.name,
        coalesce(p.rank, 0) AS rank,
        c.series_id, c.block, c.n_values, c.n_nan, c.step_min, c.step_max, c.first_ns, c.last_ns,
        c.value_min, c.value_max, c.value_sum, c.last_value
    FROM execution AS e
    JOIN series AS s ON s.execution_id = e.id
    JOIN chunk AS c ON c.series_id = s.id
    LEFT JOIN process AS p ON p.execution_id = s.execution_id AND p.instance = s.instance
    WHERE e.run_id = :run_id
),
whole AS (
    SELECT
        execution_id, name,
        count(DISTINCT rank) AS n_ranks,
        CAST(total(n_values) AS INTEGER) AS n_values,
        CAST(total(n_nan) AS INTEGER) AS n_nan,
        min(step_min) AS step_min,
        max(step_max) AS step_max,
        min(value_min) AS min,
        max(value_max) AS max,
        total(value_sum) AS sum
    FROM piece
    GROUP BY execution_id, name
),
edge AS (
    SELECT
        execution_id, name, series_id, block, last_value,
        row_number() OVER (
            PARTITION BY execution_id, name ORDER BY rank, step_min, first_ns) AS from_first,
        row_number() OVER (
            PARTITION BY execution_id, name ORDER BY rank, last_ns DESC, block DESC) AS from_last
    FROM piece
)
SELECT
    lower(hex(e.execution)) AS execution,
    coalesce(e.pipeline, '') AS pipeline,
    coalesce(e.stage, '') AS stage,
    w.name, w.n_values, w.n_nan, w.n_ranks, w.step_min, w.step_max, w.min, w.max, w.sum,
    z.last_value AS last,
    c.data AS first_data
FROM whole AS w
JOIN execution AS e ON e.id = w.execution_id
JOIN edge AS a ON a.execution_id = w.execution_id AND a.name = w.name AND a.from_first = 1
JOIN edge AS z ON z.execution_id = w.execution_id AND z.name = w.name AND z.from_last = 1
JOIN chunk AS c ON c.series_id = a.series_id AND c.block = a.block
ORDER BY e.at_ns, e.execution, w.name
