-- name: packs
-- Packs that say something of runs all of whose executions are of these pipelines, and of no other
-- run: who may see these pipelines only may see nothing else that is in a pack with them.
WITH own AS (
    SELECT run_id AS id FROM execution WHERE pipeline IN ({pipelines}) AND run_id IS NOT NULL
    EXCEPT
    SELECT run_id FROM execution
    WHERE run_id IN (SELECT run_id FROM execution WHERE pipeline IN ({pipelines}))
        AND (pipeline IS NULL OR pipeline NOT IN ({pipelines}))
), wanted AS (
    SELECT DISTINCT pack_id FROM pack_run WHERE run_id IN (SELECT id FROM own)
), mixed AS (
    SELECT DISTINCT pack_id FROM pack_run
    WHERE pack_id IN (SELECT pack_id FROM wanted) AND run_id NOT IN (SELECT id FROM own)
)
SELECT k.id, k.digest, k.merged_ns, k.size_bytes
FROM pack AS k
WHERE k.id IN (SELECT pack_id FROM wanted) AND k.id NOT IN (SELECT pack_id FROM mixed)
ORDER BY k.id;
