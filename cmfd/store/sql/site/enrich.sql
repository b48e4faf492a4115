-- name: run
-- A run of a batch system's job.
SELECT run, job FROM run WHERE run = :run AND job <> '';

-- name: not_joined
-- Runs of jobs of which it is not known yet what became of them, latest first.
SELECT r.run, r.job
FROM run AS r
WHERE r.job <> ''
  AND NOT EXISTS (SELECT 1 FROM fact AS f WHERE f.subject = r.run AND f.key = :state)
ORDER BY r.at_ns DESC, r.run;

-- name: starts
-- Every start of jobs.
SELECT run, coalesce(cluster, ''), job, coalesce(restart, 0), at_ns
FROM run WHERE job IN (SELECT value FROM json_each(:jobs))
ORDER BY at_ns DESC, run;

-- name: of_job
-- Every start of a job; of an array also those of its tasks, some of which may be recorded by their
-- own numbers, and known by the array's from a fact.
SELECT r.run
FROM run AS r
LEFT JOIN fact AS f ON f.subject = r.run AND f.key = 'slurm.job'
WHERE r.job = :job OR r.job LIKE :task ESCAPE '\'
    OR f.value = :job OR f.value LIKE :task ESCAPE '\'
ORDER BY r.at_ns, r.run;

-- name: facts
SELECT key, value_type, value FROM fact WHERE subject = :run AND key BETWEEN 'slurm.' AND 'slurm/';
