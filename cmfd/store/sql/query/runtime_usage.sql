-- CPU time by host of executions, by their numbers: of wrappers, whose reading may include others, and
-- of all others.
SELECT e.execution, h.host, h.wrapper_ns, h.other_ns
FROM json_each(:ids) AS j
CROSS JOIN execution AS e ON e.id = j.value
CROSS JOIN execution_host AS h ON h.execution_id = e.id
