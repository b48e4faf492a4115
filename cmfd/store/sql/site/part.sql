-- name: clear
DROP TABLE IF EXISTS temp.part_run;

-- name: make
CREATE TEMP TABLE part_run (
    id INTEGER PRIMARY KEY,
    level INTEGER NOT NULL  -- how many steps up from what was chosen
);

-- name: choose
-- + 0: nothing is found by what nearly all have.
INSERT INTO part_run (id, level)
SELECT e.run_id, 0
FROM execution AS e LEFT JOIN run AS r ON r.id = e.run_id
WHERE e.run_id + 0 IS NOT NULL AND ({condition})
ON CONFLICT DO NOTHING;

-- name: up
-- The runs that wrote what those of a level read, or something that it is a part of or has in it.
INSERT INTO part_run (id, level)
SELECT DISTINCT p.run_id, :level + 1
FROM part_run AS c
CROSS JOIN execution AS e ON e.run_id = c.id
CROSS JOIN event AS i ON i.execution_id = e.id AND i.direction = 'input'
CROSS JOIN (
    SELECT 0 AS way UNION ALL SELECT 1 UNION ALL SELECT 2
) AS w
LEFT JOIN link AS l ON w.way = 1 AND l.object_id = i.artifact_id
LEFT JOIN link AS m ON w.way = 2 AND m.subject_id = i.artifact_id
CROSS JOIN event AS o
    ON o.artifact_id = CASE w.way WHEN 0 THEN i.artifact_id WHEN 1 THEN l.subject_id ELSE m.object_id END
    AND o.direction = 'output'
CROSS JOIN execution AS p ON p.id = o.execution_id
WHERE c.level = :level AND p.run_id IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: others
-- Forget the runs of which an execution is of another pipeline: who asks may not see them, and by
-- what a filter finds of them could tell what is in them.
DELETE FROM part_run
WHERE id IN (
    SELECT e.run_id FROM part_run AS c CROSS JOIN execution AS e ON e.run_id = c.id
    WHERE e.pipeline IS NULL OR e.pipeline NOT IN ({pipelines})
);

-- name: back
-- Forget a level.
DELETE FROM part_run WHERE level = :level;

-- name: packs
-- Those of the runs, and those that only speak of the runs, their executions, what these read or
-- wrote, or what that is a part of or has in it. 0: of which an earlier release noted nothing.
WITH touched AS (
    SELECT e.id AS execution_id, e.execution
    FROM part_run AS c CROSS JOIN execution AS e ON e.run_id = c.id
), moved AS (
    SELECT DISTINCT v.artifact_id FROM touched AS t CROSS JOIN event AS v ON v.execution_id = t.execution_id
), near AS (
    SELECT artifact_id FROM moved
    UNION SELECT l.subject_id FROM moved AS m CROSS JOIN link AS l ON l.object_id = m.artifact_id
    UNION SELECT l.object_id FROM moved AS m CROSS JOIN link AS l ON l.subject_id = m.artifact_id
), subject AS (
    SELECT lower(hex(r.run)) AS subject FROM part_run AS c CROSS JOIN run AS r ON r.id = c.id
    UNION ALL SELECT lower(hex(execution)) FROM touched
    UNION ALL SELECT a.digest FROM near AS n CROSS JOIN artifact AS a ON a.id = n.artifact_id
)
SELECT k.id, k.digest, k.merged_ns, k.size_bytes
FROM (
    SELECT x.pack_id
    FROM (SELECT id FROM part_run UNION ALL SELECT 0) AS c CROSS JOIN pack_run AS x ON x.run_id = c.id
    UNION
    SELECT x.pack_id FROM subject AS s CROSS JOIN pack_about AS x ON x.subject = s.subject
) AS found
CROSS JOIN pack AS k ON k.id = found.pack_id
ORDER BY k.id;
