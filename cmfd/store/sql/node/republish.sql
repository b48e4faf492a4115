-- name: forget_published
UPDATE standing SET sealed_seq = 0, sealed_ns = NULL, finished = 0;

-- name: forget_ledger
DELETE FROM ledger;

-- name: label
SELECT r.cluster, ifnull(i.host, '')
FROM run AS r LEFT JOIN instance AS i ON i.instance = r.origin WHERE r.run = :run;

-- name: ledger_label
SELECT ifnull(h.cluster, ''), x.node FROM energy AS x LEFT JOIN node_hardware AS h USING (boot, node)
WHERE x.run = zeroblob(16) LIMIT 1;
