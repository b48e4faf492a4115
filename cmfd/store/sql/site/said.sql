-- name: site
-- What a pack says of itself and whom, asked of the pack. A number in a name: since which format.
SELECT site FROM pack;

-- name: users
SELECT DISTINCT user FROM run;

-- name: users_3
SELECT DISTINCT author FROM note;

-- name: pipelines
SELECT DISTINCT pipeline FROM execution;

-- name: own
SELECT lower(hex(run)) FROM run UNION SELECT lower(hex(execution)) FROM execution;

-- name: own_1
-- Series of a process, from which on and up to which, of each execution.
SELECT lower(hex(instance)) || '/' || min(series) || ',' || max(series)
FROM series GROUP BY instance, execution;

-- name: subjects
SELECT lower(hex(x.id))
FROM (
    SELECT run AS id FROM run
    UNION SELECT run FROM run_end
    UNION SELECT run FROM execution
    UNION SELECT execution FROM execution
    UNION SELECT execution FROM execution_end
    UNION SELECT execution FROM process
    UNION SELECT execution FROM process_state
    UNION SELECT execution FROM param
    UNION SELECT subject FROM fact
    UNION SELECT execution FROM event
    UNION SELECT execution FROM execution_environment
    UNION SELECT execution FROM series
) AS x;

-- name: subjects_1
-- Values are of a series, whose execution another pack may say.
SELECT lower(hex(instance)) || '/' || min(series) || ',' || max(series)
FROM series GROUP BY instance, execution
UNION
SELECT lower(hex(c.instance)) || '/' || c.series || ',' || c.series
FROM chunk AS c
WHERE NOT EXISTS (
    SELECT 1 FROM series AS s WHERE s.instance = c.instance AND s.series = c.series
);

-- name: subjects_2
SELECT lower(hex(run)) FROM delivery;

-- name: subjects_3
SELECT DISTINCT subject FROM note;

-- name: subjects_4
SELECT lower(hex(run)) FROM energy WHERE run <> zeroblob(16)
UNION
SELECT lower(hex(execution)) FROM energy WHERE execution <> zeroblob(16);

-- name: nodes_4
-- What is said of nodes is no run's.
SELECT node FROM energy WHERE run = zeroblob(16)
UNION SELECT node FROM energy_probe
UNION SELECT node FROM node_hardware;

-- name: content
-- Content of which it says something, and that nothing in it read or made; before there were links.
SELECT '=' || digest FROM (SELECT digest FROM artifact EXCEPT SELECT digest FROM event) AS x;

-- name: content_3
-- Likewise, and pairs of it that it links; what is read or made has, up to two links away, what it is
-- a part of.
WITH near (digest) AS MATERIALIZED (
    SELECT digest FROM event
    UNION
    SELECT subject FROM link WHERE object IN (SELECT digest FROM event)
), known (digest) AS MATERIALIZED (
    SELECT digest FROM near
    UNION SELECT subject FROM link WHERE object IN (SELECT digest FROM near)
    UNION SELECT object FROM link WHERE subject IN (SELECT digest FROM event)
)
SELECT '=' || subject || '=' || object FROM link
WHERE subject NOT IN (SELECT digest FROM known) AND object NOT IN (SELECT digest FROM known)
UNION
SELECT '=' || digest FROM (
    SELECT digest FROM artifact
    EXCEPT SELECT digest FROM known
    EXCEPT SELECT subject FROM link
    EXCEPT SELECT object FROM link
) AS x;
