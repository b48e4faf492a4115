-- name: make_artifacts
-- Breadth-first from some artifacts and executions along their events, one level a round.
--
-- Down, an artifact leads to the executions that read it (`:into` is 'input') and these to what they
-- wrote (`:out_of` is 'output'); up it is the other way round. The tables are of the connection, and
-- lie in memory. CROSS JOIN keeps SQLite from reordering: what is new leads, each finding its events
-- by one look-up.
--
-- Where content is part of other content (see the table `link`), all of an artifact is reached, or
-- only some of it: of what is reached as a whole, every part is; of what has such a part in it, some
-- is, and with that none of its other parts.
CREATE TEMP TABLE reached_artifact (
    id INTEGER PRIMARY KEY,
    depth INTEGER NOT NULL,
    via INTEGER        -- the execution; negative: the artifact that this is part of, or the same as
);

-- name: index_artifacts
CREATE INDEX temp.reached_artifact_by_depth ON reached_artifact (depth);

-- name: make_executions
CREATE TEMP TABLE reached_execution (
    id INTEGER PRIMARY KEY,
    depth INTEGER NOT NULL,
    via INTEGER        -- the artifact; negative: the execution, in which this one is, or from which
                       -- it goes on, or that goes on from it
);

-- name: index_executions
CREATE INDEX temp.reached_execution_by_depth ON reached_execution (depth);

-- name: make_outer
-- Executions reached only because one within them was: what goes in and out of such a one belongs to
-- those within, but other executions within it are not reached by that.
CREATE TEMP TABLE reached_outer (
    id INTEGER PRIMARY KEY,
    depth INTEGER NOT NULL,
    via INTEGER NOT NULL  -- the execution within it
);

-- name: index_outer
CREATE INDEX temp.reached_outer_by_depth ON reached_outer (depth);

-- name: make_around
-- Artifacts of which only a part was reached.
CREATE TEMP TABLE reached_around (
    id INTEGER PRIMARY KEY,
    depth INTEGER NOT NULL,
    via INTEGER NOT NULL  -- the artifact that is part of this one, or the same, or overlaps it
);

-- name: index_around
CREATE INDEX temp.reached_around_by_depth ON reached_around (depth);

-- name: is_made
SELECT 1 FROM temp.sqlite_schema WHERE name = 'reached_around_by_depth';

-- name: clear_artifacts
DELETE FROM reached_artifact;

-- name: clear_executions
DELETE FROM reached_execution;

-- name: clear_outer
DELETE FROM reached_outer;

-- name: clear_around
DELETE FROM reached_around;

-- name: begin_artifact
INSERT INTO reached_artifact VALUES (:id, 0, NULL);

-- name: begin_execution
INSERT INTO reached_execution VALUES (:id, 0, NULL);

-- name: ignore_artifact
INSERT INTO reached_artifact VALUES (?, -1, NULL);

-- name: has_nested
SELECT 1 FROM nesting LIMIT 1;

-- name: has_links
SELECT 1 FROM link LIMIT 1;

-- name: has_continued
SELECT 1 FROM fact WHERE key = 'continues' LIMIT 1;

-- name: has_restarted
SELECT 1 FROM fact WHERE key = 'slurm.restart' AND value > 0 LIMIT 1;

-- name: to_parts
-- What is reached as a whole is reached in all its parts, and under all names of that content.
INSERT OR IGNORE INTO reached_artifact
WITH RECURSIVE inside (id, whole_id) AS (
    SELECT f.id, NULL FROM reached_artifact AS f WHERE f.depth = :depth
    UNION
    SELECT l.object_id, i.id FROM inside AS i CROSS JOIN link AS l ON l.subject_id = i.id
    UNION
    SELECT l.subject_id, i.id
    FROM inside AS i CROSS JOIN link AS l ON l.object_id = i.id AND l.relation = 'same'
)
SELECT i.id, :depth, -i.whole_id FROM inside AS i WHERE i.whole_id IS NOT NULL;

-- name: to_overlapping
-- Slices of one data set that have rows in common.
INSERT OR IGNORE INTO reached_around
SELECT m.artifact_id, :depth, f.id
FROM reached_artifact AS f
CROSS JOIN slice_members AS s ON s.artifact_id = f.id AND json_valid(s.document)
CROSS JOIN link AS l ON l.object_id = f.id AND l.relation = 'contains'
CROSS JOIN link AS k ON k.subject_id = l.subject_id AND k.relation = 'contains'
CROSS JOIN slice_members AS m ON m.artifact_id = k.object_id AND json_valid(m.document)
WHERE f.depth = :depth
  AND json_extract(m.document, '$.of') = json_extract(s.document, '$.of')
  AND EXISTS (
    SELECT 1
    FROM json_each(s.document, '$.rows') AS a CROSS JOIN json_each(m.document, '$.rows') AS b
    WHERE a.type = 'array' AND b.type = 'array'
      AND json_extract(a.value, '$[0]') < json_extract(b.value, '$[1]')
      AND json_extract(b.value, '$[0]') < json_extract(a.value, '$[1]')
  );

-- name: to_wholes
-- What has something in it that is reached is reached, as far as that.
INSERT OR IGNORE INTO reached_around
WITH RECURSIVE around (id, part_id) AS (
    SELECT f.id, NULL FROM reached_artifact AS f WHERE f.depth = :depth
    UNION
    SELECT f.id, NULL FROM reached_around AS f WHERE f.depth = :depth
    UNION
    SELECT l.subject_id, a.id FROM around AS a CROSS JOIN link AS l ON l.object_id = a.id
    UNION
    SELECT l.object_id, a.id
    FROM around AS a CROSS JOIN link AS l ON l.subject_id = a.id AND l.relation = 'same'
)
SELECT a.id, :depth, a.part_id FROM around AS a WHERE a.part_id IS NOT NULL;

-- name: to_executions
INSERT OR IGNORE INTO reached_execution
SELECT v.execution_id, :depth, f.id
FROM reached_artifact AS f
CROSS JOIN event AS v INDEXED BY event_by_artifact
    ON v.artifact_id = f.id AND v.direction = :into
WHERE f.depth = :depth - 1
  AND (:until_ns IS NULL OR (SELECT at_ns FROM execution WHERE id = v.execution_id) <= :until_ns);

-- name: around_to_executions
INSERT OR IGNORE INTO reached_execution
SELECT v.execution_id, :depth, f.id
FROM reached_around AS f
CROSS JOIN event AS v INDEXED BY event_by_artifact
    ON v.artifact_id = f.id AND v.direction = :into
WHERE f.depth = :depth - 1
  AND (:until_ns IS NULL OR (SELECT at_ns FROM execution WHERE id = v.execution_id) <= :until_ns);

-- name: to_earlier
-- What an execution goes on from; also one around another, which is part of what it came to.
INSERT OR IGNORE INTO reached_execution
SELECT o.id, :depth, -f.id
FROM (
    SELECT id FROM reached_execution WHERE depth = :depth - 1
    UNION ALL SELECT id FROM reached_outer WHERE depth = :depth - 1
) AS f
CROSS JOIN execution AS e ON e.id = f.id
CROSS JOIN fact AS c ON c.subject = e.execution AND c.key = 'continues'
CROSS JOIN execution AS o ON o.execution = id_of(c.value)
WHERE (:until_ns IS NULL OR o.at_ns <= :until_ns);

-- name: to_later
INSERT OR IGNORE INTO reached_execution
SELECT o.id, :depth, -f.id
FROM (
    SELECT id FROM reached_execution WHERE depth = :depth - 1
    UNION ALL SELECT id FROM reached_outer WHERE depth = :depth - 1
) AS f
CROSS JOIN execution AS e ON e.id = f.id
CROSS JOIN fact AS c ON c.key = 'continues' AND c.value = lower(hex(e.execution))
CROSS JOIN execution AS o ON o.execution = c.subject
WHERE (:until_ns IS NULL OR o.at_ns <= :until_ns);

-- name: to_earlier_start
-- The same stage in the start before, where its job went back into the queue.
INSERT OR IGNORE INTO reached_execution
SELECT o.id, :depth, -f.id
FROM (
    SELECT id FROM reached_execution WHERE depth = :depth - 1
    UNION ALL SELECT id FROM reached_outer WHERE depth = :depth - 1
) AS f
CROSS JOIN execution AS e ON e.id = f.id
CROSS JOIN run AS r ON r.id = e.run_id AND r.restart > 0
CROSS JOIN fact AS n ON n.subject = r.run AND n.key = 'slurm.job'
CROSS JOIN fact AS m ON m.key = 'slurm.job' AND m.value = n.value
CROSS JOIN run AS q ON q.run = m.subject AND q.restart = r.restart - 1
    AND q.cluster IS r.cluster AND q.uid IS r.uid
CROSS JOIN execution AS o ON o.run_id = q.id AND o.step IS e.step
    AND o.pipeline IS e.pipeline AND o.stage IS e.stage
WHERE (:until_ns IS NULL OR o.at_ns <= :until_ns);

-- name: to_later_start
-- The same stage in the start after.
INSERT OR IGNORE INTO reached_execution
SELECT o.id, :depth, -f.id
FROM (
    SELECT id FROM reached_execution WHERE depth = :depth - 1
    UNION ALL SELECT id FROM reached_outer WHERE depth = :depth - 1
) AS f
CROSS JOIN execution AS e ON e.id = f.id
CROSS JOIN run AS r ON r.id = e.run_id
CROSS JOIN fact AS n ON n.subject = r.run AND n.key = 'slurm.job'
CROSS JOIN fact AS m ON m.key = 'slurm.job' AND m.value = n.value
CROSS JOIN run AS q ON q.run = m.subject AND q.restart = r.restart + 1
    AND q.cluster IS r.cluster AND q.uid IS r.uid
CROSS JOIN execution AS o ON o.run_id = q.id AND o.step IS e.step
    AND o.pipeline IS e.pipeline AND o.stage IS e.stage
WHERE (:until_ns IS NULL OR o.at_ns <= :until_ns);

-- name: to_inner
INSERT OR IGNORE INTO reached_execution
WITH RECURSIVE inside (id, outer_id) AS (
    SELECT n.execution_id, f.id
    FROM reached_execution AS f
    CROSS JOIN nesting AS n ON n.outer_id = f.id
    WHERE f.depth = :depth
    UNION
    SELECT n.execution_id, i.id
    FROM inside AS i CROSS JOIN nesting AS n ON n.outer_id = i.id
)
SELECT i.id, :depth, -i.outer_id
FROM inside AS i
WHERE :until_ns IS NULL OR (SELECT at_ns FROM execution WHERE id = i.id) <= :until_ns;

-- name: to_outer
INSERT OR IGNORE INTO reached_outer
WITH RECURSIVE outside (id, inner_id) AS (
    SELECT n.outer_id, f.id
    FROM reached_execution AS f
    CROSS JOIN nesting AS n ON n.execution_id = f.id
    WHERE f.depth = :depth
    UNION
    SELECT n.outer_id, o.id
    FROM outside AS o CROSS JOIN nesting AS n ON n.execution_id = o.id
)
SELECT o.id, :depth, o.inner_id FROM outside AS o;

-- name: to_artifacts
INSERT OR IGNORE INTO reached_artifact
SELECT v.artifact_id, :depth, f.id
FROM reached_execution AS f
CROSS JOIN event AS v ON v.execution_id = f.id AND v.direction = :out_of
WHERE f.depth = :depth;

-- name: outer_to_artifacts
INSERT OR IGNORE INTO reached_artifact
SELECT v.artifact_id, :depth, f.id
FROM reached_outer AS f
CROSS JOIN event AS v ON v.execution_id = f.id AND v.direction = :out_of
WHERE f.depth = :depth;

-- name: superseded
-- Artifacts that stand for content which was read after all (see the view `events`).
SELECT f.id
FROM reached_artifact AS f
WHERE f.via IS NOT NULL
  AND f.id IN (SELECT artifact_id FROM event WHERE problem = 'not hashed')
  AND NOT EXISTS (SELECT 1 FROM events AS v WHERE v.artifact_id = f.id)
  AND NOT EXISTS (SELECT 1 FROM link AS l WHERE f.id IN (l.subject_id, l.object_id));

-- name: artifacts
SELECT id, depth, via FROM reached_artifact WHERE depth >= 0 ORDER BY depth, id;

-- name: around
SELECT id, depth, -via FROM reached_around ORDER BY depth, id;

-- name: executions
-- One that was reached and is also around another is where it is nearest.
SELECT
    x.id,
    iif(o.depth < x.depth, o.depth, x.depth) AS depth,
    iif(o.depth < x.depth, -o.via, x.via) AS via
FROM reached_execution AS x LEFT JOIN reached_outer AS o ON o.id = x.id
UNION ALL
SELECT o.id, o.depth, -o.via FROM reached_outer AS o
WHERE o.id NOT IN (SELECT id FROM reached_execution)
ORDER BY depth, id;
