-- Which runs a name given by a person may mean: a job id, or the beginning of a run's id.
SELECT id AS run_id, lower(hex(run)) AS run, job, at_ns AS began_ns, job = :name AS is_job
FROM run
WHERE job = :name OR run BETWEEN :low AND :high
ORDER BY at_ns DESC, id DESC
LIMIT :limit
