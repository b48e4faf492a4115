-- name: of
-- All that was said of some artifacts, executions and runs, as it was said.
SELECT n.note, n.subject, n.kind, n.text, n.at_ns, n.uid, n.author
FROM json_each(:subjects) AS j CROSS JOIN notes AS n ON n.subject = j.value
ORDER BY n.at_ns, n.note;

-- name: tainted
SELECT n.subject, n.reason
FROM json_each(:subjects) AS j CROSS JOIN tainted AS n ON n.subject = j.value;

-- name: of_run
-- A run, its executions, and what they read or wrote.
SELECT lower(hex(run)) AS subject FROM run WHERE id = :run_id
UNION
SELECT lower(hex(execution)) FROM execution WHERE run_id = :run_id
UNION
SELECT a.digest
FROM execution AS e
CROSS JOIN event AS v ON v.execution_id = e.id
CROSS JOIN artifact AS a ON a.id = v.artifact_id
WHERE e.run_id = :run_id;
