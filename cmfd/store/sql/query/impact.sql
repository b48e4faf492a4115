-- name: make_asked
-- What is asked of very many executions, artifacts or runs finds their numbers in a table, in order:
-- neighbours there are neighbours in the index, and what is counted of each needs no sorting.
CREATE TEMP TABLE IF NOT EXISTS asked (id INTEGER PRIMARY KEY);

-- name: clear_asked
DELETE FROM asked;

-- name: ask
INSERT INTO asked SELECT value FROM json_each(:ids);

-- name: reached
-- Most executions are of one node: the hosts of others, here without any, are asked for again.
SELECT
    e.id, ifnull(e.at_ns, -9223372036854775807 - 1) AS at_ns, e.pipeline,
    e.run_id, ifnull(r.at_ns, -9223372036854775807 - 1) AS run_at_ns,
    coalesce(r.user, '') AS user, coalesce(r.cluster, '') AS cluster,
    (
        SELECT iif(min(p.host) = max(p.host), min(p.host), NULL)
        FROM process AS p WHERE p.execution_id = a.id
    ) AS host
FROM asked AS a
CROSS JOIN execution AS e ON e.id = a.id
LEFT JOIN run AS r ON r.id = e.run_id;

-- name: hosts
SELECT DISTINCT a.id, p.host
FROM asked AS a CROSS JOIN process AS p ON p.execution_id = a.id;

-- name: names
SELECT e.id, e.execution FROM asked AS a CROSS JOIN execution AS e ON e.id = a.id;

-- name: runs
SELECT
    r.id, ifnull(r.at_ns, -9223372036854775807 - 1) AS at_ns, r.run, coalesce(r.job, '') AS job,
    coalesce(r.cluster, '') AS cluster, coalesce(r.user, '') AS user
FROM asked AS a CROSS JOIN run AS r ON r.id = a.id;

-- name: n_of_kind
-- How many artifacts are of which kind: that which each was first written as, else read.
SELECT kind, count(*) AS n
FROM (
    SELECT CASE
        WHEN min(w.kind) = max(w.kind) THEN min(w.kind)
        ELSE coalesce((
            SELECT v.kind FROM event AS v WHERE v.artifact_id = a.id AND v.direction = 'output'
            ORDER BY v.at_ns, v.path, v.kind LIMIT 1
        ), (
            SELECT v.kind FROM event AS v WHERE v.artifact_id = a.id AND v.direction = 'input'
            ORDER BY v.at_ns, v.path, v.kind LIMIT 1
        ), 'other') END AS kind
    FROM asked AS a LEFT JOIN event AS w ON w.artifact_id = a.id AND w.direction = 'output'
    GROUP BY a.id
) AS k
GROUP BY kind ORDER BY n DESC, kind;
