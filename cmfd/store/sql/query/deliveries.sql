-- Of runs, given as a JSON list of their numbers: which nodes had a part in them, as far as that is
-- known, and what each has delivered. `nodes` is a host list, but in a delivery one node.
SELECT d.run_id, 'delivery' AS what, d.node AS nodes, d.at_ns, d.final, d.job_over
FROM json_each(:run_ids) AS j
CROSS JOIN delivery AS d ON d.run_id = j.value
UNION ALL
SELECT e.run_id, 'step', f.value, e.at_ns, NULL, NULL
FROM json_each(:run_ids) AS j
CROSS JOIN execution AS e ON e.run_id = j.value
CROSS JOIN fact AS f ON f.subject = e.execution AND f.key = 'slurm.step_nodes'
WHERE f.value_type = 'str'
UNION ALL
SELECT r.id, 'job', f.value, r.at_ns, NULL, NULL
FROM json_each(:run_ids) AS j
CROSS JOIN run AS r ON r.id = j.value
CROSS JOIN fact AS f ON f.subject = r.run AND f.key = 'slurm.node_list'
WHERE f.value_type = 'str'
