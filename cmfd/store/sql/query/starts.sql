-- The other starts of a run's job, which is known by its cluster, its number and whose it is.
SELECT other.run, other.restart, other.began_ns, other.status, other.job_state
FROM run AS own
JOIN run AS again
  ON again.job = own.job AND again.cluster = own.cluster AND again.uid IS own.uid
JOIN runs AS other ON other.run_id = again.id
WHERE own.id = :run_id AND own.job <> '' AND again.id <> own.id
ORDER BY other.restart, other.began_ns
