-- Which runs a name given by a person may mean: a job id, the beginning of a run's id, its name.
SELECT
    id AS run_id, lower(hex(run)) AS run, job, at_ns AS began_ns,
    job = :name AS is_job,
    -- Whether that job was started again.
    EXISTS (
        SELECT 1 FROM run AS later
        WHERE later.job = run.job AND later.cluster = run.cluster AND later.uid IS run.uid
          AND later.restart > run.restart AND run.job = :name
    ) AS is_followed,
    coalesce(run BETWEEN :low AND :high, 0) AS is_id
FROM run
WHERE :name <> '' AND (
    job = :name OR run BETWEEN :low AND :high OR name = :name
    OR run IN (SELECT subject FROM fact WHERE key = 'name' AND value = :name)
)
ORDER BY at_ns DESC, id DESC
LIMIT :limit
