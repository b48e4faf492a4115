-- Which runs a name given by a person may mean: a job id, the beginning of a run's id, its name. A
-- task of an array is called 4711_3 and is part of 4711; where only its own number is recorded, it
-- goes by that until a fact says what it is called.
WITH found AS (
    SELECT
        r.id AS run_id, r.run, r.job AS recorded, r.cluster, r.uid, r.restart, r.at_ns,
        coalesce((
            SELECT CAST(f.value AS TEXT) FROM fact AS f
            WHERE f.subject = r.run AND f.key = 'slurm.job'
        ), r.job) AS job,
        (
            SELECT CAST(f.value AS TEXT) FROM fact AS f
            WHERE f.subject = r.run AND f.key = 'slurm.array_job'
        ) AS array_job
    FROM run AS r
    WHERE :name <> '' AND (
        r.job = :name OR r.run BETWEEN :low AND :high OR r.name = :name
        OR r.run IN (SELECT subject FROM fact WHERE key IN ('name', 'slurm.job') AND value = :name)
        OR r.run IN (SELECT subject FROM fact WHERE key = 'slurm.array_job' AND value = :number)
    )
)
SELECT
    f.run_id, lower(hex(f.run)) AS run, f.job, f.at_ns AS began_ns,
    f.job = :name AS is_job,
    -- Whether that job was started again. (Not asked of each of the runs of one name: it looks through all.)
    CASE WHEN f.job = :name THEN EXISTS (
        SELECT 1 FROM run AS later
        WHERE later.job = f.recorded AND later.cluster = f.cluster AND later.uid IS f.uid
          AND later.restart > f.restart
    ) ELSE false END AS is_followed,
    coalesce(f.array_job = :name, false) OR coalesce(f.recorded = :name, false) AS is_part,
    coalesce(f.run BETWEEN :low AND :high, false) AS is_id
FROM found AS f
ORDER BY f.at_ns DESC, f.run_id DESC
LIMIT :limit
