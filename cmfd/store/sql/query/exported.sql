-- name: runs
-- Runs of which something was merged after a pack; of packs that name no run, all. `{condition}` is on
-- their executions.
SELECT DISTINCT r.id
FROM run AS r LEFT JOIN execution AS e ON e.run_id = r.id
WHERE r.at_ns IS NOT NULL AND {condition} AND (
    :after = 0
    OR r.id IN (SELECT x.run_id FROM pack_run AS x WHERE x.pack_id > :after)
    OR lower(hex(r.run)) IN (SELECT x.subject FROM pack_about AS x WHERE x.pack_id > :after)
    OR lower(hex(e.execution)) IN (SELECT x.subject FROM pack_about AS x WHERE x.pack_id > :after)
    OR EXISTS (SELECT 1 FROM pack_run AS x WHERE x.pack_id > :after AND x.run_id = 0)
)
ORDER BY r.id;
