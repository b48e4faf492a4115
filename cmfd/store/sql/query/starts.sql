-- The other starts of a run's job, which is known by its cluster, its number and whose it is.
SELECT other.run, other.restart, other.began_ns, other.status, other.job_state
FROM run AS own
JOIN runs AS other
  ON other.job = own.job AND other.cluster = own.cluster AND other.uid IS own.uid
WHERE own.id = :run_id AND own.job <> '' AND other.run_id <> own.id
ORDER BY other.restart, other.began_ns
