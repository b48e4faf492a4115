-- name: together
-- Packs that are of one run alone, by run and node, those sealed last first.
SELECT x.run_id, k.node, k.digest
FROM pack AS k
JOIN pack_run AS x ON x.pack_id = k.id
WHERE x.run_id <> 0
    AND NOT EXISTS (SELECT 1 FROM pack_run AS y WHERE y.pack_id = k.id AND y.run_id <> x.run_id)
ORDER BY x.run_id, k.node, k.sealed_ns DESC, k.digest;
