-- name: span
-- From when to when there is energy of the chosen runs.
SELECT min(e.t0_ns), max(e.t0_ns + e.dur_ns)
FROM chosen_run AS c
CROSS JOIN energy AS e ON e.run_id = c.id
CROSS JOIN meter AS m ON m.id = e.meter_id AND m.role = 'count'
WHERE e.owner = 'run' AND (:node IS NULL OR m.node = :node)
    AND e.t0_ns >= :since_ns AND e.t0_ns < :until_ns;

-- name: power
-- Energy of the chosen runs by component, in steps of time from the first on.
SELECT
    min(m.node), m.component, :first_ns + (e.t0_ns - :first_ns) / :step_ns * :step_ns,
    :step_ns, CAST(total(e.uj) AS INTEGER)
FROM chosen_run AS c
CROSS JOIN energy AS e ON e.run_id = c.id
CROSS JOIN meter AS m ON m.id = e.meter_id AND m.role = 'count'
WHERE e.owner = 'run' AND (:node IS NULL OR m.node = :node)
    AND e.t0_ns >= :since_ns AND e.t0_ns < :until_ns
GROUP BY m.component, (e.t0_ns - :first_ns) / :step_ns;
