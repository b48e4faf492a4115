-- name: make_artifacts
-- Breadth-first from some artifacts and executions along their events, one level a round.
--
-- Down, an artifact leads to the executions that read it (`:into` is 'input') and these to what they
-- wrote (`:out_of` is 'output'); up it is the other way round. The tables are of the connection, and
-- lie in memory. CROSS JOIN keeps SQLite from reordering: what is new leads, each finding its events
-- by one look-up.
CREATE TEMP TABLE reached_artifact (
    id INTEGER PRIMARY KEY,
    depth INTEGER NOT NULL,
    via INTEGER        -- the execution
);

-- name: index_artifacts
CREATE INDEX temp.reached_artifact_by_depth ON reached_artifact (depth);

-- name: make_executions
CREATE TEMP TABLE reached_execution (
    id INTEGER PRIMARY KEY,
    depth INTEGER NOT NULL,
    via INTEGER        -- the artifact; negative: the execution, of which this is an inner one
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

-- name: is_made
SELECT 1 FROM temp.sqlite_schema WHERE name = 'reached_outer_by_depth';

-- name: clear_artifacts
DELETE FROM reached_artifact;

-- name: clear_executions
DELETE FROM reached_execution;

-- name: clear_outer
DELETE FROM reached_outer;

-- name: begin_artifact
INSERT INTO reached_artifact VALUES (:id, 0, NULL);

-- name: begin_execution
INSERT INTO reached_execution VALUES (:id, 0, NULL);

-- name: ignore_artifact
INSERT INTO reached_artifact VALUES (?, -1, NULL);

-- name: has_nested
SELECT 1 FROM nesting LIMIT 1;

-- name: to_executions
INSERT OR IGNORE INTO reached_execution
SELECT v.execution_id, :depth, f.id
FROM reached_artifact AS f
CROSS JOIN event AS v INDEXED BY event_by_artifact
    ON v.artifact_id = f.id AND v.direction = :into
WHERE f.depth = :depth - 1
  AND (:until_ns IS NULL OR (SELECT at_ns FROM execution WHERE id = v.execution_id) <= :until_ns);

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
  AND NOT EXISTS (SELECT 1 FROM events AS v WHERE v.artifact_id = f.id);

-- name: artifacts
SELECT id, depth, via FROM reached_artifact WHERE depth >= 0 ORDER BY depth, id;

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
