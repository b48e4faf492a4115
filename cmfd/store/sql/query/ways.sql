-- name: readers
-- What one artifact or execution leads to, by the kinds of ways between them. At most so many: who
-- asks gives up then. (Each once: an execution may have read one content under very many names.)
SELECT DISTINCT v.execution_id FROM event AS v
WHERE v.artifact_id = ? AND v.direction = 'input' LIMIT ?;

-- name: writers
SELECT DISTINCT v.execution_id FROM event AS v
WHERE v.artifact_id = ? AND v.direction = 'output' LIMIT ?;

-- name: inputs
SELECT DISTINCT v.artifact_id FROM event AS v
WHERE v.execution_id = ? AND v.direction = 'input' LIMIT ?;

-- name: outputs
SELECT DISTINCT v.artifact_id FROM event AS v
WHERE v.execution_id = ? AND v.direction = 'output' LIMIT ?;

-- name: inner
SELECT n.execution_id FROM nesting AS n WHERE n.outer_id = ? LIMIT ?;

-- name: outer
SELECT n.outer_id FROM nesting AS n WHERE n.execution_id = ? LIMIT ?;

-- name: parts
-- From the whole to its parts; from same to same, too.
WITH n (id) AS (SELECT CAST(? AS INTEGER))
SELECT l.object_id FROM n CROSS JOIN link AS l ON l.subject_id = n.id
UNION
SELECT l.subject_id FROM n CROSS JOIN link AS l ON l.object_id = n.id AND l.relation = 'same'
LIMIT ?;

-- name: wholes
WITH n (id) AS (SELECT CAST(? AS INTEGER))
SELECT l.subject_id FROM n CROSS JOIN link AS l ON l.object_id = n.id
UNION
SELECT l.object_id FROM n CROSS JOIN link AS l ON l.subject_id = n.id AND l.relation = 'same'
LIMIT ?;

-- name: earlier
-- What an execution says that it goes on from, and the same stage in the start before, where its job
-- went back into the queue.
WITH e AS (SELECT * FROM execution WHERE id = ?)
SELECT o.id
FROM e
CROSS JOIN fact AS c ON c.subject = e.execution AND c.key = 'continues'
CROSS JOIN execution AS o ON o.execution = id_of(c.value)
UNION ALL
SELECT o.id
FROM e
CROSS JOIN run AS r ON r.id = e.run_id AND r.restart > 0
CROSS JOIN fact AS n ON n.subject = r.run AND n.key = 'slurm.job'
CROSS JOIN fact AS m ON m.key = 'slurm.job' AND m.value = n.value
CROSS JOIN run AS q ON q.run = m.subject AND q.restart = r.restart - 1
    AND q.cluster IS r.cluster AND q.uid IS r.uid
CROSS JOIN execution AS o ON o.run_id = q.id AND o.step IS e.step
    AND o.pipeline IS e.pipeline AND o.stage IS e.stage
LIMIT ?;

-- name: later
WITH e AS (SELECT * FROM execution WHERE id = ?)
SELECT o.id
FROM e
CROSS JOIN fact AS c ON c.key = 'continues' AND c.value = lower(hex(e.execution))
CROSS JOIN execution AS o ON o.execution = c.subject
UNION ALL
SELECT o.id
FROM e
CROSS JOIN run AS r ON r.id = e.run_id
CROSS JOIN fact AS n ON n.subject = r.run AND n.key = 'slurm.job'
CROSS JOIN fact AS m ON m.key = 'slurm.job' AND m.value = n.value
CROSS JOIN run AS q ON q.run = m.subject AND q.restart = r.restart + 1
    AND q.cluster IS r.cluster AND q.uid IS r.uid
CROSS JOIN execution AS o ON o.run_id = q.id AND o.step IS e.step
    AND o.pipeline IS e.pipeline AND o.stage IS e.stage
LIMIT ?;

-- name: kinds
-- Which kinds of ways there are at all, besides events; and whether anything was not hashed.
SELECT
    EXISTS (SELECT 1 FROM nesting),
    EXISTS (SELECT 1 FROM link),
    EXISTS (SELECT 1 FROM fact WHERE key = 'continues')
        OR EXISTS (SELECT 1 FROM fact WHERE key = 'slurm.restart' AND value > 0),
    EXISTS (SELECT 1 FROM event WHERE problem = 'not hashed');

-- name: sliced
-- Slices among some artifacts.
SELECT m.artifact_id FROM json_each(:ids) AS j CROSS JOIN slice_members AS m ON m.artifact_id = j.value;

-- name: superseded
-- Those of some artifacts that stand for content which was read after all (see the view `events`).
SELECT j.value
FROM json_each(:ids) AS j
WHERE EXISTS (SELECT 1 FROM event AS w WHERE w.artifact_id = j.value AND w.problem = 'not hashed')
  AND NOT EXISTS (SELECT 1 FROM events AS v WHERE v.artifact_id = j.value)
  AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.subject_id = j.value)
  AND NOT EXISTS (SELECT 1 FROM link AS l WHERE l.object_id = j.value);
