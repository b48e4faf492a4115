-- name: forget_published
UPDATE standing SET sealed_seq = 0, sealed_ns = NULL, finished = 0;

-- name: label
SELECT r.cluster, ifnull(i.host, '')
FROM run AS r LEFT JOIN instance AS i ON i.instance = r.origin WHERE r.run = :run;
