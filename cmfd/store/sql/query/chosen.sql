-- name: make_runs
-- What a report is about: runs, and of these either all executions or only some. The tables are of
-- the connection, and lie in memory.
CREATE TEMP TABLE chosen_run (
    id INTEGER PRIMARY KEY,
    run BLOB NOT NULL,
    at_ns INTEGER,
    user TEXT NOT NULL,
    uid INTEGER,
    job TEXT NOT NULL,
    ended_ns INTEGER                 -- when it ended, or was heard of last
);

-- name: make_executions
CREATE TEMP TABLE chosen_execution (
    id INTEGER PRIMARY KEY
);

-- name: is_made
SELECT 1 FROM temp.sqlite_schema WHERE name = 'chosen_execution';

-- name: clear_runs
DELETE FROM chosen_run;

-- name: clear_executions
DELETE FROM chosen_execution;

-- name: choose_runs
-- A filter whose parameter is null is off. What is recorded of a run's project is a tag.
INSERT INTO chosen_run
SELECT
    r.id, r.run, r.at_ns, coalesce(r.user, ''), r.uid, coalesce(r.job, ''),
    max(
        coalesce(z.at_ns, s.ended_ns, r.at_ns),
        r.at_ns + min(coalesce(s.elapsed_s, 0), 1000000000) * 1000000000
    )
FROM run AS r
LEFT JOIN run_end AS z ON z.run_id = r.id
LEFT JOIN run_sum AS s ON s.run_id = r.id
WHERE (:run_id IS NULL OR r.id = :run_id)
  AND (:user IS NULL OR r.user = :user)
  AND (:job IS NULL OR r.job = :job
       -- All tasks of an array, all components of a heterogeneous job; and what a service calls
       -- by another number.
       OR instr(r.job, :job || '_') = 1 OR instr(r.job, :job || '+') = 1
       OR EXISTS (
            SELECT 1 FROM fact AS f
            WHERE f.subject = r.run AND f.key = 'slurm.job'
              AND (f.value = :job OR instr(f.value, :job || '_') = 1)))
  AND (:when <> 'began' OR (:since_ns IS NULL OR r.at_ns >= :since_ns)
       AND (:until_ns IS NULL OR r.at_ns < :until_ns))
  AND (:when <> 'ended' OR (:since_ns IS NULL OR max(
        coalesce(z.at_ns, s.ended_ns, r.at_ns),
        r.at_ns + min(coalesce(s.elapsed_s, 0), 1000000000) * 1000000000
    ) >= :since_ns)
       AND (:until_ns IS NULL OR max(
        coalesce(z.at_ns, s.ended_ns, r.at_ns),
        r.at_ns + min(coalesce(s.elapsed_s, 0), 1000000000) * 1000000000
    ) < :until_ns))
  -- Also what took energy only then: a minute that is counted may begin before its run.
  AND (:when <> 'during' OR (:since_ns IS NULL OR r.at_ns >= :since_ns OR max(
        coalesce(z.at_ns, s.ended_ns, r.at_ns),
        r.at_ns + min(coalesce(s.elapsed_s, 0), 1000000000) * 1000000000
    ) > :since_ns)
       AND (:until_ns IS NULL OR r.at_ns < :until_ns)
       OR EXISTS (
            SELECT 1 FROM energy_span AS x
            WHERE x.run_id = r.id AND (:since_ns IS NULL OR x.end_ns > :since_ns)
              AND (:until_ns IS NULL OR x.first_ns < :until_ns)))
  AND (:only_uid IS NULL OR r.uid = :only_uid)
  AND (:account IS NULL OR EXISTS (
        SELECT 1 FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'slurm.account' AND f.value = :account))
  AND (:project IS NULL OR EXISTS (
        SELECT 1 FROM fact AS f
        WHERE f.subject = r.run AND f.key = 'project' AND CAST(f.value AS TEXT) = :project
    ) OR EXISTS (
        SELECT 1 FROM execution AS e JOIN fact AS f ON f.subject = e.execution
        WHERE e.run_id = r.id AND f.key = 'project' AND CAST(f.value AS TEXT) = :project))
  AND (:node IS NULL OR EXISTS (
        SELECT 1 FROM execution AS e JOIN process AS p ON p.execution_id = e.id
        WHERE e.run_id = r.id AND p.host = :node
    ) OR EXISTS (
        SELECT 1 FROM delivery AS d WHERE d.run_id = r.id AND d.node = :node
    ) OR EXISTS (
        SELECT 1 FROM energy_span AS s JOIN meter AS m ON m.id = s.meter_id
        WHERE s.run_id = r.id AND m.node = :node))
  AND (:pipeline IS NULL AND :stage IS NULL OR EXISTS (
        SELECT 1 FROM execution AS e
        WHERE e.run_id = r.id
          AND (:pipeline IS NULL OR e.pipeline = :pipeline)
          AND (:stage IS NULL OR e.stage = :stage)))
  AND (:artifact_id IS NULL OR EXISTS (
        SELECT 1 FROM execution AS e JOIN event AS v ON v.execution_id = e.id
        WHERE e.run_id = r.id AND v.artifact_id = :artifact_id AND v.direction = 'output'));

-- name: keep_latest
-- Of runs that were chosen, only so many.
DELETE FROM chosen_run
WHERE id NOT IN (SELECT id FROM chosen_run ORDER BY at_ns DESC, id DESC LIMIT :limit);

-- name: choose_executions
INSERT INTO chosen_execution
SELECT e.id
FROM chosen_run AS c JOIN execution AS e ON e.run_id = c.id
WHERE (:pipeline IS NULL OR e.pipeline = :pipeline)
  AND (:stage IS NULL OR e.stage = :stage)
  AND (:artifact_id IS NULL OR EXISTS (
        SELECT 1 FROM event AS v
        WHERE v.execution_id = e.id AND v.artifact_id = :artifact_id AND v.direction = 'output'));

-- name: hide
-- Take runs out of what was chosen, by their numbers.
DELETE FROM chosen_run WHERE id IN (SELECT value FROM json_each(:ids));

-- name: hide_executions
DELETE FROM chosen_execution
WHERE id IN (
    SELECT e.id FROM json_each(:ids) AS j CROSS JOIN execution AS e ON e.run_id = j.value
);

-- name: owners
-- Whose the runs are, and in which groups of a report they are.
SELECT DISTINCT c.id, c.uid, CASE :by
    WHEN 'pipeline' THEN e.pipeline
    WHEN 'stage' THEN json_array(e.pipeline, e.stage)
    WHEN 'node' THEN p.host
    WHEN 'month' THEN strftime('%Y-%m', c.ended_ns / 1000000000, 'unixepoch')
    WHEN 'project' THEN (
        SELECT min(CAST(f.value AS TEXT)) FROM fact AS f
        WHERE f.subject IN (c.run, e.execution) AND f.key = 'project')
    WHEN 'account' THEN (
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.account')
    WHEN 'partition' THEN (
        SELECT CAST(f.value AS TEXT) FROM fact AS f
        WHERE f.subject = c.run AND f.key = 'slurm.partition')
    ELSE '' END
FROM chosen_run AS c
LEFT JOIN execution AS e ON e.run_id = c.id
LEFT JOIN process AS p ON :by = 'node' AND p.execution_id = e.id;

-- name: spans
SELECT c.id, c.uid, coalesce(c.at_ns, 0), coalesce(c.ended_ns, 0) FROM chosen_run AS c;

-- name: hide_users
-- What stays of others' runs goes by no name.
UPDATE chosen_run SET user = :anonymous, job = CASE WHEN job = '' THEN '' ELSE :anonymous END
WHERE uid IS NOT :uid;
