-- Executions of runs, by their numbers, that have the busiest rank for its mean.
SELECT e.execution, CAST(x.busy_ns AS REAL) / x.n_ranks AS mean_ns
FROM json_each(:run_ids) AS j
CROSS JOIN execution AS e ON e.run_id = j.value
CROSS JOIN execution_sum AS x ON x.execution_id = e.id
WHERE x.n_ranks > 1 AND x.busy_ns > 0 AND x.worst_ns / (CAST(x.busy_ns AS REAL) / x.n_ranks) > :over
ORDER BY x.worst_ns / (CAST(x.busy_ns AS REAL) / x.n_ranks) DESC, e.at_ns, e.execution
LIMIT :limit
