-- name: packs
-- What was merged into an index, in short: another merge, another answer.
SELECT count(*), ifnull(max(id), 0), ifnull((SELECT digest FROM pack ORDER BY id DESC LIMIT 1), '')
FROM pack;

-- name: size
-- How large the numbers of artifacts and executions are.
SELECT ifnull((SELECT max(id) FROM artifact), 0), ifnull((SELECT max(id) FROM execution), 0);

-- name: n_runs
SELECT ifnull(max(id), 0) FROM run;

-- name: inputs
-- Pairs of numbers, each as one with the first in its upper bits, and all of them in one text: that
-- is three times as fast into memory as row by row.
SELECT group_concat((v.execution_id << 31) + v.artifact_id)
FROM event AS v INDEXED BY event_by_artifact
WHERE v.artifact_id BETWEEN :first AND :last AND v.direction = 'input';

-- name: outputs
-- By the kinds of what was written; one artifact may have been written as several.
SELECT v.kind, group_concat((v.execution_id << 31) + v.artifact_id)
FROM event AS v
WHERE v.execution_id BETWEEN :first AND :last AND v.direction = 'output'
GROUP BY v.kind;

-- name: outer
SELECT group_concat((n.execution_id << 31) + n.outer_id) FROM nesting AS n;

-- name: earlier
SELECT group_concat((e.id << 31) + o.id)
FROM fact AS c
CROSS JOIN execution AS e ON e.execution = c.subject
CROSS JOIN execution AS o ON o.execution = id_of(c.value)
WHERE c.key = 'continues';

-- name: earlier_start
SELECT group_concat((e.id << 31) + o.id)
FROM fact AS c
CROSS JOIN run AS r ON r.run = c.subject
CROSS JOIN execution AS e ON e.run_id = r.id
CROSS JOIN fact AS n ON n.subject = r.run AND n.key = 'slurm.job'
CROSS JOIN fact AS m ON m.key = 'slurm.job' AND m.value = n.value
CROSS JOIN run AS q ON q.run = m.subject AND q.restart = r.restart - 1
    AND q.cluster IS r.cluster AND q.uid IS r.uid
CROSS JOIN execution AS o ON o.run_id = q.id AND o.step IS e.step
    AND o.pipeline IS e.pipeline AND o.stage IS e.stage
WHERE c.key = 'slurm.restart' AND c.value > 0;

-- name: parts
-- From the whole to its parts; from same to same, too.
SELECT group_concat((l.subject_id << 31) + l.object_id) FROM link AS l;

-- name: same
SELECT group_concat((l.object_id << 31) + l.subject_id) FROM link AS l WHERE l.relation = 'same';

-- name: sliced
SELECT group_concat(artifact_id) FROM slice_members;

-- name: superseded
-- Artifacts that stand for content which was read after all (see the view `events`).
SELECT group_concat(f.artifact_id)
FROM (SELECT DISTINCT artifact_id FROM event WHERE problem = 'not hashed') AS f
WHERE NOT EXISTS (SELECT 1 FROM events AS v WHERE v.artifact_id = f.artifact_id)
  AND NOT EXISTS (SELECT 1 FROM link AS l WHERE f.artifact_id IN (l.subject_id, l.object_id));

-- name: executions
-- What executions are, as columns.
SELECT
    group_concat(e.id), group_concat(ifnull(e.at_ns, -9223372036854775807 - 1)),
    group_concat(ifnull(e.run_id, 0))
FROM execution AS e WHERE e.id BETWEEN :first AND :last;

-- name: runs
SELECT group_concat(r.id), group_concat(ifnull(r.at_ns, -9223372036854775807 - 1))
FROM run AS r WHERE r.id BETWEEN :first AND :last;

-- name: pipeline
-- Names, each with what is called so.
SELECT e.pipeline, group_concat(e.id)
FROM execution AS e WHERE e.pipeline IS NOT NULL GROUP BY e.pipeline;

-- name: user
SELECT r.user, group_concat(r.id) FROM run AS r WHERE r.user IS NOT NULL GROUP BY r.user;

-- name: cluster
SELECT r.cluster, group_concat(r.id) FROM run AS r WHERE r.cluster IS NOT NULL GROUP BY r.cluster;
