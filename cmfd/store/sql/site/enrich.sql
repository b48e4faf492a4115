-- name: run
-- A run of a batch system's job.
SELECT run, coalesce(cluster, ''), job, coalesce(restart, 0), at_ns
FROM run WHERE run = :run AND job <> '';

-- name: not_joined
-- Runs of jobs of which it is not known yet what became of them, latest first.
SELECT r.run, coalesce(r.cluster, ''), r.job, coalesce(r.restart, 0), r.at_ns
FROM run AS r
WHERE r.job <> ''
  AND NOT EXISTS (SELECT 1 FROM fact AS f WHERE f.subject = r.run AND f.key = :state)
ORDER BY r.at_ns DESC, r.run;

-- name: of_job
-- Every start of a job; of an array also those of its tasks.
SELECT run FROM run WHERE job = :job OR job LIKE :task ESCAPE '\' ORDER BY at_ns, run;

-- name: facts
SELECT key, value_type, value FROM fact WHERE subject = :run AND key BETWEEN 'slurm.' AND 'slurm/';
