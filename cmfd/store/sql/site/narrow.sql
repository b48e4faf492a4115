-- name: packs
-- Packs of runs all of whose executions are of these pipelines, and of no other run; and those that
-- only speak of such runs, their executions, and what these read or wrote. Who may see these
-- pipelines only may see nothing else that is in a pack with them.
WITH own AS MATERIALIZED (
    SELECT run_id AS id FROM execution WHERE pipeline IN ({pipelines}) AND run_id IS NOT NULL
    EXCEPT
    SELECT run_id FROM execution
    WHERE run_id IN (SELECT run_id FROM execution WHERE pipeline IN ({pipelines}))
        AND (pipeline IS NULL OR pipeline NOT IN ({pipelines}))
), touched AS MATERIALIZED (
    SELECT e.id AS execution_id, e.execution
    FROM own AS c CROSS JOIN execution AS e ON e.run_id = c.id
), own_subject AS MATERIALIZED (
    SELECT lower(hex(r.run)) AS subject FROM own AS c CROSS JOIN run AS r ON r.id = c.id
    UNION SELECT lower(hex(execution)) FROM touched
    UNION
    SELECT a.digest
    FROM touched AS t
    CROSS JOIN event AS v ON v.execution_id = t.execution_id
    CROSS JOIN artifact AS a ON a.id = v.artifact_id
), found AS (
    SELECT x.pack_id FROM own AS c CROSS JOIN pack_run AS x ON x.run_id = c.id
    UNION
    SELECT x.pack_id FROM own_subject AS s CROSS JOIN pack_about AS x ON x.subject = s.subject
)
SELECT k.id, k.digest, k.merged_ns, k.size_bytes
FROM found CROSS JOIN pack AS k ON k.id = found.pack_id
WHERE NOT EXISTS (
    SELECT 1 FROM pack_run AS x WHERE x.pack_id = k.id AND x.run_id NOT IN (SELECT id FROM own)
)
AND NOT EXISTS (
    SELECT 1 FROM pack_about AS x
    WHERE x.pack_id = k.id AND x.subject NOT IN (SELECT subject FROM own_subject)
)
ORDER BY k.id;
